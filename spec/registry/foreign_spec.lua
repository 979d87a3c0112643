-- Foreign layers: those that a registry need not have, since their descriptors say where they are.

local certificates = require "spec.support.certificates"
local cjson = require "cjson"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

local MANIFEST = "application/vnd.oci.image.manifest.v1+json"
local FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"

describe("BLOB15: a foreign layer", function()
	local fake, far, image, blob

	before_each(function()
		fake = registry.start({ sparse = true })
		far = fake:listener({ address = "127.0.0.2", tls = true, blank = true })
		image = remote.image({ count = 1 })
		remote.put(fake, "app", image.layout, image.digest)
		local manifest = cjson.decode((fake:get_manifest("app", image.digest)))
		blob = manifest.layers[1].digest
		manifest.layers[1].mediaType = FOREIGN
		manifest.layers[1].urls = { far.url .. "/first", far.url .. "/second" }
		manifest.layers[1].size, manifest.config.size = math.floor(manifest.layers[1].size), math.floor(manifest.config.size)
		manifest.schemaVersion = 2
		fake:put_manifest("app", "1", cjson.encode(manifest):gsub('"schemaVersion":2%.0', '"schemaVersion":2'), MANIFEST)
		fake:drop_blob("app", blob)
		far:fault({ path = "/first", status = 404 })
		far:fault({ path = "/second", status = 200, body = image.layout.blobs[blob] })
		fake:forget()
	end)

	after_each(function()
		fake:stop()
	end)

	local function open(options)
		local hosts = { [far.host] = { ca = certificates.path("ca.crt") } }
		local settings = { hosts = hosts, credentials = { [fake.host] = { username = "joe", password = "secret" } } }
		for name, value in pairs(options or {}) do
			settings[name] = value
		end
		local hub = remote.client(settings)
		return assert(strata.open(("docker://%s/app:1"):format(fake.host), { registry = hub })), hub
	end

	it("comes from the first of its URLs that has it, when that is asked for, without credentials", function()
		local img = open({ foreign = true })
		assert.is_true(img.layers[1].foreign)
		assert(img:verify())
		assert.same({ "GET /first", "GET /second" }, far:lines())
		for _, request in ipairs(far:log()) do
			assert.is_nil(request.headers.authorization)
		end
	end)

	it("comes from nowhere unasked, and the message says how", function()
		local ok, message, code = open():verify()
		assert.is_nil(ok)
		assert.equal("ENOENT", code)
		assert.matches("foreign = true", message, 1, true)
		assert.same({}, far:lines())
	end)

	it("that is not what its digest says is refused", function()
		far:faults_clear()
		far:fault({ status = 200, body = ("x"):rep(#image.layout.blobs[blob]) })
		assert.equal("EDIGEST", (select(3, open({ foreign = true }):verify())))
	end)

	it("is not pushed, and stays where its URLs lead", function()
		local img, hub = open()
		img.config:set_label("a", "b")
		local saved = assert(img:save(("docker://%s/other:1"):format(fake.host), { registry = hub }))
		assert.equal(1, saved.uploaded)
		local manifest = cjson.decode((fake:get_manifest("other", "1")))
		assert.same({ far.url .. "/first", far.url .. "/second" }, manifest.layers[1].urls)
		assert.same({}, far:lines())
		assert(strata.copy(("docker://%s/app:1"):format(fake.host), ("docker://%s/third:1"):format(fake.host)))
		assert.same({}, far:lines())
	end)
end)

-- Getting manifests and indexes. Ids are those of the checks.

local oci_layout = require "spec.support.oci_layout"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

local types = oci_layout.types
local ZERO = "sha256:" .. ("0"):rep(64)

describe("manifests of a registry:", function()
	local fake, hub, image, names, ref

	setup(function()
		fake = registry.start({})
		image = remote.image({ count = 1 })
		names = remote.names(image)
		remote.put(fake, "app", image.layout, image.digest, "1")
		ref = "docker://" .. fake.host .. "/app:1"
	end)

	teardown(function()
		fake:stop()
	end)

	before_each(function()
		hub = remote.client({ retries = 2 })
		fake:faults_clear()
		fake:quirks()
		fake:forget()
	end)

	local function open(what, options)
		options = options or {}
		options.registry = hub
		return strata.open(what and "docker://" .. fake.host .. "/" .. what or ref, options)
	end

	local function fails(code, text, what, options)
		local img, message, found = open(what, options)
		assert.is_nil(img)
		assert.equal(code, found, message)
		assert.is_truthy(message:find(text, 1, true), message)
		assert.is_truthy(message:find("^docker://" .. fake.host:gsub("%p", "%%%0")), message)
		return message
	end

	local function put(tag, bytes, media_type)
		return fake:put_manifest("app", tag, bytes, media_type)
	end

	it("MAN1: Accept has all four types, in one header", function()
		assert(open())
		local accept = fake:log()[1].headers.accept
		for _, media_type in ipairs({ types.oci.index, types.oci.manifest, types.docker.index, types.docker.manifest }) do
			assert.is_truthy((", " .. accept .. ","):find(", " .. media_type .. ",", 1, true))
		end
		assert.equal("identity", fake:log()[1].headers["accept-encoding"])
	end)

	describe("MAN2: a document", function()
		local big = ('{"schemaVersion":2,"mediaType":"%s","x":"%s"}'):format(types.oci.manifest, ("x"):rep(5000000))

		it("that is said to be too long is not read", function()
			fake:fault({ path = "/manifests/", status = 200, body = big })
			fails("ELIMIT", "longer than 4194304 bytes")
			assert.is_true(fake:log()[1].sent < 4500000)
		end)

		it("that is too long, without a length, is read to there", function()
			fake:fault({ path = "/manifests/", status = 200, body = big, chunked = true })
			fails("ELIMIT", "longer than 4194304 bytes")
		end)

		it("may be shorter for others", function()
			fails("ELIMIT", "longer than 100 bytes", nil, { limits = { json = { max_bytes = 100 } } })
		end)
	end)

	describe("MAN3:", function()
		it("what is asked for by its digest has it", function()
			fake:fault({ path = "/manifests/", flip = 20, digest = false })
			fails("EDIGEST", "hashes to", "app@" .. image.digest)
		end)

		it("what the header says of a tag is compared", function()
			fake:fault({ path = "/manifests/", digest = ZERO })
			fails("EDIGEST", ZERO)
		end)

		it("what is no digest that is known says nothing", function()
			for _, digest in ipairs({ "md5:abc", "blake3:" .. ("0"):rep(64), false }) do
				fake:faults_clear()
				fake:fault({ path = "/manifests/", digest = digest })
				assert.equal(image.digest, assert(open()).digest)
			end
		end)
	end)

	it("MAN4: the header may have another algorithm", function()
		local text = fake:get_manifest("app", "1")
		fake:fault({ path = "/manifests/", digest = oci_layout.sha512(text) })
		assert.equal(image.digest, assert(open()).digest)
		assert(open("app@" .. image.digest))
		fake:faults_clear()
		fake:fault({ path = "/manifests/", digest = "sha512:" .. ("0"):rep(128) })
		fails("EDIGEST", "sha512:0000")
	end)

	it("MAN4: by the SHA-512 of a manifest", function()
		local text = fake:get_manifest("app", "1")
		local digest = fake:put_manifest("app", nil, text, types.oci.manifest, "sha512")
		assert.equal(digest, assert(open("app@" .. digest)).digest)
		fake:fault({ path = "/manifests/", flip = 20, digest = false })
		fails("EDIGEST", "hashes to sha512:", "app@" .. digest)
	end)

	describe("MAN5: the media type", function()
		it("may have parameters", function()
			fake:fault({ path = "/manifests/", set = { ["Content-Type"] = types.oci.manifest .. "; charset=utf-8" } })
			assert(open())
		end)

		it("of header and body must be the same", function()
			for _, media_type in ipairs({ types.oci.index, types.docker.manifest, "text/html" }) do
				fake:faults_clear()
				fake:fault({ path = "/manifests/", set = { ["Content-Type"] = media_type } })
				fails("EFORMAT", media_type)
			end
		end)

		it("is in the body when the header says nothing", function()
			for _, media_type in ipairs({ "text/plain", "application/octet-stream", "application/json", false }) do
				fake:faults_clear()
				fake:fault({ path = "/manifests/", set = { ["Content-Type"] = media_type } })
				assert(open())
			end
		end)

		it("is in the header when the body says nothing", function()
			local layout = oci_layout.new()
			local bare = layout:image({ layers = { layout:file_layer("x") }, manifest = { mediaType = false } })
			remote.put(fake, "bare", layout, "")
			fake:put_manifest("bare", "1", layout.blobs[bare.descriptor.digest], types.oci.manifest)
			local img = assert(open("bare:1"))
			assert.equal(bare.descriptor.digest, img.digest)
			fake:forget()
			assert(img:save("docker://" .. fake.host .. "/bare:2", { registry = hub }))
			assert.equal(types.oci.manifest, fake:log()[1].headers["content-type"])
		end)
	end)

	it("MAN6 A13: layers and manifests in one document", function()
		local text = fake:get_manifest("app", "1")
		put("both", text:sub(1, -2) .. ',"manifests":[]}', types.oci.manifest)
		fails("EFORMAT", "at once", "app:both")
	end)

	describe("MAN7: schema 1", function()
		local OLD = '{"schemaVersion":1,"name":"app","tag":"1","fsLayers":[],"history":[]}'

		it("by its type", function()
			for _, media_type in ipairs({ "v1+json", "v1+prettyjws" }) do
				put("old", OLD, "application/vnd.docker.distribution.manifest." .. media_type)
				fails("EUNSUPPORTED", "schema 1", "app:old")
			end
		end)

		it("by its version", function()
			put("old", OLD, "application/json")
			fails("EUNSUPPORTED", "schema 1", "app:old")
			put("old", OLD, types.oci.manifest)
			fails("EUNSUPPORTED", "schema 1", "app:old")
		end)
	end)

	-- An index of amd64 and arm64, whose descriptors are changed.
	local function index_of(changes, tag, family)
		local layout, children, descriptors = oci_layout.new(), {}, {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			children[i] = remote.image({ layout = layout, platform = platform, count = 1, name = platform:gsub("/", "-"),
				family = family })
			descriptors[i] = oci_layout.with(children[i].descriptor, changes)
		end
		local index = layout:index(descriptors, { family = family })
		remote.put(fake, "multi", layout, index.digest, tag)
		fake:forget()
		return children, index.digest
	end

	describe("MAN8: a child of an index", function()
		it("is fetched by its digest, with its type in Accept", function()
			for _, family in ipairs({ "oci", "docker" }) do
				local children, index = index_of(nil, "1", family)
				assert(open("multi:1", { platform = "linux/arm64" }))
				local log = fake:log()
				assert.equal(types[family].manifest, log[2].headers.accept)
				assert.same({ "GET multi/manifests/1 200", "GET multi/manifests/MANIFEST 200", "GET multi/blobs/CONFIG 200" },
					remote.lines(fake, remote.names(children[2], { [index] = "INDEX" })))
			end
		end)

		it("has the size of its descriptor", function()
			for _, size in ipairs({ 10, 100000 }) do
				index_of({ size = size }, "2")
				fails("EDIGEST", "its descriptor says " .. size, "multi:2", { platform = "linux/arm64" })
				assert.equal(2, #fake:log())
			end
		end)

		it("has the digest of its descriptor", function()
			local children = index_of(nil, "1")
			fake:fault({ path = children[2].digest, flip = 30, digest = false })
			fails("EDIGEST", "hashes to", "multi:1", { platform = "linux/arm64" })
		end)

		it("is there", function()
			local children = index_of(nil, "1")
			fake:fault({ path = children[2].digest, status = 404 })
			fails("ENOENT", children[2].digest, "multi:1", { platform = "linux/arm64" })
			assert(open("multi:1", { platform = "linux/amd64" }))
		end)
	end)

	describe("MAN9: the digest of a tag", function()
		it("is one HEAD", function()
			assert.equal(image.digest, hub:digest(ref))
			assert.same({ "HEAD app/manifests/1 200" }, remote.lines(fake, names))
		end)

		it("is a GET where HEAD does not tell it, or is not known", function()
			for _, rule in ipairs({ { digest = false }, { status = 405 }, { status = 404 }, { status = 501 } }) do
				rule.method = "HEAD"
				fake:faults_clear()
				fake:fault(rule)
				fake:forget()
				assert.equal(image.digest, hub:digest(ref))
				local log = fake:log()
				assert.same({ "HEAD", "GET" }, { log[1].method, log[2].method })
				assert.is_nil(log[3])
			end
		end)

		it("of what is not there", function()
			local digest, message, code = hub:digest(ref .. "x")
			assert.same({ nil, "ENOENT" }, { digest, code })
			assert.is_truthy(message:find(ref .. "x", 1, true))
			assert.same({ "HEAD app/manifests/1x 404", "GET app/manifests/1x 404" }, remote.lines(fake))
			fake:forget()
			assert.is_string(hub:digest(ref))
			hub:digest(ref .. "x")
			assert.same({ "HEAD app/manifests/1 200", "HEAD app/manifests/1x 404" }, remote.lines(fake))
		end)
	end)

	it("MAN10: asking for a digest takes no GET", function()
		fake:set({ rate = { limit = 1, window = 60 } })
		for _ = 1, 3 do
			assert.equal(image.digest, hub:digest(ref))
		end
		fake:set({ rate = false })
	end)

	it("MAN11: no If-None-Match is sent", function()
		assert(open())
		assert(open())
		for _, request in ipairs(fake:log()) do
			assert.is_nil(request.headers["if-none-match"])
		end
	end)

	it("MAN12: no encoding that was not asked for", function()
		fake:fault({ path = "/manifests/", gzip = true })
		fails("EFORMAT", "gzip")
		fake:faults_clear()
		fake:fault({ path = "/blobs/", gzip = true })
		fails("EFORMAT", "gzip")
		fake:faults_clear()
		fake:fault({ set = { ["Content-Encoding"] = "identity" } })
		assert(open())
	end)

	describe("MAN13: the platform", function()
		it("is chosen from descriptors", function()
			local children = index_of(nil, "1")
			for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
				fake:forget()
				assert.equal(children[i].digest, assert(open("multi:1", { platform = platform })).digest)
				assert.equal(3, #fake:log())
			end
		end)

		it("that is not there takes no other request", function()
			index_of(nil, "1")
			local img, message = open("multi:1", { platform = "linux/s390x" })
			assert.is_nil(img)
			assert.is_truthy(message:find("s390x", 1, true))
			assert.equal(1, #fake:log())
		end)

		it("is in the configs when descriptors have none", function()
			local children = index_of({ platform = false }, "3")
			assert.equal(children[2].digest, assert(open("multi:3", { platform = "linux/arm64" })).digest)
		end)
	end)

	describe("MAN14: a config that is in its descriptor", function()
		local base64 = require "strata.util.base64"

		local function inline(data)
			local layout = oci_layout.new()
			local config = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
			local made = layout:image({ layers = {}, manifest = { config = {
				mediaType = types.oci.config, digest = oci_layout.sha256(config), size = #config,
				data = data or base64.encode(config),
			} } })
			fake:put_blob("inline", config)
			fake:put_manifest("inline", "1", layout.blobs[made.descriptor.digest], types.oci.manifest)
			fake:forget()
		end

		it("takes no request", function()
			inline()
			assert(open("inline:1"))
			assert.equal(1, #fake:log())
		end)

		it("is fetched when it is another one", function()
			for _, data in ipairs({ "AAAA", "no base64!", "" }) do
				inline(data)
				assert(open("inline:1"))
				assert.equal(2, #fake:log())
			end
		end)
	end)

	it("breaks off at every byte, and comes at last", function()
		local text = fake:get_manifest("app", "1")
		for at = 0, #text, 7 do
			fake:faults_clear()
			fake:fault({ path = "/manifests/", close = at, times = 1 })
			assert.equal(image.digest, assert(open()).digest)
		end
		fake:faults_clear()
		fake:fault({ path = "/manifests/", close = 30 })
		fake:forget()
		fails("ENETWORK", "manifests/1")
		assert.equal(3, #fake:log())
	end)

	it("a config that is not what its descriptor says", function()
		for _, rule in ipairs({ { flip = 3 }, { truncate = 20 }, { body_extra = "x" } }) do
			rule.path = image.config
			fake:faults_clear()
			fake:fault(rule)
			fails("EDIGEST", image.config)
		end
	end)

	it("a config that is not there", function()
		fake:fault({ path = image.config, status = 404, body = '{"errors":[{"code":"BLOB_UNKNOWN"}]}' })
		fails("ENOENT", image.config)
	end)
end)

-- Manifests that are about others: the rows RFR of the rules for registries; and what descriptors may say of sizes.

local cjson = require "cjson"
local core = require "strata.core"
local registry = require "spec.support.registry"
local referrers = require "strata.registry.referrers"
local remote = require "spec.support.remote"
local strata = require "strata"

local MANIFEST = "application/vnd.oci.image.manifest.v1+json"
local INDEX = "application/vnd.oci.image.index.v1+json"

describe("referrers", function()
	local from, to, image, hub

	before_each(function()
		from, to = registry.start(), registry.start({ referrers = false, sparse = true })
		image = remote.image({ count = 1 })
		remote.put(from, "app", image.layout, image.digest, "1")
		hub = remote.client()
	end)

	after_each(function()
		from:stop()
		to:stop()
	end)

	local function ref(server, tag)
		return ("docker://%s/app:%s"):format(server.host, tag or "1")
	end

	-- A manifest that is about another one.
	local function attach(server, subject, word)
		local text = cjson.encode({
			schemaVersion = 2, mediaType = MANIFEST, artifactType = "application/vnd.example." .. word,
			config = { mediaType = "application/vnd.oci.empty.v1+json", digest = server:put_blob("app", "{}"), size = 2 },
			layers = { { mediaType = "text/plain", digest = server:put_blob("app", word), size = #word } },
			subject = { mediaType = MANIFEST, digest = subject, size = 100 },
		})
		return server:put_manifest("app", nil, text, MANIFEST)
	end

	it("RFR3: are under a tag made of the digest where the registry has no list", function()
		assert.equal("sha256-" .. ("ab"):rep(32), referrers.tag_of("sha256:" .. ("ab"):rep(32)))
		assert.equal("sha512-" .. ("cd"):rep(32), referrers.tag_of("sha512:" .. ("cd"):rep(64)))
		assert.equal(("a"):rep(32) .. "-x-y", referrers.tag_of(("a"):rep(40) .. ":x+y"))
	end)

	it("RFR9: of referrers are copied as well", function()
		local list = attach(from, image.digest, "list")
		local signature = attach(from, list, "signature")
		assert(strata.copy(ref(from), ref(to), { referrers = true, registry = hub }))
		local found = assert(hub:referrers(ref(to)))
		assert.same({ list }, { found[1].digest, found[2] })
		found = assert(hub:referrers(("docker://%s/app@%s"):format(to.host, list)))
		assert.same({ signature }, { found[1].digest, found[2] })
	end)

	it("RFR10: of an image are not those of what an edit makes of it", function()
		attach(from, image.digest, "signature")
		local img = assert(strata.open(ref(from), { registry = hub }))
		img.config:set_label("a", "b")
		assert(img:save(ref(from, "2"), { registry = hub }))
		assert.equal(1, #assert(hub:referrers(ref(from))))
		assert.same({}, hub:referrers(ref(from, "2")))
	end)

	it("RFR7: that another client lists at the same time are both listed", function()
		local ours, theirs = attach(from, image.digest, "ours"), attach(from, image.digest, "theirs")
		-- What is read after the first PUT is the index of another client, which did not know of it.
		local other = cjson.encode({ schemaVersion = 2, mediaType = INDEX,
			manifests = { { mediaType = MANIFEST, digest = theirs, size = 100 } } })
		local tag = referrers.tag_of(image.digest)
		to:fault({ method = "GET", path = "/v2/app/manifests/" .. tag, skip = 1, times = 1, status = 200, body = other,
			headers = { ["Content-Type"] = INDEX } })
		assert(strata.copy(ref(from), ref(to), { referrers = true, registry = hub }))
		local digests = {}
		for _, one in ipairs(assert(hub:referrers(ref(to)))) do
			digests[one.digest] = true
		end
		assert.is_true(digests[ours] and digests[theirs])
	end)
end)

describe("descriptors of a registry", function()
	local fake, hub

	before_each(function()
		fake, hub = registry.start({ sparse = true }), remote.client()
	end)

	after_each(function()
		fake:stop()
	end)

	local function put(size, count)
		local config = cjson.encode({ architecture = "amd64", os = "linux",
			rootfs = { type = "layers", diff_ids = { core.sha256("x") } } })
		local manifest = ('{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":['
			.. '{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%s}]}'):format(MANIFEST,
			"application/vnd.oci.image.config.v1+json", fake:put_blob("app", config), count or #config,
			fake:put_blob("app", "x"), size)
		fake:put_manifest("app", "1", manifest, MANIFEST)
		return strata.open(("docker://%s/app:1"):format(fake.host), { registry = hub })
	end

	it("A14 that state absurd sizes allocate nothing, and are refused or found out", function()
		for _, size in ipairs({ "4611686018427387904", "9007199254740994", "1e300", "-1", "0.5" }) do
			local img, _, code = put(size)
			assert.is_nil(img)
			assert.is_true(code == "EFORMAT" or code == "ELIMIT", size)
		end
		local img = assert(put("9007199254740000"))
		assert.equal("EDIGEST", (select(3, img:verify())))
		local none, _, code = put("1", "9007199254740000")
		assert.is_nil(none)
		assert.is_true(code == "ELIMIT" or code == "EDIGEST", code)
	end)

	it("A32 that give one digest two sizes are each compared with what comes", function()
		local image = remote.image({ count = 1 })
		remote.put(fake, "app", image.layout, image.digest, "1")
		local text = fake:get_manifest("app", "1")
		local index = ('{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":%d,'
			.. '"platform":{"architecture":"amd64","os":"linux"}},{"mediaType":"%s","digest":"%s","size":%d,'
			.. '"platform":{"architecture":"arm64","os":"linux"}}]}'):format(INDEX, MANIFEST, image.digest, #text, MANIFEST,
			image.digest, #text + 1)
		fake:put_manifest("app", "multi", index, INDEX)
		local path = ("docker://%s/app:multi"):format(fake.host)
		assert(strata.open(path, { platform = "linux/amd64", registry = hub }))
		local img, _, code = strata.open(path, { platform = "linux/arm64", registry = hub })
		assert.is_true(img == nil and (code == "EDIGEST" or code == "ENOENT"), tostring(code))
	end)
end)

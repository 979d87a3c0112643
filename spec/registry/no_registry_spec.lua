-- What is told of servers that are no registry, of images that are none, and of credentials that are refused.

local cjson = require "cjson"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("what speaks there:", function()
	local fake, hub, ref

	before_each(function()
		fake = registry.start({})
		hub = remote.client({ retries = 0 })
		ref = "docker://" .. fake.host .. "/app:1"
	end)

	after_each(function()
		fake:stop()
	end)

	local function image()
		local made = assert(strata.new())
		assert(made:append({ files = { a = "1" } }))
		return made
	end

	-- All that asks for a manifest.
	local function each(fn)
		fn(strata.open(ref, { registry = hub }))
		fn(hub:digest(ref))
		fn(hub:manifest(ref))
		fn(image():save(ref, { registry = hub }))
	end

	local PAGE = "<!DOCTYPE HTML><html><head><title>Error response</title></head><body>404 File not found</body></html>"

	for name, rule in pairs({
		["a web server that finds nothing"] = { path = "/v2/", status = 404, body = PAGE },
		["a web server that has a page for everything"] = { path = "/v2/", status = 200, body = "<html>hello</html>" },
		["an API of another kind"] = { path = "/v2/", status = 200, body = '{"a":1}' },
		["an API of another kind that finds nothing"] = { path = "/v2/", status = 404, body = '{"error":"not found"}' },
	}) do
		it(name .. " is no registry, and nothing is sent there", function()
			fake:fault(rule)
			each(function(got, message, code)
				assert.is_nil(got)
				assert.equal("EFORMAT", code)
				assert.matches("; no registry speaks there", message, 1, true)
			end)
			for _, request in ipairs(fake:log()) do
				assert.is_truthy(request.method == "GET" or request.method == "HEAD")
			end
		end)
	end

	it("registries say in several ways that there is no such image", function()
		for _, rule in ipairs({
			{ body = "" },
			{ body = cjson.encode({ errors = { { code = "MANIFEST_UNKNOWN", message = "manifest unknown" } } }) },
			{ body = cjson.encode({ errors = { { status = 404, message = "not found" } } }) },
			{ body = "404 page not found\n", headers = { ["Docker-Distribution-Api-Version"] = "registry/2.0" } },
		}) do
			rule.path, rule.status = "/manifests/", 404
			fake:faults_clear()
			fake:fault(rule)
			local img, message, code = strata.open(ref, { registry = remote.client({}) })
			assert.is_nil(img)
			assert.equal("ENOENT", code, message)
			assert.is_nil(message:find("no registry", 1, true))
		end
	end)

	it("a server that was a registry before stays one", function()
		assert(image():save(ref, { registry = hub }))
		assert(hub:digest(ref))
		fake:fault({ path = "/manifests/", status = 404, body = PAGE })
		assert.equal("ENOENT", select(3, strata.open(ref, { registry = hub })))
	end)

	it("an artifact is no image, and not nothing", function()
		local config = fake:put_blob("app", "{}")
		local text = cjson.encode({ schemaVersion = 2, mediaType = "application/vnd.oci.image.manifest.v1+json",
			artifactType = "text/x-thing",
			config = { mediaType = "application/vnd.oci.empty.v1+json", digest = config, size = 2 },
			layers = { { mediaType = "text/x-thing", digest = config, size = 2 } } })
		local digest = fake:put_manifest("app", "1", text, "application/vnd.oci.image.manifest.v1+json")
		local img, message, code = strata.open(ref, { registry = hub })
		assert.is_nil(img)
		assert.equal("EFORMAT", code)
		assert.matches("no image, but an artifact .*" .. digest, message)
	end)

	it("of several images of an index, platform or digest chooses, and no ref", function()
		local list = {}
		for _, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			list[#list + 1] = strata.new({ platform = platform })
		end
		assert(strata.save(list, ref, { registry = hub }))
		local _, message, code = strata.open(ref, { registry = hub })
		assert.equal("EAMBIGUOUS", code)
		assert.matches("choose one with platform or digest", message, 1, true)
	end)

	describe("credentials that are refused", function()
		local function told(auth, entry)
			fake:set({ auth = auth, users = { joe = "right" } })
			hub = remote.client({ credentials = entry and { [fake.host] = entry } or {}, retries = 0 })
			local img, message, code = strata.open(ref, { registry = hub })
			assert.is_nil(img)
			assert.equal("EAUTH", code)
			assert.is_nil(message:find("wrong", 1, true))
			return message
		end

		for _, auth in ipairs({ "basic", "token" }) do
			it("are told of, with " .. auth, function()
				local message = told(auth, { username = "joe", password = "wrong" })
				assert.matches("(the credentials for " .. fake.host .. " were sent and refused)", message, 1, true)
				assert.is_nil(message:find("joe", 1, true))
			end)
		end

		it("are others than none", function()
			local message = told("basic", nil)
			assert.matches("there are no credentials for " .. fake.host, message, 1, true)
		end)
	end)
end)

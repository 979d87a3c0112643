-- Takes seconds: not for make check.
-- Uploads in chunks, for hosts that take only so many bytes in a request: hosts = { [host] = { chunk_size = n } }.
-- Ids are those of the checks.

local oci_layout = require "spec.support.oci_layout"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local CHUNK = 4000

describe("uploads in chunks:", function()
	local fake, other, image, layer, dir, started

	local function start(options)
		local one = registry.start(options or {})
		started[#started + 1] = one
		return one
	end

	setup(function()
		local layout = oci_layout.new()
		layer = layout:layer({ { name = "noise", data = remote.noise(9000) } }, { compression = "none" })
		image = remote.image({ layout = layout, layers = { layer } })
		layout:list(image.descriptor, "app:1")
	end)

	before_each(function()
		started = {}
		fake = start()
		dir = tmp.dir()
	end)

	after_each(function()
		for _, one in ipairs(started) do
			one:stop()
		end
		dir:remove()
	end)

	local function client(options, server)
		local settings = { hosts = { [(server or fake).host] = { chunk_size = CHUNK } } }
		return remote.client(oci_layout.with(settings, options))
	end

	local function save(options)
		local img = assert(strata.open(image.layout:directory(dir:file("layout"))))
		local result, message, code = img:save("docker://" .. fake.host .. "/new:1",
			{ registry = client(options), exists = "never" })
		img:close()
		return result, message, code
	end

	-- The requests that one upload or several of the layer took, without those of other blobs.
	local function requests()
		local list = {}
		for _, request in ipairs(fake:log()) do
			local of_layer = request.path:find("/uploads/", 1, true) and not request.path:find(image.config, 1, true)
			local ended = request.method == "PUT" and of_layer
			if ended or of_layer and request.method ~= "PUT" then
				list[#list + 1] = { method = request.method, status = request.status, headers = request.headers,
					range = request.headers["content-range"], path = request.path, received = request.received }
			end
		end
		return list
	end

	local function line(request)
		return ("%s %d%s"):format(request.method, request.status, request.range and " " .. request.range or "")
	end

	-- The same as lines, but without the POSTs: the config has one, too.
	local function lines()
		local list = {}
		for _, request in ipairs(requests()) do
			if request.method ~= "POST" then
				list[#list + 1] = line(request)
			end
		end
		return list
	end

	-- The ranges that cover the layer from a byte on.
	local function patches(from)
		local list, size = {}, #layer.bytes
		for first = from or 0, size - 1, CHUNK do
			list[#list + 1] = ("PATCH 202 %d-%d"):format(first, math.min(first + CHUNK, size) - 1)
		end
		return list
	end

	local function joined(...)
		local list = {}
		for _, part in ipairs({ ... }) do
			for _, item in ipairs(type(part) == "table" and part or { part }) do
				list[#list + 1] = item
			end
		end
		return list
	end

	local function is_there()
		assert.equal(image.digest, fake:tags("new")["1"])
		local hub = remote.client()
		local img = assert(strata.open("docker://" .. fake.host .. "/new:1", { registry = hub }))
		assert(img:verify())
		img:close()
		assert.same({}, fake:uploads("new"))
	end

	it("UP5, E5: each says which bytes it has, and the PUT has none", function()
		fake:set({ strict = true })
		assert(save())
		is_there()
		assert.same(joined(patches(), "PUT 201"), lines())
		for _, request in ipairs(requests()) do
			if request.method == "PATCH" then
				local first, last = request.range:match("^(%d+)%-(%d+)$")
				assert.equal(last - first + 1, tonumber(request.headers["content-length"]))
				assert.equal("application/octet-stream", request.headers["content-type"])
				assert.is_nil(request.headers["transfer-encoding"])
			elseif request.method == "PUT" then
				assert.equal("0", request.headers["content-length"])
			end
		end
	end)

	it("blobs that are no larger go up in one request", function()
		local hub = client({ hosts = { [fake.host] = { chunk_size = #layer.bytes } } })
		local img = assert(strata.open(image.layout:directory(dir:file("layout"))))
		assert(img:save("docker://" .. fake.host .. "/new:1", { registry = hub }))
		img:close()
		is_there()
		assert.same({ "PUT 201" }, lines())
	end)

	for _, where in ipairs({ "absolute", "scheme", "name", "fragment", "path" }) do
		it("RED9: the newest address counts, also as " .. where, function()
			fake:set({ strict = true })
			fake:fault({ location = where })
			assert(save())
			is_there()
		end)
	end

	it("UP6: they are no smaller than the registry wants them", function()
		fake:set({ chunk_min = 5000 })
		assert(save())
		is_there()
		assert.equal("PATCH 202 0-4999", lines()[1])
	end)

	it("UP6: one chunk, when the registry wants them larger than the blob", function()
		fake:set({ chunk_min = 1000000 })
		assert(save())
		is_there()
		assert.same({ ("PATCH 202 0-%d"):format(#layer.bytes - 1), "PUT 201" }, lines())
	end)

	for _, text in ipairs({ "9000000000000000000", "17179869185", ("9"):rep(70) }) do
		it("UP6, A18: chunks of at least " .. text .. " bytes are nonsense", function()
			fake:fault({ method = "POST", set = { ["OCI-Chunk-Min-Length"] = text } })
			local ok, message, code = save()
			assert.is_nil(ok)
			assert.equal("EFORMAT", code)
			assert.is_truthy(message:find("it wants chunks of at least", 1, true), message)
			assert.is_nil(fake:tags("new")["1"])
		end)
	end

	for _, text in ipairs({ "", "-5", "9e18", "0x10", "many" }) do
		it(("A18: %q is no size"):format(text), function()
			fake:fault({ method = "POST", set = { ["OCI-Chunk-Min-Length"] = text } })
			assert(save())
			is_there()
			assert.same(joined(patches(), "PUT 201"), lines())
		end)
	end

	it("UP7: it goes on behind what the registry says that it has", function()
		fake:fault({ method = "PATCH", keep = 1500, times = 1 })
		assert(save())
		is_there()
		assert.same(joined("PATCH 202 0-3999", patches(1500), "PUT 201"), lines())
	end)

	for what, rule in pairs({
		["more than was sent"] = { set = { Range = "0-4000" } }, ["much more"] = { set = { Range = "0-999999999999999" } },
	}) do
		it("UP7: a registry that has " .. what, function()
			rule.method = "PATCH"
			fake:fault(rule)
			local ok, message, code = save()
			assert.is_nil(ok)
			assert.equal("EFORMAT", code)
			assert.is_truthy(message:find("but 4000 were sent", 1, true), message)
			assert.same({}, fake:uploads("new"))
		end)
	end

	for _, range in ipairs({ "", "5-9", "0-0" }) do
		it(("UP7, UP10: Range %q tells nothing, so that it begins anew"):format(range), function()
			fake:fault({ method = "PATCH", set = { Range = range }, times = 2 })
			assert(save())
			is_there()
			local again = { "PATCH 202 0-3999", "DELETE 204" }
			assert.same(joined(again, again, patches(), "PUT 201"), lines())
		end)
	end

	it("UP8: 201 is taken for 202", function()
		fake:quirks("Q1")
		assert(save())
		is_there()
		assert.equal("PATCH 201 0-3999", lines()[1])
	end)

	for chunk, wanted in pairs({ [CHUNK] = "ESERVER", [6000] = "EDIGEST" }) do
		it("UP8: of chunks of " .. chunk .. " bytes a registry drops all but the first", function()
			fake:quirks("Q2")
			local ok, message, code = save({ hosts = { [fake.host] = { chunk_size = chunk } } })
			assert.is_nil(ok)
			assert.equal(wanted, code, message)
			assert.is_nil(fake:tags("new")["1"])
		end)
	end

	it("202 without Location", function()
		fake:fault({ method = "PATCH", set = { Location = false } })
		local ok, message, code = save()
		assert.is_nil(ok)
		assert.equal("EFORMAT", code)
		assert.is_truthy(message:find("202 without Location", 1, true), message)
	end)

	it("UP9: after 416 it goes on with what the registry has", function()
		fake:fault({ method = "PATCH", status = 416, applied = true, skip = 1, times = 1 })
		assert(save())
		is_there()
		assert.same(joined("PATCH 202 0-3999", "PATCH 416 4000-7999", "GET 204", patches(8000), "PUT 201"), lines())
	end)

	it("UP9: where the upload is gone it begins anew", function()
		fake:fault({ method = "PATCH", status = 416, skip = 1, times = 1 })
		fake:fault({ method = "GET", path = "/uploads/", status = 404 })
		assert(save())
		is_there()
		assert.same(joined("PATCH 202 0-3999", "PATCH 416 4000-7999", "GET 404", "DELETE 204", patches(), "PUT 201"), lines())
	end)

	it("UP10: nor does 0-0 tell anything there", function()
		fake:fault({ method = "PATCH", status = 503, times = 1 })
		fake:fault({ method = "GET", path = "/uploads/", set = { Range = "0-0" } })
		assert(save())
		is_there()
		assert.same(joined("PATCH 503 0-3999", "GET 204", "DELETE 204", patches(), "PUT 201"), lines())
	end)

	for _, rule in ipairs({ { read = 10 }, { close = true }, { close = true, applied = true }, { close = "head" },
		{ reset = true, close = true }, { status = 429 }, { status = 500 }, { status = 503, applied = true },
		{ status = 404 } }) do
		local how = oci_layout.encode(rule)
		it("UP11: a chunk that ends with " .. how, function()
			rule.method, rule.skip, rule.times = "PATCH", 1, 2
			fake:fault(rule)
			assert(save())
			is_there()
		end)
	end

	it("UP11: a registry that has given the upload up", function()
		fake:quirks("Q13")
		fake:fault({ method = "PATCH", read = 10, skip = 1, times = 1 })
		assert(save())
		is_there()
	end)

	it("UP12: no chunk begins an upload again that had begun", function()
		fake:quirks("Q3")
		fake:fault({ method = "PATCH", set = { Range = false }, skip = 1, times = 1 })
		assert(save())
		is_there()
		local seen = {}
		for _, request in ipairs(requests()) do
			local id = request.path:match("/uploads/([^?]+)")
			if request.method == "PATCH" and request.range:find("^0%-") then
				assert.is_nil(seen[id])
				seen[id] = true
			end
		end
	end)

	it("are given up after so many tries without a byte", function()
		fake:fault({ method = "PATCH", status = 503, skip = 1 })
		local ok, message, code = save({ retries = 2 })
		assert.is_nil(ok)
		assert.equal("ESERVER", code, message)
		assert.is_truthy(message:find("503", 1, true), message)
		assert.is_nil(fake:tags("new")["1"])
		assert.same({}, fake:uploads("new"))
	end)

	it("UP17: a token that expires on the way", function()
		fake:set({ auth = "token", users = { me = "secret" } })
		fake:fault({ method = "PATCH", skip = 1, times = 1, status = 401,
			set = { ["WWW-Authenticate"] = ('Bearer realm="%s/token",service="fake",scope="repository:new:pull,push"'):format(
				fake.url) } })
		assert(save({ credentials = { [fake.host] = { username = "me", password = "secret" } } }))
	end)

	it("progress ends with all bytes, once", function()
		fake:fault({ method = "PATCH", keep = 1500, times = 1 })
		local img = assert(strata.open(image.layout:directory(dir:file("layout"))))
		local last, total
		assert(img:save("docker://" .. fake.host .. "/new:1", { registry = client(), progress = function(done, of)
			assert(done <= of)
			last, total = done, of
		end }))
		img:close()
		assert.equal(total, last)
		is_there()
	end)

	it("from another registry", function()
		other = start()
		remote.put(other, "app", image.layout, image.digest, "1")
		assert(strata.copy("docker://" .. other.host .. "/app:1", "docker://" .. fake.host .. "/new:1",
			{ registry = client() }))
		is_there()
		assert.same(joined(patches(), "PUT 201"), lines())
	end)

	it("a registry that takes no larger request says so, with what helps", function()
		fake:fault({ method = "PUT", path = "/uploads/", status = 413, body = "<html>too large</html>" })
		local ok, message, code = save({ hosts = {} })
		assert.is_nil(ok)
		assert.equal("ELIMIT", code)
		assert.is_truthy(message:find("chunk_size", 1, true), message)
	end)
end)

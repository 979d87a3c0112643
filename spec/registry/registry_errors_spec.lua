--- What a user sees when a registry says no, or nothing: a code, and a message that stands alone. It has the reference,
--- what was asked, the status, and the registry's own words.

local cjson = require "cjson"
local errors = require "strata.registry.errors"
local hub = require "spec.support.hub"
local registry = require "spec.support.registry"
local registry_object = require "strata.registry"
local strata = require "strata"

local DENIED = cjson.encode({ errors = { { code = "DENIED", message = "requested access is denied",
	detail = "no pull" } } })

-- status, body, code, what the message has after the status
local REFUSALS = {
	{ 401, "", "EAUTH", "" },
	{ 403, DENIED, "EDENIED", ' DENIED "requested access is denied" "no pull"' },
	{ 404, cjson.encode({ errors = { { code = "MANIFEST_UNKNOWN", message = "manifest unknown",
		detail = { Tag = "1" } } } }), "ENOENT", ' MANIFEST_UNKNOWN "manifest unknown"' },
	{ 404, "404 page not found\n", "EFORMAT", ' "404 page not found"; no registry speaks there' },
	{ 404, "", "ENOENT", "" },
	{ 404, '{"errors":[{"code":"NAME_UNKNOWN"}]}', "ENOENT", " NAME_UNKNOWN" },
	{ 410, "", "ENOENT", "" },
	{ 405, "", "EUNSUPPORTED", "" },
	{ 400, cjson.encode({ errors = { { code = "UNSUPPORTED" } } }), "EUNSUPPORTED", " UNSUPPORTED" },
	{ 400, cjson.encode({ errors = { { code = "NAME_INVALID" } } }), "EFORMAT", " NAME_INVALID" },
	{ 418, "teapot", "EFORMAT", ' "teapot"' },
	{ 429, cjson.encode({ errors = { { code = "TOOMANYREQUESTS", message = "You have reached your pull rate limit" } } }),
		"ERATE", ' TOOMANYREQUESTS "You have reached your pull rate limit"' },
	{ 500, "", "ESERVER", "" },
	{ 502, "<html>\r\n<head><title>502 Bad Gateway</title></head><body><h1>x</h1></body></html>", "ESERVER",
		' "502 Bad Gateway"' },
	{ 503, "<p>We are <b>down</b>\n for\tmaintenance</p>", "ESERVER", ' "We are down for maintenance"' },
	{ 599, "", "ESERVER", "" },
	{ 204, "", "EFORMAT", "" },
	{ 300, "", "EREDIRECT", "" },
}

-- Bodies of a 403 that are odd, and the words in the message.
local BODIES = {
	{ '{"errors":[]}', ' "{"errors":[]}"' },
	{ '{"errors":[7]}', ' "{"errors":[7]}"' },
	{ '{"errors":[{"code":7,"message":{}}]}', "" },
	{ '{"errors":[{"code":"A","message":"a\\nb\\u001b[1m"}]}', ' A "a?b?[1m"' },
	{ '{"errors":[{"code":"A","message":""},{"code":"B"}]}', " A" },
	{ '{"error":"x"}', ' "{"error":"x"}"' },
	{ '{"errors":[{"code":"' .. ("A"):rep(500) .. '"}]}', nil },
	{ "{", ' "{"' },
	{ "\0\1\255", nil },
	{ ("sorry "):rep(20000), nil },
	{ ("<"):rep(5000), nil },
	{ ("{"):rep(5000), nil },
	{ " \r\n ", "" },
}

describe("errors of registries:", function()
	local fake, with, reference

	local function client(options)
		local given = { credentials = {}, system = false }
		for name, value in pairs(options or {}) do
			given[name] = value
		end
		if with then
			with:close()
		end
		with = assert(strata.registry(given))
		hub.skip_time(registry_object.client_of(with))
		return with
	end

	before_each(function()
		fake = registry.start({})
		reference = "docker://" .. fake.host .. "/app:1"
		client()
	end)

	after_each(function()
		with:close()
		with = nil
		fake:stop()
	end)

	local function assert_alone(message, request)
		assert.truthy(message:find(reference:gsub(":1$", ""), 1, true), message)
		assert.truthy(message:find(request, 1, true), message)
		assert.falsy(message:find("[%z\1-\31\127]"))
		assert.truthy(#message < 1200)
		local _, count = message:gsub("docker://", "")
		assert.equal(1, count)
	end

	local function open()
		return strata.open(reference, { registry = with })
	end

	local function image()
		local made = assert(strata.new())
		assert(made:append({ files = { ["etc/hello"] = "hello" } }))
		return made
	end

	local function save()
		return image():save(reference, { registry = with })
	end

	for _, row in ipairs(REFUSALS) do
		it(("AUTH1 RTY4 status %d is %s%s"):format(row[1], row[3], row[4]), function()
			fake:fault({ path = "/manifests/", status = row[1], body = row[2] })
			local got, message, code = open()
			assert.is_nil(got)
			assert.equal(row[3], code)
			assert_alone(message, ("GET %s/v2/app/manifests/1: %d%s"):format(fake.url, row[1], row[4]))
		end)
	end

	it("A12 A21 bodies of any kind become a few printable words", function()
		for _, row in ipairs(BODIES) do
			fake:fault({ path = "/manifests/", status = 403, body = row[1] })
			local got, message, code = open()
			assert.is_nil(got)
			assert.equal("EDENIED", code)
			assert_alone(message, ("GET %s/v2/app/manifests/1: 403%s"):format(fake.url, row[2] or ""))
		end
	end)

	it("RTY1 all that asks or sends has the reference and the request in its message", function()
		assert(save())
		local tries = {
			{ "/manifests/", "PUT", "PUT " .. fake.url .. "/v2/app/manifests/1a: 403 DENIED", function()
				return image():save(reference .. "a", { registry = with })
			end },
			{ "/uploads/", "POST", "POST " .. fake.url .. "/v2/app/blobs/uploads/: 403 DENIED", function()
				return image():save(reference .. "b", { registry = with })
			end },
			{ "/tags/", "GET", "GET " .. fake.url .. "/v2/app/tags/list: 403 DENIED", function()
				return with:tags(reference:gsub(":1$", ""))
			end },
			{ "/manifests/", nil, "/v2/app/manifests/1: 403", function()
				return with:digest(reference)
			end },
			{ "/manifests/", nil, "/v2/app/manifests/1: 403", function()
				return with:rate(reference)
			end },
			{ "/manifests/", "GET", "GET " .. fake.url .. "/v2/app/manifests/1: 403 DENIED", function()
				return with:manifest(reference)
			end },
			{ "/manifests/", "PUT", "PUT " .. fake.url .. "/v2/app/manifests/new: 403 DENIED", function()
				return with:tag(reference, "new")
			end },
			{ "/manifests/", "DELETE", "DELETE " .. fake.url .. "/v2/app/manifests/1: 403 DENIED", function()
				return with:delete(reference)
			end },
		}
		for _, try in ipairs(tries) do
			fake:faults_clear()
			if try[1] == "/uploads/" then
				for _, digest in ipairs(fake:blobs("app")) do
					fake:drop_blob("app", digest)
				end
			end
			fake:fault({ path = try[1], method = try[2], status = 403, body = DENIED })
			local got, message, code = try[4]()
			assert.is_nil(got, try[3])
			assert.equal("EDENIED", code)
			assert_alone(message, try[3])
		end
	end)

	it("RTY1 a layer that does not come has them as well", function()
		assert(save())
		local opened = assert(open())
		fake:fault({ path = "/blobs/", status = 403, body = DENIED })
		local got, message, code = opened:read("etc/hello")
		assert.is_nil(got)
		assert.equal("EDENIED", code)
		assert.truthy(message:find("GET " .. fake.url .. "/v2/app/blobs/sha256:", 1, true), message)
		assert.truthy(message:find(': 403 DENIED "requested access is denied"', 1, true), message)
		assert.truthy(message:find(fake.host .. "/app:1", 1, true), message)
	end)

	it("RTY6 rate says what a registry tells of its limits, with a request that does not count", function()
		assert(save())
		assert.is_nil((with:rate(reference)))
		fake:set({ rate = { limit = 100, window = 21600 } })
		fake:forget()
		local rate = assert(with:rate(reference))
		assert.same({ 100, 21600 }, { rate.limit, rate.window })
		assert.equal(1, #fake:log())
		assert.equal("HEAD", fake:log()[1].method)
	end)

	it("RTY1 NET5 what is no registry, or not there, is told apart", function()
		local function told(code, words)
			local got, message, how = open()
			assert.is_nil(got)
			assert.equal(code, how, message)
			assert_alone(message, words)
		end
		local request = "GET " .. fake.url .. "/v2/app/manifests/1: "
		fake:fault({ path = "/manifests/", close = true })
		told("ENETWORK", request)
		fake:faults_clear()
		fake:fault({ path = "/manifests/", redirect = "http://evil.test/" })
		told("EREDIRECT", request .. "307: ")
		fake:faults_clear()
		fake:fault({ path = "/manifests/", status = 200, body = "<html><title>Welcome to nginx!</title></html>" })
		told("EFORMAT", request)
		client({ hosts = { [fake.host] = { plain = false } } })
		told("ETLS", request:gsub("http:", "https:"))
		client()
		local other = fake:listener({ mute = true })
		reference = "docker://" .. other.host .. "/app:1"
		client({ stall_timeout = 1, retries = 0 })
		told("ETIMEDOUT", "GET " .. other.url .. "/v2/app/manifests/1: ")
	end)

	it("RTY4 no code depends on words but those of the specification", function()
		assert.equal("EDIGEST", errors.code(400, '{"errors":[{"code":"DIGEST_INVALID"}]}'))
		assert.equal("EDIGEST", errors.code(400, '{"errors":[{"code":"SIZE_INVALID"}]}'))
		assert.equal("ESERVER", errors.code(500, '{"errors":[{"code":"DIGEST_INVALID"}]}'))
		assert.equal("EFORMAT", errors.code(400, '{"errors":[{"code":"constructor"}]}'))
		assert.equal("EFORMAT", errors.code(400, '{"errors":{"code":"UNSUPPORTED"}}'))
	end)
end)

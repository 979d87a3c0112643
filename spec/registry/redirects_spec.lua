-- Takes seconds: not for make check.
--- Redirects and Locations, RED1 to RED12 of the rules for registries: where requests go, and what goes along.

local certificates = require "spec.support.certificates"
local core = require "strata.core"
local hub = require "spec.support.hub"
local registry = require "spec.support.registry"
local uploads = require "strata.registry.uploads"

local PULL = { scopes = { "repository:app:pull" } }
local PUSH = { "repository:app:pull,push" }
local USERS = { joe = "s3cret-joe" }

describe("redirects:", function()
	local started, clients, fake, other, client

	local function start(options)
		local one = registry.start(options)
		started[#started + 1] = one
		return one
	end

	local function new_client(options)
		local made, clock = hub.new(options)
		clients[#clients + 1] = made
		return made, clock
	end

	before_each(function()
		started, clients = {}, {}
		fake = start({})
		other = fake:listener()
		client = new_client({})
	end)

	after_each(function()
		for _, one in ipairs(clients) do
			one:close()
		end
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function hops(count, status)
		for i = 1, count do
			fake:fault({ path = ("^/v2/hop%d$"):format(i), redirect = "/v2/hop" .. i + 1, status = status or 302 })
		end
		fake:fault({ path = ("^/v2/hop%d$"):format(count + 1), status = 200, body = "done" })
	end

	describe("GET and HEAD", function()
		for _, status in ipairs({ 301, 302, 303, 307, 308 }) do
			it("RED1 follow " .. status, function()
				fake:fault({ path = "^/v2/a$", redirect = other.url .. "/v2/b?x=%2f&y", status = status })
				other:fault({ path = "^/v2/b", status = 200, body = "done" })
				assert.equal("done", hub.send(client, fake, "GET", "/v2/a").body)
				assert.equal(200, hub.send(client, fake, "HEAD", "/v2/a").status)
				assert.same({ "GET /v2/a " .. status, "HEAD /v2/a " .. status }, hub.seen(fake))
				assert.same({ "GET /v2/b?x=%2f&y 200", "HEAD /v2/b?x=%2f&y 200" }, hub.seen(other))
			end)
		end

		it("RED1 go five hops", function()
			hops(5)
			assert.equal("done", hub.send(client, fake, "GET", "/v2/hop1").body)
			assert.equal(6, #fake:log())
		end)

		it("RED1 go no sixth hop, and no circle", function()
			hops(6)
			local got = hub.send(client, fake, "GET", "/v2/hop1")
			assert.equal("EREDIRECT", got.code)
			assert.truthy(got.message:find("more than 5 redirects", 1, true))
			assert.equal(6, #fake:log())
			fake:forget()
			fake:fault({ path = "^/v2/round$", redirect = "/v2/round" })
			assert.equal("EREDIRECT", hub.send(client, fake, "GET", "/v2/round").code)
			assert.equal(6, #fake:log())
		end)

		it("RED1 count the hops of each try alone", function()
			fake:fault({ path = "^/v2/a$", redirect = other.url .. "/v2/b" })
			other:fault({ path = "^/v2/b$", redirect = "/v2/c" })
			other:fault({ path = "^/v2/c$", times = 4, status = 503 })
			other:fault({ path = "^/v2/c$", skip = 4, status = 200, body = "done" })
			assert.equal("done", hub.send(client, fake, "GET", "/v2/a").body)
			assert.equal(5, #fake:log())
			assert.equal(10, #other:log())
		end)

		it("RED1 fail without a Location", function()
			fake:fault({ path = "^/v2/a$", status = 302 })
			local got = hub.send(client, fake, "GET", "/v2/a")
			assert.equal("EREDIRECT", got.code)
			assert.truthy(got.message:find("GET " .. fake.url .. "/v2/a: 302 without Location", 1, true))
		end)
	end)

	describe("requests with a body", function()
		for _, method in ipairs({ "PUT", "PATCH", "POST" }) do
			it("RED2 keep method and body on 307 and 308: " .. method, function()
				fake:fault({ path = "^/v2/a$", redirect = other.url .. "/v2/b" })
				fake:fault({ path = "^/v2/c$", redirect = other.url .. "/v2/b", status = 308 })
				other:fault({ path = "^/v2/b$", status = 201 })
				for _, path in ipairs({ "/v2/a", "/v2/c" }) do
					assert.equal(201, hub.send(client, fake, method, path, { body = "some bytes" }).status)
				end
				for _, request in ipairs(other:log()) do
					assert.same({ method, "some bytes" }, { request.method, request.body })
				end
				assert.equal(2, #other:log())
			end)

			it("RED2 are no GET after 301, 302, 303: " .. method, function()
				for _, status in ipairs({ 301, 302, 303 }) do
					fake:fault({ path = "^/v2/a$", redirect = other.url .. "/v2/b", status = status })
					local got = hub.send(client, fake, method, "/v2/a", { body = "some bytes" })
					assert.equal("EREDIRECT", got.code)
					assert.truthy(got.message:find(("%d in answer to a %s"):format(status, method), 1, true))
				end
				assert.same({}, other:log())
			end)
		end

		it("RED2 of a file are sent anew", function()
			local bytes = ("0123456789abcdef"):rep(8192)
			local file = assert(core.temp_file())
			assert(file:write(0, bytes))
			fake:fault({ path = "^/v2/a$", redirect = other.url .. "/v2/b" })
			other:fault({ path = "^/v2/b$", status = 201 })
			local got = hub.send(client, fake, "PUT", "/v2/a", {
				body_file = { fd = file:fileno(), offset = 0, size = #bytes } })
			assert.equal(201, got.status)
			assert.equal(#bytes, other:log()[1].received)
			file:close()
		end)
	end)

	describe("credentials", function()
		local blob, digest

		local function protected(kind)
			local one = start({ auth = kind, users = USERS })
			digest = one:put_blob("app", "0123456789")
			blob = "/v2/app/blobs/" .. digest
			return one, new_client({ credentials = { [one.host] = { username = "joe", password = USERS.joe } } })
		end

		for _, kind in ipairs({ "basic", "token" }) do
			it("RED3 A6 do not go to another port: " .. kind, function()
				local one, with = protected(kind)
				local cdn = one:listener()
				one:fault({ path = "/blobs/", with = { authorization = "." }, redirect = cdn.url .. "{path}" })
				assert.equal("0123456789", hub.send(with, one, "GET", blob, PULL).body)
				assert.equal(1, #cdn:log())
				assert.same({}, hub.headers(cdn, "authorization"))
			end)

			it("RED3 go on to the same origin: " .. kind, function()
				local one, with = protected(kind)
				one:fault({ path = "/blobs/sha256:", with = { authorization = "." }, times = 1,
					redirect = one.url .. blob .. "?again" })
				assert.equal("0123456789", hub.send(with, one, "GET", blob, PULL).body)
				local sent = hub.headers(one, "authorization")
				assert.equal(sent[#sent], sent[#sent - 1])
				assert.equal(kind == "basic" and 3 or 4, #one:log())
			end)

			it("RED3 A6 do not go to another address: " .. kind, function()
				local one, with = protected(kind)
				local cdn = one:listener({ address = "127.0.0.2", tls = true })
				with.options.hosts = { [cdn.host] = { ca = certificates.path("ca.crt") } }
				one:fault({ path = "/blobs/", with = { authorization = "." }, redirect = cdn.url .. "{path}" })
				assert.equal("0123456789", hub.send(with, one, "GET", blob, PULL).body)
				assert.equal(1, #cdn:log())
				assert.same({}, hub.headers(cdn, "authorization"))
			end)
		end

		it("RED5 A2 a 401 of a redirect's target is an error, and its realm is not asked", function()
			local one, with = protected("token")
			local cdn, evil = one:listener(), one:listener()
			one:fault({ path = "/blobs/", with = { authorization = "." }, redirect = cdn.url .. "{path}" })
			cdn:fault({ status = 401, headers = { ["WWW-Authenticate"] = ('Bearer realm="%s/token"'):format(evil.url) } })
			local got = hub.send(with, one, "GET", blob, PULL)
			assert.equal("EAUTH", got.code)
			assert.truthy(got.message:find("another host than the registry's wants to know who asks", 1, true))
			assert.same({}, evil:log())
			assert.equal(1, #cdn:log())
			cdn:faults_clear()
			cdn:fault({ status = 401, headers = { ["WWW-Authenticate"] = 'Basic realm="x"' } })
			assert.equal("EAUTH", hub.send(with, one, "GET", blob, PULL).code)
			assert.same({}, hub.headers(cdn, "authorization"))
		end)
	end)

	it("RED4 A7 https does not become http", function()
		local one = start({ tls = true })
		local plain = one:listener()
		local with = new_client({ hosts = { [one.host] = { plain = false, ca = certificates.path("ca.crt") } } })
		one:fault({ path = "^/v2/a$", redirect = plain.url .. "/v2/b" })
		local got = hub.send(with, one, "GET", "/v2/a")
		assert.equal("EREDIRECT", got.code)
		assert.truthy(got.message:find("https must not become http", 1, true))
		one:fault({ path = "^/v2/a$", redirect = one.url:gsub("https", "http") .. "/v2/b" })
		assert.equal("EREDIRECT", hub.send(with, one, "GET", "/v2/a").code)
		assert.equal(0, plain:stats().connections)
		assert.equal(2, #one:log())
	end)

	it("RED6 every hop is judged", function()
		for _, to in ipairs({ "http://169.254.169.254/latest", "https://[fe80::1]/", "http://0.0.0.0/", "ftp://127.0.0.1/",
			"file:///etc/passwd", "https://joe:s3cret@127.0.0.1/", "http://127.0.0.1:0/", "//10.0.0.1/x",
			"https://127.1/", "http://example.test/" }) do
			fake:forget()
			fake:faults_clear()
			fake:fault({ path = "^/v2/a$", redirect = "/v2/b" })
			fake:fault({ path = "^/v2/b$", redirect = to })
			local got = hub.send(client, fake, "GET", "/v2/a")
			assert.equal("EREDIRECT", got.code, to)
			assert.falsy(got.message:find("s3cret", 1, true))
			assert.same({ "GET /v2/a 307", "GET /v2/b 307" }, hub.seen(fake))
		end
	end)

	describe("Locations of uploads", function()
		local function upload(one, with, bytes)
			local session = assert(with:session(one.host))
			return with:call(function(flow)
				return uploads.send(flow, session, "app", { digest = core.sha256(bytes), size = #bytes, bytes = bytes }, PUSH)
			end, nil, "pushing")
		end

		for _, how in ipairs({ "absolute", "scheme", "path", "name", "fragment", "bare" }) do
			it("RED7 RED8 RED12 are resolved, and their query comes back as it was: " .. how, function()
				fake:set({ strict = true })
				fake:fault({ path = "/uploads/", location = how })
				assert.is_true(assert(upload(fake, client, "0123456789")))
				assert.equal("0123456789", fake:get_blob("app", core.sha256("0123456789")))
				local log = fake:log()
				assert.equal(2, #log) -- the Location of the 201 is not fetched
				local sign = how == "bare" and "?" or "&"
				assert.truthy(log[2].path:find(sign .. "digest=" .. core.sha256("0123456789"), 1, true))
			end)
		end

		it("RED7 are resolved against what was asked after redirects", function()
			fake:fault({ method = "POST", path = "/v2/app/", redirect = other.url .. "{path}" })
			other:fault({ method = "POST", path = "/uploads/", location = "name" })
			assert.is_true(assert(upload(fake, client, "0123456789")))
			assert.same({ "POST", "PUT" }, { other:log()[1].method, other:log()[2].method })
			assert.equal(1, #fake:log())
		end)

		it("RED9 a new try has a new Location", function()
			fake:fault({ method = "PUT", times = 1, status = 500 })
			assert.is_true(assert(upload(fake, client, "0123456789")))
			local log = fake:log()
			assert.equal(4, #log)
			assert.are_not.equal(log[2].path, log[4].path)
		end)

		it("RED10 A4 at another origin get the bytes and no credentials", function()
			local one = start({ auth = "basic", users = USERS })
			local store = one:listener()
			local with = new_client({ credentials = { [one.host] = { username = "joe", password = USERS.joe } } })
			one:fault({ method = "POST", path = "/uploads/", location = store.url .. "{path}" })
			assert.is_true(assert(upload(one, with, "0123456789")))
			assert.same({ "PUT" }, { store:log()[1].method })
			assert.same({}, hub.headers(store, "authorization"))
			assert.equal(2, #one:log())
		end)

		it("RED10 that are trusted get the credentials", function()
			local one = start({ auth = "basic", users = USERS })
			local store = one:listener()
			local with = new_client({ trusted = { store.host },
				credentials = { [one.host] = { username = "joe", password = USERS.joe } } })
			one:fault({ method = "POST", path = "/uploads/", location = store.url .. "{path}" })
			assert.is_true(assert(upload(one, with, "0123456789")))
			assert.equal(1, #hub.headers(store, "authorization"))
		end)

		it("RED10 A5 are not gone to at addresses that no server may name", function()
			for _, to in ipairs({ "http://169.254.169.254/", "https://[::ffff:169.254.169.254]/x", "http://0.0.0.0/x" }) do
				fake:fault({ method = "POST", path = "/uploads/", location = to })
				local ok, message, code = upload(fake, client, "0123456789")
				assert.is_nil(ok)
				assert.equal("EREDIRECT", code)
				assert.truthy(message:find("the URL for an upload", 1, true))
			end
			for _, request in ipairs(fake:log()) do
				assert.equal("POST", request.method)
			end
		end)

		it("RED11 of a registry behind a proxy that ends TLS become https again", function()
			local one = start({ tls = true, quirks = { "Q16" }, auth = "basic", users = USERS, strict = true })
			local with = new_client({ hosts = { [one.host] = { plain = false, ca = certificates.path("ca.crt") } },
				credentials = { [one.host] = { username = "joe", password = USERS.joe } } })
			assert.is_true(assert(upload(one, with, "0123456789")))
			assert.equal("0123456789", one:get_blob("app", core.sha256("0123456789")))
			assert.equal(2, #hub.headers(one, "authorization"))
			assert.equal(0, one:stats().tls_failures)
		end)

		it("RED11 of a broken proxy count by path and query with location = relative", function()
			local with = new_client({ hosts = { [fake.host] = { location = "relative" } } })
			fake:fault({ method = "POST", path = "/uploads/", location = "https://inside.invalid:99{path}" })
			assert.is_true(assert(upload(fake, with, "0123456789")))
			assert.equal(2, #fake:log())
		end)
	end)
end)

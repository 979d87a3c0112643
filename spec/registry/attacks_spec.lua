-- Takes seconds: not for make check.
--- What a registry, or somebody between, may try: rows A1 to A31 of the rules for registries, as far as they are about
--- requests. may_go_spec has those that need no network, auth_spec and redirects_spec the same mechanisms in detail.

local certificates = require "spec.support.certificates"
local cjson = require "cjson"
local core = require "strata.core"
local hub = require "spec.support.hub"
local manifests = require "strata.registry.manifests"
local registry = require "spec.support.registry"
local registry_object = require "strata.registry"
local strata = require "strata"

local SECRET = "s3cret-joe"
local BASIC = "am9lOnMzY3JldC1qb2U" -- joe:s3cret-joe
local MANIFEST = "application/vnd.oci.image.manifest.v1+json"
local JOE = { username = "joe", password = SECRET }

describe("attacks on a client of registries:", function()
	local started, clients, fake, evil, client

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

	-- An object for strata.open, whose clock does not wait.
	local function new_hub(options)
		local given = { credentials = { [fake.host] = JOE }, system = false }
		for name, value in pairs(options or {}) do
			given[name] = value
		end
		local made = assert(strata.registry(given))
		clients[#clients + 1] = made
		hub.skip_time(registry_object.client_of(made))
		return made
	end

	before_each(function()
		started, clients = {}, {}
		fake = start({ auth = "token", users = { joe = SECRET } })
		evil = fake:listener()
		client = new_client({ credentials = { [fake.host] = JOE } })
	end)

	after_each(function()
		for _, one in ipairs(clients) do
			one:close()
		end
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function image(reference, with)
		local made = assert(strata.new())
		assert(made:append({ files = { ["etc/hello"] = "hello" } }))
		return made:save("docker://" .. fake.host .. "/" .. reference, { registry = with or new_hub() })
	end

	-- Nothing that a server was sent has a secret in it.
	local function assert_clean(server)
		local all = cjson.encode(server:log())
		for _, secret in ipairs({ SECRET, BASIC, "Bearer strata-" }) do
			assert.falsy(all:find(secret, 1, true))
		end
		return all
	end

	local function send(method, path, more)
		return hub.send(client, fake, method or "GET", path or "/v2/app/manifests/1", more)
	end

	it("A1 a realm elsewhere sees no password when an image is opened or saved", function()
		local far = fake:listener({ address = "127.0.0.2", tls = true })
		assert(image("app:1"))
		fake:fault({ path = "/v2/", realm = far.url .. "/token" })
		local with = new_hub({ hosts = { [far.host] = { ca = certificates.path("ca.crt") } } })
		for _, try in ipairs({ function()
			return strata.open("docker://" .. fake.host .. "/app:1", { registry = with })
		end, function()
			return image("app:2", with)
		end }) do
			local got, message, code = try()
			assert.is_nil(got)
			assert.equal("EDENIED", code)
			assert.truthy(message:find("docker://" .. fake.host .. "/app:", 1, true))
			assert.truthy(message:find("trusted_realms", 1, true))
		end
		assert.truthy(#far:log() >= 2)
		assert_clean(far)
	end)

	it("A2 a foreign layer's host that wants to know who asks is told nothing", function()
		local far = fake:listener({ address = "127.0.0.2", tls = true })
		client = new_client({ foreign = true, credentials = { [fake.host] = JOE, [far.host] = JOE },
			hosts = { [far.host] = { ca = certificates.path("ca.crt") } } })
		assert.equal(404, send().status) -- from here on it knows the address of the registry
		for _, challenge in ipairs({ 'Basic realm="x"', ('Bearer realm="%s/token"'):format(far.url) }) do
			far:fault({ status = 401, headers = { ["WWW-Authenticate"] = challenge } })
			local got = send("GET", nil, { url = far.url .. "/layer", kind = "foreign" })
			assert.equal("EAUTH", got.code)
		end
		assert.same({ "GET /layer 401", "GET /layer 401" }, hub.seen(far))
		assert_clean(far)
	end)

	it("A3 a foreign layer is fetched from nowhere unasked, and never from the cloud's metadata", function()
		local got = send("GET", nil, { url = "https://127.0.0.2/layer", kind = "foreign" })
		assert.equal("EREDIRECT", got.code)
		assert.truthy(got.message:find("foreign = true", 1, true))
		client = new_client({ foreign = true, allow_hosts = { "169.254.169.254" } })
		for _, to in ipairs({ "http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/",
			"https://[fd00:ec2::254]/", "https://[::ffff:169.254.169.254]/" }) do
			assert.equal("EREDIRECT", send("GET", nil, { url = to, kind = "foreign" }).code)
		end
		assert.same({}, fake:log())
	end)

	it("A4 A5 an upload's Location elsewhere gets no token, and none leads inside", function()
		fake:fault({ method = "POST", path = "/uploads/", location = evil.url .. "{path}" })
		assert(image("app:1"))
		assert.truthy(#evil:log() >= 2)
		assert_clean(evil)
		fake:fault({ method = "POST", path = "/uploads/", location = "http://169.254.169.254{path}" })
		local got, message, code = image("other:1")
		assert.is_nil(got)
		assert.equal("EREDIRECT", code)
		assert.truthy(message:find("169.254.169.254, is refused", 1, true))
		assert.is_nil(fake:get_manifest("other", "1"))
	end)

	it("A5 A10 a public registry leads to no private address, by whatever name", function()
		hub.pretend_public(client)
		local inside = fake:listener()
		local port = inside.host:match("%d+$")
		client.options.hosts = { [fake.host] = { resolve = { "inside.test:" .. port .. ":127.0.0.1",
			"nowhere.test:" .. port .. ":0.0.0.0" } } }
		for _, host in ipairs({ "127.0.0.2", "inside.test", "nowhere.test", "localhost", "[::1]", "10.0.0.1", "100.64.0.1",
			"0.0.0.0", "[fc00::1]", "169.254.169.254" }) do
			fake:faults_clear()
			fake:fault({ path = "/v2/app/", redirect = ("https://%s:%s/x"):format(host, port) })
			local got = send()
			assert.equal("EREDIRECT", got.code, host)
			got = send("PUT", nil, { url = ("https://%s:%s/x"):format(host, port), kind = "upload", body = "x" })
			assert.equal("EREDIRECT", got.code, host)
		end
		assert.equal(0, inside:stats().connections)
	end)

	it("A5 allow_hosts lets a public registry lead inside", function()
		local inside = fake:listener({ tls = true, address = "127.0.0.2" })
		client = new_client({ allow_hosts = { inside.host }, credentials = { [fake.host] = JOE },
			hosts = { [inside.host] = { ca = certificates.path("ca.crt") } } })
		hub.pretend_public(client)
		fake:fault({ path = "/v2/app/", redirect = inside.url .. "/x" })
		inside:fault({ status = 200, body = "done" })
		assert.equal("done", send().body)
		assert_clean(inside)
	end)

	it("A6 a blob's redirect to another port takes no token along", function()
		assert(image("app:1"))
		fake:fault({ method = "GET", path = "/blobs/", with = { authorization = "." }, redirect = evil.url .. "{path}" })
		local opened = assert(strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() }))
		assert.equal("hello", opened:read("etc/hello"))
		assert.truthy(#evil:log() >= 2)
		assert_clean(evil)
	end)

	it("A7 a redirect from https to http is not followed", function()
		local safe = start({ tls = true })
		local plain = safe:listener()
		client = new_client({ hosts = { [safe.host] = { plain = false, ca = certificates.path("ca.crt") } } })
		safe:fault({ path = "/v2/", redirect = plain.url .. "/x" })
		assert.equal("EREDIRECT", hub.send(client, safe, "GET", "/v2/app/manifests/1").code)
		assert.equal(0, plain:stats().connections)
	end)

	it("A8 a token server's redirect is not followed", function()
		fake:fault({ path = "^/token", redirect = evil.url .. "/token" })
		assert.equal("EREDIRECT", send().code)
		assert.equal(0, evil:stats().connections)
	end)

	it("A9 the next page of tags is not fetched from elsewhere", function()
		fake:put_manifest("app", "1", "{}", MANIFEST)
		local next_page = ('<%s/v2/app/tags/list?n=1&last=1>; rel="next"'):format(evil.url)
		fake:fault({ path = "/tags/list", set = { Link = next_page } })
		local got, message, code = new_hub():tags("docker://" .. fake.host .. "/app")
		assert.is_nil(got)
		assert.equal("EREDIRECT", code)
		assert.truthy(message:find("pages come from the registry itself", 1, true))
		assert.equal(0, evil:stats().connections)
	end)

	describe("A12 bodies without end:", function()
		it("A12 a manifest", function()
			fake:fault({ path = "/manifests/", status = 200, body = '{"x":"' .. ("x"):rep(9000000) })
			local got, message, code = strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() })
			assert.is_nil(got)
			assert.equal("ELIMIT", code)
			assert.truthy(message:find("/v2/app/manifests/1", 1, true))
		end)

		it("A12 a page of tags, and an error", function()
			fake:fault({ path = "/tags/", status = 200, body = ("x"):rep(2000000) })
			local got, message, code = new_hub():tags("docker://" .. fake.host .. "/app")
			assert.is_nil(got)
			assert.equal("ELIMIT", code)
			assert.truthy(message:find("/v2/app/tags/list", 1, true))
			fake:fault({ path = "/manifests/", status = 404, body = "<p>" .. ("sorry "):rep(400000) })
			got, message, code = strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() })
			assert.is_nil(got)
			assert.equal("EFORMAT", code)
			assert.truthy(message:find('404 "sorry sorry', 1, true))
			assert.truthy(#message < 700)
		end)

		it("A12 headers", function()
			local lines = {}
			for i = 1, 3000 do
				lines[i] = ("X-%d: %s"):format(i, ("x"):rep(50))
			end
			fake:fault({ path = "/manifests/", status = 200, headers = lines })
			assert.equal("ELIMIT", send().code)
		end)
	end)

	it("A16 a body that hardly comes ends by itself", function()
		client = new_client({ stall_timeout = 1, retries = 0, credentials = { [fake.host] = JOE } })
		fake:fault({ path = "/manifests/", status = 200, body = "0123456789", trickle = { bytes = 1, seconds = 4 } })
		local began = core.monotonic()
		assert.equal("ETIMEDOUT", send().code)
		assert.truthy(core.monotonic() - began < 30) -- all of it takes 40
	end)

	it("A17 pages without end, and redirects in a circle, end", function()
		fake:put_manifest("app", "1", "{}", MANIFEST)
		fake:fault({ path = "/tags/list", set = { Link = '</v2/app/tags/list?n=1&last=1>; rel="next"' } })
		local got, _, code = new_hub():tags("docker://" .. fake.host .. "/app")
		assert.is_nil(got)
		assert.equal("EREDIRECT", code)
		assert.truthy(#fake:log() <= 6)
		fake:forget()
		fake:fault({ path = "/manifests/", redirect = "{path}" })
		assert.equal("EREDIRECT", send().code)
		assert.truthy(#fake:log() <= 8)
	end)

	it("A18 a smallest chunk of nine exabytes changes nothing", function()
		fake:fault({ path = "/uploads/", set = { ["OCI-Chunk-Min-Length"] = "9000000000000000000" } })
		assert(image("app:1"))
		assert.is_string((fake:get_manifest("app", "1")))
	end)

	it("A19 a Retry-After of three years is an error at once", function()
		fake:fault({ path = "/v2/", status = 429, retry_after = 99999999 })
		local made = new_hub()
		local got, message, code = strata.open("docker://" .. fake.host .. "/app:1", { registry = made })
		assert.is_nil(got)
		assert.equal("ERATE", code)
		assert.truthy(message:find("99999999 seconds", 1, true))
		assert.equal(1, #fake:log())
	end)

	describe("A20 line ends:", function()
		it("A20 in a reference", function()
			for _, reference in ipairs({ "app:1\r\nX-Evil: 1", "app\r\n:1", "app:1 HTTP/1.1", "app@sha256:\n" .. ("0"):rep(63),
				"%0d%0a/app:1", "app:1#x", "app:1?x=y" }) do
				local ok, got = pcall(strata.open, "docker://" .. fake.host .. "/" .. reference, { registry = new_hub() })
				assert.truthy(not ok or not got)
			end
			assert.has_error(function()
				new_hub():tag("docker://" .. fake.host .. "/app:1", "a\r\nX: y")
			end)
			assert.same({}, fake:log())
		end)

		it("A20 in a Location and in a realm", function()
			fake:fault({ path = "/manifests/", with = { authorization = "." },
				raw = "HTTP/1.1 307 x\r\nLocation: /v2/a\rX-Evil: 1\r\nContent-Length: 0\r\n\r\n" })
			local got = send()
			assert.truthy(({ EREDIRECT = 1, EFORMAT = 1 })[got.code], cjson.encode(got))
			fake:faults_clear()
			fake:expire_tokens()
			fake:forget()
			fake:fault({ path = "/v2/", challenge = ('Bearer realm="%s/token\\\r?a=\\\tb"'):format(fake.url) })
			assert.truthy(({ EAUTH = 1, EFORMAT = 1 })[send().code])
			for _, request in ipairs(fake:log()) do
				assert.is_nil(request.headers["x-evil"])
				assert.falsy(request.path:find("token", 1, true))
			end
		end)

		it("A20 in a service and in a scope, which become escapes", function()
			fake:fault({ path = "/v2/", challenge = ('Bearer realm="%s/token",service="a&b=c#d\195\164",scope="x:y&z=1:pull"')
				:format(fake.url) })
			send()
			local path = fake:log()[2].path
			assert.truthy(path:find("service=a%26b%3Dc%23d%C3%A4", 1, true))
			assert.truthy(path:find("scope=x:y%26z%3D1:pull", 1, true))
		end)

		it("A20 Authorization that is none of a token's bytes is not sent", function()
			fake:fault({ path = "^/token", token = { set = { token = "a\r\nX-Evil: 1" } } })
			assert.equal("EAUTH", send().code)
			assert.equal(2, #fake:log())
		end)
	end)

	it("A21 escapes for the terminal are not shown", function()
		local ESCAPES = "\27]0;owned\7\27[2J\8\127\194\155"
		local bodies = { cjson.encode({ errors = { { code = "NO\27[1m", message = ESCAPES, detail = ESCAPES .. "!" } } }),
			"<html><title>" .. ESCAPES .. "</title></html>", ESCAPES }
		for _, body in ipairs(bodies) do
			fake:fault({ path = "/manifests/", status = 403, body = body, headers = { Warning = '299 - "' .. ESCAPES .. '"' } })
			local _, message = strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() })
			assert.falsy(message:find("[%z\1-\31\127]"))
			assert.falsy(message:find("\194\155", 1, true))
			send()
		end
		for _, text in ipairs(client:session(fake.host).warnings) do
			assert.falsy(text:find("[%z\1-\31\127]"))
		end
	end)

	it("A22 what is compressed unasked is not decompressed", function()
		local bomb = '{"x":"' .. ("x"):rep(1000000) .. '"}'
		fake:fault({ path = "/manifests/", status = 200, body = bomb, gzip = true })
		local got, message, code = strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() })
		assert.is_nil(got)
		assert.equal("EFORMAT", code)
		assert.truthy(message:find("gzip", 1, true))
		fake:faults_clear()
		fake:fault({ path = "^/token", gzip = true })
		fake:expire_tokens()
		assert.equal("EAUTH", send().code)
		for _, request in ipairs(fake:log()) do
			assert.equal("identity", request.headers["accept-encoding"])
		end
	end)

	it("A25 the digest of what came counts, whatever HEAD or a header says", function()
		assert(image("app:1"))
		local _, _, digest = fake:get_manifest("app", "1")
		local lie = "sha256:" .. ("0"):rep(64)
		fake:fault({ method = "HEAD", path = "/manifests/", digest = lie })
		local opened = assert(strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() }))
		assert.equal(digest, opened.digest)
		fake:fault({ method = "GET", path = "/manifests/", digest = lie })
		local got, message, code = strata.open("docker://" .. fake.host .. "/app:1", { registry = new_hub() })
		assert.is_nil(got)
		assert.equal("EDIGEST", code)
		assert.truthy(message:find(digest, 1, true))
		fake:faults_clear()
		fake:fault({ method = "GET", path = "/manifests/", flip = 5 })
		got, _, code = strata.open("docker://" .. fake.host .. "/app@" .. digest, { registry = new_hub() })
		assert.is_nil(got)
		assert.equal("EDIGEST", code)
	end)

	it("A29 cookies are not kept", function()
		fake:fault({ set = { ["Set-Cookie"] = "session=1; Path=/" } })
		for _ = 1, 3 do
			send()
		end
		assert.equal(5, #fake:log())
		assert.same({}, hub.headers(fake, "cookie"))
	end)

	describe("A30 answers that are none:", function()
		for name, raw in pairs({
			["HTTP/0.9"] = "hello\r\n",
			["nothing that is a head"] = "\0\1\2\3\r\n\r\n",
			["two lengths"] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
			["a length that is none"] = "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc",
			["a head without end"] = "HTTP/1.1 200 OK\r\nX: y\r\n",
			["a line that is no header"] = "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
		}) do
			it("A30 " .. name, function()
				client = new_client({ retries = 0 })
				fake:set({ auth = cjson.null })
				fake:fault({ path = "/manifests/", raw = raw })
				local got = client:call(function()
					local session = client:session(fake.host)
					local found, message, code = manifests.get(session, "app", "1", { max_bytes = 4194304, max_depth = 64 })
					return { found = found, message = message, code = code }
				end, nil, "asking")
				assert.is_nil(got.found)
				assert.truthy(({ EFORMAT = 1, ENETWORK = 1 })[got.code], got.code)
				assert.truthy(got.message:find("/v2/app/manifests/1", 1, true))
			end)
		end

		it("A30 a second answer is not the next request's", function()
			fake:set({ auth = cjson.null })
			local second = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
			fake:fault({ path = "/manifests/1", raw = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" .. second })
			fake:fault({ path = "/manifests/2", status = 200, body = "next" })
			assert.equal("good", send().body)
			assert.equal("next", send("GET", "/v2/app/manifests/2").body)
		end)
	end)

	it("A31 a peer that goes away while it is sent something ends a request, and no process", function()
		local safe = start({ tls = true })
		local bytes = ("0123456789abcdef"):rep(2 ^ 18)
		local file = assert(core.temp_file())
		assert(file:write(0, bytes))
		fake:set({ auth = cjson.null })
		for _, one in ipairs({ fake, safe }) do
			client = new_client({ retries = 1, hosts = { [safe.host] = { plain = false, ca = certificates.path("ca.crt") } } })
			one:fault({ method = "PUT", read = 1000, reset = true, close = true })
			local got = hub.send(client, one, "PUT", "/v2/x", { body_file = { fd = file:fileno(), offset = 0, size = #bytes } })
			assert.equal("ENETWORK", got.code)
		end
		file:close()
	end)
end)

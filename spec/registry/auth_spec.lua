-- Takes seconds: not for make check.
--- Who asks, AUTH1 to AUTH19 of the rules for registries: what is asked of whom, how often, and with which credentials.

local certificates = require "spec.support.certificates"
local cjson = require "cjson"
local hub = require "spec.support.hub"
local registry = require "spec.support.registry"
local url = require "strata.registry.url"

local PULL, PUSH = "repository:app:pull", "repository:app:pull,push"
local SECRET = "s3cret-joe"
local IDENTITY = "s3cret-identity"
local MANIFEST = "application/vnd.oci.image.manifest.v1+json"

describe("authentication:", function()
	local started, clients, fake, digest, blob, client, clock

	local function start(options)
		local given = { users = { joe = SECRET }, identities = { [IDENTITY] = "joe" } }
		for name, value in pairs(options) do
			given[name] = value
		end
		local one = registry.start(given)
		started[#started + 1] = one
		digest = one:put_blob("app", "0123456789")
		blob = "/v2/app/blobs/" .. digest
		return one
	end

	local function new_client(entry, options)
		local given = { credentials = { [fake.host] = entry } }
		for name, value in pairs(options or {}) do
			given[name] = value
		end
		local made
		made, clock = hub.new(given)
		clients[#clients + 1] = made
		return made
	end

	local JOE = { username = "joe", password = SECRET }

	before_each(function()
		started, clients = {}, {}
		fake = start({ auth = "token" })
		client = new_client(JOE)
	end)

	after_each(function()
		for _, one in ipairs(clients) do
			one:close()
		end
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function get(with, path, scopes)
		return hub.send(with or client, fake, "GET", path or blob, { scopes = scopes or { PULL } })
	end

	-- The requests for tokens: what each asked for, by name, and its headers.
	local function tokens(server)
		local found = {}
		for _, request in ipairs((server or fake):log()) do
			if request.path:find("^/[^?]*token") then
				local asked = { scope = {}, headers = request.headers, method = request.method, body = request.body,
					path = request.path }
				for name, value in request.path:gmatch("[?&]([^=&]+)=([^&]*)") do
					value = value:gsub("%%(%x%x)", function(byte)
						return string.char(tonumber(byte, 16))
					end)
					if name == "scope" then
						table.insert(asked.scope, value)
					else
						asked[name] = value
					end
				end
				found[#found + 1] = asked
			end
		end
		return found
	end

	local function blobs_asked()
		local count = 0
		for _, request in ipairs(fake:log()) do
			count = count + (request.path:find("^/v2/.*/blobs/") and 1 or 0)
		end
		return count
	end

	describe("the first request", function()
		it("AUTH1 goes out bare, is answered with a token, and repeated once", function()
			assert.equal("0123456789", get().body)
			local log = fake:log()
			assert.equal(3, #log)
			assert.is_nil(log[1].headers.authorization)
			assert.truthy(log[3].headers.authorization:find("^Bearer strata%-"))
			assert.equal("0123456789", get().body)
			assert.equal(4, #fake:log())
		end)

		it("AUTH1 AUTH14 of a host that wanted Basic is remembered", function()
			fake = start({ auth = "basic" })
			client = new_client(JOE)
			assert.equal("0123456789", get().body)
			assert.equal("0123456789", get().body)
			local sent = hub.headers(fake, "authorization")
			assert.equal(3, #fake:log())
			assert.same({ "Basic am9lOnMzY3JldC1qb2U=", "Basic am9lOnMzY3JldC1qb2U=" }, sent)
		end)

		it("AUTH1 ends with the second 401, and with what it says", function()
			fake:fault({ path = "/blobs/", status = 401, body = '{"errors":[{"code":"UNAUTHORIZED","message":"go away"}]}',
				headers = { ["WWW-Authenticate"] = ('Bearer realm="%s/token",service="s",scope="%s",error="invalid_token",'
					.. 'error_description="it is too old \27[31m"'):format(fake.url, PULL) } })
			local got = get()
			assert.equal("EAUTH", got.code)
			assert.truthy(got.message:find('GET ' .. fake.url .. blob .. ': 401 UNAUTHORIZED "go away"', 1, true))
			assert.truthy(got.message:find("invalid_token: it is too old", 1, true))
			assert.falsy(got.message:find("\27", 1, true))
			assert.equal(2, blobs_asked())
			assert.equal(1, #tokens())
		end)

		it("AUTH1 has no second Basic when the password is wrong", function()
			fake = start({ auth = "basic" })
			client = new_client({ username = "joe", password = "s3cret-wrong" })
			assert.equal("EAUTH", get().code)
			assert.equal(2, #fake:log())
			assert.equal("EAUTH", get().code)
			assert.equal(3, #fake:log()) -- the header that is known to be wrong was all that there is
		end)

		it("AUTH1 says when there are no credentials", function()
			fake = start({ auth = "basic" })
			client = new_client(nil)
			local got = get()
			assert.equal("EAUTH", got.code)
			assert.truthy(got.message:find("there are no credentials for " .. fake.host, 1, true))
			assert.equal(1, #fake:log())
		end)
	end)

	describe("challenges", function()
		local function challenged(...)
			local lines = { ... }
			for i, line in ipairs(lines) do
				lines[i] = line:gsub("@", fake.url .. "/token")
			end
			fake:fault({ path = "/v2/", challenge = #lines == 1 and lines[1] or lines })
			return get()
		end

		for name, lines in pairs({
			["names in any case, in any order, with blanks"] = {
				'bEARER  scope = "repository:app:pull" , REALM="@" ,Service=x' },
			["escapes and commas in quotes"] = { [[Bearer error="a\"b,c", realm="@",service="x, y=z"]] },
			["an unknown scheme first"] = { 'Negotiate, Digest realm="x", nonce="y", Bearer realm="@"' },
			["two headers, Bearer before Basic"] = { 'Basic realm="x"', 'Bearer realm="@"' },
			["two in one header"] = { 'Basic realm="x", Bearer realm="@"' },
			["empty items"] = { ',, Bearer ,realm="@",,' },
		}) do
			it("AUTH2 may have " .. name, function()
				assert.equal("0123456789", challenged((table.unpack or unpack)(lines)).body)
				assert.equal(1, #tokens())
			end)
		end

		it("AUTH2 that cannot be met are told of", function()
			assert.truthy(challenged("Negotiate").message:find("no challenge that strata knows", 1, true))
			assert.truthy(challenged("Bearer").message:find("without a realm", 1, true))
			assert.equal("EAUTH", challenged('Digest realm="x"').code)
			assert.same({}, tokens())
		end)

		it("AUTH2 of Basic do when the realm of Bearer is refused", function()
			fake = start({ auth = "basic" })
			client = new_client(JOE)
			local got = challenged('Bearer realm="http://evil.test/token"', 'Basic realm="x"')
			assert.equal("0123456789", got.body)
			assert.equal(2, #fake:log())
		end)

		it("AUTH2 Q10 that are missing are asked for", function()
			fake:quirks("Q10")
			assert.equal("0123456789", get().body)
			assert.same({ "GET " .. blob, "GET /v2/", fake:lines()[3], "GET " .. blob }, fake:lines())
			assert.same({ PULL }, tokens()[1].scope)
		end)
	end)

	describe("token servers", function()
		it("AUTH3 are asked with service, scopes, account and Basic", function()
			get(nil, nil, { PUSH, "repository:base/image:pull" })
			local asked = tokens()[1]
			assert.same({ PUSH, "repository:base/image:pull" }, asked.scope)
			assert.same({ "strata-fake", "joe", "strata" }, { asked.service, asked.account, asked.client_id })
			assert.equal("Basic am9lOnMzY3JldC1qb2U=", asked.headers.authorization)
		end)

		it("AUTH3 keep the realm's own query", function()
			fake:fault({ path = "/v2/", realm = fake.url .. "/token?a=%2f&b" })
			assert.equal("0123456789", get().body)
			assert.truthy(tokens()[1].path:find("^/token%?a=%%2f&b&client_id=strata&service=strata%-fake&scope="))
		end)

		it("AUTH16 give tokens to nobody in particular", function()
			fake:set({ anonymous = "pull" })
			client = new_client(nil)
			assert.equal("0123456789", get().body)
			local asked = tokens()[1]
			assert.is_nil(asked.headers.authorization)
			assert.is_nil(asked.account)
		end)

		it("AUTH4 get identity tokens in a form", function()
			client = new_client({ identity = IDENTITY })
			assert.equal("0123456789", get().body)
			local asked = tokens()[1]
			assert.equal(1, #tokens())
			assert.equal("POST", asked.method)
			assert.equal("/token", asked.path)
			assert.is_nil(asked.headers.authorization)
			assert.equal("application/x-www-form-urlencoded", asked.headers["content-type"])
			assert.equal("grant_type=refresh_token&client_id=strata&service=strata-fake&scope=repository:app:pull"
				.. "&refresh_token=" .. IDENTITY, asked.body)
		end)

		for quirk, status in pairs({ Q9 = 401, Q10 = 404, Q11 = 400, other = 405 }) do
			it(("AUTH4 that answer %d get them as a password"):format(status), function()
				if quirk == "other" then
					fake:fault({ method = "POST", path = "/token", status = 405 })
				else
					fake:quirks(quirk)
				end
				client = new_client({ identity = IDENTITY })
				assert.equal("0123456789", get().body)
				local asked = tokens()
				assert.same({ "POST", "GET" }, { asked[1].method, asked[2].method })
				assert.equal(2, #asked)
				assert.truthy(asked[2].headers.authorization:find("^Basic PHRva2VuPjp"))
			end)
		end

		it("AUTH4 that refuse both are told of", function()
			client = new_client({ identity = "s3cret-unknown" })
			local got = get()
			assert.equal("EAUTH", got.code)
			assert.equal(2, #tokens())
			assert.falsy(got.message:find("s3cret", 1, true))
		end)

		it("AUTH13 A8 are not followed elsewhere", function()
			local evil = fake:listener()
			for _, status in ipairs({ 301, 302, 303, 307, 308 }) do
				fake:faults_clear()
				fake:fault({ path = "/token", redirect = evil.url .. "/token", status = status })
				local got = get()
				assert.equal("EREDIRECT", got.code)
				assert.truthy(got.message:find(("/token: %d"):format(status), 1, true))
			end
			assert.equal(0, evil:stats().connections)
		end)

		it("AUTH12 may be named by a relative realm", function()
			for _, realm in ipairs({ "/token", "//" .. fake.host .. "/token", "../../../token" }) do
				fake:forget()
				fake:expire_tokens()
				fake:fault({ path = "/v2/", realm = realm })
				assert.equal("0123456789", get().body)
				assert.equal(1, #tokens())
			end
		end)

		it("AUTH12 are not asked over http by a registry with TLS", function()
			local plain = fake
			fake = start({ auth = "token", tls = true })
			client = new_client(JOE, { hosts = { [fake.host] = { plain = false, ca = certificates.path("ca.crt") } } })
			fake:fault({ path = "/v2/", realm = plain.url .. "/token" })
			local got = get()
			assert.equal("EAUTH", got.code)
			assert.truthy(got.message:find("https must not become http", 1, true))
			assert.equal(0, plain:stats().connections)
		end)

		it("that are not there, or say no, are told of", function()
			local function told(rule, code, words)
				fake:faults_clear()
				rule.path = "/token"
				fake:fault(rule)
				local got = get()
				assert.equal(code, got.code)
				assert.truthy(got.message:find(words, 1, true), got.message)
			end
			told({ status = 404, body = "no such page" }, "EAUTH", '404 "no such page"')
			told({ status = 403, body = '{"errors":[{"code":"DENIED"}]}' }, "EDENIED", "403 DENIED")
			told({ status = 401, body = '{"details":"incorrect username or password"}' }, "EAUTH", "incorrect username")
			told({ status = 500 }, "ESERVER", "500")
			told({ status = 429 }, "ERATE", "429")
			told({ close = true }, "ENETWORK", "/token")
		end)
	end)

	describe("A1 a realm of another host", function()
		local evil

		before_each(function()
			evil = fake:listener({ address = "127.0.0.2", tls = true })
			fake:fault({ path = "/v2/", realm = evil.url .. "/token" })
		end)

		local function reach(options)
			options = options or {}
			options.hosts = { [evil.host] = { ca = certificates.path("ca.crt") } }
			return options
		end

		it("AUTH12 A1 sees no credentials, and the message names the option", function()
			for _, entry in ipairs({ JOE, { identity = IDENTITY } }) do
				evil:forget()
				client = new_client(entry, reach())
				local got = get()
				assert.equal("EDENIED", got.code)
				assert.truthy(got.message:find('the option trusted_realms = {"127.0.0.2"} would allow it', 1, true))
				assert.equal(1, #tokens(evil))
				assert.is_nil(tokens(evil)[1].account)
				local all = cjson.encode(evil:log())
				for _, secret in ipairs({ SECRET, "am9l", IDENTITY, "joe" }) do
					assert.falsy(all:find(secret, 1, true))
				end
				assert.same({}, hub.headers(evil, "authorization"))
			end
		end)

		it("A1 that refuses those without names the option, too", function()
			client = new_client(JOE, reach())
			evil:fault({ path = "/token", status = 403 })
			local got = get()
			assert.equal("EDENIED", got.code)
			assert.truthy(got.message:find("trusted_realms", 1, true))
		end)

		it("A1 does for what all may read", function()
			fake:set({ anonymous = "pull" })
			client = new_client(JOE, reach())
			assert.equal("0123456789", get().body)
			assert.same({}, hub.headers(evil, "authorization"))
		end)

		it("A1 sees them with trusted_realms", function()
			client = new_client(JOE, reach({ trusted_realms = { evil.host } }))
			assert.equal("0123456789", get().body)
			assert.equal(1, #hub.headers(evil, "authorization"))
		end)

		it("A1 is not asked over http", function()
			local plain = fake:listener({ address = "127.0.0.3" })
			fake:fault({ path = "/v2/", realm = plain.url .. "/token" })
			client = new_client(JOE, { trusted_realms = { plain.host } })
			assert.equal("EAUTH", get().code)
			assert.equal(0, plain:stats().connections)
		end)

		it("A1 of one registry does not give another one's token", function()
			local other = start({ auth = "token" })
			other:fault({ path = "/v2/", realm = evil.url .. "/token" })
			client = new_client(nil, reach())
			fake:set({ anonymous = "pull" })
			assert.equal("0123456789", get().body)
			hub.send(client, other, "GET", blob, { scopes = { PULL } })
			assert.equal(2, #tokens(evil))
			assert.are_not.equal(hub.headers(fake, "authorization")[1], hub.headers(other, "authorization")[1])
		end)
	end)

	describe("tokens", function()
		local function answer(change)
			fake:faults_clear()
			fake:fault({ path = "/token", token = change })
			fake:expire_tokens()
			return get()
		end

		it("AUTH5 may be called access_token, and say nothing of their time", function()
			assert.equal("0123456789", answer({ without = { "token" } }).body)
			assert.equal("0123456789", answer({ without = { "access_token", "expires_in", "issued_at" } }).body)
			assert.equal("0123456789", answer({ set = { expires_in = cjson.null, issued_at = "1970-01-01T00:00:00Z" } }).body)
			assert.equal("0123456789", answer({ set = { expires_in = -5, issued_at = 7 } }).body)
			assert.equal("0123456789", answer({ set = { expires_in = 1e300, refresh_token = {} } }).body)
		end)

		it("AUTH5 that are none are told of", function()
			for _, set in ipairs({ { token = cjson.null, access_token = cjson.null }, { token = 7 }, { token = "" },
				{ token = "a\r\nX-Evil: 1" }, { token = "a b" }, { token = ("x"):rep(40000) } }) do
				local got = answer({ set = set })
				assert.equal("EAUTH", got.code)
				assert.truthy(got.message:find("GET " .. fake.url .. "/token: its answer has no token", 1, true))
			end
			for _, body in ipairs({ "[]", "7", "<html>login</html>", "" }) do
				fake:fault({ path = "/token", status = 200, body = body })
				assert.equal("EAUTH", get().code)
			end
		end)

		it("AUTH5 A12 in an answer of two megabytes are not read", function()
			local got = answer({ set = { padding = ("x"):rep(2000000) } })
			assert.equal("ELIMIT", got.code)
			assert.truthy(fake:log()[#fake:log()].path:find("^/token"))
		end)

		it("AUTH6 are used until ten seconds or a tenth of their time are left", function()
			for seconds, last in pairs({ [300] = 268, [60] = 48, [7200] = 6478 }) do
				fake:faults_clear()
				fake:fault({ path = "/token", token = { lifetime = seconds } })
				client = new_client(JOE)
				fake:forget()
				get()
				clock.pass(last)
				get()
				assert.equal(1, #tokens(), seconds)
				clock.pass(4)
				assert.equal("0123456789", get().body)
				assert.equal(2, #tokens(), seconds)
				assert.equal(4, blobs_asked())
			end
		end)

		it("AUTH6 that the registry does not take any more are asked for again", function()
			get()
			fake:expire_tokens()
			fake:forget()
			assert.equal("0123456789", get().body)
			assert.equal(3, #fake:log())
			assert.equal(1, #tokens())
		end)

		it("AUTH6 AUTH7 that ended together with others are asked for again, once", function()
			get()
			get(nil, nil, { PUSH })
			get(nil, nil, { PUSH, "repository:base:pull" })
			fake:expire_tokens()
			fake:forget()
			for _ = 1, 3 do
				assert.equal("0123456789", get().body)
			end
			assert.equal(1, #tokens())
			assert.equal(4, blobs_asked())
		end)

		it("AUTH7 for pushing do for pulling", function()
			get(nil, nil, { PUSH, "repository:base:pull" })
			get()
			get(nil, nil, { "repository:app:push" })
			get(nil, "/v2/base/blobs/" .. digest, { "repository:base:pull" })
			assert.equal(1, #tokens())
		end)

		it("AUTH7 are for their repository and their actions alone", function()
			get()
			hub.send(client, fake, "GET", "/v2/other/blobs/" .. digest, { scopes = { "repository:other:pull" } })
			hub.send(client, fake, "POST", "/v2/app/blobs/uploads/", { body = "", scopes = { PUSH } })
			assert.equal(3, #tokens())
			assert.same({ "repository:other:pull" }, tokens()[2].scope)
			assert.same({ PUSH }, tokens()[3].scope)
		end)

		it("AUTH7 are kept, 256 of them", function()
			local store = client.auth
			for i = 1, 300 do
				store:keep("place", { ["repository:r" .. i] = { pull = true } }, "t" .. i, 300)
			end
			assert.equal(256, #store.tokens)
			assert.equal("t300", store:kept("place", { ["repository:r300"] = { pull = true } }))
			assert.is_nil(store:kept("place", { ["repository:r1"] = { pull = true } }))
			clock.pass(300)
			assert.is_nil(store:kept("place", { ["repository:none"] = { pull = true } }))
			assert.same({}, store.tokens)
		end)

		it("AUTH11 are for names with colons", function()
			fake:fault({ path = "/blobs/", with = { authorization = "Bearer" }, status = 200, body = "yes" })
			assert.equal("yes", get(nil, nil, { "repository:reg:5000/app:pull,push" }).body)
			assert.equal("yes", get(nil, nil, { "repository:reg:5000/app:pull" }).body)
			assert.equal(1, #tokens())
			assert.same({ "repository:reg:5000/app:pull,push", PULL }, tokens()[1].scope)
			get(nil, nil, { "repository:reg:5000:pull" })
			assert.equal("repository:reg:5000:pull", tokens()[2].scope[1])
		end)

		local function parallel(count)
			local requests = {}
			for i = 1, count do
				requests[i] = { "GET", blob, scopes = { PULL } }
			end
			return hub.all(client, fake, requests)
		end

		it("AUTH8 are asked for once by ten requests", function()
			client = new_client(JOE, { parallel = 10 })
			fake:set({ latency = 0.05 })
			for _, got in ipairs(parallel(10)) do
				assert.equal("0123456789", got.body)
			end
			assert.equal(1, #tokens())
			assert.equal(20, blobs_asked())
		end)

		it("AUTH8 are asked for once by ten requests whose token has ended", function()
			get()
			fake:expire_tokens()
			fake:forget()
			for round = 1, 3 do
				for _, got in ipairs(parallel(10)) do
					assert.equal("0123456789", got.body)
				end
				assert.equal(round, #tokens())
				fake:expire_tokens()
			end
		end)

		it("AUTH8 are asked for by another when the one that asks was given up", function()
			fake:fault({ path = "/token", times = 1, stall = "head" })
			local session, thread = assert(client:session(fake.host)), nil
			assert.has_error(function()
				local rounds = 0
				client:run({ function()
					thread = coroutine.running() -- nor is it collected
					return session:send({ method = "GET", path = blob, scopes = { PULL } })
				end }, { wait = function()
					rounds = rounds + 1
					client.transport:wait(0.01)
				end, progress = function()
					if #fake:log() >= 2 and rounds > 5 then
						error("enough", 0)
					end
				end }, "asking", 1)
			end, "enough")
			assert.equal("thread", type(thread))
			assert.equal("0123456789", get().body)
			assert.equal(2, #tokens())
		end)

		it("AUTH9 are asked for with all that a push will need", function()
			local scopes = { PUSH, "repository:base:pull" }
			fake:put_blob("base", "base bytes")
			get(nil, nil, scopes)
			assert.equal(202, hub.send(client, fake, "POST", "/v2/app/blobs/uploads/", { body = "", scopes = scopes }).status)
			assert.equal(1, #tokens())
			assert.same({ PUSH, "repository:base:pull" }, tokens()[1].scope)
			assert.equal(4, #fake:log())
		end)

		it("AUTH9 have what a challenge asks for besides", function()
			fake:fault({ path = "/v2/app/", challenge = ('Bearer realm="%s/token",scope="%s repository:more:pull"')
				:format(fake.url, PULL) })
			get()
			fake:expire_tokens()
			get()
			clock.pass(1000)
			fake:faults_clear()
			get()
			for _, asked in ipairs(tokens()) do
				assert.same({ PULL, "repository:more:pull" }, asked.scope)
			end
			assert.equal(3, #tokens())
			assert.equal(5, blobs_asked())
		end)

		it("AUTH10 with less than was asked for are a denial, and no circle", function()
			fake:fault({ path = "/token", token = { grant = "pull" } })
			local got = hub.send(client, fake, "POST", "/v2/app/blobs/uploads/", { body = "", scopes = { PUSH } })
			assert.equal("EDENIED", got.code)
			assert.truthy(got.message:find("insufficient_scope", 1, true))
			assert.equal(3, #fake:log())
		end)

		it("AUTH10 that are good and not enough are a denial", function()
			fake:fault({ path = "/blobs/", with = { authorization = "Bearer" }, status = 403,
				body = '{"errors":[{"code":"DENIED","message":"not yours"}]}' })
			assert.equal(403, get().status)
			assert.equal(3, #fake:log())
		end)

		it("AUTH15 that the user has go to the registry as they are", function()
			client = new_client({ token = "given-token" })
			fake:fault({ path = "/blobs/", with = { authorization = "^Bearer given-token$" }, status = 200, body = "yes" })
			assert.equal("yes", get().body)
			assert.equal("yes", get().body)
			assert.same({}, tokens())
			assert.equal(3, #fake:log())
		end)

		it("AUTH15 that the user has and that are refused are told of", function()
			client = new_client({ token = "given-token" })
			local got = get()
			assert.equal("EAUTH", got.code)
			assert.same({}, tokens())
			assert.equal(2, #fake:log())
			assert.equal("EAUTH", get().code)
			assert.equal(3, #fake:log())
		end)

		it("AUTH18 for deleting allow that", function()
			local hash = fake:put_manifest("app", "1", "{}", MANIFEST)
			local scopes = { "repository:app:pull,push,delete" }
			assert.equal(202, hub.send(client, fake, "DELETE", "/v2/app/manifests/" .. hash, { scopes = scopes }).status)
			assert.same({ "repository:app:pull,push,delete" }, tokens()[1].scope)
		end)
	end)

	it("AUTH19 passwords that are tokens of a cloud are passwords", function()
		local password = ("eyJwYXlsb2FkIjoi+/=:"):rep(150)
		fake = start({ auth = "basic", users = { AWS = password } })
		client = new_client({ username = "AWS", password = password })
		assert.equal("0123456789", get().body)
		assert.equal(2, #fake:log())
		fake = start({ auth = "token", users = { ["00000000-0000-0000-0000-000000000000"] = password } })
		client = new_client({ username = "00000000-0000-0000-0000-000000000000", password = password })
		assert.equal("0123456789", get().body)
	end)

	it("AUTH14 a registry that the user speaks to over http gets the password there", function()
		fake = start({ auth = "basic" })
		local port = fake.host:match(":(%d+)$")
		local host = "registry.test:" .. port
		client = new_client(nil, { credentials = { [host] = JOE },
			hosts = { [host] = { plain = true, resolve = { host .. ":127.0.0.1" } } } })
		assert.equal("0123456789", hub.send(client, host, "GET", blob, { scopes = { PULL } }).body)
		assert.equal(url.parse(fake.url).port, tonumber(port))
		assert.equal(1, #hub.headers(fake, "authorization"))
	end)

	it("AUTH1 a wrong password at a token server is one request there", function()
		client = new_client({ username = "joe", password = "s3cret-wrong" })
		local got = get()
		assert.equal("EAUTH", got.code)
		assert.truthy(got.message:find('401 UNAUTHORIZED "incorrect username or password"', 1, true))
		assert.equal(2, #fake:log())
		assert.falsy(got.message:find("s3cret", 1, true))
	end)
end)

-- Takes seconds: not for make check.
-- Each fault of the registry of the specs is what it says: a spec that asks for one must get it. The quirks are those
-- of registries in the field, Q1 to Q17 of the rules for registries.

local cjson = require "cjson"
local certificates = require "spec.support.certificates"
local curl = require "spec.support.curl"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"

local MANIFEST = "application/vnd.oci.image.manifest.v1+json"
local NOTHING = "sha256:" .. ("0123456789abcdef"):rep(4)
local TEN = "0123456789"

describe("the registry of the specs, told to misbehave:", function()
	local started, fake, digest, blob

	local function start(options)
		local one = registry.start(options)
		started[#started + 1] = one
		return one
	end

	before_each(function()
		started = {}
		fake = start({})
		digest = fake:put_blob("app", TEN)
		blob = "/v2/app/blobs/" .. digest
	end)

	after_each(function()
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function send(method, path, options)
		local request = { method, path:find("^http") and path or fake.url .. path }
		for name, value in pairs(options or {}) do
			request[type(name) == "number" and name + 2 or name] = value
		end
		return curl.send(request)
	end

	local function get(options)
		return send("GET", blob, options)
	end

	local function upload(query)
		return assert(send("POST", "/v2/app/blobs/uploads/" .. (query or "")):header("Location"))
	end

	local function patch(location, bytes, range)
		return send("PATCH", location, { body = bytes, headers = { range and "Content-Range: " .. range } })
	end

	local function sha(bytes, algorithm)
		return (algorithm or "sha256") .. ":" .. shell.check({ (algorithm or "sha256") .. "sum", input = bytes }):match("%x+")
	end

	local function finish(location, bytes)
		return send("PUT", location .. "&digest=" .. sha(bytes), { body = bytes })
	end

	describe("for which requests:", function()
		it("those above a rate", function()
			fake:fault({ method = "GET", rate = 0.001, burst = 2, status = 429, retry_after = 7 })
			local seen = {}
			for i = 1, 4 do
				seen[i] = get().status
			end
			assert.same({ 200, 200, 429, 429 }, seen)
			assert.equal("7", get():header("Retry-After"))
			assert.equal(200, send("HEAD", blob).status)
		end)

		it("method, path, skip and times", function()
			fake:fault({ method = "GET", path = "/blobs/", skip = 1, times = 2, status = 500 })
			local seen = {}
			for i = 1, 5 do
				seen[i] = get().status
			end
			assert.same({ 200, 500, 500, 200, 200 }, seen)
			assert.equal(200, send("GET", "/v2/").status)
			assert.equal(200, send("HEAD", blob).status)
		end)

		it("with or without a header", function()
			fake:fault({ with = { range = "bytes=2" }, status = 500 })
			fake:fault({ with = { accept = false }, status = 501 })
			assert.equal(500, get({ headers = { "Range: bytes=2-3" } }).status)
			assert.equal(501, get({ headers = { "Accept:" } }).status)
			assert.equal(200, get().status)
		end)

		it("until they are cleared", function()
			fake:fault({ status = 500 })
			assert.equal(500, get().status)
			fake:faults_clear()
			assert.equal(200, get().status)
		end)
	end)

	describe("the log:", function()
		it("has requests as they came, and forgets them", function()
			send("PUT", "/v2/app/manifests/x?y=1", { body = "{}", headers = { "X-One: 1", "X-One: 2" } })
			local log = fake:log()
			assert.equal(1, #log)
			local one = log[1]
			assert.same({ "PUT", "/v2/app/manifests/x?y=1", "1, 2", "{}", 2, 201 },
				{ one.method, one.path, one.headers["x-one"], one.body, one.received, one.status })
			get()
			assert.equal(10, fake:log()[2].sent)
			assert.is_true(fake:log()[2].connection > one.connection)
			fake:forget()
			assert.same({}, fake:log())
		end)

		it("counts connections and requests at a time", function()
			fake:set({ latency = 0.2 })
			shell.check({ "curl", "-s", "-Z", fake.url .. blob, fake.url .. blob, fake.url .. blob })
			local stats = fake:stats()
			assert.is_true(stats.peak >= 2 and stats.peak <= 3)
			assert.is_true(stats.connections >= 2)
		end)
	end)

	describe("instead of the answer:", function()
		it("status, headers and body", function()
			fake:fault({ status = 502, body = "<html>Bad Gateway</html>", headers = { Warning = { '299 - "a"', '299 - "b"' } } })
			local answer = get()
			assert.same({ 502, "<html>Bad Gateway</html>", '299 - "a", 299 - "b"', "text/html" },
				{ answer.status, answer.body, answer:header("Warning"), answer:header("Content-Type") })
		end)

		it("retry_after in seconds, as a date, as any text", function()
			fake:fault({ status = 429, retry_after = 7, times = 1 })
			fake:fault({ status = 429, retry_after = { date = 60 }, skip = 1, times = 1 })
			fake:fault({ status = 429, retry_after = "soon", skip = 2, times = 1 })
			assert.equal("7", get():header("Retry-After"))
			assert.is_truthy(get():header("Retry-After"):find("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$"))
			assert.equal("soon", get():header("Retry-After"))
		end)

		it("a redirect, also to another origin, which has the same contents and a log of its own", function()
			local other = fake:listener({ address = "127.0.0.2" })
			fake:fault({ path = "/blobs/", redirect = other.url .. "{path}", status = 302 })
			local answer = get()
			assert.same({ 302, other.url .. blob }, { answer.status, answer:header("Location") })
			assert.equal(TEN, send("GET", answer:header("Location"), { headers = { "X-Token: t" } }).body)
			assert.equal("t", other:log()[1].headers["x-token"])
			assert.equal(1, #fake:log())
			local blank = fake:listener({ blank = true, address = "::1" })
			assert.equal(404, send("GET", blank.url .. blob).status)
			blank:fault({ status = 200, body = "told" })
			assert.equal("told", send("GET", blank.url .. blob).body)
		end)

		it("bytes as they are", function()
			fake:fault({ raw = "HTTP/0.9 is no status line\n" })
			assert.equal(1, get().code) -- unsupported protocol
			fake:faults_clear()
			fake:fault({ raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc" })
			assert.is_truthy(get().head:find("Content-Length: 2\r\nContent-Length: 3", 1, true))
		end)

		it("applied: it takes effect all the same", function()
			fake:fault({ method = "PUT", status = 503, applied = true })
			assert.equal(503, finish(upload(), "lost answer").status)
			assert.equal("lost answer", fake:get_blob("app", sha("lost answer")))
			fake:faults_clear()
			fake:fault({ method = "PUT", close = true, applied = true })
			assert.equal(0, finish(upload(), "no answer").status)
			assert.equal("no answer", fake:get_blob("app", sha("no answer")))
		end)
	end)

	describe("changes of the answer:", function()
		it("as_status, set and inject", function()
			fake:fault({ as_status = 201, set = { ETag = false, ["X-New"] = "1" }, inject = "X-Raw: \1\27[31m\r\n" })
			local answer = get()
			assert.same({ 201, "1", TEN }, { answer.status, answer:header("X-New"), answer.body })
			assert.is_nil(answer:header("ETag"))
			assert.is_truthy(answer.head:find("X-Raw: \1\27[31m", 1, true))
		end)

		it("bytes that are too many, too few, wrong, or packed", function()
			fake:fault({ body_extra = "more", times = 1 })
			fake:fault({ truncate = 4, skip = 1, times = 1 })
			fake:fault({ flip = 3, skip = 2, times = 1 })
			fake:fault({ gzip = true, skip = 3, times = 1 })
			local more = get()
			assert.same({ TEN .. "more", "14" }, { more.body, more:header("Content-Length") })
			local less = get()
			assert.same({ "0123", "4" }, { less.body, less:header("Content-Length") })
			assert.equal("0122456789", get().body)
			local packed = get()
			assert.equal("gzip", packed:header("Content-Encoding"))
			assert.equal("\31\139", packed.body:sub(1, 2))
		end)

		it("digests of others, or none", function()
			fake:fault({ digest = NOTHING, times = 1 })
			fake:fault({ digest = false, skip = 1 })
			assert.equal(NOTHING, get():header("Docker-Content-Digest"))
			assert.is_nil(get():header("Docker-Content-Digest"))
		end)

		it("lengths that are wrong, or none; chunks", function()
			fake:fault({ length = 20, times = 1 })
			fake:fault({ length = false, skip = 1, times = 1 })
			fake:fault({ chunked = true, skip = 2, times = 1 })
			local wrong = get()
			assert.same({ 18, "20", TEN }, { wrong.code, wrong:header("Content-Length"), wrong.body }) -- partial file
			local none = get()
			assert.same({ 0, TEN }, { none.code, none.body })
			assert.is_nil(none:header("Content-Length"))
			local chunked = get()
			assert.same({ TEN, "chunked" }, { chunked.body, chunked:header("Transfer-Encoding") })
		end)

		it("ranges: start, total, full, multipart, 416, and 416 with a wrong length", function()
			local kinds = { "start", "total", "full", "multipart", "416", "416-length" }
			local answers = {}
			for i, kind in ipairs(kinds) do
				fake:fault({ range = kind, skip = i - 1, times = 1 })
			end
			for _, kind in ipairs(kinds) do
				answers[kind] = get({ headers = { "Range: bytes=4-9" } })
			end
			assert.same({ 206, "bytes 5-10/10", "456789" },
				{ answers.start.status, answers.start:header("Content-Range"), answers.start.body })
			assert.equal("bytes 4-9/11", answers.total:header("Content-Range"))
			assert.same({ 200, TEN }, { answers.full.status, answers.full.body })
			assert.is_truthy(answers.multipart:header("Content-Type"):find("multipart/byteranges", 1, true))
			assert.is_truthy(answers.multipart.body:find("\r\n\r\n456789\r\n--frontier--", 1, true))
			assert.same({ 416, 0 }, { answers["416"].status, answers["416"].code })
			assert.same({ 416, 18 }, { answers["416-length"].status, answers["416-length"].code })
		end)
	end)

	describe("on the wire:", function()
		it("delay, and latency of all", function()
			fake:fault({ delay = 0.3, times = 1 })
			get()
			local one = fake:log()[1]
			assert.is_true(one.finished - one.time >= 0.3)
			fake:set({ latency = 0.2 })
			get()
			local two = fake:log()[2]
			assert.is_true(two.finished - two.time >= 0.2)
		end)

		it("close: without an answer, within the head, after bytes of the body", function()
			fake:fault({ close = true, times = 1 })
			fake:fault({ close = "head", skip = 1, times = 1 })
			fake:fault({ close = 4, skip = 2, times = 1 })
			assert.equal(52, get().code) -- empty reply
			assert.is_nil(get():header("Content-Length"))
			local part = get()
			assert.same({ 18, "0123", "10" }, { part.code, part.body, part:header("Content-Length") })
			assert.equal(4, fake:log()[3].sent)
		end)

		it("reset", function()
			fake:fault({ close = true, reset = true })
			assert.equal(56, get().code) -- failure in receiving
		end)

		it("stall: without an answer, after bytes of the body", function()
			fake:fault({ stall = "head", times = 1 })
			fake:fault({ stall = 4, skip = 1 })
			local nothing, part = get({ "--max-time", "0.5" }), get({ "--max-time", "0.5" })
			assert.same({ 28, 0 }, { nothing.code, nothing.status }) -- timed out
			assert.same({ 28, 200, "0123" }, { part.code, part.status, part.body })
			fake:faults_clear()
			fake:fault({ stall = 4, seconds = 0.2 })
			local answer = get()
			assert.same({ 18, "0123" }, { answer.code, answer.body })
		end)

		it("trickle", function()
			fake:fault({ trickle = { bytes = 2, seconds = 0.05 } })
			assert.equal(TEN, get().body)
			local one = fake:log()[1]
			assert.is_true(one.finished - one.time >= 0.25)
		end)

		it("read: ends within the body of a request", function()
			local location = upload()
			fake:fault({ method = "PATCH", read = 3, reset = true })
			assert.equal(0, patch(location, TEN).status)
			assert.equal("0-2", send("GET", location):header("Range"))
			assert.equal(10, fake:log()[2].received)
		end)

		it("hold: does not read on for some time", function()
			fake:fault({ method = "PUT", hold = 3, seconds = 0.2 })
			assert.equal(201, finish(upload(), ("x"):rep(1000000)).status)
			local one = fake:log()[2]
			assert.is_true(one.finished - one.time >= 0.2)
		end)

		it("mute: takes connections and says nothing, not even within TLS", function()
			for _, tls in ipairs({ true, false }) do
				local mute = fake:listener({ mute = true, tls = tls })
				assert.equal(28, send("GET", mute.url .. "/v2/", { "--max-time", "0.2", "-k" }).code)
			end
		end)

		it("early: the answer comes before the body is read", function()
			fake:fault({ method = "PUT", early = true, status = 413 })
			local answer = send("PUT", "/v2/app/manifests/x", { body = ("x"):rep(100000), headers = { "Expect:" } })
			assert.equal(413, answer.status)
			assert.equal(0, fake:log()[1].received)
		end)

		it("Expect: 100-continue is answered, or not; who may not is told before", function()
			local function put()
				return send("PUT", "/v2/app/manifests/x", { body = "{}", headers = { "Expect: 100-continue" } })
			end
			assert.equal(201, put().status)
			fake:fault({ silent = true })
			assert.equal(201, put().status)
			local log = fake:log()
			assert.is_true(log[1].finished - log[1].time < 0.9) -- curl waits a second
			assert.is_true(log[2].finished - log[2].time > 0.9)
			fake = start({ auth = "basic", users = { joe = "secret" } })
			local refused = put()
			assert.same({ 401, 0 }, { refused.status, fake:log()[1].received })
		end)

		it("TLS with an authority of its own, other certificates, and clients' certificates", function()
			local ca = { "--cacert", certificates.path("ca.crt") }
			local function try(tls, ...)
				fake = start({ tls = tls })
				return send("GET", "/v2/", { ca[1], ca[2], ... })
			end
			assert.equal(200, try(true).status)
			for _, kind in ipairs({ "expired", "wrong", "unknown" }) do
				assert.equal(60, try(kind).code)
			end
			local tries = 0
			while fake:stats().tls_failures == 0 do -- curl is gone before that is known
				tries = tries + 1
				assert.is_true(tries < 100)
				shell.run({ "sleep", "0.02" })
			end
			assert.equal(200, try({ client = "optional" }).status)
			assert.equal(0, try({ client = "required" }).status)
			assert.equal(200, try({ client = "required" }, "--cert", certificates.path("client.crt"), "--key",
				certificates.path("client.key")).status)
			assert.equal("strata client", fake:log()[1].client)
		end)
	end)

	describe("uploads:", function()
		it("Location in every form", function()
			fake = start({ tls = true })
			local host = fake.host:gsub("%p", "%%%0")
			local forms = {
				path = "^/v2/app/blobs/uploads/%x+%?_state=",
				absolute = "^https://" .. host .. "/v2/app/blobs/uploads/%x+%?_state=",
				http = "^http://" .. host .. "/v2/",
				scheme = "^//" .. host .. "/v2/",
				query = "^%?_state=",
				name = "^%x+%?_state=",
				fragment = "#fragment$",
				bare = "^/v2/app/blobs/uploads/%x+$",
				["https://other.test{path}"] = "^https://other%.test/v2/app/blobs/uploads/%x+%?_state=",
			}
			for form, pattern in pairs(forms) do
				fake:faults_clear()
				fake:fault({ location = form })
				local location = send("POST", "/v2/app/blobs/uploads/", { "-k" }):header("Location")
				assert.is_truthy(location:find(pattern), form .. ": " .. location)
			end
		end)

		it("strict: the query of a Location comes back as it was", function()
			fake:set({ strict = true })
			local location = fake.url .. upload()
			assert.equal(404, send("GET", (location:gsub("a%%20b", "a+b"))).status)
			assert.equal(204, send("GET", location).status)
		end)

		it("keep: less was kept than sent; forget: 201, and nothing is there", function()
			fake:fault({ method = "PATCH", keep = 4 })
			local answer = patch(upload(), TEN, "0-9")
			assert.same({ 202, "0-3" }, { answer.status, answer:header("Range") })
			fake:fault({ method = "PUT", forget = true })
			assert.equal(201, finish(upload(), "forgotten").status)
			assert.is_nil(fake:get_blob("app", sha("forgotten")))
		end)

		it("mount = 202: a session instead, and refusals", function()
			fake:fault({ mount = 202, times = 1 })
			fake:fault({ path = "[?&]mount=", status = 403, skip = 1 })
			local query = "?mount=" .. digest .. "&from=app"
			assert.equal(202, send("POST", "/v2/other/blobs/uploads/" .. query).status)
			assert.equal(403, send("POST", "/v2/other/blobs/uploads/" .. query).status)
			assert.equal(202, send("POST", "/v2/other/blobs/uploads/").status)
			assert.same({ 0, 0 }, fake:uploads("other"))
		end)

		it("tags: fewer are set than asked for, and OCI-Tag says so; oci_tag = false: none", function()
			fake:fault({ tags = 1, times = 1 })
			local function put()
				return send("PUT", "/v2/app/manifests/" .. sha("{}") .. "?tag=a&tag=b",
					{ body = "{}", headers = { "Content-Type: " .. MANIFEST } })
			end
			assert.equal("a", put():header("OCI-Tag"))
			assert.same({ a = sha("{}") }, fake:tags("app"))
			fake:set({ oci_tag = false })
			assert.is_nil(put():header("OCI-Tag"))
		end)

		it("drop_blob: garbage collection took it", function()
			fake:drop_blob("app", digest)
			assert.equal(404, get().status)
		end)
	end)

	describe("logging in:", function()
		local realm

		local function token(query, ...)
			local answer = send("GET", "/token?service=strata-fake&" .. query, { ... })
			return answer.status == 200 and cjson.decode(answer.body), answer
		end

		local function bearer(text)
			return { headers = { "Authorization: Bearer " .. text } }
		end

		local function with_tokens(options)
			options.auth, options.users = "token", { joe = "secret", jane = "other" }
			fake = start(options)
			fake:put_blob("app", TEN)
			realm = 'Bearer realm="' .. fake.url .. '/token",service="strata-fake"'
		end

		it("basic: who may", function()
			fake = start({ auth = "basic", users = { joe = "secret", jane = "x" },
				access = { joe = { ["team/*"] = "pull,push" } } })
			fake:put_blob("team/app", TEN)
			local path = "/v2/team/app/blobs/" .. digest
			local refused = send("GET", path)
			assert.same({ 401, 'Basic realm="strata fake"' }, { refused.status, refused:header("WWW-Authenticate") })
			assert.equal(401, send("GET", path, { "-u", "joe:wrong" }).status)
			assert.equal(TEN, send("GET", path, { "-u", "joe:secret" }).body)
			assert.equal(403, send("GET", path, { "-u", "jane:x" }).status)
			assert.equal(403, send("DELETE", path, { "-u", "joe:secret" }).status)
		end)

		it("token: challenge, token, and what it is good for", function()
			with_tokens({})
			local refused = get()
			assert.same({ 401, realm .. ',scope="repository:app:pull"' },
				{ refused.status, refused:header("WWW-Authenticate") })
			assert.equal(401, select(2, token("scope=repository:app:pull", "-u", "joe:wrong")).status)
			local got = token("scope=repository:app:pull&account=joe", "-u", "joe:secret")
			assert.equal(got.token, got.access_token)
			assert.equal(300, got.expires_in)
			assert.equal(TEN, get(bearer(got.token)).body)
			local more = send("POST", "/v2/app/blobs/uploads/?mount=" .. digest .. "&from=other", bearer(got.token))
			assert.equal(realm .. ',scope="repository:app:pull,push repository:other:pull",error="insufficient_scope"',
				more:header("WWW-Authenticate"))
			assert.equal(realm .. ',scope="repository:app:pull",error="invalid_token"',
				get(bearer("nonsense")):header("WWW-Authenticate"))
			fake:expire_tokens()
			assert.equal(401, get(bearer(got.token)).status)
		end)

		it("token: several scopes, names with colons, and less than was asked for", function()
			with_tokens({ access = { joe = { ["app"] = "pull", ["host:80/x"] = "pull,push" } } })
			local both = token("scope=repository:app:pull,push&scope=repository:other:pull", "-u", "joe:secret")
			assert.equal(TEN, get(bearer(both.token)).body)
			assert.equal(401, send("POST", "/v2/app/blobs/uploads/", bearer(both.token)).status)
			assert.equal(401, send("GET", "/v2/other/tags/list", bearer(both.token)).status)
		end)

		it("token: nobody in particular may pull where that is so", function()
			with_tokens({ anonymous = "pull" })
			assert.equal(TEN, get(bearer(token("scope=repository:app:pull").token)).body)
			assert.equal(401, get().status)
		end)

		it("token: by POST with a password, and with an identity", function()
			with_tokens({ identities = { ["identity-of-joe"] = "joe" } })
			local form = "service=strata-fake&client_id=spec&scope=repository:app:pull&grant_type="
			local function post(rest)
				local answer = send("POST", "/token", { body = form .. rest })
				return answer.status == 200 and get(bearer(cjson.decode(answer.body).access_token)).body or answer.status
			end
			assert.equal(TEN, post("password&username=joe&password=secret"))
			assert.equal(401, post("password&username=joe&password=wrong"))
			assert.equal(TEN, post("refresh_token&refresh_token=identity-of-joe"))
			assert.equal(401, post("refresh_token&refresh_token=other"))
			assert.equal(TEN, get(bearer(token("scope=repository:app:pull", "-u", "<token>:identity-of-joe").token)).body)
		end)

		it("token: what its answer lacks, says wrongly, or grants without a word", function()
			with_tokens({})
			fake:fault({ path = "^/token", times = 1, token = { without = { "expires_in", "token", "issued_at" } } })
			fake:fault({ path = "^/token", times = 1, skip = 1, token = { set = { expires_in = 5, issued_at = "?" } } })
			fake:fault({ path = "^/token", times = 1, skip = 2, token = { grant = "pull" } })
			fake:fault({ path = "^/token", times = 1, skip = 3, token = { lifetime = 0.1 } })
			fake:fault({ path = "^/token", times = 1, skip = 4, body_extra = (" "):rep(2 * 1024 * 1024) })
			local function next_token()
				return token("scope=repository:app:pull,push", "-u", "joe:secret")
			end
			local one = next_token()
			assert.same({ access_token = one.access_token }, one)
			local two = next_token()
			assert.same({ 5, "?" }, { two.expires_in, two.issued_at })
			assert.equal(401, send("POST", "/v2/app/blobs/uploads/", bearer(next_token().token)).status)
			local short = next_token().token
			shell.run({ "sleep", "0.12" })
			assert.equal(401, get(bearer(short)).status)
			next_token()
			assert.is_true(fake:log()[#fake:log()].sent > 2 * 1024 * 1024)
		end)

		it("challenge and realm: others, several, or none", function()
			with_tokens({})
			fake:fault({ path = "/blobs/", times = 1, realm = "https://evil.test/token" })
			fake:fault({ path = "/blobs/", times = 1, skip = 1, realm = "/token" })
			fake:fault({ path = "/blobs/", times = 1, skip = 2, challenge = { 'Basic realm="x"', 'Bearer realm="y"' } })
			fake:fault({ path = "/blobs/", times = 1, skip = 3, challenge = false })
			assert.is_truthy(get():header("WWW-Authenticate"):find('realm="https://evil.test/token"', 1, true))
			assert.is_truthy(get():header("WWW-Authenticate"):find('realm="/token"', 1, true))
			assert.equal('Basic realm="x", Bearer realm="y"', get():header("WWW-Authenticate"))
			local none = get()
			assert.equal(401, none.status)
			assert.is_nil(none:header("WWW-Authenticate"))
		end)

		it("a listener asks nobody, and gives tokens that the registry takes", function()
			with_tokens({})
			local other = fake:listener()
			assert.equal(TEN, send("GET", other.url .. blob).body)
			local got = cjson.decode(send("GET", other.url .. "/token?scope=repository:app:pull", { "-u", "joe:secret" }).body)
			assert.equal(TEN, get(bearer(got.token)).body)
		end)
	end)

	describe("lists:", function()
		before_each(function()
			for _, tag in ipairs({ "a", "b", "c" }) do
				fake:put_manifest("app", tag, "{}", MANIFEST)
			end
		end)

		local function tags(query)
			return send("GET", "/v2/app/tags/list" .. (query or ""))
		end

		it("pages that nobody asked for, with links of every style", function()
			fake:set({ page_size = 2 })
			assert.equal('</v2/app/tags/list?last=b&n=2>; rel="next"', tags():header("Link"))
			fake:set({ links = "absolute" })
			assert.equal("<" .. fake.url .. '/v2/app/tags/list?last=b&n=2>; rel="next"', tags():header("Link"))
			fake:set({ pages = "next_page", links = "path" })
			local link = tags():header("Link"):match("<(.*)>")
			assert.is_truthy(link:find("next_page=", 1, true))
			assert.same({ "c" }, cjson.decode(send("GET", link).body).tags)
			assert.equal(400, tags("?last=b").status)
			fake:set({ pages = "none" })
			assert.is_nil(tags():header("Link"))
			assert.same({ "a", "b", "c" }, cjson.decode(tags("?n=1").body).tags)
			fake:fault({ set = { Link = '<https://evil.test/>; rel="next"' } })
			assert.equal('<https://evil.test/>; rel="next"', tags():header("Link"))
		end)

		it("referrers = false: 404 and no OCI-Subject; unfiltered: no filter applied", function()
			local subject = cjson.encode({ artifactType = "a/b",
				subject = { digest = NOTHING, size = 1, mediaType = MANIFEST } })
			local function put()
				return send("PUT", "/v2/app/manifests/x", { body = subject, headers = { "Content-Type: " .. MANIFEST } })
			end
			assert.equal(NOTHING, put():header("OCI-Subject"))
			fake:fault({ path = "/referrers/", unfiltered = true })
			local all = send("GET", "/v2/app/referrers/" .. NOTHING .. "?artifactType=other/x")
			assert.equal(1, #cjson.decode(all.body).manifests)
			assert.is_nil(all:header("OCI-Filters-Applied"))
			fake:set({ referrers = false })
			assert.equal(404, send("GET", "/v2/app/referrers/" .. NOTHING).status)
			assert.is_nil(put():header("OCI-Subject"))
		end)

		it("if_match: a tag that has moved is refused with 412", function()
			fake:set({ if_match = true })
			local function put(tag, held)
				return send("PUT", "/v2/app/manifests/" .. tag, { body = '{"new":1}',
					headers = { "Content-Type: " .. MANIFEST, 'If-Match: "' .. held .. '"' } }).status
			end
			assert.equal(412, put("a", NOTHING))
			assert.equal(201, put("a", sha("{}")))
		end)
	end)
end)

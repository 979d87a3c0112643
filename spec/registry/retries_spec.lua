-- Takes seconds: not for make check.
--- Trying again, RTY1 to RTY8 of the rules for registries: what is tried again, after how long, and when that ends.

local blobs = require "strata.registry.blobs"
local client_of = require "strata.registry.client"
local core = require "strata.core"
local errors = require "strata.registry.errors"
local flow = require "strata.registry.flow"
local hub = require "spec.support.hub"
local job = require "strata.util.job"
local registry = require "spec.support.registry"
local uploads = require "strata.registry.uploads"

local PASSING = { 408, 429, 500, 502, 503, 504 }

describe("trying again:", function()
	local started, clients, fake, client, clock

	local function start(options)
		local one = registry.start(options)
		started[#started + 1] = one
		return one
	end

	local function new_client(options)
		local made, its_clock = hub.new(options)
		clients[#clients + 1] = made
		return made, its_clock
	end

	before_each(function()
		started, clients = {}, {}
		fake = start({})
		client, clock = new_client({})
	end)

	after_each(function()
		job.on_wait(nil)
		for _, one in ipairs(clients) do
			one:close()
		end
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function get(method, more)
		return hub.send(client, fake, method or "GET", "/v2/a", more)
	end

	-- Faults for so many requests, and then an answer.
	local function first(times, rule)
		fake:faults_clear()
		fake:forget()
		fake:fault({ path = "^/v2/a$", status = 200, body = "done" })
		rule.path, rule.times = "^/v2/a$", times
		fake:fault(rule)
		clock.slept = 0
	end

	local function about(wanted, seconds)
		assert.truthy(math.abs(seconds - wanted) < 0.6, ("%f seconds, not %f"):format(seconds, wanted))
	end

	describe("answers", function()
		for _, status in ipairs(PASSING) do
			it("RTY1 of " .. status .. " may pass, whatever the method", function()
				for _, method in ipairs({ "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE" }) do
					first(2, { status = status })
					local body = method:find("^P") and "some bytes" or nil
					assert.equal(200, get(method, { body = body }).status)
					local log = fake:log()
					assert.equal(3, #log)
					assert.equal(body, log[3].body)
				end
			end)
		end

		it("RTY1 RTY2 that do not pass are an error after five tries", function()
			for status, code in pairs({ [429] = "ERATE", [500] = "ESERVER", [503] = "ESERVER", [408] = "ESERVER" }) do
				client, clock = new_client({})
				first(100, { status = status, body = "<html><title>too busy</title></html>" })
				local got = get()
				assert.equal(code, got.code)
				assert.truthy(got.message:find(('GET %s/v2/a: %d "too busy"'):format(fake.url, status), 1, true))
				assert.equal(5, #fake:log())
				about(7.5, clock.slept)
			end
		end)

		it("RTY2 are tried again as often as the option says", function()
			for _, retries in ipairs({ 0, 1, 9 }) do
				client, clock = new_client({ retries = retries })
				first(100, { status = 503 })
				assert.equal("ESERVER", get().code)
				assert.equal(retries + 1, #fake:log())
			end
		end)

		it("RTY1 of a file's upload are sent anew", function()
			local bytes = ("0123456789abcdef"):rep(8192)
			local file = assert(core.temp_file())
			assert(file:write(0, bytes))
			first(2, { status = 502 })
			assert.equal(200, get("PUT", { body_file = { fd = file:fileno(), offset = 0, size = #bytes } }).status)
			assert.equal(#bytes, fake:log()[3].received)
			file:close()
		end)

		it("RTY1 RTY2 to an upload begin another, when the registry wants it", function()
			local session = assert(client:session(fake.host))
			fake:fault({ method = "PUT", times = 2, status = 429, retry_after = 9 })
			assert.is_true(client:call(function(one)
				return uploads.send(one, session, "app",
					{ digest = core.sha256("0123456789"), size = 10, bytes = "0123456789" }, { "repository:app:pull,push" })
			end, nil, "pushing"))
			about(18, clock.slept)
			local seen = {}
			for i, request in ipairs(fake:log()) do
				seen[i] = request.method
			end
			assert.same({ "POST", "PUT", "POST", "PUT", "POST", "PUT" }, seen)
		end)

		for _, status in ipairs({ 400, 403, 404, 405, 413, 416, 501 }) do
			it("RTY4 of " .. status .. " stay as they are", function()
				for _, method in ipairs({ "GET", "HEAD", "PUT" }) do
					first(1, { status = status, retry_after = 1 })
					assert.equal(status, get(method, { body = method == "PUT" and "bytes" or nil }).status)
					assert.equal(1, #fake:log())
				end
				assert.equal(0, clock.slept)
			end)
		end

		it("RTY4 of a request that is not to be tried again come back", function()
			first(1, { status = 503 })
			assert.equal(503, get("GET", { once = true }).status)
			assert.equal(1, #fake:log())
		end)

		it("RTY5 Q9 of 403 to HEAD say that a blob is not there", function()
			fake:quirks("Q9")
			local session = assert(client:session(fake.host))
			local there = client:call(function()
				local found = blobs.exists(session, "app", core.sha256("nothing"), {})
				return { found = found }
			end, nil, "asking")
			assert.is_false(there.found)
			assert.equal(1, #fake:log())
		end)
	end)

	describe("connections", function()
		for name, rule in pairs({ close = { close = true }, reset = { close = true, reset = true },
			head = { close = "head" }, body = { close = 2 } }) do
			it("RTY1 that break are begun again: " .. name, function()
				first(2, rule)
				local got = get()
				assert.equal("done", got.body)
				assert.truthy(#fake:log() >= 3)
				about(1.5, clock.slept)
			end)
		end

		it("RTY1 that say nothing are begun again", function()
			client, clock = new_client({ stall_timeout = 1, retries = 1 })
			first(1, { stall = "head" })
			assert.equal("done", get().body)
			assert.equal(2, #fake:log())
		end)

		it("RTY1 that nobody takes are an error", function()
			local host = fake.host
			fake:stop()
			table.remove(started)
			local got = hub.send(client, host, "GET", "/v2/a")
			assert.equal("ENETWORK", got.code)
			assert.truthy(got.message:find("GET http://" .. host .. "/v2/a: ", 1, true))
			about(7.5, clock.slept)
		end)

		it("RTY1 that are refused for what the certificate says are not begun again", function()
			fake = start({ tls = true })
			client, clock = new_client({ hosts = { [fake.host] = { plain = false } } })
			assert.equal("ETLS", get().code)
			assert.equal(0, clock.slept)
			assert.equal(1, fake:stats().connections)
			assert.same({}, fake:log())
		end)
	end)

	describe("delays", function()
		it("RTY2 grow from half a second, up to thirty, by chance a quarter more or less", function()
			local session = assert(client:session(fake.host))
			local function delays(number)
				client.random = function()
					return number
				end
				local list = {}
				for i = 1, 8 do
					list[i] = session:delay(i)
				end
				return list
			end
			assert.same({ 0.5, 1, 2, 4, 8, 16, 30, 30 }, delays(0.5))
			assert.same({ 0.375, 0.75, 1.5, 3, 6, 12, 24, 30 }, delays(0))
			assert.same({ 0.625, 1.25, 2.5, 5, 10, 20, 30, 30 }, delays(1))
		end)

		it("RTY2 are by chance", function()
			local plain = assert(client_of.new({ credentials = {}, system = false }))
			clients[#clients + 1] = plain
			local seen, count = {}, 0
			for _ = 1, 100 do
				local number = plain.random()
				assert.truthy(number >= 0 and number < 1)
				count = count + (seen[number] and 0 or 1)
				seen[number] = true
			end
			assert.truthy(count > 20)
		end)

		it("RTY2 are those of Retry-After, as seconds or as a date", function()
			for _, row in ipairs({ { 7, 7 }, { "0", 0 }, { " 12 ", 12 }, { 120, 120 } }) do
				first(1, { status = 429, retry_after = row[1] })
				assert.equal("done", get().body)
				about(row[2], clock.slept)
				assert.equal(2, #fake:log())
			end
			first(1, { status = 503, retry_after = { date = 40 } })
			assert.equal("done", get().body)
			assert.truthy(clock.slept > 37 and clock.slept <= 41)
			first(1, { status = 503, retry_after = { date = -40 } })
			assert.equal("done", get().body)
			about(0, clock.slept)
		end)

		it("RTY2 are those without it when it is none", function()
			for _, text in ipairs({ "soon", "-5", "1.5", "", "12 monkeys" }) do
				first(1, { status = 429, retry_after = text })
				assert.equal("done", get().body)
				about(0.5, clock.slept)
			end
		end)

		it("RTY2 A19 are not longer than max_wait: the message has the number", function()
			for _, status in ipairs({ 429, 503 }) do
				for text, number in pairs({ ["121"] = "121", ["99999999"] = "99999999", [("9"):rep(40)] = "1000000000000000" }) do
					first(100, { status = status, retry_after = text })
					local got = get()
					assert.equal("ERATE", got.code)
					assert.truthy(got.message:find(("left alone for %s seconds; max_wait is 120"):format(number), 1, true))
					assert.equal(1, #fake:log())
					assert.equal(0, clock.slept)
				end
			end
			client, clock = new_client({ max_wait = 3 })
			first(1, { status = 429, retry_after = 4 })
			assert.equal("ERATE", get().code)
			first(1, { status = 429, retry_after = 3 })
			assert.equal("done", get().body)
		end)

		it("RTY2 are waited out at a token server as well", function()
			fake = start({ auth = "token", users = { joe = "s3cret" } })
			client, clock = new_client({ credentials = { [fake.host] = { username = "joe", password = "s3cret" } } })
			fake:fault({ path = "^/token", times = 1, status = 503 })
			fake:fault({ path = "^/token", skip = 1, times = 1, status = 429, retry_after = 9 })
			fake:fault({ path = "^/token", skip = 2, times = 1, status = 502 })
			local digest = fake:put_blob("app", "0123456789")
			local got = hub.send(client, fake, "GET", "/v2/app/blobs/" .. digest, { scopes = { "repository:app:pull" } })
			assert.equal("0123456789", got.body)
			about(0.5 + 9 + 2, clock.slept)
			assert.equal(6, #fake:log())
			fake:expire_tokens()
			fake:faults_clear()
			fake:forget()
			fake:fault({ path = "^/token", status = 429, retry_after = 4000 })
			got = hub.send(client, fake, "GET", "/v2/app/blobs/" .. digest, { scopes = { "repository:app:pull" } })
			assert.equal("ERATE", got.code)
			assert.truthy(got.message:find("/token: 429 (it asks to be left alone for 4000 seconds", 1, true))
			assert.equal(2, #fake:log())
			fake:faults_clear()
			fake:forget()
			fake:fault({ path = "^/token", status = 503, retry_after = 4000 })
			assert.equal("ERATE", hub.send(client, fake, "GET", "/v2/app/blobs/" .. digest,
				{ scopes = { "repository:app:pull" } }).code)
			assert.equal(1, #fake:log())
			fake:faults_clear()
			fake:forget()
			fake:fault({ path = "^/token", close = true })
			assert.equal("ENETWORK", hub.send(client, fake, "GET", "/v2/app/blobs/" .. digest,
				{ scopes = { "repository:app:pull" } }).code)
			for _, line in ipairs(fake:lines()) do
				assert.truthy(line:find("GET /token", 1, true)) -- the request that wants it waits in vain
			end
		end)

		it("RTY7 of one request hold for all to that host, and for no other", function()
			local other = start({})
			other:fault({ path = "^/v2/a$", status = 200 })
			fake:fault({ path = "^/v2/a$", times = 1, status = 429, retry_after = 30 })
			fake:fault({ path = "^/v2/", skip = 1, status = 200 })
			local here, there = assert(client:session(fake.host)), assert(client:session(other.host))
			local ended, slept = {}, {}
			local function send(name, session, path, after)
				return function()
					if after then
						flow.await({ ready = function()
							return next(client.turns) ~= nil
						end })
					end
					local answer, message, code = session:send({ method = "GET", path = path })
					assert.truthy(answer, message)
					answer.exchange:close()
					ended[#ended + 1], slept[name] = name, clock.slept
					return true, code
				end
			end
			assert(client:run({ send("first", here, "/v2/a"), send("second", here, "/v2/b", true),
				send("other", there, "/v2/a", true) }, nil, "asking"))
			assert.equal("other", ended[1])
			assert.equal(0, slept.other)
			about(30, slept.first)
			about(30, slept.second)
			assert.equal(3, #fake:log())
			assert.same({}, client.turns)
		end)

		it("RTY7 of a redirect's target are not the registry's", function()
			local cdn = fake:listener()
			fake:fault({ path = "^/v2/a$", redirect = cdn.url .. "/v2/c" })
			fake:fault({ path = "^/v2/b$", status = 200 })
			cdn:fault({ path = "^/v2/c$", status = 429, retry_after = 500 })
			assert.equal("ERATE", get().code)
			assert.equal(200, hub.send(client, fake, "GET", "/v2/b").status)
			assert.equal(0, clock.slept)
		end)
	end)

	describe("limits", function()
		it("RTY6 that a registry tells of are remembered", function()
			fake:set({ rate = { limit = 100, window = 21600 } })
			local digest = fake:put_manifest("app", "1", "{}", "application/vnd.oci.image.manifest.v1+json")
			assert.equal(200, hub.send(client, fake, "GET", "/v2/app/manifests/1").status)
			assert.equal(200, hub.send(client, fake, "HEAD", "/v2/app/manifests/1").status)
			local rate = client:session(fake.host).rate
			assert.same({ 100, 99, 21600 }, { rate.limit, rate.remaining, rate.window })
			fake:fault({ path = "/v2/b", status = 200, headers = { ["RateLimit-Limit"] = "x", ["RateLimit-Remaining"] = "7",
				["Docker-RateLimit-Source"] = "192.0.2.7\27[1m" } })
			hub.send(client, fake, "GET", "/v2/b")
			rate = client:session(fake.host).rate
			assert.same({ 7, "192.0.2.7?[1m" }, { rate.remaining, rate.source })
			assert.is_string(digest)
		end)
	end)

	describe("waiting", function()
		-- A client with the clock of the machine.
		local function real(options)
			local given = { credentials = {}, system = false, environment = function() end }
			for name, value in pairs(options or {}) do
				given[name] = value
			end
			local made = assert(client_of.new(given))
			clients[#clients + 1] = made
			return made
		end

		local function thrown(made, path, opts)
			local session = assert(made:session(fake.host))
			local began = core.monotonic()
			local ok, problem = pcall(made.call, made, function()
				return session:send({ method = "GET", path = path })
			end, opts, "asking")
			assert.is_false(ok)
			assert.truthy(core.monotonic() - began < 50) -- half of the delay
			return problem
		end

		-- A deadline a little after the registry has got so many requests, however long that takes.
		local function deadline(requests)
			local till
			job.on_wait(function()
				till = till or #fake:log() == requests and core.monotonic() + 0.2
				if till and core.monotonic() > till then
					error({ code = "ETIMEDOUT", message = "the deadline has passed" }, 0)
				end
			end)
		end

		it("RTY3 RTY8 ends at once at the deadline, while a delay passes", function()
			fake:fault({ path = "^/v2/a$", status = 429, retry_after = 100 })
			deadline(1)
			assert.equal("ETIMEDOUT", thrown(real(), "/v2/a").code)
			assert.equal(1, #fake:log())
		end)

		it("RTY8 ends at once at the deadline, while a server says nothing", function()
			fake:fault({ path = "^/v2/a$", stall = "head" })
			deadline(1)
			assert.equal("ETIMEDOUT", thrown(real(), "/v2/a").code)
			assert.equal(1, #fake:log())
			assert.truthy(fake:log()[1].finished)
		end)

		it("RTY8 ends at once at the deadline, while a token is asked for", function()
			fake:set({ auth = "token" })
			fake:fault({ path = "^/token", status = 503, retry_after = 100 })
			deadline(2)
			assert.equal("ETIMEDOUT", thrown(real(), "/v2/app/manifests/1").code)
			assert.equal(2, #fake:log())
		end)

		it("RTY3 is a state that a host polls", function()
			fake:fault({ path = "^/v2/a$", status = 503, retry_after = 100 })
			local rounds = 0
			local problem = thrown(real(), "/v2/a", { wait = function()
				rounds = rounds + 1
				core.sha256(("x"):rep(1000))
				if rounds > 2000 then
					error("enough", 0)
				end
			end })
			assert.equal("enough", problem)
		end)
	end)

	it("RTY1 only what may pass has a code that says so", function()
		for status = 400, 599 do
			local code = errors.code(status)
			assert.truthy(({ EAUTH = 1, EDENIED = 1, ENOENT = 1, EUNSUPPORTED = 1, ESERVER = 1, ELIMIT = 1, EFORMAT = 1,
				ERATE = 1 })[code])
			assert.equal(status == 429, code == "ERATE")
		end
	end)
end)

-- examples/fleet/resp.lua: what Redis may answer, and how an answer may come.

local fleet = require "spec.support.fleet"
local redis = require "spec.support.redis"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"

describe("the client of Redis", function()
	local resp, loaded

	setup(function()
		local reason = fleet.missing()
		if reason then
			skip(reason)
		end
		loaded = package.loaded.resp
		resp = dofile("examples/fleet/resp.lua")
	end)

	teardown(function()
		package.loaded.resp = loaded
	end)

	describe("with Redis", function()
		local server, client

		before_each(function()
			server = redis.start()
			client = resp.new(resp.address(server.path, 20))
		end)

		after_each(function()
			client:close()
			server:stop()
		end)

		it("gives texts, numbers, what is not there, and arrays of arrays", function()
			assert.equal("OK", client:call("SET", "key", "a\r\n\0b"))
			assert.equal("a\r\n\0b", client:call("GET", "key"))
			assert.equal("", (client:call("SET", "empty", "") and client:call("GET", "empty")))
			assert.is_false(client:call("GET", "none"))
			assert.equal(7, client:call("INCRBY", "number", 7))
			assert.same({ 1, { "a", { false, "b" } }, {} }, client:call("EVAL", "return {1, {'a', {false, 'b'}}, {}}", 0))
			local long = ("x"):rep(3000000)
			client:call("SET", "long", long)
			assert.is_true(client:call("GET", "long") == long)
		end)

		it("tells what Redis refuses, also inside of an answer", function()
			local value, message, code = client:call("LPUSH", "key")
			assert.is_nil(value)
			assert.equal("EREDIS", code)
			assert.is_truthy(message:find("^Redis: ERR wrong number"))
			client:call("MULTI")
			client:call("SET", "text", "a")
			client:call("INCR", "text")
			local list = client:call("EXEC")
			assert.equal("OK", list[1])
			assert.is_truthy(list[2].err:find("not an integer"))
			assert.equal("PONG", client:call("PING"))
		end)

		it("connects anew after Redis has died", function()
			assert.equal("PONG", client:call("PING"))
			server:kill()
			local value, message, code = client:call("PING")
			assert.is_nil(value)
			assert.equal("ENETWORK", code)
			assert.is_truthy(message:find("^Redis at " .. server.path:gsub("%p", "%%%0") .. ": "))
			server:start()
			assert.equal("PONG", client:call("PING"))
		end)

		it("says a password", function()
			server:call("CONFIG", "SET", "requirepass", "s:e@cret")
			assert.same({ nil, "Redis: NOAUTH Authentication required.", "EREDIS" }, { client:call("PING") })
			client:close()
			client.address.password = "s:e@cret"
			assert.equal("PONG", client:call("PING"))
			client:close()
			client.address.password = "wrong"
			local _, _, code = client:call("PING")
			assert.equal("EAUTH", code)
		end)
	end)

	-- A server that sends the given pieces with pauses between, once for each connection.
	local SERVER = [[
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		print((select(2, server:getsockname())))
		io.stdout:flush()
		while true do
			local one = server:accept()
			one:receive("*l")
			for i = 1, #arg do
				one:send((arg[i]:gsub("~", "\r\n")))
				socket.sleep(0.05)
			end
			socket.sleep(tonumber(os.getenv "STAY"))
			one:close()
		end
	]]

	local function answer(stay, timeout, ...)
		local script = os.tmpname()
		shell.write(script, SERVER)
		local pipe = io.popen(("echo $$; exec env STAY=%s lua5.4 %s %s"):format(stay, script, shell.join({ ... })))
		local pid, port = pipe:read("*l"), pipe:read("*l")
		local client = resp.new(resp.address("redis://127.0.0.1:" .. port, timeout))
		local got = { client:call("PING") }
		client:close()
		shell.run({ "kill", pid })
		pipe:close()
		os.remove(script)
		return got
	end

	it("puts an answer together that comes in pieces", function()
		assert.same({ { "ab", 12, { "c" }, false } }, answer(5, 20, "*4~$", "2~a", "b~:1", "2~*1~", "$1~c", "~$-1~"))
	end)

	it("fails when an answer ends in the middle, does not come, or is none of Redis", function()
		for _, case in ipairs({
			{ "closed", 0, 20, "*2~$2~a" }, { "timeout", 30, 0.3, "$5~ab" }, { "no Redis", 5, 20, "HTTP/1.1 400 Bad~" },
		}) do
			local got = answer((table.unpack or unpack)(case, 2))
			assert.is_nil(got[1])
			assert.equal("ENETWORK", got[3])
			assert.is_truthy(got[2]:find(case[1], 1, true), got[2])
		end
	end)

	it("understands addresses", function()
		for text, expected in pairs({
			["/run/redis.sock"] = { path = "/run/redis.sock" },
			["redis://"] = { host = "127.0.0.1", port = 6379 },
			["host"] = { host = "host", port = 6379 },
			["redis://host:7000/0"] = { host = "host", port = 7000 },
			["redis://[::1]:7000"] = { host = "::1", port = 7000 },
			["redis://:p@ss:word@host"] = { host = "host", port = 6379, password = "p@ss:word" },
			["redis://joe:secret@host:1"] = { host = "host", port = 1, user = "joe", password = "secret" },
			["unix:///run/redis.sock"] = { path = "/run/redis.sock" },
			["unix://:p/@w@/run/redis.sock"] = { path = "/run/redis.sock", password = "p/@w" },
		}) do
			expected.timeout = 3
			assert.same(expected, resp.address(text, 3), text)
		end
		for text, expected in pairs({
			["redis://host/3"] = "only database 0 is used",
			["rediss://host"] = "there is no TLS to Redis",
			["http://host"] = "http: Redis is at redis://HOST:PORT",
			["unix://run/redis.sock"] = "begins with /",
			["redis://secret@host"] = "USER:PASSWORD",
			["redis://host:7000:1]"] = "Redis is at HOST:PORT",
		}) do
			local address, message = resp.address(text, 3)
			assert.is_nil(address)
			assert.is_truthy(message:find(expected, 1, true), message)
		end
	end)
end)

--- Clients of registries for specs: requests from outside of a task, and a clock that does not make anybody wait.

local client = require "strata.registry.client"

local hub = {}

-- Where nobody waits for an exchange, time passes at once. `slept` has how long it was.
local function skip_time(transport)
	local start, wait, now = transport.start, transport.wait, transport.now
	local running, skipped = {}, 0
	local clock = { slept = 0 }
	-- An exchange that has ended meanwhile counts once more: those who wait for it have not seen it.
	local function is_busy()
		local was_busy = #running > 0
		for i = #running, 1, -1 do
			local ok, done = pcall(running[i].done, running[i])
			if not ok or done then
				table.remove(running, i)
			end
		end
		return was_busy, #running == 0
	end
	function transport.start(...)
		local exchange, message, code = start(...)
		running[#running + 1] = exchange
		return exchange, message, code
	end
	function transport.now(...)
		return now(...) + skipped
	end
	function transport.wait(self, seconds)
		local busy, has_ended = is_busy()
		if busy then
			return wait(self, has_ended and 0 or math.min(seconds, 0.05))
		end
		skipped, clock.slept = skipped + seconds, clock.slept + seconds
		return true
	end
	function clock.pass(seconds)
		skipped = skipped + seconds
	end
	return clock
end

--- Has a client wait without time, and without chance: its first delay is half a second.
---@param made strata.RegistryClient
---@return {slept: number, pass: fun(seconds: number)} clock
function hub.skip_time(made)
	made.random = function()
		return 0.5
	end
	return skip_time(made.transport)
end

--- Has a client believe that what it is connected to has a public address, as no server of a spec has.
---@param made strata.RegistryClient
function hub.pretend_public(made)
	local start = made.transport.start
	function made.transport.start(...)
		local exchange, message, code = start(...)
		if not exchange then
			return nil, message, code
		end
		return setmetatable({
			address_class = function()
				return "public"
			end,
		}, {
			__index = function(_, name)
				return function(_, ...)
					return exchange[name](exchange, ...)
				end
			end,
		})
	end
end

--- A client with its clock. No file of the machine's is read, and no variable.
---@param options? strata.RegistryOptions
---@return strata.RegistryClient
---@return {slept: number, pass: fun(seconds: number)} clock
function hub.new(options)
	local given = { credentials = {}, system = false, environment = {} }
	for name, value in pairs(options or {}) do
		given[name] = value
	end
	local variables = given.environment
	given.environment = function(name)
		return variables[name]
	end
	local made = assert(client.new(given))
	return made, hub.skip_time(made)
end

local function task(session, request)
	return function()
		local answer, message, code = session:send(request)
		if not answer then
			return { message = message, code = code }
		end
		local x = answer.exchange
		local got = { status = answer.status, url = answer.url, body = x:body(), request = answer.request,
			advice = answer.advice }
		x:close()
		return got
	end
end

--- Sends requests to a registry, side by side. Each is { method, path, and more fields of strata.RegistryRequest }.
---@param with strata.RegistryClient
---@param to spec.RegistryServer|string
---@param requests table[]
---@param bounded? boolean as many at a time as the client says, not all
---@return {status?: integer, body?: string, message?: string, code?: string}[]
function hub.all(with, to, requests, bounded)
	local session = assert(with:session(type(to) == "table" and to.host or to))
	local tasks, got = {}, {}
	for i, request in ipairs(requests) do
		request.method, request.path = request.method or request[1], request.path or request[2]
		tasks[i] = task(session, request)
	end
	for i, values in ipairs(assert(with:run(tasks, { parallel = not bounded and #tasks or nil }, "asking"))) do
		got[i] = values[1]
	end
	return got
end

--- One of them.
---@param with strata.RegistryClient
---@param to spec.RegistryServer|string
---@param method string
---@param path string
---@param more? table
---@return {status?: integer, body?: string, message?: string, code?: string}
function hub.send(with, to, method, path, more)
	local request = { method = method, path = path }
	for name, value in pairs(more or {}) do
		request[name] = value
	end
	if request.url then
		request.path = nil
	end
	return hub.all(with, to, { request })[1]
end

--- "GET /v2/... 200" of what a server has seen; digests are short.
---@param server spec.RegistryServer
---@return string[]
function hub.seen(server)
	local lines = {}
	for i, request in ipairs(server:log()) do
		lines[i] = ("%s %s %d"):format(request.method, request.path:gsub("sha256:(......)%x+", "%1"), request.status)
	end
	return lines
end

--- Headers of a name that a server was sent.
---@param server spec.RegistryServer
---@param name string in lower case
---@return string[]
function hub.headers(server, name)
	local found = {}
	for _, request in ipairs(server:log()) do
		found[#found + 1] = request.headers[name]
	end
	return found
end

return hub

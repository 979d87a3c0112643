--- A registry that obeys the distribution specification, and misbehaves where it is told to. It is written in Python
--- (spec/support/registry), so that it shares nothing with what it tests.

local cjson = require "cjson"
local certificates = require "spec.support.certificates"
local once = require "spec.support.once"
local python = require "spec.support.python"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local registry = {}

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- The process of Python that forks one for each registry. A FIFO that is open for both directions blocks nobody.
local function start_server()
	python.need()
	local fifo = tmp.dir():file("registries")
	shell.check({ "mkfifo", fifo })
	local main = HERE .. "/registry/main.py"
	local words = { "env", "PATH=" .. shell.PATH, "LC_ALL=C.UTF-8", python.PATH, "-ISB", main, fifo }
	local answers = assert(io.popen("exec " .. shell.join(words) .. " </dev/null", "r"))
	local server = { answers = answers, requests = assert(io.open(fifo, "r+b")), last = 0 }
	-- Until Python has opened the FIFO, nobody may close it.
	assert(answers:read("*l") == "open", "the registry of the specs does not start")
	return server
end

local function send(server, number, command, raw)
	local text = cjson.encode(command)
	assert(server.requests:write(("%d %d %d\n"):format(number, #text, #raw), text, raw))
	assert(server.requests:flush())
end

local function stop_server(server)
	send(server, 0, { command = "quit" }, "")
	server.answers:close()
	server.requests:close()
end

local function server()
	return once.get("registry", start_server, stop_server)
end

local function take(file, length)
	return length == "0" and "" or assert(file:read(tonumber(length)))
end

--- Gives a command to a registry: what it answers, and bytes.
local function ask(number, command, raw)
	local process = server()
	send(process, number, command, raw or "")
	local line = process.answers:read("*l") or ""
	local _, length, bytes = line:match("^(%d+) (%d+) (%d+)$")
	assert(length, "the registry of the specs has died")
	local value = cjson.decode(take(process.answers, length))
	local rest = take(process.answers, bytes)
	if value.error then
		error("the registry of the specs: " .. value.error, 3)
	end
	return value, rest
end

local function list(value)
	return #value > 0 and value or {}
end

-- tls = true, or a kind of certificate (see certificates.lua), or {certificate =, client = "optional" or "required",
-- maximum = "TLSv1_1", alpn = true: it would speak HTTP/2}
local function with_tls(options)
	local settings = {}
	for name, value in pairs(options) do
		settings[name] = value
	end
	local tls = settings.tls
	if tls then
		local kind = type(tls) == "table" and tls or { certificate = tls ~= true and tls or nil }
		local name = kind.certificate or "server"
		settings.tls = {
			cert = certificates.path(name .. ".crt"),
			key = certificates.path(name .. ".key"),
			client_ca = kind.client and certificates.path("ca.crt") or nil,
			client_required = kind.client == "required",
			maximum = kind.maximum,
			alpn = kind.alpn,
		}
	end
	return settings
end

---@class spec.RegistryRequest
---@field method string
---@field path string with the query
---@field status integer 0 when there was no answer
---@field headers table<string, string> by lower-case name; several of one name are joined with ", "
---@field body? string of the request, when it has at most 4096 bytes
---@field received integer bytes of the request's body
---@field sent integer bytes of the answer's body
---@field time number seconds, on a clock of the registry's
---@field finished? number when it ended
---@field connection integer
---@field alpn? string the protocol that client and server have agreed on
---@field client? string the common name of the client's certificate

--- A server of a registry: its own, or a listener.
---@class spec.RegistryServer
---@field host string "127.0.0.1:PORT"
---@field url string
local Server = {}
Server.__index = Server

local function new_server(class, number, settings, answer)
	local scheme = settings.tls and "https" or "http"
	return setmetatable({ number = number, server = answer.server, host = answer.host, tls = settings.tls,
		url = scheme .. "://" .. answer.host }, class)
end

function Server:ask(command, raw)
	command.server = self.server
	return ask(self.number, command, raw)
end

--- The requests since the last `forget`, in the order in which they came.
---@return spec.RegistryRequest[]
function Server:log()
	local requests = list(self:ask({ command = "log" }).log)
	for _, request in ipairs(requests) do
		for _, name in ipairs({ "status", "received", "sent", "connection" }) do
			request[name] = math.floor(request[name]) -- cjson has floats on Lua 5.4
		end
		if request.finished == cjson.null then
			request.finished = nil
		end
	end
	return requests
end

function Server:forget()
	self:ask({ command = "forget" })
end

--- Tells it to misbehave. spec/support/registry/faults.py has the rules.
---@param rule table
function Server:fault(rule)
	self:ask({ command = "fault", rule = rule })
end

function Server:faults_clear()
	self:ask({ command = "faults_clear" })
end

--- How many connections there were, how many requests at most at a time, and how many handshakes of TLS failed.
---@return {connections: integer, peak: integer, tls_failures: integer}
function Server:stats()
	return self:ask({ command = "stats" })
end

--- Requests as "GET /v2/...", for comparing.
---@return string[]
function Server:lines()
	local lines = {}
	for i, request in ipairs(self:log()) do
		lines[i] = request.method .. " " .. request.path
	end
	return lines
end

---@class spec.Registry: spec.RegistryServer
local Registry = setmetatable({}, { __index = Server })
Registry.__index = Registry

--- Starts one. DEFAULTS in spec/support/registry/api.py has all options and what they are by default; with
--- tls = true, `certificates` has the authority. upstream = "host:port" makes it pass all requests on to another
--- registry, with latency and faults of its own.
---@param options? table
---@return spec.Registry
function registry.start(options)
	local process = server()
	process.last = process.last + 1
	local settings = with_tls(options or {})
	return new_server(Registry, process.last, settings, (ask(process.last, { command = "start", settings = settings })))
end

function Registry:stop()
	if self.number then
		ask(self.number, { command = "stop" })
		self.number = nil
	end
end

--- Another origin with the same contents, where nobody has to log in; with blank = true it has nothing, with
--- mute = true it takes connections and says nothing. It is told what to do as a registry is, and ends with it.
---@param options? {address?: string, tls?: any, blank?: boolean, mute?: boolean}
---@return spec.RegistryServer
function Registry:listener(options)
	local settings = with_tls(options or {})
	settings.address = settings.address or "127.0.0.1"
	return new_server(Server, self.number, settings, (self:ask({ command = "listener", settings = settings })))
end

--- Changes options of start() while it runs.
---@param settings table
function Registry:set(settings)
	self:ask({ command = "set", settings = settings })
end

--- Has these quirks, Q1 to Q17, and no others.
---@param ... string
function Registry:quirks(...)
	self:set({ quirks = { ... } })
end

--- Puts a blob behind the API; a table {file = path} has the bytes in a file.
---@param repository string
---@param bytes string|{file: string}
---@param algorithm? string
---@return string digest
function Registry:put_blob(repository, bytes, algorithm)
	local command = { command = "put_blob", repository = repository, algorithm = algorithm }
	if type(bytes) == "table" then
		command.file, bytes = bytes.file, ""
	end
	return self:ask(command, bytes).digest
end

--- Takes a blob away, as garbage collection does.
---@param repository string
---@param digest string
function Registry:drop_blob(repository, digest)
	self:ask({ command = "drop_blob", repository = repository, digest = digest })
end

---@param repository string
---@param tag? string
---@param bytes string
---@param media_type string
---@param algorithm? string
---@return string digest
function Registry:put_manifest(repository, tag, bytes, media_type, algorithm)
	return self:ask({ command = "put_manifest", repository = repository, tag = tag, media_type = media_type,
		algorithm = algorithm }, bytes).digest
end

---@param repository string
---@param reference string
---@return string|nil bytes
---@return string|nil media_type
---@return string|nil digest
function Registry:get_manifest(repository, reference)
	local value, bytes = self:ask({ command = "get_manifest", repository = repository, reference = reference })
	if not value.digest then
		return nil
	end
	return bytes, value.media_type, value.digest
end

---@param repository string
---@param digest string
---@return string|nil bytes
function Registry:get_blob(repository, digest)
	local value, bytes = self:ask({ command = "get_blob", repository = repository, digest = digest })
	return value.found and bytes or nil
end

---@param repository string
---@return string[] digests
function Registry:blobs(repository)
	return list(self:ask({ command = "blobs", repository = repository }).blobs)
end

---@param repository string
---@return table<string, string> digests by tag
function Registry:tags(repository)
	return self:ask({ command = "tags", repository = repository }).tags
end

--- How many bytes each open upload has.
---@param repository string
---@return integer[]
function Registry:uploads(repository)
	return list(self:ask({ command = "uploads", repository = repository }).uploads)
end

--- Ends all tokens now.
function Registry:expire_tokens()
	self:ask({ command = "expire" })
end

return registry

--- Starts http_server.py, a server of HTTP for specs.

local cjson = require "cjson"
local python = require "spec.support.python"
local shell = require "spec.support.shell"

local http_server = {}

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

local Server = {}
Server.__index = Server

--- Starts one on a free port of 127.0.0.1.
---@param ... string paths: a certificate and its key, for TLS; the certificate of an authority that clients need
---@return spec.HttpServer
function http_server.start(...)
	python.need()
	local words = shell.join({ python.PATH, "-IS", HERE .. "/http_server.py", ... })
	local output = assert(io.popen("echo $$; exec env LD_PRELOAD= " .. words .. " </dev/null", "r"))
	local pid, port = output:read("*l"), output:read("*l")
	assert(port, "the server does not start")
	local scheme = select("#", ...) > 0 and "https" or "http"
	local url = ("%s://127.0.0.1:%s"):format(scheme, port)
	return setmetatable({ url = url, port = tonumber(port), pid = pid, output = output }, Server)
end

--- What it has seen: `connections`, this one included, and `requests`.
---@return table
function Server:log()
	local log = shell.check({ "curl", "--silent", "--noproxy", "*", self.url .. "/log" })
	return cjson.decode(log)
end

function Server:stop()
	shell.run({ "kill", "-9", self.pid })
	self.output:close()
end

return http_server

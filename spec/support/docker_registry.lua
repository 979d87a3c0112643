--- Debian's docker-registry, which is the registry that most others are made of, on a port of its own.

local certificates = require "spec.support.certificates"
local peers = require "spec.support.peers"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local docker_registry = {}

---@class spec.DockerRegistryOptions
---@field auth? "basic"|"token"
---@field users? table<string, string> passwords
---@field access? table who may do what, with tokens: see spec/support/registry/auth.py
---@field anonymous? string
---@field lifetime? number seconds, of tokens
---@field tls? boolean
---@field name? string of the machine, in the address of the token server
---@field address? string 127.0.0.1 unless given
---@field delete? boolean true unless given
---@field relative? boolean Locations have no host
---@field mirror_of? string a URL: requests are passed on, and what comes is kept

---@class spec.DockerRegistry
---@field host string "127.0.0.1:PORT"
---@field url string
---@field tokens? spec.Registry its token server, whose log tells who asked for what
---@field dir spec.Dir its configuration, its storage below "data", and what it said in "log"
local Server = {}
Server.__index = Server

--- Why it cannot be started here, or nil.
---@return string|nil
function docker_registry.missing()
	return peers.missing("docker-registry")
end

local CONFIG = [[
version: 0.1
log: {level: info, formatter: text}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: %s}
  maintenance: {uploadpurging: {enabled: false}}
http:
  addr: %s:0
  secret: strata
  relativeurls: %s
]]

local function users_file(dir, users)
	local lines = {}
	for name, password in pairs(users) do
		lines[#lines + 1] = shell.check({ "htpasswd", "-Bbn", name, password, env = { PATH = shell.PATH } }):match("[^\n]+")
	end
	table.sort(lines)
	return dir:write("users", table.concat(lines, "\n") .. "\n")
end

-- What is under "auth", and the token server.
local function auth(dir, options)
	if options.auth == "basic" then
		return ("auth: {htpasswd: {realm: strata, path: %s}}\n"):format(users_file(dir, options.users or {}))
	elseif options.auth == "token" then
		local signer = { key = certificates.path("token.key"), cert = certificates.path("token.crt"), issuer = "strata-spec" }
		local tokens = registry.start({ auth = "token", users = options.users or {}, access = options.access,
			anonymous = options.anonymous, service = "strata-registry", jwt = signer, tls = options.tls,
			lifetime = options.lifetime })
		return ("auth: {token: {realm: %q, service: strata-registry, issuer: strata-spec, rootcertbundle: %s}}\n"):format(
			tokens.url:gsub("127.0.0.1", options.name or "%0") .. "/token", signer.cert), tokens
	end
	return ""
end

local function config_of(dir, options)
	local text = CONFIG:format(dir:file("data"), tostring(options.delete ~= false), options.address or "127.0.0.1",
		tostring(options.relative == true))
	if options.tls then
		text = text .. ("  tls: {certificate: %s, key: %s}\n"):format(certificates.path("server.crt"),
			certificates.path("server.key"))
	end
	if options.mirror_of then
		text = text .. ("proxy: {remoteurl: %q}\n"):format(options.mirror_of)
	end
	local more, tokens = auth(dir, options)
	return text .. more, tokens
end

-- The shell at the end of the pipe ends the registry: at the end of the spec, or when this process dies before.
local SCRIPT = [[
exec 2>/dev/null
trap '' INT
docker-registry serve "$1/config.yml" >"$1/requests" 2>"$1/log" </dev/null & pid=$!
cat >/dev/null
kill $pid
wait $pid
]]

local WAIT = [[
n=0
until host=$(sed -n 's/.*msg="listening on \([^",]*\).*/\1/p' "$1/log" 2>/dev/null) && [ -n "$host" ]; do
	n=$((n + 1))
	if [ $n -ge 500 ] || grep -qs level=fatal "$1/log"; then cat "$1/log" >&2; exit 1; fi
	sleep 0.02
done
echo "$host"
]]

--- Starts one.
---@param options? spec.DockerRegistryOptions
---@return spec.DockerRegistry
function docker_registry.start(options)
	options = options or {}
	local dir = tmp.dir(tmp.for_peers())
	local config, tokens = config_of(dir, options)
	dir:write("config.yml", config)
	local words = { "env", "PATH=" .. shell.PATH, "sh", "-c", SCRIPT, "sh", dir.path }
	local server = setmetatable({ dir = dir, tokens = tokens, pipe = assert(io.popen(shell.join(words), "w")) }, Server)
	local ok, host = pcall(shell.sh, WAIT, dir.path)
	if not ok then
		server:stop()
		error("docker-registry does not start: " .. host, 2)
	end
	server.host = host:match("^[^\n]+")
	server.url = (options.tls and "https://" or "http://") .. server.host
	return server
end

--- The requests since the last `forget`.
---@return {method: string, path: string, status: integer, sent: integer, agent: string}[]
function Server:log()
	local requests = {}
	for line in shell.read(self.dir:file("requests")):sub((self.read or 0) + 1):gmatch("[^\n]+") do
		local method, path, status, sent, agent = line:match('"(%u+) (%S+) HTTP/[%d.]+" (%d+) (%d+) ".-" "(.-)"$')
		if method then
			requests[#requests + 1] = { method = method, path = path, status = math.floor(tonumber(status)),
				sent = math.floor(tonumber(sent)), agent = agent }
		end
	end
	return requests
end

function Server:forget()
	self.read = #shell.read(self.dir:file("requests"))
end

function Server:stop()
	if self.pipe then
		self.pipe:close()
		self.pipe = nil
	end
	if self.tokens then
		self.tokens:stop()
		self.tokens = nil
	end
	self.dir:remove()
end

return docker_registry

--- The gate of examples/gate, on a port of its own.

local core = require "strata.core"
local curl = require "spec.support.curl"
local nginx = require "spec.support.nginx"
local python = require "spec.support.python"
local ports = require "spec.support.ports"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"

local gate = {}

local HERE = shell.check({ "pwd" }):match("^[^\n]+")

---@class spec.Gate
---@field host string "127.0.0.1:PORT"
---@field url string
---@field dir spec.Dir
---@field log string what it says
---@field pid integer of `run`
---@field backend string HOST:PORT of the registry behind
local Server = {}
Server.__index = Server

--- Why it cannot be started here, or nil.
---@return string|nil
function gate.missing()
	return nginx.missing() or not shell.which("docker-registry") and "docker-registry is not installed" or nil
end

local function try(options, dir)
	local port = ports.free()
	local words = { "env", "PATH=" .. shell.PATH, HERE .. "/examples/gate/run", "--port", port, "--dir", dir:file("data") }
	for _, word in ipairs(options) do
		words[#words + 1] = word
	end
	local log, pid = dir:file("log"), dir:file("pid")
	-- The shell at the end of the pipe ends it: at the end of the spec, or when this process dies before.
	local script = ("exec 2>/dev/null; trap '' INT; %s >%s 2>&1 </dev/null & pid=$!; echo $pid >%s; cat >/dev/null; "
		.. "kill $pid 2>/dev/null; wait $pid"):format(shell.join(words), shell.quote(log), shell.quote(pid))
	local server = setmetatable({ host = "127.0.0.1:" .. port, url = "http://127.0.0.1:" .. port, dir = dir, log = log,
		pipe = assert(io.popen(script, "w")) }, Server)
	local said = ""
	pcall(waiting.till, "the gate", function()
		said = core.identity(log) and shell.read(log) or ""
		return said:find("The gate listens", 1, true) or said:find("gate: ", 1, true)
	end)
	server.backend = said:match("before the registry on https?://(%S+);")
	if server.backend then
		server.pid = tonumber(shell.read(pid))
		return server
	end
	server.pipe:close()
	return nil, said
end

--- Starts one: the options of `run` but --port and --dir; `policy` is the text of one; `dir` one that is there already.
---@param options? table
---@return spec.Gate
function gate.start(options)
	options = options or {}
	local dir = options.dir or tmp.dir(tmp.for_peers())
	local words = { (table.unpack or unpack)(options) }
	if options.policy then
		words[#words + 1] = "--policy"
		words[#words + 1] = dir:write("policy.lua", options.policy)
	end
	local server, said
	for _ = 1, 5 do
		server, said = try(words, dir)
		if server or not said:find("is in use", 1, true) then
			break
		end
	end
	if not server then
		error("the gate does not start: " .. said, 2)
	end
	return server
end

--- Ends it as Ctrl-C does.
function Server:stop()
	if self.pipe then
		self.pipe:close()
		self.pipe = nil
	end
end

--- Ends a gate with all that it has on the disk, and a registry behind it; either may be nil. Gives nothing.
---@param server? spec.Gate
---@param behind? {stop: fun(self: table)}
function gate.clear(server, behind)
	if server then
		server:stop()
		server.dir:remove()
	end
	if behind then
		behind:stop()
	end
end

--- What it has said since it listens.
---@return string
function Server:said()
	return (shell.read(self.log):gsub("^.-\n  skopeo copy[^\n]*\n", "", 1))
end

--- The processes of nginx that work, by number.
---@return integer[]
function Server:workers()
	local pids = {}
	local master = shell.check({ "pgrep", "-P", tostring(self.pid), "nginx" }):match("%d+")
	for pid in shell.run({ "pgrep", "-P", master }).stdout:gmatch("%d+") do
		pids[#pids + 1] = tonumber(pid)
	end
	return pids
end

--- Sends a request: { method, path, headers = {...}, body = ... }, as curl.quick has it.
---@param request table
---@return spec.CurlAnswer
function Server:ask(request)
	request[2] = (request.to or self.url) .. request[2]
	return curl.quick(request)
end

--- Puts a blob, and gives its descriptor.
---@param repository string
---@param bytes string
---@param to? string the URL of a registry: another way than through the gate
---@return {digest: string, size: integer}
function Server:blob(repository, bytes, to)
	local begun = self:ask({ "POST", ("/v2/%s/blobs/uploads/"):format(repository), to = to })
	local digest = core.sha256(bytes)
	local place = begun:header("Location")
	local put = curl.quick({ "PUT", place .. (place:find("?", 1, true) and "&" or "?") .. "digest=" .. digest,
		headers = { "Content-Type: application/octet-stream" }, body = bytes })
	assert(put.status == 201, put.body)
	return { digest = digest, size = #bytes }
end

--- Puts a manifest.
---@param repository string
---@param reference string
---@param text string
---@param media_type? string the one in it unless given
---@param more? table headers; `to`: another registry
---@return spec.CurlAnswer
function Server:manifest(repository, reference, text, media_type, more)
	local headers = { "Content-Type: " .. (media_type or text:match('"mediaType":"([^"]*manifest[^"]*)"')
		or text:match('"mediaType":"([^"]*index[^"]*)"')) }
	for _, line in ipairs(more or {}) do
		headers[#headers + 1] = line
	end
	return self:ask({ "PUT", ("/v2/%s/manifests/%s"):format(repository, reference),
		headers = headers, body = text, to = more and more.to })
end

--- Puts all blobs of a layout that are no manifests.
---@param repository string
---@param layout spec.OciLayout
---@param to? string
function Server:blobs(repository, layout, to)
	for name, bytes in pairs(layout.blobs) do
		if not layout.manifests[name] then
			self:blob(repository, bytes, to)
		end
	end
end

--- The status of a manifest in the registry behind.
---@param repository string
---@param reference string
---@return integer
function Server:behind(repository, reference)
	local accept = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
		.. "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
	return curl.quick({ "GET", ("http://%s/v2/%s/manifests/%s"):format(self.backend, repository, reference),
		headers = { accept } }).status
end

-- Parts of 64 MiB are compressed once, as members of their own.
local ZEROS = [[
import gzip, hashlib, sys, tarfile
count = int(float(sys.argv[1]) * 16)
info, part = tarfile.TarInfo("zeros"), bytes(2 ** 26)
info.size = count * len(part)
first, last = info.tobuf(tarfile.USTAR_FORMAT), bytes(1024)
whole = hashlib.sha256(first)
for _ in range(count):
    whole.update(part)
whole.update(last)
head, body, end = (gzip.compress(data, 1, mtime=0) for data in (first, part, last))
sys.stdout.buffer.write(whole.hexdigest().encode() + head + body * count + end)
]]

--- A layer with a file of zeros, which is small and takes its time to inflate.
---@param gigabytes number
---@return {bytes: string, diff_id: string, descriptor: table}
function gate.large_layer(gigabytes)
	local made = python.run("zeros.py", ZEROS, { gigabytes })
	local bytes = made:sub(65)
	return { bytes = bytes, diff_id = "sha256:" .. made:sub(1, 64), descriptor = {
		mediaType = "application/vnd.oci.image.layer.v1.tar+gzip", digest = core.sha256(bytes), size = #bytes } }
end

--- The one message of an answer.
---@param answer spec.CurlAnswer
---@return string message
---@return string code
function gate.message(answer)
	local errors = require("cjson").decode(answer.body).errors
	assert(#errors == 1, answer.body)
	return errors[1].message, errors[1].code
end

return gate

--- The image explorer of examples/openresty, in an nginx of its own on a port of its own.

local cjson = require("cjson").new()
local ports = require "spec.support.ports"
local shell = require "spec.support.shell"
local waiting = require "spec.support.waiting"

local nginx = {}

local HERE = shell.check({ "pwd" }):match("^[^\n]+")

---@class spec.Nginx
---@field port integer
---@field url string
---@field directory string where its images are
---@field log string
local Server = {}
Server.__index = Server

local function is_root()
	return shell.check({ "id", "-u" }):match("%d+") == "0"
end

--- Why it cannot be started here, or nil.
---@return string|nil
function nginx.missing()
	if not shell.which("nginx") or not shell.which("curl") then
		return "nginx or curl is not installed"
	end
	if shell.run({ "test", "-e", "/usr/lib/nginx/modules/ngx_http_lua_module.so" }).status ~= 0 then
		return "libnginx-mod-http-lua is not installed"
	end
	return nil
end

local function try(options, port)
	local words = { "env", "PATH=" .. shell.PATH, "CI=" .. (os.getenv("CI") or "") }
	for name, value in pairs(options.env or {}) do
		words[#words + 1] = name .. "=" .. value
	end
	if options.user and is_root() then
		for _, word in ipairs({ "setpriv", "--reuid=" .. options.user, "--regid=nogroup", "--clear-groups" }) do
			words[#words + 1] = word
		end
	end
	words[#words + 1] = options.run or HERE .. "/examples/openresty/run"
	words[#words + 1] = port
	words[#words + 1] = options.directory
	local log, pids = options.directory .. ".log", options.directory .. ".pid"
	-- The shell at the end of the pipe ends it: at the end of the spec, or when this process dies before.
	local script = ("exec 2>/dev/null; trap '' INT; %s >%s 2>&1 </dev/null & pid=$!; echo $pid >%s; cat >/dev/null; "
		.. "kill $pid 2>/dev/null; wait $pid"):format(shell.join(words), shell.quote(log), shell.quote(pids))
	local server = setmetatable({
		port = port,
		url = "http://127.0.0.1:" .. port,
		directory = options.directory,
		log = log,
		pipe = assert(io.popen(script, "w")),
	}, Server)
	local ok = pcall(waiting.till, "nginx", function()
		if shell.read(log):find("is in use", 1, true) then
			error("it does not start")
		end
		return server:curl({ server.url .. "/images" }).status == 200
	end)
	if ok then
		server.pid = tonumber(shell.read(pids))
		return server
	end
	server:stop()
	return nil, shell.read(log)
end

--- Starts one.
---@param options {directory: string, env?: table<string, string>, user?: string, run?: string}
---@return spec.Nginx
function nginx.start(options)
	local message
	for _ = 1, 5 do
		shell.write(options.directory .. ".log", "")
		local server
		server, message = try(options, ports.free())
		if server then
			return server
		end
	end
	error("nginx does not start: " .. tostring(message), 2)
end

function Server:stop()
	if self.pipe then
		self.pipe:close()
		self.pipe = nil
	end
end

---@class spec.HttpAnswer
---@field status integer 0 when there was none
---@field body string
---@field head string
---@field code integer curl's exit status
---@field time number seconds

--- Runs curl with these words besides.
---@param words string[]
---@return spec.HttpAnswer
function nginx.curl(words)
	local head = os.tmpname()
	local command = { "curl", "-s", "--path-as-is", "--max-time", "60", "-D", head, "-w", "\n%{http_code} %{time_total}",
		input = words.input }
	for _, word in ipairs(words) do
		command[#command + 1] = word
	end
	local done = shell.run(command)
	local body, status, time = done.stdout:match("^(.*)\n(%d+) ([%d.]+)$")
	local answer = { status = tonumber(status) or 0, body = body or "", head = shell.read(head), code = done.status,
		time = tonumber(time) or 0 }
	os.remove(head)
	return answer
end

--- The same.
---@param words string[]
---@return spec.HttpAnswer
function Server:curl(words) -- luacheck: no self
	return nginx.curl(words)
end

--- The same with a path, and JSON that comes back decoded.
---@param path string
---@param ... string words for curl
---@return table value
---@return integer status
---@return spec.HttpAnswer
function Server:ask(path, ...)
	local answer = self:curl({ self.url .. path, ... })
	local ok, value = pcall(cjson.decode, answer.body)
	return ok and value or {}, answer.status, answer
end

--- Sends a JSON document.
---@param path string
---@param value table
---@return table value
---@return integer status
function Server:post(path, value)
	return self:ask(path, "-H", "Content-Type: application/json", "-d", cjson.encode(value))
end

--- Uploads an archive with a Content-Length.
---@param file string
---@param query? string
---@return table value
---@return integer status
function Server:upload(file, query)
	return self:ask("/images" .. (query or ""), "-X", "POST", "-T", file)
end

--- The processes that work, by number.
---@return integer[]
function Server:workers()
	local pids = {}
	local master = shell.check({ "pgrep", "-P", tostring(self.pid) }):match("%d+")
	for pid in shell.run({ "pgrep", "-P", master }).stdout:gmatch("%d+") do
		pids[#pids + 1] = tonumber(pid)
	end
	return pids
end

--- Whether nothing is left in the directory of its own, as leftovers() tells; large files go a little later.
---@return boolean
function Server:is_clean()
	return (pcall(waiting.till, "the removal of what is left", function()
		return #self:leftovers() == 0
	end))
end

--- What is left in the directory of its own, without the records of images that are there.
---@return string[] names
function Server:leftovers()
	local known = {}
	for _, image in ipairs(self:ask("/images").images) do
		known[image.id] = true
	end
	local names = {}
	for name in shell.check({ "find", self.directory .. "/.strata", "-type", "f", "-printf", "%P\n" }):gmatch("[^\n]+") do
		if not known[name:match("^%x+") or ""] then
			names[#names + 1] = name
		end
	end
	table.sort(names)
	return names
end

return nginx

--- curl as a client of registries: independent of what is tested, and it says what it got.

local shell = require "spec.support.shell"

local curl = {}

---@class spec.CurlAnswer
---@field status integer 0 when there was none
---@field head string
---@field body string
---@field code integer curl's exit status
---@field header fun(self: spec.CurlAnswer, name: string): string|nil
local Answer = {}
Answer.__index = Answer

--- The values of a header, joined with ", ", or nil.
---@param name string
---@return string|nil
function Answer:header(name)
	local values = {}
	for line in self.head:gmatch("[^\r\n]+") do
		local key, value = line:match("^([^:]+):%s*(.-)%s*$")
		if key and key:lower() == name:lower() then
			values[#values + 1] = value
		end
	end
	return values[1] and table.concat(values, ", ")
end

-- What `curl -i` has printed.
local function answer_of(rest, code)
	local head
	repeat -- past "100 Continue"
		local one, more = rest:match("^(HTTP/1.-\r\n)\r\n(.*)$")
		head, rest = one or head, more or rest
	until not one or not one:match("^HTTP/[%d.]+ 1")
	local status = head and tonumber(head:match("^HTTP/[%d.]+ (%d+)")) or 0
	return setmetatable({ status = status, head = head or "", body = rest, code = code }, Answer)
end

--- Sends one request: { method, url, words for curl ..., body = bytes, headers = {lines} }. Follows nothing.
---@param request table
---@return spec.CurlAnswer
function curl.send(request)
	local method, url = request[1], request[2]
	local command = { "curl", "-s", "-i", "--max-time", "120", "--noproxy", "*", "--path-as-is" }
	if method == "HEAD" then
		command[#command + 1] = "-I"
	else
		command[#command + 1] = "-X"
		command[#command + 1] = method
	end
	for i = 3, #request do
		command[#command + 1] = request[i]
	end
	for _, line in ipairs(request.headers or {}) do
		command[#command + 1] = "-H"
		command[#command + 1] = line
	end
	if request.body then
		command[#command + 1] = "--data-binary"
		command[#command + 1] = "@-"
		command.input = request.body
	end
	command[#command + 1] = url
	local done = shell.run(command)
	return answer_of(done.stdout, done.status)
end

-- ---- without a process ------------------------------------------------------------------------

local has_socket, socket = pcall(require, "socket")

-- What an answer has, as `curl -i` prints it; what came of one that ends early.
local function receive(connection, method)
	local head, fields = "", {}
	for line in function() return connection:receive("*l") end do
		head = head .. line .. "\r\n"
		local name, value = line:match("^([^:]+):%s*(.-)%s*$")
		fields[(name or ""):lower()] = value
		if line == "" and not head:find("^%S+ 1") then
			break
		elseif line == "" then
			head, fields = "", {} -- past "100 Continue"
		end
	end
	local status = tonumber(head:match("^%S+ (%d+)"))
	local length = tonumber(fields["content-length"])
	if not status or method == "HEAD" or status == 204 or status == 304 or length == 0 then
		return head
	end
	local body = {}
	if fields["transfer-encoding"] == "chunked" then
		repeat
			length = tonumber((connection:receive("*l") or "0"):match("^%x+"), 16)
			body[#body + 1] = connection:receive(length + 2):sub(1, -3)
		until length == 0
		return head .. table.concat(body)
	end
	local all, _, part = connection:receive(length or "*a")
	return head .. (all or part)
end

-- Headers with which a body is sent in another way.
local OTHERS = { ["transfer-encoding"] = true, ["content-length"] = true, expect = true }

-- The head of a request, and where it goes to; nil when it takes curl.
local function head_of(request)
	local host, port, path = request[2]:match("^http://([%w.]+):(%d+)(/[^#]*)$")
	if not has_socket or not host or request[3] then
		return nil
	end
	local lines, names = { ("%s %s HTTP/1.1"):format(request[1], path), ("Host: %s:%s"):format(host, port) }, {}
	for _, line in ipairs(request.headers or {}) do
		if not line:find("^[^:]*:$") then -- by which curl leaves one out
			lines[#lines + 1] = line
		end
		names[line:match("^[^:]*"):lower()] = true
	end
	for name in pairs(names) do
		if OTHERS[name] then
			return nil
		end
	end
	if not names.accept then
		lines[#lines + 1] = "Accept: */*"
	end
	if request.body then
		lines[#lines + 1] = ("Content-Length: %d"):format(#request.body)
		if not names["content-type"] then
			lines[#lines + 1] = "Content-Type: application/x-www-form-urlencoded"
		end
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n", host, tonumber(port)
end

--- The same without curl, which takes longer to start than most requests take; with it when it is wanted: for its
--- words, and for bodies that come in chunks. The answer has no `code`.
---@param request table
---@return spec.CurlAnswer
function curl.quick(request)
	local head, host, port = head_of(request)
	if not head then
		return curl.send(request)
	end
	local connection = socket.tcp()
	connection:settimeout(120)
	local text = ""
	if connection:connect(host, port) then
		connection:send(head .. (request.body or "")) -- which fails when the answer comes before all is sent
		text = receive(connection, request[1])
	end
	connection:close()
	return answer_of(text)
end

return curl

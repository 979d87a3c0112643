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

--- Sends one request: { method, url, words for curl ..., body = bytes, headers = {lines} }. Follows nothing.
---@param request table
---@return spec.CurlAnswer
function curl.send(request)
	local method, url = request[1], request[2]
	local command = { "curl", "-s", "-i", "--max-time", "20", "--noproxy", "*", "--path-as-is" }
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
	local rest, head = done.stdout, nil
	repeat -- past "100 Continue"
		local one, more = rest:match("^(HTTP/1.-\r\n)\r\n(.*)$")
		head, rest = one or head, more or rest
	until not one or not one:match("^HTTP/[%d.]+ 1")
	local status = head and tonumber(head:match("^HTTP/[%d.]+ (%d+)")) or 0
	return setmetatable({ status = status, head = head or "", body = rest, code = done.status }, Answer)
end

return curl

--- The part of Redis' protocol that a client needs which waits for each answer, over LuaSocket.
--
-- A value that Redis does not have is false, as nil would end an array. A connection that fails is made anew by the
-- next command; the command that failed is not sent again, since nobody knows whether Redis has carried it out.

local socket = require "socket"

local resp = {}

--- Where Redis is. `host` and `port`, or `path` of a Unix socket.
---@class fleet.Address
---@field host string?
---@field port integer?
---@field path string?
---@field user string?
---@field password string?
---@field timeout number  seconds that an answer may take

---@class fleet.Redis
---@field address fleet.Address
---@field socket table?  nil: not connected
local Redis = {}
Redis.__index = Redis

--- An address as users write it: "redis://[[user]:password@]host[:port]", "unix://[[user]:password@]/path" or "/path".
--- The password is written as it is.
---@param text string
---@param timeout number
---@return fleet.Address?
---@return string? message
function resp.address(text, timeout)
  local address = { timeout = timeout }
  local scheme, rest = text:match("^(%l+)://(.*)$")
  if not scheme then scheme, rest = text:find("^/") and "unix" or "redis", text end
  if scheme == "rediss" then return nil, "rediss: there is no TLS to Redis; use a tunnel" end
  if scheme ~= "redis" and scheme ~= "unix" then
    return nil, scheme .. ": Redis is at redis://HOST:PORT or unix:///PATH"
  end
  local who, where = rest:match("^(.*)@(.*)$")
  if who then
    address.user, address.password = who:match("^([^:]*):(.*)$")
    if not address.password then return nil, "before the @ of Redis' address is USER:PASSWORD, or :PASSWORD" end
    if address.user == "" then address.user = nil end
  end
  where = where or rest
  if scheme == "unix" then
    if not where:find("^/") then return nil, "the path of Redis' socket begins with /" end
    address.path = where
    return address
  end
  local authority, database = where:match("^([^/]*)/?(.*)$")
  if database ~= "" and database ~= "0" then
    return nil, ("Redis' address ends with /%s: only database 0 is used; --queue keeps fleets apart"):format(database)
  end
  local host, port = authority:match("^%[(.*)%]:?(%d*)$")
  if not host then host, port = authority:match("^([^:]*):?(%d*)$") end
  if not host then return nil, authority .. ": Redis is at HOST:PORT" end
  address.host, address.port = host ~= "" and host or "127.0.0.1", tonumber(port) or 6379
  return address
end

---@param address fleet.Address
---@return fleet.Redis
function resp.new(address)
  return setmetatable({ address = address }, Redis)
end

-- ---- reading ----------------------------------------------------------------------------------------------

-- Throws a failure of the connection.
local function must(value, message)
  if value == nil then error({ code = "ENETWORK", message = message }, 0) end
  return value
end

-- One answer. An error that Redis tells is a table with it in `err`.
local function read(from)
  local line = must(from:receive("*l"))
  local kind, text = line:sub(1, 1), line:sub(2)
  if kind == "+" then return text end
  if kind == "-" then return { err = text } end
  if kind == ":" then return math.floor(tonumber(text)) end
  local count = tonumber(text)
  if kind ~= "$" and kind ~= "*" or not count then must(nil, "no Redis speaks there") end
  if count < 0 then return false end
  if kind == "$" then return must(from:receive(count + 2)):sub(1, -3) end
  local list = {}
  for i = 1, count do list[i] = read(from) end
  return list
end

local function send(to, ...)
  local parts = { ("*%d\r\n"):format(select("#", ...)) }
  for _, word in ipairs { ... } do
    word = tostring(word)
    parts[#parts + 1] = ("$%d\r\n%s\r\n"):format(#word, word)
  end
  must(to:send(table.concat(parts)))
end

-- ---- asking -----------------------------------------------------------------------------------------------

local function connect(address)
  local to
  if address.path then
    to = must(require "socket.unix"())
    to:settimeout(address.timeout)
    must(to:connect(address.path))
  else
    to = must(socket.tcp())
    to:settimeout(address.timeout)
    must(to:connect(address.host, address.port))
    to:setoption("tcp-nodelay", true)
  end
  return to
end

function Redis:open()
  local address = self.address
  self.socket = connect(address)
  if not address.password then return end
  send(self.socket, "AUTH", table.unpack { address.user or address.password, address.user and address.password })
  local answer = read(self.socket)
  if type(answer) == "table" then error({ code = "EAUTH", message = answer.err }, 0) end
end

--- Sends a command, and gives the answer of Redis.
---@param ... string|number
---@return any answer  nil: it has failed
---@return string? message
---@return string? code  "ENETWORK": no answer; "EREDIS": Redis refuses; "EAUTH": the password is wrong
function Redis:call(...)
  local words = { ... }
  local ok, answer = pcall(function()
    if not self.socket then self:open() end
    send(self.socket, table.unpack(words))
    return read(self.socket)
  end)
  if ok then
    if type(answer) ~= "table" or not answer.err then return answer end
    return nil, "Redis: " .. answer.err, "EREDIS"
  end
  self:close()
  if type(answer) ~= "table" then error(answer, 0) end
  return nil, ("Redis at %s: %s"):format(self.address.path or self.address.host .. ":" .. self.address.port,
    answer.message), answer.code
end

function Redis:close()
  if self.socket then self.socket:close() end
  self.socket = nil
end

return resp

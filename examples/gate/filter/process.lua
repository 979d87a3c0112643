--- Processes by name, so that a later one with the same number is another.

local process = {}

local function read(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read("*a")
  if file then file:close() end
  return bytes
end

-- The name of a process: its number and when it was started; nil when there is none.
local function name_of(pid)
  local stat = read("/proc/" .. pid .. "/stat")
  local fields, n = stat and stat:match("%) (.*)$") or "", 2
  for field in fields:gmatch("%S+") do
    n = n + 1
    if n == 22 then return pid .. "-" .. field end
  end
  return nil
end

--- This worker process.
---@return string
function process.own()
  return name_of(ngx.worker.pid()) or ngx.worker.pid() .. "-0"
end

--- Whether a process is still there.
---@param name string  with or without more behind it
---@return boolean
function process.is_alive(name)
  local pid = name:match("^(%d+)%-%d+")
  return pid ~= nil and name_of(pid) == name:match("^%d+%-%d+")
end

return process

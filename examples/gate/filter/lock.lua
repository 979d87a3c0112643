--- The lock of the cache, for work that is over in no time: it never waits for anything.

local process = require "filter.process"

-- Longer than any such work takes; then the lock of a process that was killed is over.
local SECONDS = 20

--- Calls a function while no other worker process is in one. What it throws is a result with the code "EIO".
---@param fn function
---@param ... any
---@return any
---@return string? message
---@return string? code
local function locked(fn, ...)
  local dict, mine = ngx.shared.filter, process.own() .. ":" .. ngx.now() .. ":" .. tostring(fn)
  while not dict:add("lock", mine, SECONDS) do ngx.sleep(0.005) end
  local results = { pcall(fn, ...) }
  if dict:get("lock") == mine then dict:delete("lock") end
  if not results[1] then return nil, tostring(results[2]), "EIO" end
  return unpack(results, 2, 4)
end

return locked

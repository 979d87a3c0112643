--- pcall through which a function can yield, which Lua 5.1 has not: filters run in coroutines of hosts that wait for
-- sockets.

-- Trying it out is no way to tell: in nginx a coroutine that fails while a module is loaded disturbs the request.
if _VERSION ~= "Lua 5.1" or package.loaded.jit then return pcall end

local function finish(thread, alive, ...)
  if not alive then return false, (...) end
  if coroutine.status(thread) == "dead" then return true, ... end
  return finish(thread, coroutine.resume(thread, coroutine.yield(...)))
end

--- As pcall.
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...
return function(fn, ...)
  if not coroutine.running() then return pcall(fn, ...) end
  local thread = coroutine.create(fn)
  return finish(thread, coroutine.resume(thread, ...))
end

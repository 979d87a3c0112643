--- The error that ends the command, with a message and status 2.

local problem = {}

local Problem = {}
Problem.__index = Problem
Problem.__tostring = function(self) return self.message end

--- Ends the command.
---@param message string  as string.format takes it, when values follow
---@param ... any
function problem.stop(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  error(setmetatable({ message = message }, Problem), 0)
end

--- Gives what a call gives back, unless it has failed: then it ends the command.
---@param value any  nil: it has failed
---@param message string?
---@param ... any
---@return any
function problem.check(value, message, ...)
  if value == nil then problem.stop("%s", tostring(message)) end
  return value, message, ...
end

--- Whether an error is one of these.
---@param value any
---@return boolean
function problem.is(value)
  return getmetatable(value) == Problem
end

return problem

--- Checks of arguments by position. What is wrong throws, at the caller's line.

local misuse = require "strata.util.misuse"

local argument = {}

--- What a message calls a value.
---@param value any
---@return string
function argument.kind_of(value)
  if io.type(value) then return io.type(value) end
  local mt = type(value) == "userdata" and getmetatable(value)
  return type(mt) == "table" and mt.__name or type(value)
end

local kind_of = argument.kind_of

--- A path inside an image.
---@param value any
---@param fn string  the function
---@param optional? boolean
function argument.path(value, fn, optional)
  if optional and value == nil then return end
  if type(value) ~= "string" then misuse("%s: a path is wanted, not %s", fn, kind_of(value)) end
end

--- A path of the host.
---@param value any
---@param fn string
function argument.host_path(value, fn)
  argument.path(value, fn)
  if value == "" then misuse("%s: a path is wanted, not an empty string", fn) end
  if value:find("\0", 1, true) then misuse("%s: a path cannot hold a NUL byte", fn) end
end

--- A number of bytes or of entries: nil, or a whole number from 0 on.
---@param value any
---@param fn string
---@param what string  how the argument is called
function argument.count(value, fn, what)
  if value == nil then return end
  if type(value) ~= "number" or value < 0 or value % 1 ~= 0 then
    misuse("%s: %s should be a whole number from 0 on, not %s", fn, what,
      type(value) == "number" and ("%g"):format(value) or kind_of(value))
  end
end

--- Where something is read from or written to.
---@param value any
---@param fn string
function argument.stream(value, fn)
  if type(value) == "string" then return argument.host_path(value, fn) end
  if io.type(value) ~= "file" then misuse('%s: a path, "-" or an open file is wanted, not %s', fn, kind_of(value)) end
end

return argument

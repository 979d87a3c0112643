--- A file that is written by itself: it appears whole at a path, or goes into a stream once it is whole.

local core = require "strata.core"

---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param write fun(to: userdata): table?, string?, string?  writes the core's file, and gives what the caller gets
---@return table? made  what write has given; `path` is the path, nil for a stream
---@return string? message
---@return string? code
return function(what, write)
  local is_stream = what == "-" or type(what) ~= "string"
  local to, message, code
  if is_stream then to, message, code = core.temp_file() else to, message, code = core.create_file(what) end
  if not to then return nil, message, code end
  local made, ok
  made, message, code = write(to)
  ok = made
  if ok and is_stream then
    ok, message, code = to:send(what)
  elseif ok then
    ok, message, code = to:publish()
  end
  to:close()
  if not ok then return nil, message, code end
  made.path = not is_stream and what or nil
  return made
end

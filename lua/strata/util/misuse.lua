--- The one way to report a mistake in the caller's script: an error with the place where the script makes it,
-- however deep in these modules it is found.

local getinfo = debug and debug.getinfo -- a host may have left it out

-- What the names of these modules' files begin with.
local OWN = getinfo and getinfo(1, "S").source:match("^(@.*[/\\])util[/\\]misuse%.lua$")

-- The level of the innermost function that is neither of these modules nor of C; 0 when nobody can tell.
local function level_of_caller()
  if not OWN then return 0 end
  local level = 3
  while true do
    local info = getinfo(level, "S")
    if not info then return 0 end
    if info.what ~= "C" and info.what ~= "tail" and info.source:sub(1, #OWN) ~= OWN then return level - 1 end
    level = level + 1
  end
end

--- Throws.
---@param message string  as string.format takes it, when values follow
---@param ... any
return function(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  error(message, level_of_caller())
end

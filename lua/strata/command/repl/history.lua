--- The file with the lines that were typed in earlier sessions: $XDG_STATE_HOME/strata/history.

local history = {}

local KEPT = 1000 -- lines, when a session begins

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Where it is.
---@return string? path  nil when neither XDG_STATE_HOME nor HOME tells
function history.path()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if not state or state:sub(1, 1) ~= "/" then
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  return state .. "/strata/history"
end

-- Nobody else may read it: a line may have a password.
local function make(path)
  local script = ("umask 077 && mkdir -p %s && : >>%s"):format(quoted(path:match("^(.*)/")), quoted(path))
  os.execute(("{ %s; } 2>/dev/null"):format(script))
end

-- Takes the oldest lines out of a file that has grown.
local function shorten(path)
  local lines = {}
  for text in io.lines(path) do lines[#lines + 1] = text end
  if #lines <= 2 * KEPT then return end
  local file = io.open(path, "w")
  if not file then return end
  file:write(table.concat(lines, "\n", #lines - KEPT + 1), "\n")
  file:close()
end

--- Opens it, and makes it when there is none.
---@return string? path  nil when it cannot be written
---@return file*? file  to which lines are added
function history.open()
  local path = history.path()
  if not path then return nil end
  local there = io.open(path, "r")
  if there then there:close() else make(path) end
  local file = io.open(path, "a")
  if not file then return nil end
  shorten(path)
  file:setvbuf("line")
  return path, file
end

return history

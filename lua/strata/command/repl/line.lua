--- Lines that are typed: with GNU readline on a terminal where Lua has it (Debian: lua-readline), else as they come.

local core = require "strata.core"
local history = require "strata.command.repl.history"

local line = {}

-- ---- as they come ---------------------------------------------------------------------------------------------

local Plain = {}
Plain.__index = Plain

function Plain:read(prompt)
  if self.is_terminal then
    io.stdout:write(prompt)
    io.stdout:flush()
  end
  return io.read("*l")
end

-- ---- readline -------------------------------------------------------------------------------------------------

local Readline = {}
Readline.__index = Readline

-- Candidates as readline takes them: each in place of the word that it has found, from `from` to the cursor. Where a
-- word begins elsewhere for it, what is before the candidate is added, or is taken away.
local function adapted(text, from, cursor, start, list)
  local found = {}
  for _, candidate in ipairs(list) do
    local before = text:sub(start, from - 1)
    if start >= from then
      found[#found + 1] = text:sub(from, start - 1) .. candidate
    elseif start <= cursor and candidate:sub(1, #before) == before then
      found[#found + 1] = candidate:sub(#before + 1)
    end
  end
  -- Where one candidate is left, readline closes the string that it is in. A directory is not the end of a path.
  if #found == 1 and found[1]:sub(-1) == "/" then found[2] = found[1] .. "..." end
  return found
end

-- The function that readline calls from C. No error may go through it, nor the one that Ctrl-C makes of the next
-- instruction of the main coroutine: so all happens in a coroutine, and nothing before.
local function completer(readline, complete)
  local function answer(text, from, behind)
    readline.set_completion_append_character("")
    return adapted(text, from, behind - 1, complete(text, behind - 1))
  end
  return coroutine.wrap(function(text, from, behind)
    while true do
      local ok, found = pcall(answer, text, from, behind)
      text, from, behind = coroutine.yield(ok and found or {})
    end
  end)
end

-- A module of another origin may have the name.
local function find_readline()
  if not core.is_terminal(0) then return nil end
  local found, module = pcall(require, "readline")
  return found and type(module) == "table" and module.set_complete_function and module or nil
end

function Readline:read(prompt)
  io.stdout:flush()
  local text = self.readline.readline(prompt)
  if text and text:find("%S") and text ~= self.last then
    self.readline.add_history(text)
    if self.file then self.file:write(text, "\n") end
    self.last = text
  end
  return text
end

--- A reader of lines.
---@param complete fun(text: string, cursor: integer): integer, string[]
---@return table reader  read(prompt): string?; is_terminal; completes
function line.reader(complete)
  local readline = find_readline()
  if not readline then return setmetatable({ is_terminal = core.is_terminal(0), completes = false }, Plain) end
  local path, file = history.open()
  readline.set_readline_name("strata")
  readline.set_options { auto_add = false, histfile = path or "" }
  readline.set_complete_function(completer(readline, complete))
  return setmetatable({ readline = readline, file = file, is_terminal = true, completes = true }, Readline)
end

return line

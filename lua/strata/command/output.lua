--- The output of the command: lines for people, JSON for programs, colours and progress for a terminal.

local base64 = require "strata.util.base64"
local core = require "strata.core"
local json = require "strata.util.json"
local problem = require "strata.command.problem"

local output = {}

-- ---- text ------------------------------------------------------------------------------------

-- Marks that change the direction of text or cannot be seen, and C1 controls, in UTF-8.
local DECEITFUL = {
  "\226\128[\139-\143]", "\226\128[\168-\174]", "\226\129[\160-\175]", "\239\187\191", "\194[\128-\159]",
}
local SHORT = { ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escaped(bytes)
  return (bytes:gsub(".", function(byte) return SHORT[byte] or ("\\x%02x"):format(byte:byte()) end))
end

--- Text of any origin, in one line that a terminal shows as it is: what a terminal obeys, what cannot be seen, and
-- bytes that are no UTF-8 are escaped as \n, \x1b, and a backslash as \\.
---@param text string
---@return string
function output.text(text)
  if not text:find("[%z\1-\31\\\127-\255]") then return text end
  text = text:gsub("[%z\1-\31\\\127]", escaped)
  if not core.json_quote(text) then return (text:gsub("[\128-\255]+", escaped)) end
  for _, pattern in ipairs(DECEITFUL) do text = text:gsub(pattern, escaped) end
  return text
end

--- A message in one line. What of an image is in it is in quotes and escaped already.
---@param message string
---@return string
function output.one_line(message)
  return (message:gsub("%s*\n%s*", "; "):gsub("[%z\1-\31\127]", escaped))
end

--- A number of bytes for people: "7.7 kB".
output.size = core.human_size

--- A count and its noun.
---@param count integer
---@param one string
---@param many? string  default: one and an s
---@return string
function output.counted(count, one, many)
  return ("%d %s"):format(count, count == 1 and one or many or one .. "s")
end

-- ---- JSON ------------------------------------------------------------------------------------

local function is_text(value)
  return type(value) ~= "string" or core.json_quote(value) ~= nil
end

-- A value as json.encode takes it: strings that are no UTF-8 in Base64, objects of strata as their text.
local function plain(value)
  if type(value) == "userdata" and value ~= json.null then return tostring(value) end
  if type(value) ~= "table" then return value end
  local kind, copy = json.kind(value), {}
  for key, one in next, value do
    if is_text(one) then
      copy[key] = plain(one)
    elseif kind ~= "object" then
      copy[key] = { bytes = base64.encode(one) }
    else
      copy[key .. "_bytes"] = base64.encode(one)
    end
  end
  return kind == "array" and json.array(copy) or kind == "object" and json.object(copy) or copy
end

--- A value as JSON in one line. Names are in the order of their bytes. A string that is no UTF-8 is told in Base64,
-- under its name with "_bytes" behind it.
---@param value any
---@param like? fun(pointer: string): string?  whether an empty table without a mark is an "object". Default: an array
---@return string
function output.json(value, like)
  local text, message = json.try_encode(plain(value), function(pointer) return like and like(pointer) or "array" end)
  return (problem.check(text, message))
end

-- ---- writing ---------------------------------------------------------------------------------

local Output = {}
Output.__index = Output

local COLORS = { red = "\27[31m", green = "\27[32m", yellow = "\27[33m", blue = "\27[34m", cyan = "\27[36m",
                 bold = "\27[1m", dim = "\27[2m" }

local function wants_color(choice)
  if choice == "always" or choice == "never" then return choice == "always" end
  local no_color = os.getenv "NO_COLOR"
  return core.is_terminal(1) and (no_color == nil or no_color == "") and os.getenv "TERM" ~= "dumb"
end

--- The output of one call.
---@param args {json: boolean?, quiet: boolean?, color: string?}
---@return table
function output.of(args)
  local out = { is_json = args.json, is_quiet = args.quiet, is_colored = not args.json and wants_color(args.color) }
  return setmetatable(out, Output)
end

local function unwritten(message)
  problem.stop("standard output: %s", message)
end

--- Writes bytes to standard output, or ends the command: a reader that has gone is no failure worth a message.
---@param ... string
function Output.write(_, ...)
  local ok, message = io.stdout:write(...)
  if not ok then unwritten(message) end
end

--- Writes what waits.
function Output.flush()
  local ok, message = io.stdout:flush()
  if not ok then unwritten(message) end
end

--- Writes a line for people; nothing with --json and with --quiet.
---@param text string
---@param ... any  for string.format
function Output:say(text, ...)
  if self.is_json or self.is_quiet then return end
  if select("#", ...) > 0 then text = text:format(...) end
  self:write(text, "\n")
end

--- Writes a value as JSON, in a line of its own.
---@param value any
---@param like? fun(pointer: string): string?
function Output:value(value, like)
  self:write(output.json(value, like), "\n")
end

--- Writes an array of JSON, an element in each line.
---@return fun(text: string) write  an element, as JSON
---@return fun() finish
function Output:list()
  local separator = "[\n"
  return function(text)
    self:write(separator, text)
    separator = ",\n"
  end, function()
    self:write(separator == "[\n" and "[]\n" or "\n]\n")
  end
end

-- The columns of the terminal that standard output is; nil when it is none, or does not say.
local function width()
  if not core.is_terminal(1) then return nil end
  local pipe = io.popen "stty size </dev/tty 2>/dev/null"
  local columns = pipe and pipe:read("*a"):match("^%d+ (%d+)")
  if pipe then pipe:close() end
  return columns ~= "0" and tonumber(columns) or nil
end

--- Text that is cut, on a terminal, where the line ends. Elsewhere it stays whole.
---@param text string  as output.text gives it
---@param column integer  where it begins, from 0
---@return string
function Output:fit(text, column)
  if self.width == nil then self.width = width() or false end
  local room = self.width and math.max(self.width - column, 8)
  if not room or #text <= room then return text end
  return (text:sub(1, room - 3):gsub("[\192-\255]?[\128-\191]*$", "")) .. "..."
end

--- Text in a colour, where colours are wanted; nil is none.
---@param text string
---@param color? string
---@return string
function Output:paint(text, color)
  return self.is_colored and color and COLORS[color] .. text .. "\27[0m" or text
end

--- Says something on standard error, but not with --quiet.
---@param text string
---@param ... any
function Output:warn(text, ...)
  if self.is_quiet then return end
  if select("#", ...) > 0 then text = text:format(...) end
  io.stderr:write("strata: ", text, "\n")
end

-- Work that takes less shows no bar.
local PATIENCE = 0.5

--- The option `progress`: a bar on standard error when that is a terminal, and which goes when the work is done.
---@return fun(done: integer, total: integer, what: string)?
function Output:progress()
  if self.is_quiet or not core.is_terminal(2) then return nil end
  local started = core.monotonic()
  local sink = { flush = function() io.stderr:flush() end }
  function sink.write(_, start, line, clear, ending)
    self.has_bar = ending == ""
    io.stderr:write(start, line, clear, ending == "" and "" or "\r\27[K")
  end
  local draw = require("strata.util.progress").bar(sink, nil, true)
  return function(...)
    if core.monotonic() - started >= PATIENCE then draw(...) end
  end
end

--- Takes an unfinished bar away, before a message.
function Output:clear()
  if self.has_bar then io.stderr:write("\r\27[K") end
  self.has_bar = false
end

return output

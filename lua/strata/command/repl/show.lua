--- How results are printed at the REPL: in lines that a terminal shows as they are, and not too many of them.

local core = require "strata.core"
local help = require "strata.util.help"
local json = require "strata.util.json"
local output = require "strata.command.output"
local printed = require "strata.util.printed"

local show = {}

local MAX_LINES = 40
local MAX_BYTES = 2000 -- of one line
local MAX_INLINE = 72

local SIZES = { size = true, bytes = true, total = true, old_size = true, new_size = true }

-- Some text of any origin in one line: only backslashes stay as they are.
local function line_of(text)
  local more = #text - MAX_BYTES
  if more > 0 then text = text:sub(1, MAX_BYTES):gsub("[\192-\255]?[\128-\191]*$", "") end
  text = text:gsub("[^\t]+", output.text):gsub("\\\\", "\\")
  return more > 0 and ("%s… %d more bytes"):format(text, more) or text
end

-- Lines of a text, of which so many are shown.
local function lines_of(text, max)
  local lines, count = {}, 0
  for line in (text:gsub("\n$", "") .. "\n"):gmatch("(.-)\r?\n") do
    count = count + 1
    if count <= max then lines[count] = line_of(line) end
  end
  if count > max then lines[max + 1] = ("… %d more lines; print(_) shows all"):format(count - max) end
  return lines
end

-- What a table prints itself as. Copies of lists and documents do so in one line, which may be too long.
local function own_text(value)
  local meta = getmetatable(value)
  local describe = type(meta) == "table" and rawget(meta, "__tostring")
  if not describe or describe == printed.copy then return nil end
  local text = tostring(value)
  return (text:find("\n", 1, true) or #text <= MAX_INLINE) and text or nil
end

local function is_whole(value)
  return type(value) == "number" and value % 1 == 0 and value >= 0 and value < 2 ^ 53
end

local inline

-- A short array of plain values in one line; nil for anything else.
local function short_array(list)
  local parts, length = {}, 0
  for _, item in ipairs(list) do
    if type(item) == "table" or type(item) == "userdata" then return nil end
    parts[#parts + 1] = inline(item)
    length = length + #parts[#parts] + 2
    if length > MAX_INLINE then return nil end
  end
  for key in next, list do
    if type(key) ~= "number" or key > #parts then return nil end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function counted(list)
  local count, fields = 0, 0
  for key in next, list do
    count = count + 1
    if type(key) ~= "number" then fields = fields + 1 end
  end
  return ("{%d %s%s}"):format(count, fields > 0 and "field" or "item", count == 1 and "" or "s")
end

-- A value in a row. The key tells sizes and modes.
function inline(value, key)
  if value == json.null then return "null" end
  if is_whole(value) and key == "mode" and value < 2 ^ 12 then return ("%04o"):format(value) end
  if is_whole(value) and SIZES[key] and value >= 1000 then
    return ("%.0f (%s)"):format(value, core.human_size(value))
  end
  if type(value) == "string" then
    local text = output.text(value)
    return '"' .. (#text > 200 and text:sub(1, 197):gsub("[\192-\255]?[\128-\191]*$", "") .. "..." or text) .. '"'
  end
  if type(value) == "function" then return "a function" end
  if type(value) ~= "table" then return line_of(tostring(value)) end
  local text = own_text(value)
  if text and text ~= "" and not text:find("\n", 1, true) then return line_of(text) end
  return not text and short_array(value) or counted(value)
end

-- A row for each item, and for each name in the order of the names.
local function rows_of(value)
  local rows, width, count = {}, 0, #value
  for i = 1, math.min(count, MAX_LINES) do
    rows[i] = { tostring(i), "  ", inline(value[i]) }
    width = math.max(width, #rows[i][1])
  end
  local names = {}
  for name in next, value do
    if not (type(name) == "number" and name >= 1 and name <= count and name % 1 == 0) then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return json.before(tostring(a), tostring(b)) end)
  for _, name in ipairs(names) do
    if #rows >= MAX_LINES then break end
    rows[#rows + 1] = { type(name) == "string" and output.text(name) or ("[%s]"):format(tostring(name)), " = ",
      inline(value[name], name) }
    width = math.max(width, #rows[#rows][1])
  end
  for i, row in ipairs(rows) do rows[i] = row[1] .. (" "):rep(math.min(width, 30) - #row[1]) .. row[2] .. row[3] end
  local more = count + #names - #rows
  if more > 0 then rows[#rows + 1] = ("… %d more"):format(more) end
  return #rows > 0 and rows or { "{}" }
end

local function is_module(value)
  for name, module in pairs(package.loaded) do
    if module == value then return name:find("^strata") ~= nil end
  end
  return false
end

-- What strata.help says of a module or a function; it tells of results, too, which are printed themselves.
local function help_of(value)
  if type(value) == "table" and not is_module(value) then return nil end
  local text = help.text(value)
  return not text:find("^There is no help") and text or nil
end

local function lines_of_value(value)
  if value == json.null then return { "null" } end
  if type(value) == "string" then return value == "" and { '""' } or lines_of(value, MAX_LINES) end
  if type(value) == "function" then
    local text = help_of(value)
    return text and { line_of(text:match("^[^\n]*")), "strata.help(_) tells more" } or { tostring(value) }
  end
  if type(value) ~= "table" then return lines_of(tostring(value), MAX_LINES) end
  local text = own_text(value) or help_of(value)
  if text == "" then return { "{}" } end
  return text and lines_of(text, MAX_LINES) or rows_of(value)
end

-- A table may have a metatable that throws.
local function lines_of_any(value)
  local ok, lines = pcall(lines_of_value, value)
  return ok and lines or { "a " .. type(value) }
end

--- Values as they are printed. A failure (nil, message, code) is told apart.
---@param count integer
---@param ... any
---@return string[] lines
---@return boolean? failed
function show.values(count, ...)
  local first, message, code = ...
  if count >= 2 and first == nil and type(message) == "string" then
    local lines = lines_of(message, MAX_LINES)
    if type(code) == "string" or type(code) == "number" then
      lines[#lines] = ("%s (%s)"):format(lines[#lines], line_of(tostring(code)))
    end
    return lines, true
  end
  local parts, is_short = {}, true
  for i = 1, count do
    parts[i] = lines_of_any((select(i, ...)))
    is_short = is_short and #parts[i] == 1 and #parts[i][1] <= MAX_INLINE
  end
  local lines = {}
  for _, part in ipairs(parts) do
    if is_short then part = { (lines[1] and lines[1] .. "\t" or "") .. part[1] } end
    for i, line in ipairs(part) do lines[is_short and i or #lines + 1] = line end
  end
  return lines
end

--- A number that is a field's value: what it is for people stands behind it.
---@param value number
---@param field string
---@return string[] lines
function show.field(value, field)
  local text, number = inline(value, field), tostring(value)
  if field == "mode" and text ~= number then text = ("%s (%s)"):format(number, text) end
  return { text }
end

--- What was thrown, as it is printed.
---@param thrown any
---@return string[] lines
function show.thrown(thrown)
  local ok, text = pcall(tostring, thrown)
  return lines_of(ok and text or "an error that cannot be printed", MAX_LINES)
end

return show

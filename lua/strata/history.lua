--- The history of an image: rows of its config document, one per build step.
--
-- A row that is not marked as an empty layer belongs to the next layer. Real
-- histories may be shorter or longer than the layers, or absent; then layers
-- are left without a row, or rows without a layer.

local config = require "strata.config"
local config_schema = require "strata.document.config_schema"
local core = require "strata.core"
local job = require "strata.util.job"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"

local history = {}

---@class strata.HistoryRow
local methods = {}

-- In the order of the image-spec.
local FIELDS = { "created", "created_by", "author", "comment", "empty_layer" }

local new, state_of

-- ---- rows and layers -------------------------------------------------------

-- Whether each row is marked as an empty layer.
local function empties_of(cfg, rows)
  if not rows.empties then
    local doc, empties = config.document(cfg), {}
    if doc:type("/history") == "array" then
      for i, row in ipairs((json.decode(doc:raw("/history")))) do empties[i] = row.empty_layer == true end
    end
    rows.empties = empties
  end
  return rows.empties
end

-- The layer's number of each row that has one, by the row's place; how many; and the place of each layer's row.
local function numbers_of(cfg)
  local rows = config.rows(cfg)
  if not rows.numbers then
    local numbers, of_layers = {}, {}
    for i, is_empty in ipairs(empties_of(cfg, rows)) do
      if not is_empty then
        of_layers[#of_layers + 1] = i
        numbers[i] = #of_layers
      end
    end
    rows.numbers, rows.of_layers = numbers, of_layers
  end
  return rows.numbers, #rows.of_layers, rows.of_layers
end

local function layer_count(cfg, layers)
  return layers and #layers or config.document(cfg):count("/rootfs/diff_ids") or 0
end

-- The place of the row of a layer.
local function place_of(cfg, layer_index)
  local _, _, of_layers = numbers_of(cfg)
  return of_layers[layer_index]
end

-- The place of a row now; nil and why when it has none any more.
local function find_place(state)
  local rows = config.rows(state.config)
  if rows ~= state.rows then return nil, "belongs to a history that was replaced" end
  if not rows.places then
    rows.places = {}
    for i, id in ipairs(rows.ids) do rows.places[id] = i end
  end
  local at = rows.places[state.id]
  return at, not at and "was removed" or nil
end

local function place(state)
  local at, problem = find_place(state)
  if not at then misuse("this strata.HistoryRow " .. problem) end
  return at
end

local function pointer_to(at, key)
  return "/history/" .. ("%d"):format(at - 1) .. (key and json.part(key) or "")
end

-- The number of a row's layer, if there is such a layer.
local function layer_number(state, at)
  local number = numbers_of(state.config)[at]
  return number and number <= layer_count(state.config, state.layers) and number or nil
end

-- ---- fields ----------------------------------------------------------------

local function field_problem(key, value)
  if value == nil then return nil end
  if key == "created" then
    return not config_schema.is_time(value) and "must be a time like 2006-01-02T15:04:05Z" or nil
  elseif key == "empty_layer" then
    return type(value) ~= "boolean" and "must be a boolean" or nil
  elseif key == "created_by" or key == "author" or key == "comment" then
    return type(value) ~= "string" and "must be a string" or nil
  end
end

-- Rows and layers must not lose each other.
local function empty_problem(state, at, value)
  local number, count = layer_number(state, at), select(2, numbers_of(state.config))
  if value == true and number then
    return ("cannot be set: the row belongs to layer %d, which stays"):format(number)
  elseif value ~= true and not numbers_of(state.config)[at]
      and count >= layer_count(state.config, state.layers) then
    return "cannot be taken back: every layer has its row already"
  end
end

local hooks = {
  fields = {
    position = function(state) return place(state) end,
    layer = function(state)
      local number = layer_number(state, place(state))
      return number and state.layers and state.layers[number] or nil
    end,
  },
  set = {},
}

local function read_field(state, key)
  return state.config:get(pointer_to(place(state), key))
end

local function write_field(state, key, value)
  local at = place(state)
  local problem = field_problem(key, value)
  if not problem and key == "empty_layer" then problem = empty_problem(state, at, value) end
  if not problem and value ~= nil then problem = select(2, json.try_encode(value, "object")) end
  if problem then misuse("history row %d: %s %s", at, key, problem) end
  local pointer = pointer_to(at, key)
  -- null reads as nil, so assigning what was read must leave it alone
  if value == nil and config.document(state.config):type(pointer) == "null" then return end
  local ok, message = state.config:set(pointer, value)
  if not ok then misuse(message) end
end

for _, name in ipairs(FIELDS) do
  hooks.fields[name] = function(state) return read_field(state, name) end
  hooks.set[name] = function(state, value) write_field(state, name, value) end
end

-- Other keys are fields when the row has them.
local function is_key(state, key)
  return type(key) == "string" and config.document(state.config):type(pointer_to(place(state), key)) ~= nil
end

function hooks.index(state, key)
  if not is_key(state, key) then return false end
  return true, read_field(state, key)
end

function hooks.newindex(state, key, value)
  if hooks.fields[key] or not is_key(state, key) then return false end
  write_field(state, key, value)
end

function hooks.tostring(state)
  local at, problem = find_place(state)
  if not at then return "strata.HistoryRow(" .. problem .. ")" end
  local number = layer_number(state, at)
  local by = state.config:get(pointer_to(at, "created_by"))
  return ("strata.HistoryRow(%d, %s, %s)"):format(at, number and "layer " .. number or "no layer",
    json.printable(by or "?", 60))
end

local function remove_at(cfg, at)
  local rows = config.rows(cfg)
  config.document(cfg):remove(pointer_to(at))
  table.remove(config.own_ids(rows), at)
  config.rows_changed(rows, function(empties) table.remove(empties, at) end)
  config.touch(cfg)
end

--- Removes a row that has no layer.
---@return strata.HistoryRow self
function methods:remove()
  local state = state_of(self)
  local at = place(state)
  local number = layer_number(state, at)
  if number then
    misuse("history row %d belongs to layer %d and goes with it: rows without a layer can be removed", at, number)
  end
  remove_at(state.config, at)
  return self
end

new, state_of = object.class("strata.HistoryRow", methods, hooks)

local function row_at(cfg, at, layers)
  local rows = config.rows(cfg)
  return new { config = cfg, rows = rows, id = rows.ids[at], layers = layers }
end

-- ---- the history -----------------------------------------------------------

--- The rows of a history.
---@param cfg strata.Config
---@param layers? strata.Layer[]  as they stand now; looked at whenever a row is
---@return strata.HistoryRow[]
function history.rows(cfg, layers)
  local list = {}
  for at in ipairs(config.rows(cfg).ids) do list[at] = row_at(cfg, at, layers) end
  return list
end

--- The row of a layer, nil when the history has none for it.
---@param cfg strata.Config
---@param layer_index integer
---@param layers? strata.Layer[]
---@return strata.HistoryRow?
function history.layer_row(cfg, layer_index, layers)
  local at = place_of(cfg, layer_index)
  return at and row_at(cfg, at, layers)
end

--- Marks the rows of layers that go away as rows without a layer. Layers may have none.
---@param cfg strata.Config
---@param layers integer[]  their numbers
function history.mark_empty(cfg, layers)
  local _, _, of_layers = numbers_of(cfg)
  local doc, any = config.document(cfg), false
  for _, number in ipairs(layers) do
    job.tick()
    local at = of_layers[number]
    if at then any = assert(doc:set(pointer_to(at, "empty_layer"), "true") ~= nil) end
  end
  if not any then return end
  config.rows_changed(config.rows(cfg))
  config.touch(cfg)
end

-- Puts JSON text in as a row, which may be marked as empty; nil, message, code on failure.
local function insert(cfg, at, text, is_empty)
  local doc, rows = config.document(cfg), config.rows(cfg)
  local ok, message, code
  if doc:type("/history") == "array" then
    ok, message, code = doc:insert(pointer_to(at), text)
  else
    ok, message, code = doc:set("/history", "[" .. text .. "]")
  end
  if ok == nil then return nil, message, code end
  rows.last = rows.last + 1
  table.insert(config.own_ids(rows), at, rows.last)
  config.rows_changed(rows, function(empties) table.insert(empties, at, is_empty == true) end)
  config.touch(cfg)
  return at
end

-- Puts in the row of a layer: layers before it that have none get an empty one.
local function insert_for(cfg, text, layer_index)
  local at = place_of(cfg, layer_index)
  if at then return insert(cfg, at, text) end
  for _ = select(2, numbers_of(cfg)) + 1, layer_index - 1 do
    local ok, message, code = insert(cfg, #config.rows(cfg).ids + 1, "{}")
    if not ok then return nil, message, code end
  end
  return insert(cfg, #config.rows(cfg).ids + 1, text)
end

--- Merges the rows of layers that become one: the last one is its row, the
-- others stay as steps without a layer.
---@param cfg strata.Config
---@param first integer
---@param last integer
function history.merge(cfg, first, last)
  local steps, kept = {}, false
  for number = last, first, -1 do
    if kept then steps[#steps + 1] = number end
    kept = kept or place_of(cfg, number) ~= nil
  end
  history.mark_empty(cfg, steps)
end

--- Removes the rows of layers that go away.
---@param cfg strata.Config
---@param layers integer[]  their numbers, the highest first: then the rows of those below stay where they are
function history.remove(cfg, layers)
  local _, _, of_layers = numbers_of(cfg)
  for _, number in ipairs(layers) do
    job.tick()
    if of_layers[number] then remove_at(cfg, of_layers[number]) end
  end
end

--- Takes the row of a layer along to where that goes.
---@param cfg strata.Config
---@param from integer
---@param to integer
---@return boolean? ok
---@return string? message
---@return string? code
function history.move(cfg, from, to)
  local at, rows = place_of(cfg, from), select(2, numbers_of(cfg))
  local text = "{}"
  if at then
    text = config.document(cfg):raw(pointer_to(at))
    remove_at(cfg, at)
  elseif to > rows then
    return true -- neither had one
  end
  local ok, message, code = insert_for(cfg, text, to)
  if not ok then return nil, message, code end
  return true
end

-- The text of a new row: the fields of the spec in its order, then others.
local function row_text(row)
  local text, names, seen = {}, {}, {}
  for _, key in ipairs(FIELDS) do
    seen[key] = true
    if row[key] ~= nil then names[#names + 1] = key end
  end
  for _, key in ipairs(json.keys(row)) do
    if type(key) ~= "string" then misuse("a history row is a table of names and values") end
    if not seen[key] then names[#names + 1] = key end
  end
  for i, key in ipairs(names) do
    local problem = field_problem(key, row[key])
    local value
    if not problem then value, problem = json.try_encode(row[key]) end
    if problem then misuse(("history row: %s %s"):format(key, problem)) end
    text[i] = json.encode(key) .. ":" .. value
  end
  return "{" .. table.concat(text, ",") .. "}"
end

--- Adds a row, at the end or where the row of a new layer belongs: layers before
-- it that have no row get an empty one, rows without a layer stay behind it.
---@param cfg strata.Config
---@param row table<string, any>
---@param layer_index? integer  of the layer that the row is for
---@return integer? index  of the row
---@return string? message
---@return string? code
function history.append(cfg, row, layer_index)
  local text = row_text(row)
  if layer_index and not row.empty_layer then return insert_for(cfg, text, layer_index) end
  return insert(cfg, #config.rows(cfg).ids + 1, text, row.empty_layer)
end

-- The new text of a row, nil when it stays, and how much was replaced.
local function scrub_row(raw, pattern, replacement)
  local row, total = assert(core.json(raw)), 0
  for _, key in ipairs { "created_by", "comment" } do
    local value = row:get(json.part(key))
    if type(value) == "string" then
      local scrubbed, n = value:gsub(pattern, replacement)
      if scrubbed ~= value then
        local text, message, code = core.json_quote(scrubbed)
        if not text then return nil, nil, message, code end
        assert(row:set(json.part(key), text))
        total = total + n
      end
    end
  end
  return total > 0 and row:text() or nil, total
end

--- Replaces what matches a Lua pattern in created_by and comment of every row.
---@param cfg strata.Config
---@param pattern string
---@param replacement? string|table|function  as for string.gsub; "***"
---@return integer? count  of replacements
---@return string? message
---@return string? code
function history.scrub(cfg, pattern, replacement)
  local doc, total = config.document(cfg), 0
  local message, code
  if doc:type("/history") ~= "array" then return 0 end
  local texts = {}
  local spans, all = doc:spans("/history"), doc:text()
  for i = 1, #spans / 2 do
    local text, n
    text, n, message, code = scrub_row(all:sub(spans[2 * i - 1], spans[2 * i]), pattern,
      replacement or "***")
    if message then return nil, ("history row %d: %s"):format(i, message), code end
    texts[i], total = text or false, total + n
  end
  if total == 0 then return 0 end
  local ok
  ok, message, code = json.edit_elements(doc, "/history", function(_, i) return texts[i] or nil end)
  if ok == nil then return nil, message, code end
  config.touch(cfg)
  return total
end

--- The rows as plain tables, the layer's number of each that has one, by its place, and how many have one.
---@param cfg strata.Config
---@return {list: table[], numbers: table<integer, integer>, count: integer}
function history.read(cfg)
  local doc, numbers, count = config.document(cfg), numbers_of(cfg)
  local list = doc:type("/history") == "array" and json.decode(doc:raw("/history")) or {}
  return { list = list, numbers = numbers, count = count }
end

--- The JSON texts of the rows.
---@param cfg strata.Config
---@return string[]
function history.texts(cfg)
  local doc, list = config.document(cfg), {}
  if doc:type("/history") ~= "array" then return list end
  local spans, all = doc:spans("/history"), doc:text()
  for i = 1, #spans / 2 do list[i] = all:sub(spans[2 * i - 1], spans[2 * i]) end
  return list
end

--- The text of a row as one without a layer.
---@param text string
---@return string
function history.emptied(text)
  local row = assert(core.json(text))
  assert(row:set("/empty_layer", "true"))
  return row:text()
end

-- The text of the history with other rows in front, its white space kept.
local function with_first(doc, count, texts)
  local spans, all = doc:spans("/history"), doc:text()
  local rows, raw = #spans / 2, doc:raw("/history")
  if rows == 0 then return "[" .. table.concat(texts, ",") .. "]" end
  local separator = rows > 1 and all:sub(spans[2] + 1, spans[3] - 1) or ","
  local first = all:sub(1, spans[1] - 1):match("%[(%s*)$") or ""
  local last = raw:match("(%s*)%]$")
  local parts = { table.concat(texts, separator) }
  if rows > count then parts[#parts + 1] = all:sub(spans[2 * count + 1], spans[2 * rows]) end
  if #texts == 0 then table.remove(parts, 1) end
  if #parts == 0 then return "[]" end
  return "[" .. first .. table.concat(parts, separator) .. last .. "]"
end

--- Puts other rows in the place of the first ones.
---@param cfg strata.Config
---@param count integer
---@param texts string[]
---@return boolean? ok
---@return string? message
---@return string? code
function history.replace_first(cfg, count, texts)
  local doc, rows, ids = config.document(cfg), config.rows(cfg), {}
  local ok, message, code = doc:set("/history", with_first(doc, count, texts))
  if ok == nil then return nil, message, code end
  for i = 1, #texts do ids[i] = rows.last + i end
  rows.last = rows.last + #texts
  for i = count + 1, #rows.ids do ids[#ids + 1] = rows.ids[i] end
  rows.ids = ids
  config.rows_changed(rows)
  return true
end

--- Removes the history from the document.
---@param cfg strata.Config
function history.clear(cfg)
  if (config.document(cfg):count("/history") or 0) > 0 then cfg:set("/history", nil) end
end

return history

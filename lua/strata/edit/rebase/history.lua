--- The rows of the history that an image has from its base.

local config = require "strata.config"
local history = require "strata.history"
local json = require "strata.util.json"

local rebase_history = {}

-- The place of the last row that belongs to one of the first `count` layers, 0 when none does.
local function last_of(rows, count)
  for at = #rows.list, 1, -1 do
    local number = rows.numbers[at]
    if number and number <= count then return at end
  end
  return 0
end

local function begins_with(rows, base)
  for at, row in ipairs(base.list) do
    if not json.same(row, rows.list[at]) then return false end
  end
  return true
end

-- How many rows of the image are those of its base.
--
-- Where every layer has a row, the row of the base's last layer says it. Otherwise
-- the image may have taken over a history that is too short or too long, which is
-- known by the rows themselves. Steps behind the base's last layer that made none are
-- the base's while they are the same.
local function count_rows(rows, base, image_layers, base_layers)
  if rows.count ~= image_layers and begins_with(rows, base) then return #base.list end
  local last = last_of(rows, base_layers)
  local from = last_of(base, base_layers)
  while base.list[from + 1] and not base.numbers[from + 1] and not rows.numbers[last + 1] and
    json.same(base.list[from + 1], rows.list[last + 1]) do
    last, from = last + 1, from + 1
  end
  return last
end

-- Rows of the image's own layers must not become those of the base's: each layer of
-- the base gets a row, and rows beyond them become steps without a layer.
local function fit(texts, rows, layers)
  local list = {}
  for at, text in ipairs(texts) do
    local number = rows.numbers[at]
    list[at] = number and number > layers and history.emptied(text) or text
  end
  for _ = rows.count + 1, layers do list[#list + 1] = "{}" end
  return list
end

--- How many rows of an image are those of its base.
---@param cfg strata.Config
---@param count integer  layers of the image
---@param base_count integer  layers of the base
---@param base? strata.Config  nil: not known, so only steps that made a layer of it, and those before them, are its own
---@return integer
function rebase_history.count(cfg, count, base_count, base)
  local rows = history.read(cfg)
  if not base then return last_of(rows, base_count) end
  return count_rows(rows, history.read(base), count, base_count)
end

--- Replaces the rows of the old base by those of the new one.
---@param cfg strata.Config
---@param counts {image: integer, old: integer, new: integer}  layers of each, before
---@param old strata.Config
---@param new strata.Config
---@return boolean? ok
---@return string? message
---@return string? code
function rebase_history.replace(cfg, counts, old, new)
  local rows = history.read(cfg)
  if #rows.list == 0 then return true end
  local gone = count_rows(rows, history.read(old), counts.image, counts.old)
  local own = false
  for at = gone + 1, #rows.list do own = own or rows.numbers[at] ~= nil end
  local texts, new_rows = history.texts(new), history.read(new)
  if own then texts = fit(texts, new_rows, counts.new) end
  if gone == 0 and #texts == 0 then return true end
  config.touch(cfg)
  return history.replace_first(cfg, gone, texts)
end

return rebase_history

--- Where two images differ: in files, config, history and layers.

local core = require "strata.core"
local documents = require "strata.diff.documents"
local files = require "strata.diff.files"
local image = require "strata.image"
local layers = require "strata.diff.layers"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local report = require "strata.diff.report"
local sides = require "strata.diff.sides"
local words = require "strata.diff.words"

local diff = {}

---@class strata.Diff
local methods = {}

--- Iterates over all rows: files, then config, history and layers.
---@return fun(): strata.DiffRow?
function methods:rows()
  local list, at = 1, 0
  return function()
    while words.LISTS[list] do
      at = at + 1
      local row = self[words.LISTS[list][1]][at]
      if row then return row end
      list, at = list + 1, 0
    end
    return nil
  end
end

--- All of it for people.
---@param opts? strata.DiffReportOptions
---@return string
function methods:report(opts)
  options.check("report", "DiffReportOptions", opts)
  opts = opts or {}
  if opts.format == "html" then return report.html(self) end
  return report.text(self, opts.color)
end

local meta = { __index = methods, __tostring = report.text }

-- The edits of an image carried out, so that its layers have diff_ids.
local function settle(state, opts)
  if state.failure then return nil, state.failure[1], state.failure[2] end
  return image.settle(state, { threads = opts.threads, progress = opts.progress })
end

local function compare_files(a, b, opts)
  local left, right, code = sides.of(a.hub.layers, b.hub.layers, opts)
  if left == false then return {} end
  if not left then return nil, right, code end
  local rows, message
  rows, message, code = files.compare(left, right, opts)
  left.tree:close()
  right.tree:close()
  return rows, message, code
end

local function describe(state)
  local store = state.source and state.source.store
  return { name = state.tags[1] or store and not store.spooled and store.path or "<none>",
           id = core.sha256(state.config:text()) }
end

local function compare(a, b, opts)
  local semantic = opts.semantic or false
  local ok, message, code = settle(a, opts)
  if ok then ok, message, code = settle(b, opts) end
  if not ok then return nil, message, code end
  local values
  values, message, code = documents.compare(a, b, semantic)
  if not values then return nil, message, code end
  local rows
  rows, message, code = compare_files(a, b, opts)
  if not rows then return nil, message, code end
  local result = {
    a = describe(a), b = describe(b), semantic = semantic, files = rows, config = values.config,
    history = values.history, layers = semantic and {} or layers.compare(a.hub.layers, b.hub.layers),
  }
  if not semantic and not (result.config[1] or result.history[1] or result.layers[1]) then
    result.config[1] = documents.spelling(a, b)
  end
  return result
end

--- Compares two images.
---@param a strata.Image
---@param b strata.Image
---@param opts? strata.DiffOptions  checked
---@return strata.Diff?
---@return string? message
---@return string? code
function diff.of(a, b, opts)
  local result, message, code = compare(image.given(a, "diff"), image.given(b, "diff"), opts or {})
  if not result then return nil, message, code end
  result.equal = true
  for _, list in ipairs(words.LISTS) do
    local rows = result[list[1]]
    if rows[1] then result.equal = false end
    printed.list(rows, report.line)
  end
  for _, name in ipairs { "a", "b" } do printed.by(result[name], printed.copy) end
  return setmetatable(result, meta)
end

return diff

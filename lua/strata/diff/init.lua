--- Where two images differ: in files, config, history and layers.

local core = require "strata.core"
local documents = require "strata.diff.documents"
local files = require "strata.diff.files"
local image = require "strata.image"
local layers = require "strata.diff.layers"
local misuse = require "strata.util.misuse"
local printed = require "strata.util.printed"
local report = require "strata.diff.report"
local sides = require "strata.diff.sides"
local words = require "strata.diff.words"

local diff = {}

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
  for _, list in ipairs(words.LISTS) do
    for _, row in ipairs(printed.list(result[list[1]], report.line)) do result[#result + 1] = row end
  end
  result.equal = #result == 0
  for _, name in ipairs { "a", "b" } do printed.by(result[name], printed.copy) end
  return printed.by(result, report.text)
end

-- Whether a value is what diff.of gives, or a plain copy of it.
local function is_diff(value)
  if type(value) ~= "table" or type(value.a) ~= "table" or type(value.b) ~= "table" then return false end
  for _, list in ipairs(words.LISTS) do
    if type(value[list[1]]) ~= "table" then return false end
  end
  return true
end

--- What a diff says, for people.
---@param value strata.Diff
---@param opts? strata.DiffReportOptions  checked
---@return string
function diff.report(value, opts)
  if not is_diff(value) then misuse("diff_report: what strata.diff gives is wanted, not %s", type(value)) end
  if opts and opts.format == "html" then return report.html(value) end
  return report.text(value, opts and opts.color)
end

return diff

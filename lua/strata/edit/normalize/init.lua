--- Making an image that is the same whenever it is built: no time is later than an epoch, and nothing tells of the
-- machine that it was built on.

local core = require "strata.core"
local documents = require "strata.edit.normalize.documents"
local entries = require "strata.edit.normalize.entries"
local image = require "strata.image"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge_tar = require "strata.edit.merge_tar"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local order = require "strata.edit.normalize.order"
local parts = require "strata.edit.parts"
local printed = require "strata.util.printed"
local rebase_history = require "strata.edit.rebase.history"
local times = require "strata.document.time"

local function from_environment()
  local text = os.getenv "SOURCE_DATE_EPOCH"
  if not text then
    misuse("normalize: epoch is missing: seconds since 1970, or a time like 2006-01-02T15:04:05Z; SOURCE_DATE_EPOCH is "
      .. "not set either")
  end
  local epoch = text:find("^%d+$") and tonumber(text)
  if not epoch or epoch > times.LAST then
    misuse("normalize: SOURCE_DATE_EPOCH should be seconds since 1970, not %s", core.quote(text))
  end
  return epoch
end

local function epoch_of(given)
  if given == nil then return from_environment() end
  if type(given) == "number" then return given end
  local _, seconds = times.read(given)
  if seconds < 0 then misuse("normalize: epoch should not be before 1970") end
  return seconds
end

-- Sorts the entries of the layers above the base.
local function sort(state, base, counts, opts)
  local states, message, code = layer_list.prepare(state, opts)
  if not states then return nil, message, code end
  local indexes
  indexes, message, code = merge_tar.indexes(states)
  if not indexes then return nil, message, code end
  local replacements = {}
  for i, count in ipairs(counts) do
    local numbers
    numbers, message, code = order.find(states[base + i], indexes[base + i])
    if numbers == nil then return nil, message, code end
    count.sorted = numbers ~= false
    if numbers then replacements[#replacements + 1] = { layer = base + i, lists = { numbers } } end
  end
  if #replacements == 0 then return true end
  return parts.replace(state, indexes, replacements, opts, {})
end

local function run(state, edit, rules, opts)
  local above = opts.above or 0
  local base, message, code = layer_list.count_base(state, above)
  if not base then return nil, message, code end
  local own = {}
  for i = base + 1, #state.layers do own[#own + 1] = state.hub.layers[i] end
  local ok
  ok, message, code = layer.load(own, opts)
  if ok then ok, message, code = edit:keep(own) end
  if not ok then return nil, message, code end
  local report, counts = { epoch = rules.epoch, entries = 0, layers = {} }, {}
  for i, one in ipairs(own) do
    counts[i] = entries.run(one, rules)
    report.entries = report.entries + counts[i].entries
  end
  if opts.sort then ok, message, code = sort(state, base, counts, opts) end
  if not ok then return nil, message, code end
  for _, count in ipairs(counts) do
    if count.entries > 0 or count.sorted then report.layers[#report.layers + 1] = count end
  end
  local rows = base == 0 and 0 or
    rebase_history.count(state.config, #state.layers, base, type(above) ~= "number" and above.config or nil)
  report.config = documents.config(state.config, rules.epoch, rows)
  report.annotations = documents.annotations(state, rules.epoch)
  printed.list(report.layers, printed.normalized_layer)
  return printed.by(report, printed.normalized)
end

--- Makes an image normal: later times become the epoch, and what tells of the machine that built it goes.
---@param opts? strata.NormalizeOptions
---@return strata.NormalizeReport?
---@return string? message
---@return string? code  "EINVAL": the layers of the base are not the lowest ones
function image.methods:normalize(opts)
  options.check("normalize", "NormalizeOptions", opts)
  opts = opts or {}
  local state = image.state_of(self)
  layer_list.check_above(state, opts.above, "normalize")
  local rules = {
    epoch = epoch_of(opts.epoch), owner = opts.owner, numeric_owner = opts.numeric_owner,
    keeps_xattr = entries.kept_xattrs(opts.xattrs),
  }
  return image.edit(state, "normalize", function(edit) return run(state, edit, rules, opts) end)
end

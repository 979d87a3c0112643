--- The entries of a layer in the order of their paths.

local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local parent_of = require("strata.util.path").parent
local parts = require "strata.edit.parts"

local order = {}

-- Strings in the order of the entries: a directory before what is in it, whiteouts before all else in a directory.
local function key_of(entry)
  local path = entry.path == "." and "" or entry.path
  if not (entry.whiteout or entry.opaque) then return "/" .. path end
  local parent, base = path:match("^(.*/)([^/]*)$")
  return "/" .. (parent or "") .. "/" .. (base or path)
end

-- Runtimes differ about a whiteout that stands behind what it names, so that the order must stay.
local function find_late_whiteout(index)
  local seen = {}
  for entry in index:entries() do
    if entry.whiteout and seen[entry.whiteout] then return entry.path end
    local path = entry.whiteout and parent_of(entry.path) or entry.path
    while path and not seen[path] do
      seen[path] = true
      path = parent_of(path)
    end
  end
end

-- The numbers of the entries by their keys; those of one path stay in their order.
local function sorted_numbers(index)
  local numbers, keys, seen = {}, {}, {}
  for entry in index:entries() do
    job.tick()
    local key = key_of(entry):gsub("/", "\0")
    if not numbers[key] then
      numbers[key] = {}
      keys[#keys + 1] = key
    end
    table.insert(numbers[key], entry.position)
    seen[entry.path] = true
  end
  local list = {}
  for _, key in ipairs(json.sort(keys)) do
    for _, number in ipairs(numbers[key]) do list[#list + 1] = number end
  end
  return list, seen
end

-- Puts hardlinks that stand before their files behind them. Those that go round in a circle are last.
local function links_behind_files(index, list, paths)
  local out, done, waiting, left = {}, {}, {}, {}
  local function put(number, path)
    local todo, at = { { number, path } }, 1
    while todo[at] do
      out[#out + 1], path = todo[at][1], todo[at][2]
      done[path], left[todo[at][1]] = true, nil
      for _, link in ipairs(waiting[path] or {}) do todo[#todo + 1] = link end
      waiting[path], at = nil, at + 1
    end
  end
  for _, number in ipairs(list) do
    local entry = index:entry(number)
    local target = entry.type == "hardlink" and core.normalise(entry.linkpath)
    if target and paths[target] and not done[target] and target ~= entry.path then
      waiting[target] = waiting[target] or {}
      table.insert(waiting[target], { number, entry.path })
      left[number] = true
    else
      put(number, entry.path)
    end
  end
  for _, number in ipairs(list) do
    if left[number] then out[#out + 1] = number end
  end
  return out
end

--- Puts the entries of a layer in the order of their paths. The layer stays when they are.
---@param state strata.ImageState  its layers are settled and loaded
---@param i integer  the layer's number
---@param opts strata.WorkOptions
---@return boolean? sorted  false: it was so already
---@return string? message
---@return string? code  "EINVAL": a container would see something else
function order.sort(state, i, opts)
  local one = state.hub.layers[i]
  local index, message, code = parts.index(one)
  if not index then return nil, message, code end
  local list, paths = sorted_numbers(index)
  list = links_behind_files(index, list, paths)
  local whole = {}
  for entry in index:globals() do whole[#whole + 1] = entry.position end
  for _, number in ipairs(list) do whole[#whole + 1] = number end
  local is_sorted = true
  for at, number in ipairs(whole) do is_sorted = is_sorted and at == number end
  if is_sorted then return false end
  local late = find_late_whiteout(index)
  if late then
    return fail("EINVAL", "%s: %s stands behind what it names, and runtimes differ about that", layer.label(one),
      core.quote(late))
  end
  local ok
  ok, message, code = parts.replace(state, i, index, { whole }, opts, {})
  if not ok then return nil, message, code end
  return true
end

return order

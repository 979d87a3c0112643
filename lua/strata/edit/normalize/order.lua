--- The order of the entries of a layer: that of their paths.

local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local parent_of = require("strata.util.path").parent

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
  local seen, any = {}, false
  for entry in index:entries() do any = any or entry.whiteout ~= nil end
  for entry in any and index:entries() or function() end do
    job.tick()
    if entry.whiteout and seen[entry.whiteout] then return entry.path end
    local path = entry.whiteout and parent_of(entry.path) or entry.path
    while path and not seen[path] do
      seen[path] = true
      path = parent_of(path)
    end
  end
end

-- The numbers of the entries in the order of their keys; those of one path stay in their order.
local function sorted_numbers(index)
  local keys = {}
  for entry in index:entries() do
    job.tick()
    local key = key_of(entry):gsub("/", "\0")
    keys[#keys + 1] = key .. "\0\0\0" .. ("%010d"):format(entry.position)
  end
  for i, key in ipairs(json.sort(keys)) do keys[i] = tonumber(key:sub(-10)) end
  return keys
end

-- Puts hardlinks that stand before their files behind them. Those that go round in a circle are last.
local function links_behind_files(index, list)
  local out, done, waiting = {}, {}, {}
  local function put(number)
    local todo, at = { number }, 1
    while todo[at] do
      out[#out + 1], done[todo[at]] = todo[at], true
      for _, link in ipairs(waiting[todo[at]] or {}) do todo[#todo + 1] = link end
      at = at + 1
    end
  end
  for _, number in ipairs(list) do
    local entry = index:entry(number)
    local target = entry.type == "hardlink" and index:find(core.normalise(entry.linkpath))
    if target and not done[target.position] and target.position ~= number then
      waiting[target.position] = waiting[target.position] or {}
      table.insert(waiting[target.position], number)
    elseif waiting[number] then
      put(number)
    else
      out[#out + 1], done[number] = number, true
    end
  end
  for _, number in ipairs(list) do
    if not done[number] then out[#out + 1] = number end
  end
  return out
end

--- The entries of a layer in the order of their paths.
---@param state strata.LayerState
---@param index userdata
---@return integer[]|false|nil numbers  false: they are in order
---@return string? message
---@return string? code  "EINVAL": runtimes would differ about another order
function order.find(state, index)
  local whole, is_sorted = {}, true
  for header in index:globals() do whole[#whole + 1] = header.position end
  for _, number in ipairs(links_behind_files(index, sorted_numbers(index))) do whole[#whole + 1] = number end
  for at, number in ipairs(whole) do is_sorted = is_sorted and at == number end
  if is_sorted then return false end
  local late = find_late_whiteout(index)
  if late then
    return fail("EINVAL", "%s: %s stands behind what it names, and runtimes differ about that", layer.label(state),
      core.quote(late))
  end
  return whole
end

return order

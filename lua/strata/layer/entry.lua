--- What a strata.Entry, a class of the core, does beside reading and writing its fields.

local core = require "strata.core"
local frozen = require "strata.util.frozen"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"

local entry = {}

local mt, fields = core.entry_class()

object.methods["strata.Entry"] = mt.methods

local names = json.keys(mt.methods)
for _, name in ipairs(fields) do names[#names + 1] = name end
json.sort(names)

-- The core calls it for a field that does not exist.
function mt.unknown(key, is_assigned)
  misuse(object.unknown("strata.Entry", key, is_assigned and fields or names, is_assigned and "assign to" or nil))
end

-- Of each entry index the tables that its entries have handed out last: the state that strata.util.frozen wants.
local handed_out = setmetatable({}, { __mode = "k" })

-- The counter of edits that each index has, and of each counter those indexes that have handed out tables.
local counters = setmetatable({}, { __mode = "k" })
local groups = setmetatable({}, { __mode = "k" })

local function note(index)
  local counter = counters[index]
  if not counter then return end
  groups[counter] = groups[counter] or setmetatable({}, { __mode = "k" })
  groups[counter][index] = true
end

local ADVICE = {
  xattrs = "assign a table with all of them",
  pax = "it is there to be read; assign the fields of the entry",
}

local EMPTY = {}
for name, advice in pairs(ADVICE) do EMPTY[name] = frozen.table({}, "entry." .. name, advice) end

-- The core calls it with a table that a field gives, and with nil once the field is assigned.
function mt.hand_out(copy, name, index)
  local state = handed_out[index]
  if state and not copy then return frozen.forget(state, name) end
  if state then frozen.check(state) end
  if not copy or next(copy) == nil then return copy and EMPTY[name] end
  if not state then
    state = {}
    handed_out[index] = state
    note(index)
  end
  return frozen.copy(state, name, copy, "entry." .. name, ADVICE[name])
end

--- Has an index belong to a counter, and no more to the one before.
---@param index userdata  the core's
---@param counter userdata  the core's
function entry.join(index, counter)
  local before = counters[index]
  if before and groups[before] then groups[before][index] = nil end
  counters[index] = counter
  if handed_out[index] then note(index) end
end

--- Throws when a table has been changed that an entry has handed out, of one of the indexes of a counter.
---@param counter userdata
function entry.check_all(counter)
  for index in pairs(groups[counter] or {}) do frozen.check(handed_out[index]) end
end

-- Names and values, in the order of their bytes.
function mt.__pairs(self)
  local i = 0
  return function()
    i = i + 1
    if names[i] then return names[i], self[names[i]] end
  end
end

return entry

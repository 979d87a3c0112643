--- What a strata.Entry, a class of the core, does beside reading and writing its fields.

local core = require "strata.core"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"

local mt, fields, methods = core.entry_class()

local names = {}
for _, name in ipairs(fields) do names[#names + 1] = name end
for _, name in ipairs(methods) do names[#names + 1] = name end
json.sort(names)

-- The core calls it for a field that does not exist.
function mt.unknown(key, is_assigned)
  misuse(object.unknown("strata.Entry", key, is_assigned and fields or names, is_assigned and "assign to" or nil))
end

-- Names and values, in the order of their bytes.
function mt.__pairs(self)
  local i = 0
  return function()
    i = i + 1
    if names[i] then return names[i], self[names[i]] end
  end
end

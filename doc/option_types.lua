--- Writes lua/strata/meta/options.lua: the options that lua/strata/util declares, as LuaCATS classes.
--
-- lua5.4 doc/option_types.lua > lua/strata/meta/options.lua

local limits = require "strata.util.limits"
local options = require "strata.util.options"

local option_types = {}

local function add_class(lines, name, text, extends)
  local parents = {}
  for i, parent in ipairs(extends or {}) do parents[i] = "strata." .. parent end
  lines[#lines + 1] = "\n--- " .. text
  lines[#lines + 1] = ("---@class strata.%s%s%s"):format(name, parents[1] and ": " or "", table.concat(parents, ", "))
end

local function add_field(lines, row)
  local text = options.text(row)
  lines[#lines + 1] = ("---@field %s%s %s%s"):format(row[1], row.required and "" or "?", row[2],
    text ~= "" and "  " .. text or "")
end

local function add_limits(lines, name, text, prefix)
  add_class(lines, name, text)
  for _, limit in ipairs(limits.all) do
    local group, key = limit.name:match("^(.-)([^%.]+)$")
    if group == prefix then
      add_field(lines, { key, "integer", limit.protects:match(": (.*)$"),
                         default = ("%.0f %s"):format(limit.default, limit.unit) })
    end
  end
end

--- The text of the file.
---@return string
function option_types.text()
  local lines = { "---@meta _", "", "--- Written by doc/option_types.lua from lua/strata/util/option_table.lua." }
  for _, class in ipairs(options.classes) do
    add_class(lines, class[1], class[2], class.extends)
    for i = 3, #class do add_field(lines, class[i]) end
  end
  add_limits(lines, "Limits", 'How much of an image is taken before it is refused with "ELIMIT"; math.huge: all.', "")
  lines[#lines + 1] = "---@field json? strata.JsonLimits"
  add_limits(lines, "JsonLimits", "How large one JSON document of an image may be.", "json.")
  return table.concat(lines, "\n") .. "\n"
end

if not ... then io.write(option_types.text()) end

return option_types

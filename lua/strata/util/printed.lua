--- Results that say what is in them when they are printed. They stay plain tables.

local core = require "strata.core"
local json = require "strata.util.json"

local printed = {}

--- Makes a table print itself.
---@generic T: table
---@param result T
---@param describe fun(result: T): string
---@return T
function printed.by(result, describe)
  return setmetatable(result, { __tostring = describe })
end

local function short(digest)
  return digest and digest:sub(1, 19) or "?"
end

--- What a save has written, or would write: a line for it and one for each layer.
---@param result strata.SaveResult
---@return string
function printed.save(result)
  local moved = result.uploaded and ("%d uploaded, %d mounted, %d there already, "):format(result.uploaded,
    result.mounted, result.skipped) or ""
  local lines = { ("%s%s, %s%s, %s"):format(result.path and result.path .. ": " or "", result.format, moved,
    result.size and core.human_size(result.size) or "not written yet",
    result.id and "image " .. short(result.id) or "index " .. short(result.digest)) }
  for i, one in ipairs(result.layers) do
    lines[#lines + 1] = ("  layer %d: %s, %s, %s, %s"):format(i, one.action, one.compression,
      one.size and core.human_size(one.size) or "size not known yet", short(one.digest or one.diff_id))
  end
  return table.concat(lines, "\n")
end

--- The bytes that nobody sees.
---@param waste strata.Waste
---@return string
function printed.waste(waste)
  local lines = { core.human_size(waste.total) .. " wasted" }
  for i, bytes in ipairs(waste.layers) do
    lines[#lines + 1] = ("  layer %d: %s"):format(i, core.human_size(bytes))
  end
  return table.concat(lines, "\n")
end

--- What was removed, a line each.
---@param list strata.Removed[]
---@return string
function printed.removed(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = ("layer %d: %s %s"):format(one.layer, one.type, core.quote(one.path)) end
  return table.concat(lines, "\n")
end

--- A list or a table of names and values: a line for each object, else one line.
---@param value table
---@return string
function printed.copy(value)
  local parts, count = {}, #value
  for i = 1, count do parts[i] = tostring(value[i]) end
  if count > 0 then return type(value[1]) == "userdata" and table.concat(parts, "\n") or table.concat(parts, ", ") end
  for _, name in ipairs(json.keys(value)) do
    parts[#parts + 1] = ("%s=%s"):format(tostring(name), tostring(value[name]))
  end
  return table.concat(parts, ", ")
end

return printed

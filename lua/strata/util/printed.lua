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
  local lines = { ("%s%s, %s, image %s"):format(result.path and result.path .. ": " or "", result.format,
    result.size and core.human_size(result.size) or "not written yet", short(result.id)) }
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

--- Names of any origin, in one line.
---@param list string[]
---@return string
function printed.names(list)
  local names = {}
  for i, name in ipairs(list) do names[i] = json.printable(name, 200) end
  return table.concat(names, ", ")
end

--- What a purge has removed, and what is left elsewhere.
---@param report strata.PurgeReport
---@return string
function printed.purge(report)
  local lines = {}
  if #report.removed > 0 then lines[1] = printed.removed(report.removed) end
  if report.whiteouts > 0 then lines[#lines + 1] = ("whiteouts: %d"):format(report.whiteouts) end
  if report.history > 0 then lines[#lines + 1] = ("history: %d"):format(report.history) end
  for _, name in ipairs { "env", "labels", "annotations" } do
    if #report[name] > 0 then lines[#lines + 1] = ("%s: %s"):format(name, printed.names(report[name])) end
  end
  for _, line in ipairs(report.missed or {}) do lines[#lines + 1] = "missed: " .. line end
  for _, line in ipairs(report.left or {}) do lines[#lines + 1] = "left: " .. line end
  return table.concat(lines, "\n")
end

-- A value in a line; a table in it is told in braces.
local function text_of(value)
  local has_own = type(value) ~= "table" or (getmetatable(value) or {}).__tostring
  return has_own and tostring(value) or "{" .. printed.copy(value) .. "}"
end

--- A list or a table of names and values: a line for each object, else one line.
---@param value table
---@return string
function printed.copy(value)
  local parts, count = {}, #value
  for i = 1, count do parts[i] = text_of(value[i]) end
  if count > 0 then return type(value[1]) == "userdata" and table.concat(parts, "\n") or table.concat(parts, ", ") end
  for _, name in ipairs(json.keys(value)) do
    parts[#parts + 1] = ("%s=%s"):format(tostring(name), text_of(value[name]))
  end
  return table.concat(parts, ", ")
end

--- A list, a line for each item.
---@param list any[]
---@return string
function printed.lines(list)
  local lines = {}
  for i, item in ipairs(list) do lines[i] = type(item) == "table" and printed.copy(item) or tostring(item) end
  return table.concat(lines, "\n")
end

--- What breaks the rules of a policy.
---@param findings strata.PolicyFinding[]
---@return string
function printed.findings(findings)
  local lines = {}
  for i, one in ipairs(findings) do lines[i] = ("%s: %s"):format(one.rule, one.message) end
  return table.concat(lines, "\n")
end

--- A document, as JSON.
---@param value table
---@return string
function printed.document(value)
  return json.try_encode(value) or printed.copy(value)
end

return printed

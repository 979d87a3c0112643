--- The findings of a check: an array of findings that prints as lines.

local core = require "strata.core"

local report = {}

-- Findings of one kind in one place that are told one by one; the rest is counted.
local MAX_ALIKE = 1000

--- One finding. tostring gives a line.
---@class strata.Finding
local Finding = {}
Finding.__index = Finding

function Finding:__tostring()
  local place = self.where
  if self.entry then place = ("%s, entry %d"):format(place, self.entry) end
  if self.offset then place = ("%s at 0x%x"):format(place, self.offset) end
  local path = self.path and core.quote(self.path) .. ": " or ""
  return ("%s: %s: %s%s [%s]"):format(self.severity, place, path, self.message, self.code)
end

---@class strata.Report
local Report = {}

function Report.__tostring(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = tostring(one) end
  return table.concat(lines, "\n")
end

---@class strata.ReportMaker
---@field list strata.Report
---@field where string  of what is added
---@field counts table<string, integer>  by place and code
local Maker = {}
Maker.__index = Maker

--- An empty report.
---@return strata.ReportMaker
function report.new()
  return setmetatable({ list = setmetatable({}, Report), counts = {}, order = {} }, Maker)
end

--- Sets the place of the findings that are added from now on.
---@param where string
---@return strata.ReportMaker self
function Maker:at(where)
  self.where = where
  return self
end

--- Adds a finding.
---@param severity "error"|"warning"|"note"
---@param code string
---@param message string
---@param place? {path: string?, entry: integer?, offset: integer?}
function Maker:add(severity, code, message, place)
  local kind = self.where .. "\0" .. code .. "\0" .. severity
  local count = (self.counts[kind] or 0) + 1
  self.counts[kind] = count
  if count > MAX_ALIKE then
    if count == MAX_ALIKE + 1 then
      self.order[#self.order + 1] = { kind = kind, where = self.where, code = code, severity = severity }
    end
    return
  end
  place = place or {}
  self.list[#self.list + 1] = setmetatable({
    severity = severity, code = code, where = self.where, message = message,
    path = place.path, entry = place.entry, offset = place.offset,
  }, Finding)
end

--- The report.
---@return strata.Report
function Maker:finish()
  for _, one in ipairs(self.order) do
    self.list[#self.list + 1] = setmetatable({
      severity = one.severity, code = one.code, where = one.where,
      message = ("there are %d more of these"):format(self.counts[one.kind] - MAX_ALIKE),
    }, Finding)
  end
  self.order = {}
  return self.list
end

--- The first error of a report, as a message; nil when it has none.
---@param list strata.Report
---@return string?
function report.first_error(list)
  for _, one in ipairs(list) do
    if one.severity == "error" then return (tostring(one):gsub("^error: ", "")) end
  end
  return nil
end

return report

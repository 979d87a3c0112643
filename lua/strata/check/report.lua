--- The findings of a check: an array of findings that prints as lines.

local core = require "strata.core"

local report = {}

-- Findings of one kind in one place that are told one by one; the rest is counted.
local MAX_ALIKE = 1000

local RANKS = { error = 1, warning = 2, note = 3 }

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
  if #list == 0 then return "none" end
  local lines = {}
  for i, one in ipairs(list) do lines[i] = tostring(one) end
  return table.concat(lines, "\n")
end

---@class strata.ReportMaker
---@field list strata.Report
---@field where string  of what is added
---@field layer integer?  the layer that this is
---@field rank integer  of the least severity that is told
---@field only table<string, any>?  the codes that are told, each finding of them; nil: all
---@field details table<strata.Finding, table>  with `only`: what was said of the place of each
---@field counts table<string, integer>  by place and code
local Maker = {}
Maker.__index = Maker

--- An empty report.
---@param severity? "error"|"warning"|"note"  the least that is told. Default: note
---@param only? table<string, any>
---@return strata.ReportMaker
function report.new(severity, only)
  return setmetatable({
    list = setmetatable({}, Report), counts = {}, order = {}, rank = RANKS[severity or "note"], only = only,
    details = {},
  }, Maker)
end

--- Sets the place of the findings that are added from now on.
---@param where string
---@param layer? integer  its number
---@return strata.ReportMaker self
function Maker:at(where, layer)
  self.where, self.layer = where, layer
  return self
end

--- Adds a finding.
---@param severity "error"|"warning"|"note"
---@param code string
---@param message string
---@param place? {path: string?, entry: integer?, offset: integer?, about: string?, guess: string?}  about: another path
---  that the message names; guess: why it cannot be mended, where others of its code can
function Maker:add(severity, code, message, place)
  if RANKS[severity] > self.rank or self.only and not self.only[code] then return end
  local kind = self.where .. "\0" .. code .. "\0" .. severity
  local count = (self.counts[kind] or 0) + 1
  self.counts[kind] = count
  if count > MAX_ALIKE and not self.only then
    if count == MAX_ALIKE + 1 then
      self.order[#self.order + 1] = {
        kind = kind, where = self.where, layer = self.layer, code = code, severity = severity,
      }
    end
    return
  end
  place = place or {}
  local found = setmetatable({
    severity = severity, code = code, where = self.where, layer = self.layer, message = message,
    path = place.path, entry = place.entry, offset = place.offset,
  }, Finding)
  self.list[#self.list + 1] = found
  if self.only then self.details[found] = place end
end

--- The report.
---@return strata.Report
function Maker:finish()
  for _, one in ipairs(self.order) do
    self.list[#self.list + 1] = setmetatable({
      severity = one.severity, code = one.code, where = one.where, layer = one.layer,
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

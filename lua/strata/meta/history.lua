---@meta _

--- A row of an image's history, one step of its build. Fields read and assign, nil deletes; throws when the row has
--- been removed. Keys that are not listed here can be read and assigned as well.
---@class strata.HistoryRow: userdata
---@field created string?  a time of RFC 3339
---@field created_by string?
---@field author string?
---@field comment string?
---@field empty_layer boolean?
---@field layer strata.Layer?  what the step made; not to be assigned
---@field position integer  place in the history, from 1; not to be assigned
local HistoryRow = {}

--- Removes the row; throws when it belongs to a layer. The row is of no use afterwards.
---```lua
---row.comment = "reviewed"
---img.config.history = { { created_by = "ENV A=1", empty_layer = true } }
---img:history()[1]:remove()
---```
---@return strata.HistoryRow self
function HistoryRow:remove() end

---@meta strata.waste

--- The bytes that an image carries and no container sees; `img:waste()` gives the same.
---@class strata.waste
local waste = {}

--- What is wasted by each of some layers, the base first; a file with several names counts once.
---@param layers strata.Layer[]
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return strata.errcode? code
function waste.of(layers, opts) end

--- Bytes that no container sees.
---@class strata.Waste
---@field total integer  bytes of content
---@field layers integer[]  the same by layer

return waste

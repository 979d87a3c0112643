---@meta strata.waste

--- The bytes that an image carries and no container sees; `img:waste()` gives the same.
---@class strata.waste
local waste = {}

--- What is wasted by each of some layers, the base first, and by which files; a file with several names counts once.
---```lua
---local waste = require "strata.waste"
---print(assert(waste.of { img.layers[2], img.layers[3] }).total)  --> 3013
---```
---@param layers strata.Layer[]
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function waste.of(layers, opts) end

--- Bytes that no container sees.
---@class strata.Waste
---@field total integer  bytes of content
---@field layers integer[]  the same by layer
---@field paths strata.WastedFile[]  the files that these are of, those with the most bytes first
---@field efficiency number  the score that dive gives, 0 to 1; deleted directories and opaque markers cost nothing in it
---@field repeated strata.RepeatedPath[]  the paths that lower the score, as dive lists them

--- A file that no container sees: one entry of one layer.
---@class strata.WastedFile
---@field path string
---@field layer integer  that has it
---@field bytes integer
---@field why strata.PathAction?  what has been done to the path, the file's own of several; nil with `why = false`
---@field by integer?  the layer that has done it; the same one where a layer has the path twice

--- A path that several entries and whiteouts are of, over all layers.
---@class strata.RepeatedPath
---@field path string
---@field count integer  of these
---@field bytes integer  of them all

return waste

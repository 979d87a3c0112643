---@meta _

--- What an image runs on; tostring() gives "linux/arm64/v8".
---@class strata.Platform: userdata
---@field os string
---@field architecture string
---@field variant string?

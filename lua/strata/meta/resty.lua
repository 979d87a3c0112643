---@meta strata.resty

--- Image jobs inside nginx: off the event loop, a bounded number at a time. Loads only where nginx runs Lua.
---@class strata.resty
local resty = {}

--- Makes the gate before a thread pool; once for each worker process, in init_worker_by_lua. Throws what is no option.
---@param opts strata.RestyOptions
---@return strata.Resty
function resty.new(opts) end

return resty

---@meta strata.resty

--- Image jobs inside nginx: off the event loop, a bounded number at a time. Loads only where nginx runs Lua.
---@class strata.resty
local resty = {}

--- Makes the gate before a thread pool; once for each worker process, in init_worker_by_lua. An unknown option
--- throws. With `shared`, a client that goes away cancels its jobs. In the phase in which a body is read nginx may not
--- see that it goes, so that access_by_lua reads the body, and content_by_lua runs the jobs.
---```lua
----- thread_pool surgery threads=2; lua_shared_dict surgery 1m; lua_check_client_abort on;
----- init_worker_by_lua_block:
---surgery = require("strata.resty").new { pool = "surgery", threads = 2, shared = "surgery" }
---```
---@param opts strata.RestyOptions
---@return strata.Resty
function resty.new(opts) end

return resty

---@meta strata.resty

--- Image jobs inside nginx: off the event loop, a bounded number at a time. Loads only where nginx runs Lua.
---@class strata.resty
local resty = {}

--- Makes the gate before a thread pool; once for each worker process, in init_worker_by_lua. An unknown option
--- throws. A client that goes away cancels its jobs, unless its body was read in the same phase: nginx may not see it then.
--- So bodies are read in access_by_lua, and jobs run in content_by_lua.
---```lua
----- thread_pool surgery threads=2; lua_shared_dict surgery 1m; lua_check_client_abort on;
----- init_worker_by_lua_block:
---surgery = require("strata.resty").new { pool = "surgery", threads = 2, shared = "surgery" }
---```
---@param opts strata.RestyOptions
---@return strata.Resty
function resty.new(opts) end

return resty

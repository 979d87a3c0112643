---@meta _

--- The gate before a thread pool of nginx; strata.resty.new makes it.
---@class strata.Resty
local Resty = {}

--- Runs a job of strata.jobs and waits for it, while nginx goes on with other requests. "EBUSY": answer 503.
---```lua
----- content_by_lua_block:
---local facts, message, code = surgery:run("inspect", { path = "app.tar" }, { deadline = 60 })
---ngx.say(facts and facts.id or message, code)
---```
---@param name strata.JobName
---@param args table
---@param opts? strata.RunOptions
---@return table? result
---@return string? message
---@return strata.errcode? code  "EBUSY": too many jobs wait; "ETIMEDOUT": the deadline has passed; "ECANCELED": the client has gone; those of the job
function Resty:run(name, args, opts) end

--- Loads what jobs need into as many Lua states as there are threads, so that no request waits for it. For
--- init_worker_by_lua.
---```lua
----- init_worker_by_lua_block:
---surgery:warm()
---```
function Resty:warm() end

--- Whether the client of this request has gone. A job may have ended well nevertheless: then it is for the caller to
--- remove what it made.
---```lua
----- content_by_lua_block:
---local to = surgery:temp ".tar"
---surgery:run("edit", { path = "app.tar", to = to, edit = { remove = "usr/share/doc" } })
---if surgery:abandoned() then os.remove(to) end
---```
---@return boolean
function Resty:abandoned() end

--- Cancels the jobs of this request.
---```lua
----- content_by_lua_block, when the answer is not wanted any more:
---surgery:cancel()
---```
function Resty:cancel() end

--- A path for a temporary file, which nobody else has. It is for the caller to remove; what a process leaves that ends
--- is removed when another one starts.
---```lua
----- content_by_lua_block:
---local path = surgery:temp ".tar"
---```
---@param suffix? string  ".tar"
---@return string
function Resty:temp(suffix) end

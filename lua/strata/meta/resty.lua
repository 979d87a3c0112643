---@meta strata.resty

--- Image jobs inside nginx: off the event loop, a bounded number at a time. Loads only where nginx runs Lua.
---@class strata.resty
local resty = {}

--- Makes the gate before a thread pool; once for each worker process, in init_worker_by_lua. Throws what is no option.
---@param opts strata.RestyOptions
---@return strata.Resty
function resty.new(opts) end

--- What the gate is made with.
---@class strata.RestyOptions
---@field pool string  of nginx's thread_pool directive
---@field threads integer  of that pool; each worker process has so many
---@field job_threads? integer  that one job may use besides, to leave CPUs to requests. Default 1
---@field queue? integer  jobs that may wait in one worker process; more are refused: "EBUSY". Default 32
---@field wait? number  seconds that a job may wait for a thread: "EBUSY". Default 10
---@field deadline? number  seconds that a job may take, waiting included: "ETIMEDOUT". Default 300
---@field shared? string  name of a lua_shared_dict, by which jobs are canceled
---@field temp_dir? string  for the files of temp(). Default /tmp

--- How a job is run.
---@class strata.RunOptions
---@field deadline? number  seconds. Default: that of the gate
---@field detached? boolean  goes on when the client has gone. Default false

return resty

--- Running the core's threaded jobs to their end.

local limits = require "strata.limits"

local work = {}

local POLL_SECONDS = 0.05

--- Runs a job and waits for it, polling, so that a progress function can be
-- called and an error (Ctrl-C, a throwing progress function) ends it.
---@param job userdata  a core job with its tasks added
---@param opts? {threads?: integer, progress?: fun(done: integer, total: integer, what: string), wait?: fun()}
--   wait: called again and again until the job has ended, instead of blocking; it may yield
---@param what? string  what is being done, for the progress: "hashing", "writing" ...
---@return boolean? ok
---@return string? message
---@return string? code
function work.run(job, opts, what)
  opts = opts or {}
  local ok, message, code = job:start(opts.threads)
  if not ok then return nil, message, code end
  local progress, wait = opts.progress, opts.wait
  local function report()
    local done, total = job:progress()
    if total > 0 then progress(done, total, what or "reading") end
  end
  while not job:wait(wait and 0 or progress and POLL_SECONDS or 0.5) do
    if wait then wait() end
    if progress then
      -- A job that is left behind here is canceled by close or the collector.
      local called, thrown = pcall(report)
      if not called then
        job:close()
        error(thrown, 0)
      end
    end
  end
  if progress then report() end
  return job:result()
end

--- Adds limits to a task.
---@param given table?  of the image
---@param task table
---@return table task
function work.limited(given, task)
  return limits.add(given, task)
end

return work

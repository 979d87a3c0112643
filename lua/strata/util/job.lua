--- Running the core's threaded jobs to their end.

local core = require "strata.core"
local limits = require "strata.util.limits"

local job = {}

local POLL_SECONDS = 0.05

-- See job.on_wait.
local hook

-- How many threads a job has when nobody says; nil: one per CPU.
local default_threads

-- See job.on_progress.
local default_progress

--- Has a function called with the progress of jobs that have none of their own, in all that this Lua state does from
-- now on. nil: none.
---@param fn? fun(done: integer, total: integer, what: string)
---@return function? before
function job.on_progress(fn)
  local before = default_progress
  default_progress = fn
  return before
end

--- The function of on_progress: for the option `progress` of work that also goes on in Lua.
---@return function?
function job.progress()
  return default_progress
end

--- Has jobs run on so many threads from now on, in all that this Lua state does.
---@param count? integer  nil: one per CPU
---@return integer? before
function job.set_threads(count)
  local before = default_threads
  default_threads = count
  return before
end

--- Has a function called before threads start, and now and then while they are waited for, in all that
-- this Lua state does from now on. An error that it throws cancels the work and
-- is thrown again. nil: none.
---@param fn? fun()
---@return fun()? before
function job.on_wait(fn)
  local before = hook
  hook = fn
  return before
end

--- Calls the function of on_wait: for work that goes on in Lua.
function job.poll()
  if hook then hook() end
end

-- Rounds of a loop over entries from one call to the next.
local ROUNDS = 5000
local rounds = 0

--- Calls it once in many rounds: for every round of a loop over entries.
function job.tick()
  rounds = rounds + 1
  if hook and rounds % ROUNDS == 0 then hook() end
end

--- Runs a job and waits for it, polling, so that a progress function can be
-- called and an error (Ctrl-C, a throwing progress function) ends it.
---@param tasks userdata  a core job with its tasks added
---@param opts? {threads?: integer, progress?: fun(done: integer, total: integer, what: string), wait?: fun()}
--   wait: called again and again until the job has ended, instead of blocking; it may yield
---@param what? string  what is being done, for the progress: "hashing", "writing" ...
---@return boolean? ok
---@return string? message
---@return string? code
function job.run(tasks, opts, what)
  opts = opts or {}
  if hook then hook() end
  local ok, message, code = tasks:start(opts.threads or default_threads)
  if not ok then return nil, message, code end
  local progress, wait = opts.progress or default_progress, opts.wait
  -- Work that moves no bytes, such as asking a registry, is told as 0 of 1 while it is waited for.
  local function report(waiting)
    local done, total = tasks:progress()
    if hook then hook() end
    if progress and (total > 0 or waiting) then progress(done, math.max(total, 1), what or "reading") end
  end
  while not tasks:wait(wait and 0 or (progress or hook) and POLL_SECONDS or 0.5) do
    if wait then wait() end
    if progress or hook then
      -- A job that is left behind here is canceled by close or the collector.
      local called, thrown = pcall(report, true)
      if not called then
        tasks:close()
        error(thrown, 0)
      end
    end
  end
  if progress then report() end
  return tasks:result()
end

--- A range of a file, how it is compressed, and its digests: those that are given are compared.
---@class strata.Blob
---@field file userdata
---@field offset integer
---@field size integer
---@field compression "none"|"gzip"|"zstd"
---@field digest string?
---@field diff_id string?

--- Writes blobs in other compressions, all at the same time.
---@param list {label: string, blob: strata.Blob, as: string, level: integer?, to: userdata?}[]  to: the file to write;
---  without it an unnamed temporary one
---@param how {limits: strata.Limits?, temp_dir: string?, threads: integer?, progress: function?}
---@param what string  for the progress
---@return strata.Blob[]? written
---@return string? message
---@return string? code
function job.recode(list, how, what)
  local tasks, files, made = core.job(), {}, {}
  local ok, message, code = true, nil, nil
  for i, one in ipairs(list) do
    local blob = one.blob
    files[i] = one.to
    if not one.to then files[i], message, code = core.temp_file(how.temp_dir) end
    ok = ok and files[i]
    if not ok then break end
    local task = {
      label = one.label, file = blob.file, offset = blob.offset, size = blob.size, compression = blob.compression,
      digest = blob.digest, diff_id = blob.diff_id, to = files[i], as = one.as, level = one.level,
    }
    tasks:recode(how.limits and limits.add(how.limits, task) or task)
  end
  if ok then ok, message, code = job.run(tasks, how, what) end
  for i, file in ipairs(files) do
    if ok then
      local done = tasks:task(i)
      made[i] = { file = file, offset = 0, size = done.size, compression = list[i].as, digest = done.digest,
                  diff_id = done.diff_id }
    elseif file ~= list[i].to then
      file:close()
    end
  end
  tasks:close()
  if not ok then return nil, message, code end
  return made
end

return job

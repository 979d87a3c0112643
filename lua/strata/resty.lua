--- Image jobs inside nginx: off the event loop, a bounded number at a time.
--
--   init_worker_by_lua:  surgery = require("strata.resty").new { pool = "surgery", threads = 2 }
--   content_by_lua:      local facts, message, code = surgery:run("inspect", { path = path })
--
-- Jobs (strata.jobs) run by ngx.run_worker_thread, which has traps that are dealt
-- with here: a thread pool whose queue is full kills the worker, so that a
-- semaphore stands before it; a request that waits for a thread is dropped by a
-- reload, so that a timer goes on meanwhile; a table thrown in the thread is
-- lost, so that errors are values.

local core = require "strata.core"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local semaphore = require "ngx.semaphore"

local resty = {}

---@class strata.Resty
local methods = {}
methods.__index = methods

-- ---- running ------------------------------------------------------------------------

-- The number of a job of this process.
local serial = 0

local function next_key()
  serial = serial + 1
  return ("strata:%d:%d"):format(ngx.worker.pid(), serial)
end

-- Takes a thread's place; nil and why when there is none in time.
local function enter(self, seconds)
  if -self.gate:count() >= self.queue then return nil, "too many jobs are waiting", "EBUSY" end
  if not self.gate:wait(seconds) then return nil, "no thread was free in time", "EBUSY" end
  return true
end

-- In a thread of nginx's; everything comes back as values.
local function call(self, name, args, control)
  local ok, result, message, code = ngx.run_worker_thread(self.pool, "strata.jobs", "run", name, args, control)
  if not ok then return nil, tostring(result), "EIO" end
  return result, message, code
end

-- What the request waits for. It is done by a timer's handler, which ends also
-- when the request does not, and gives the place back.
local function perform(premature, self, box)
  if not premature then
    local ok, result, message, code = pcall(call, self, box.name, box.args, box.control)
    if ok then
      box.result, box.message, box.code = result, message, code
    else
      box.message, box.code = tostring(result), "EIO"
    end
  else
    box.message, box.code = "the worker process is ending", "EBUSY"
  end
  if self.dict then self.dict:delete(box.control.key) end
  if self.dict and box.control.progress then self.dict:delete(box.control.progress) end
  if box.left and box.result and box.args.to then os.remove(box.args.to) end
  self.gate:post(1)
  box.done:post(1)
end

-- A worker process that is ending starts no timers any more: then the job is run
-- here, beside a thread that keeps the process until it has ended.
local function perform_here(self, box)
  local keeper = ngx.thread.spawn(function()
    while true do ngx.sleep(60) end
  end)
  perform(false, self, box)
  ngx.thread.kill(keeper)
end

-- Once for each request that may be given up by its client.
local function watch_client(self, key)
  if not self.dict then return end
  local keys = ngx.ctx.strata_jobs
  if keys then
    keys[#keys + 1] = key
    return
  end
  keys = { key }
  local dict = self.dict
  -- Fails where lua_check_client_abort is off: then the job just goes on.
  local ok = pcall(ngx.on_abort, function()
    keys.abandoned = true
    for _, one in ipairs(keys) do dict:set(one, "the client has gone", 600) end
  end)
  if ok then ngx.ctx.strata_jobs = keys end
end

-- What the keys of progress begin with.
local PROGRESS = "strata:progress:"

--- Runs a job of strata.jobs and waits for it, while nginx goes on with other requests.
---@param name strata.JobName
---@param args table
---@param opts? strata.RunOptions
---@return table? result
---@return string? message
---@return string? code  "EBUSY": answer 503; "ETIMEDOUT", "ECANCELED", and those of strata
function methods:run(name, args, opts)
  options.check("run", "RunOptions", opts)
  opts = opts or {}
  local seconds = opts.deadline or self.deadline
  local deadline = core.monotonic() + seconds
  local ok, message, code = enter(self, math.min(self.wait, seconds))
  if not ok then return nil, message, code end
  local box = {
    name = name, args = args, done = semaphore.new(0),
    control = { deadline = deadline, shared = self.shared, key = next_key(), threads = self.job_threads,
                progress = opts.progress and PROGRESS .. opts.progress },
  }
  if not opts.detached then watch_client(self, box.control.key) end
  if not ngx.timer.at(0, perform, self, box) then perform_here(self, box) end
  -- The job itself looks at the deadline; a thread that hangs does not hold the request.
  if not box.done:wait(math.max(deadline - core.monotonic(), 0) + 5) then
    if self.dict then self.dict:set(box.control.key, "the deadline has passed", 600) end
    box.left = true -- what it makes yet is nobody's
    return nil, "the deadline has passed", "ETIMEDOUT"
  end
  return box.result, box.message, box.code
end

--- Loads what jobs need into as many Lua states as there are threads, which nginx does
-- in the event loop: at the start, so that no request waits for it. For init_worker_by_lua.
function methods:warm()
  local function load(premature)
    if not premature then self:run("nothing", {}, { detached = true }) end
  end
  for _ = 1, self.threads do ngx.timer.at(0, load) end
end

--- Whether the client of this request has gone. A job may have ended well nevertheless,
-- when it did before it was canceled: then it is for the caller to remove what it made.
---@return boolean
function methods:abandoned() -- luacheck: no self
  local keys = ngx.ctx.strata_jobs
  return keys ~= nil and keys.abandoned == true
end

--- How far the job is that was run with a name as its option `progress`; in any worker process.
---@param name string
---@return {what: string, done: integer, total: integer}?  nil: there is none, or it has told nothing yet
function methods:progress(name)
  local text = self.dict and self.dict:get(PROGRESS .. name)
  local what, done, total = (text or ""):match("^(.*) (%d+) (%d+)$")
  return what and { what = what, done = tonumber(done), total = tonumber(total) } or nil
end

--- Cancels the jobs of this request.
function methods:cancel()
  for _, key in ipairs(self.dict and ngx.ctx.strata_jobs or {}) do self.dict:set(key, "canceled", 600) end
end

-- ---- temporary files -----------------------------------------------------------------

--- A path for a temporary file, which nobody else has. It is for the caller to
-- remove; what a process leaves that ends is removed when another one starts.
---@param suffix? string  ".tar"
---@return string
function methods:temp(suffix)
  serial = serial + 1
  return ("%s/strata-%d-%s-%d%s"):format(self.temp_dir, ngx.worker.pid(), self.birth, serial, suffix or "")
end

-- Files of processes that are no more.
local function remove_stale(directory)
  local dir = core.open_dir(directory)
  if not dir then return end
  for _, name in ipairs(dir:list(".") or {}) do
    local pid = name:match("^strata%-(%d+)%-%x+%-%d+")
    if pid and not core.identity("/proc/" .. pid) then os.remove(directory .. "/" .. name) end
  end
  dir:close()
end

--- Makes the gate before a thread pool; once for each worker process.
---@param opts strata.RestyOptions
---@return strata.Resty
function resty.new(opts)
  options.check("strata.resty", "RestyOptions", opts)
  local dict = opts.shared and ngx.shared[opts.shared]
  if opts.shared and not dict then misuse("strata.resty: there is no lua_shared_dict %s", opts.shared) end
  local self = setmetatable({
    pool = opts.pool, threads = opts.threads, job_threads = opts.job_threads or 1,
    queue = opts.queue or 32, wait = opts.wait or 10, deadline = opts.deadline or 300,
    shared = opts.shared, dict = dict, temp_dir = opts.temp_dir or "/tmp",
    gate = semaphore.new(opts.threads), birth = ("%x"):format(ngx.now() * 1000 % 0x7fffffff),
  }, methods)
  remove_stale(self.temp_dir)
  return self
end

return resty

--- A job that this worker has for some time: as long as it is heard of.
--
-- While the job runs, `tick` is called again and again: by strata, while it works or waits for a registry, and by Lua,
-- once in so many instructions of a script. It tells the queue that the worker is alive, and ends the job
-- when the worker has to stop, or when the job is not its own any more.

local socket = require "socket"
local strata = require "strata"

local lease = {}

local INSTRUCTIONS = 1000000
local FIRST = 1 -- seconds: the queue hears of a shorter job when it is done, and not before
local AGAIN = 1 -- seconds before Redis is asked again that did not answer

---@class fleet.Lease
---@field ended "stop"|"lost"|nil  why the job was given up
local Lease = {}
Lease.__index = Lease

--- A lease that begins now.
---@param jobs fleet.Queue
---@param task fleet.Task
---@param seconds number
---@param must_stop fun(seconds: number): boolean
---@param says fun(): string  what the worker tells of itself
---@return fleet.Lease
function lease.new(jobs, task, seconds, must_stop, says)
  local now = socket.gettime()
  return setmetatable({ jobs = jobs, task = task, seconds = seconds, must_stop = must_stop, says = says,
                        heard = now, due = now + math.min(FIRST, seconds / 3) }, Lease)
end

local function give_up(self, why)
  self.ended = why
  error({ given_up = why }, 0)
end

--- Asks the queue, when it is time for that.
function Lease:tick()
  if self.ended then return end -- the rest is tidying up
  if self.must_stop(0) then give_up(self, "stop") end
  local now = socket.gettime()
  if now < self.heard then self.heard, self.due = now, now end -- the machine's clock was put back
  if now < self.due then return end
  local owned = self.jobs:beat(self.task, self.says())
  if owned then
    self.heard, self.due = now, now + self.seconds / 3
  elseif owned == false or now - self.heard > self.seconds then
    give_up(self, "lost") -- or Redis is gone, and nobody knows who has taken it meanwhile
  else
    self.due = now + AGAIN
  end
end

--- Runs a function with `tick`, and gives what it returns; nil when the job was given up, see `ended`.
---@param fn fun(): any, ...
---@return any
---@return any
---@return any
function Lease:run(fn)
  local function tick() self:tick() end
  local before = strata.on_wait(tick)
  debug.sethook(tick, "", INSTRUCTIONS)
  local ok, result, message, code = pcall(fn)
  debug.sethook()
  strata.on_wait(before)
  if ok then return result, message, code end
  if self.ended then return nil end
  return nil, tostring(result), "EINVAL"
end

return lease

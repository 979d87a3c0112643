--- Several requests to registries at the same time, in one thread of Lua.
--
-- A flow runs tasks. A task is a function that reads from top to bottom; where it has to wait, for exchanges to end or
-- for time to pass, it says so by flow.await, and other tasks go on. Nothing here sleeps but the transport's wait(), so
-- a flow can be cancelled, or polled by a host, at any time. strata.util.job runs a flow as it runs a core's job: both
-- have start, wait, progress, result and close.
--
-- Tasks are coroutines. They await nothing inside a pcall or an iterator of `for`, through which Lua 5.1 cannot yield.

local flow = {}

--- What exchanges of HTTP go through: a client of strata.http, or of a spec.
---@class strata.Transport
---@field start fun(self, request: table): strata.Exchange?, string?, string?
---@field wait fun(self, seconds: number): boolean  returns early when an exchange has ended
---@field now fun(self): number  seconds of a clock that only goes forward
---@field pipe fun(self, total: integer, digest: string): userdata  from one exchange to another

--- One request and its answer.
---@class strata.Exchange
---@field done fun(self): boolean
---@field received fun(self): integer
---@field sent fun(self): integer
---@field close fun(self)

--- What a task waits for: all of its exchanges, a time of the transport's clock, or that a function returns true.
---@class strata.Awaited
---@field [integer] strata.Exchange
---@field till? number
---@field ready? fun(): boolean
---@field counts? boolean  the bytes of its exchanges count as progress while they move

---@class strata.FlowTask
---@field thread thread
---@field awaited strata.Awaited?  nil: it can go on
---@field values table?  what its function has returned
---@field beside boolean?  see Flow:beside

---@class strata.Flow
---@field transport strata.Transport
---@field parallel integer  tasks that run at the same time
---@field tasks strata.FlowTask[]
---@field besides strata.FlowTask[]  that were begun beside those, and have not ended
---@field first integer  the number of the first task that has not ended
---@field failure strata.FlowTask?  the first that has failed
---@field finished integer?  bytes that tasks have told of
---@field total integer
local Flow = {}
Flow.__index = Flow

-- Threads of tasks that have neither ended nor been closed.
local alive = setmetatable({}, { __mode = "k" })

--- Whether a task of this thread goes on: one that waits for what another task does must not wait for ever.
---@param thread thread
---@return boolean
function flow.is_running(thread)
  return alive[thread] == true
end

local function new_task(fn, ...)
  local thread = coroutine.create(fn)
  alive[thread] = true
  return { thread = thread, given = { n = select("#", ...), ... } }
end

--- Waits, in a task.
---@param awaited strata.Awaited
function flow.await(awaited)
  coroutine.yield(awaited)
end

--- A flow without tasks.
---@param transport strata.Transport
---@param parallel? integer  tasks at the same time; default: 4
---@return strata.Flow
function flow.new(transport, parallel)
  return setmetatable({
    transport = transport, parallel = parallel or 4, tasks = {}, besides = {}, first = 1, finished = 0, total = 0,
  }, Flow)
end

--- Adds a task: a function that returns a true value and others, or nil, message, code, which ends the flow.
---@param fn fun(flow: strata.Flow, ...): any, ...
---@param ... any  for the function
---@return strata.FlowTask
function Flow:add(fn, ...)
  local task = new_task(fn, ...)
  self.tasks[#self.tasks + 1] = task
  return task
end

--- Begins a task beside one that is running, which awaits it: it counts as no task of its own, and its failure is for
-- the other one to see, in task.values.
---@param fn fun(flow: strata.Flow, ...): any, ...
---@param ... any  for the function
---@return strata.FlowTask
function Flow:beside(fn, ...)
  local task = new_task(fn, ...)
  task.beside = true
  table.insert(self.besides, task)
  return task
end

--- Tells of bytes that are going to be moved.
---@param bytes integer
function Flow:expect(bytes)
  self.total = self.total + bytes
end

--- Tells of bytes that were moved; fewer than none when they have to be moved again.
---@param bytes integer
function Flow:moved(bytes)
  self.finished = self.finished + bytes
end

local unpack = rawget(table, "unpack") or rawget(_G, "unpack")

local function take_values(self, task, ok, ...)
  if not ok then
    self:close()
    error((...), 0)
  end
  if coroutine.status(task.thread) == "dead" then
    alive[task.thread] = nil
    task.values = { n = select("#", ...), ... }
    task.awaited = nil
  else
    task.awaited = ...
  end
end

-- Runs a task on to where it waits or ends.
local function go_on(self, task)
  local given = task.given
  if given then
    task.given = nil
    take_values(self, task, coroutine.resume(task.thread, self, unpack(given, 1, given.n)))
  else
    take_values(self, task, coroutine.resume(task.thread))
  end
  if task.values and not task.values[1] and not task.beside then self.failure = self.failure or task end
end

local function is_ready(awaited, now)
  if awaited.till and now < awaited.till then return false end
  if awaited.ready and not awaited.ready() then return false end
  for _, exchange in ipairs(awaited) do
    if not exchange:done() then return false end
  end
  return true
end

-- Calls fn for each task that may run now; a later one may run only when an earlier one has ended.
local function each_running(self, fn)
  for i = #self.besides, 1, -1 do
    local task = self.besides[i]
    if task.values then table.remove(self.besides, i) else fn(task) end
  end
  while self.tasks[self.first] and self.tasks[self.first].values do self.first = self.first + 1 end
  local running, number = 0, self.first
  while running < self.parallel and self.tasks[number] do
    local task = self.tasks[number]
    if not task.values then
      running = running + 1
      fn(task)
    end
    number = number + 1
  end
  return running
end

-- Lets every task that can go on do so, once. False: none could.
local function round(self)
  local moved, now = false, self.transport:now()
  each_running(self, function(task)
    if self.failure or (task.awaited and not is_ready(task.awaited, now)) then return end
    task.awaited = nil
    go_on(self, task)
    moved = true
  end)
  return moved
end

-- The time at which the first task that waits for one goes on.
local function next_time(self)
  local first = math.huge
  each_running(self, function(task)
    local till = task.awaited and task.awaited.till
    if till and till < first then first = till end
  end)
  return first
end

--- Begins; there are no threads to be started.
---@return boolean
function Flow.start()
  return true
end

--- Goes on for so long at most, and at least with what can go on at once.
---@param seconds number
---@return boolean done
function Flow:wait(seconds)
  local deadline = self.transport:now() + seconds
  while true do
    while round(self) do end
    if self.failure or each_running(self, function() end) == 0 then return true end
    local left = deadline - self.transport:now()
    if left <= 0 then return false end
    self.transport:wait(math.max(math.min(left, next_time(self) - self.transport:now()), 0))
  end
end

--- Bytes that were moved, and that are to be moved.
---@return integer done
---@return integer total
function Flow:progress()
  local finished = self.finished
  each_running(self, function(task)
    for _, exchange in ipairs(task.awaited and task.awaited.counts and task.awaited or {}) do
      finished = finished + exchange:received() + exchange:sent()
    end
  end)
  return math.min(finished, self.total), self.total
end

--- How it ended: true, or what the task that failed first returned.
---@return boolean? ok
---@return string? message
---@return string? code
function Flow:result()
  if not self.failure then return true end
  return nil, self.failure.values[2], self.failure.values[3]
end

--- Ends what is left; exchanges are closed.
function Flow:close()
  for _, list in ipairs { self.tasks, self.besides } do
    for _, task in ipairs(list) do
      for _, exchange in ipairs(task.awaited or {}) do exchange:close() end
      task.awaited, task.values = nil, task.values or { n = 0 }
      alive[task.thread] = nil
    end
  end
end

return flow

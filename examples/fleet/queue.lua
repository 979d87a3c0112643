--- A queue of jobs in Redis: a stream with a group of workers, a stream of the dead, counters.
--
-- All keys begin with the queue's name. A job is in the stream from `add` to the end of its work, so the stream's
-- length is the number of jobs that are not done. A job whose worker is gone is still in the group's list of pending
-- jobs, and is taken by another worker when its lease has passed.

local resp = require "resp"
local scripts = require "scripts"

local queue = {}

local GROUP = "workers"
local DONE_SECONDS = 30 * 24 * 3600

--- A job that a worker has.
---@class fleet.Task
---@field id string  in the stream
---@field deliveries integer  to workers, this one included; one that died counts, one that told of a failure does not
---@field job fleet.Job
---@field fields table<string, string>  as the stream has them

---@class fleet.Queue
---@field redis fleet.Redis
---@field name string
---@field worker string?  the name by which this process takes jobs
---@field cursor string
local Queue = {}
Queue.__index = Queue

-- Seconds that Redis may take for an answer, and that a worker waits for a job at a time.
local ANSWER, IDLE = 10, 1

--- Where Redis is when no option says so. Options are seen by everybody on a machine, the environment is not.
queue.ADDRESS = os.getenv "FLEET_REDIS" or "redis://127.0.0.1:6379"

--- A queue, to which nothing was said yet.
---@param address string  see resp.address
---@param name string
---@return fleet.Queue?
---@return string? message
function queue.new(address, name)
  local where, message = resp.address(address, ANSWER)
  if not where then return nil, message end
  return setmetatable({ redis = resp.new(where), name = name, cursor = "0-0" }, Queue)
end

function Queue:key(what)
  return self.name .. ":" .. what
end

function Queue:run(script, ...)
  return self.redis:call("EVAL", script, 5, self:key "jobs", self:key "dead", self:key "queued", self:key "count",
    self:key "workers", ...)
end

--- Makes the stream and its group where they are missing.
---@return boolean?
---@return string? message
---@return string? code
function Queue:prepare()
  local ok, message, code = self.redis:call("XGROUP", "CREATE", self:key "jobs", GROUP, "0", "MKSTREAM")
  if ok or message:find("BUSYGROUP", 1, true) then return true end
  return nil, message, code
end

-- ---- fields -----------------------------------------------------------------------------------------------

local function escape(text)
  return (text:gsub("[%%=\n]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function pack_options(options)
  local lines = {}
  for name, value in pairs(options) do lines[#lines + 1] = escape(name) .. "=" .. escape(value) end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function unpack_options(text)
  local options = {}
  for name, value in text:gmatch("([^=\n]+)=([^\n]*)") do options[unescape(name)] = unescape(value) end
  return options
end

-- A list of names and values, in an order of its own.
local function flat(fields)
  local list = {}
  for name in pairs(fields) do list[#list + 1] = name end
  table.sort(list)
  for i = #list, 1, -1 do table.insert(list, i + 1, fields[list[i]]) end
  return list
end

local function unflat(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end

-- Two jobs with the same source, script, options and target are one.
local function identity(fields, source)
  return table.concat({ source or fields.source, fields.script, fields.script_id, fields.options, fields.target }, "\n")
end

-- One job at a time has a target; without one, an image with a script.
local function place(fields)
  return fields.target ~= "" and fields.target or fields.source .. " " .. fields.script
end

--- A hash of a script, by which a worker knows whether it has the same one.
---@param text string  of the script
---@return string?
---@return string? message
---@return string? code
function Queue:script_id(text)
  return self.redis:call("EVAL", "return redis.sha1hex(ARGV[1])", 0, text)
end

-- ---- giving -----------------------------------------------------------------------------------------------

--- Adds a job, unless it is there or was done. "queued": it waits already; "done": its target has its result; "busy":
--- another job has the same target; "full": there are so many jobs as `limit` says.
---@param one fleet.Job
---@param script_id string
---@param limit integer
---@return "added"|"queued"|"done"|"busy"|"full"|nil
---@return string? message
---@return string? code
function Queue:add(one, script_id, limit)
  local fields = {
    ref = one.ref, source = one.source, script = one.script, script_id = script_id,
    options = pack_options(one.options), target = one.target or "", was = one.was or "",
  }
  return self:run(scripts.add, self:key "done:", identity(fields), place(fields), one.target and one.was or "-", limit,
    table.unpack(flat(fields)))
end

-- ---- taking -----------------------------------------------------------------------------------------------

local function task_of(id, deliveries, list)
  local fields = unflat(list)
  return {
    id = id, deliveries = deliveries, fields = fields,
    job = {
      ref = fields.ref, source = fields.source, script = fields.script, options = unpack_options(fields.options),
      target = fields.target ~= "" and fields.target or nil, was = fields.was,
    },
  }
end

--- The next job: one whose worker has not been heard of for `lease` seconds, or a new one. Waits for a second when
--- there is none.
---@param lease number
---@return fleet.Task|false|nil  false: there is none now
---@return string? message
---@return string? code
function Queue:take(lease)
  local got, message, code = self:run(scripts.take, GROUP, self.worker, math.floor(lease * 1000), self.cursor)
  if not got then return nil, message, code end
  self.cursor = got[1]
  if got[2] then return task_of(got[2], got[3], got[4]) end
  got, message, code = self.redis:call("XREADGROUP", "GROUP", GROUP, self.worker, "COUNT", 1, "BLOCK", IDLE * 1000,
    "STREAMS", self:key "jobs", ">")
  if not got then return got, message, code end
  local one = got[1][2][1]
  return task_of(one[1], 1, one[2])
end

--- Tells that this worker is alive and works on a job.
---@param task fleet.Task
---@param says string
---@return boolean? owned  false: the job is another worker's
---@return string? message
---@return string? code
function Queue:beat(task, says)
  local owned, message, code = self:run(scripts.beat, GROUP, self.worker, task.id, says)
  if not owned then return nil, message, code end
  return owned == 1
end

-- Ends the work of this worker on a job.
local function leave(self, task, how)
  local fields = task.fields
  local left, message, code = self:run(scripts.leave, GROUP, self.worker, task.id, how.count,
    how.frees and place(fields) or "", how.stream or "", how.digest and identity(fields) or "", how.digest or "",
    DONE_SECONDS, how.digest and how.result and identity(fields, how.result) or "", self:key "done:",
    table.unpack(how.stream and flat(fields) or {}))
  if not left then return nil, message, code end
  return left == 1
end

--- The job is done. A result in the place of its source is not to become the source of the same job.
---@param task fleet.Task
---@param digest string  of the result
---@return boolean? owned  false: it was another worker's already, and nothing was changed
---@return string? message
---@return string? code
function Queue:done(task, digest)
  return leave(self, task, { count = "done", frees = true, digest = digest,
                             result = task.fields.source:gsub("@.*$", "@" .. digest) })
end

--- The job goes to the dead.
---@param task fleet.Task
---@param message string
---@param code string
---@return boolean? owned
---@return string? message
---@return string? code
function Queue:bury(task, message, code)
  local fields = task.fields
  fields.message, fields.code, fields.worker = message, code, self.worker
  return leave(self, task, { count = "dead", frees = true, stream = self:key "dead" })
end

--- The job goes back to the end of the queue. Its fields are kept.
---@param task fleet.Task
---@param count "failed"|"weather"|"given_back"
---@return boolean? owned
---@return string? message
---@return string? code
function Queue:give_back(task, count)
  return leave(self, task, { count = count, stream = self:key "jobs" })
end

--- Forgets workers that have no job, and have not asked for one for `seconds`.
---@param seconds number
---@param leaving? string  a worker that ends, and is forgotten as well
function Queue:sweep(seconds, leaving)
  return self:run(scripts.sweep, GROUP, math.floor(seconds * 1000), leaving or "")
end

-- ---- looking ----------------------------------------------------------------------------------------------

--- Jobs that are not done.
---@return integer?
---@return string? message
---@return string? code
function Queue:length()
  return self.redis:call("XLEN", self:key "jobs")
end

--- The dead, oldest first.
---@param from? string  ID of the last one that was told
---@return {id: string, fields: table<string, string>}[]?
---@return string? message
---@return string? code
function Queue:dead(from)
  local rows, message, code = self.redis:call("XRANGE", self:key "dead", from and "(" .. from or "-", "+", "COUNT", 100)
  if not rows then return nil, message, code end
  local list = {}
  for i, row in ipairs(rows) do list[i] = { id = row[1], fields = unflat(row[2]) } end
  return list
end

--- A dead job goes back into the queue, as if it had not failed.
---@param one {id: string, fields: table<string, string>}
---@return "added"|"busy"|"gone"|nil
---@return string? message
---@return string? code
function Queue:revive(one)
  local fields = {}
  for _, name in ipairs { "ref", "source", "script", "script_id", "options", "target", "was" } do
    fields[name] = one.fields[name]
  end
  return self:run(scripts.revive, one.id, identity(fields), place(fields), table.unpack(flat(fields)))
end

--- A dead job is forgotten.
---@param one {id: string}
---@return "dropped"|"gone"|nil
---@return string? message
---@return string? code
function Queue:forget(one)
  local count, message, code = self.redis:call("XDEL", self:key "dead", one.id)
  if not count then return nil, message, code end
  return count == 1 and "dropped" or "gone"
end

--- The facts that status.lua shows.
---@class fleet.Status
---@field jobs integer  that are not done
---@field pending integer  of them, those that workers have
---@field dead integer
---@field counts table<string, integer>
---@field rates number[]  jobs a second that were done, in the last 1, 5 and 15 minutes, and in that which runs
---@field workers {name: string, pending: integer, idle: number, says: string?}[]

---@return fleet.Status?
---@return string? message
---@return string? code
function Queue:status()
  local function ask(...)
    local answer, message, code = self.redis:call(...)
    if answer == nil then error({ message, code }, 0) end
    return answer
  end
  local ok, status = pcall(function()
    if ask("EXISTS", self:key "jobs") == 0 then error({ "there is no queue " .. self.name, "ENOENT" }, 0) end
    local says = unflat(ask("HGETALL", self:key "workers"))
    local workers, counts = {}, {}
    for i, row in ipairs(ask("XINFO", "CONSUMERS", self:key "jobs", GROUP)) do
      row = unflat(row)
      workers[i] = { name = row.name, pending = row.pending, idle = row.idle / 1000, says = says[row.name] }
    end
    for name, value in pairs(unflat(ask("HGETALL", self:key "count"))) do counts[name] = tonumber(value) end
    local now, sum, rates = tonumber(ask("TIME")[1]), 0, {}
    local minute, spent = math.floor(now / 60), now % 60 -- the minute that runs, and its seconds
    for back = 0, 15 do
      sum = sum + (tonumber(ask("GET", self:key "done:minute:" .. minute - back) or 0) or 0)
      if back == 1 or back == 5 or back == 15 then rates[#rates + 1] = sum / (60 * back + spent) end
    end
    return {
      jobs = ask("XLEN", self:key "jobs"), pending = ask("XPENDING", self:key "jobs", GROUP)[1],
      dead = ask("XLEN", self:key "dead"), counts = counts, rates = rates, workers = workers,
    }
  end)
  if ok then return status end
  if type(status) ~= "table" then error(status, 0) end
  return nil, status[1], status[2]
end

return queue

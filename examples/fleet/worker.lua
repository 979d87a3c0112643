--- Takes jobs from the queue, one at a time, and does them. Start it by `worker`, which tells it when to stop.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local job = require "job"
local lease = require "lease"
local queue = require "queue"
local socket = require "socket"
local words = require "words"

local USAGE = [[
usage: worker [OPTION ...]
  --redis ADDRESS      redis://[[user]:password@]host[:port], or unix://[[user]:password@]/path of a socket
                       ($FLEET_REDIS, or redis://127.0.0.1:6379)
  --queue NAME         the first part of its keys (fleet)
  --scripts DIRECTORY  of the scripts that jobs name (that of this program, jobs)
  --lease SECONDS      a worker that was not heard of for so long has lost its job (60)
  --tries N            a job that fails so often is dead (3)
  --crashes N          so is one that so many workers died of (10)
  --patience HOURS     and one that a registry could not be asked about for so long (24)
  --threads N          that compress (one per CPU)
  --plain HOST         of a registry that speaks http, as reg:5000; may be repeated
  --name NAME          of this machine (that of the host)
  --until-empty        end when no job is left]]

local options, others = words.read(arg, {
  redis = queue.ADDRESS, queue = "fleet", scripts = here .. "/jobs", lease = 60, tries = 3, crashes = 10,
  patience = 24, threads = 0, name = "", plain = {}, ["until-empty"] = false, ["stop-with-input"] = false,
}, USAGE)
if others[1] then words.die("a worker takes no words: %s\n%s", others[1], USAGE) end

-- Failures that every other try would meet.
local FINAL = { ESTALE = true, EPOLICY = true }

local function log(text, ...)
  io.stderr:write(os.date "!%H:%M:%S ", text:format(...), "\n")
end

-- ---- stopping ---------------------------------------------------------------------------------------------

local INPUT = { getfd = function() return 0 end, dirty = function() return false end }

-- Whether the standard input has ended, waiting so many seconds for it.
local function must_stop(seconds)
  if not options["stop-with-input"] then
    if seconds > 0 then socket.sleep(seconds) end
    return false
  end
  return socket.select({ INPUT }, nil, seconds)[1] ~= nil
end

-- ---- this worker ------------------------------------------------------------------------------------------

local function process_id()
  local file = io.open "/proc/self/stat"
  local text = file and file:read "*l" or ""
  if file then file:close() end
  return text:match "^%d+" or ("%06d"):format(socket.gettime() * 1e6 % 1e6)
end

local jobs = words.check(queue.new(options.redis, options.queue))
-- A name is never used again: a worker that is started anew must not take the jobs of an old one for its own.
jobs.worker = ("%s:%s:%08x"):format(options.name ~= "" and options.name or socket.dns.gethostname(), process_id(),
  math.floor(socket.gettime() * 1000) % 2 ^ 32)

local hub
local done_here = 0

local function client()
  hub = hub or words.check(job.registry(options.plain))
  return hub
end

-- ---- a job ------------------------------------------------------------------------------------------------

local ids = {} -- of scripts by their text

local function id_of(text)
  local message, code
  if not ids[text] then ids[text], message, code = jobs:script_id(text) end
  return ids[text], message, code
end

-- The path of a job's script, when it is the one that the job was made for.
local function script_of(task)
  local fields = task.fields
  local path = ("%s/%s.lua"):format(options.scripts, fields.script)
  if not fields.script:find("^[%w_-]+$") then return nil, "no name of a script: " .. fields.script, "ESCRIPT" end
  local file = io.open(path, "rb")
  if not file then return nil, path .. ": there is no such script", "ESCRIPT" end
  local text = file:read "*a"
  file:close()
  local id, message, code = id_of(text)
  if not id then return nil, message, code end
  if id == fields.script_id then return path end
  return nil, path .. ": the job was made for another version of the script", "ESCRIPT"
end

-- Does the work. A table that is thrown says why it was given up.
local function work(task, held)
  local path, message, code = script_of(task)
  if not path then return nil, message, code end
  local one = {}
  for name, value in pairs(task.job) do one[name] = value end
  one.script = path
  local threads = options.threads > 0 and options.threads or nil
  return held:run(function() return job.run(one, { registry = client(), threads = threads }) end)
end

-- ---- its end ----------------------------------------------------------------------------------------------

local function more(task, name)
  local count = (tonumber(task.fields[name]) or 0) + 1
  task.fields[name] = tostring(count)
  return count
end

-- Whether a job has waited too long for better weather.
local function is_over(task)
  local fields = task.fields
  fields.weather_since = fields.weather_since or tostring(os.time())
  return os.time() - tonumber(fields.weather_since) > options.patience * 3600
end

-- Decides where a job goes that did not succeed. -> a function that tells the queue, a word for the log
local function verdict(task, message, code)
  message = message:gsub("%c+", " "):sub(1, 1000) -- a script may say anything
  task.fields.message, task.fields.code = message, code
  local function bury() return jobs:bury(task, message, code) end
  if job.WEATHER[code] then
    if is_over(task) then return bury, "dead" end
    return function() return jobs:give_back(task, "weather") end, "later"
  end
  if FINAL[code] or more(task, "failures") >= options.tries then return bury, "dead" end
  return function() return jobs:give_back(task, "failed") end, "again"
end

-- Tells the queue, as soon as it can be told. nil: this worker has to stop before that.
local function tell(fn)
  while true do
    local owned, message, code = fn()
    if owned ~= nil then return owned end
    log("%s", message)
    if code ~= "ENETWORK" then jobs:prepare() end
    if must_stop(1) then return nil end
  end
end

local pauses = 0

-- One job, from being taken to its end. -> seconds to wait before the next one
local function attend(task)
  local name = task.fields.ref .. " " .. task.fields.script
  if task.deliveries > options.crashes then
    tell(function()
      return jobs:bury(task, ("%d workers died of it, or lost it"):format(task.deliveries - 1), "ECRASH")
    end)
    log("dead   %s: workers die of it", name)
    return 0
  end
  local held = lease.new(jobs, task, options.lease, must_stop, function()
    return ("%d\t%d\t%s"):format(os.time(), done_here, name)
  end)
  local result, message, code = work(task, held)
  if held.ended then -- requests were left in the middle
    if hub then hub:close() end
    hub = nil
  end
  if held.ended == "lost" then
    log("lost   %s: another worker has it, or may have it", name)
    return 0
  elseif held.ended == "stop" then
    tell(function() return jobs:give_back(task, "given_back") end)
    log("back   %s", name)
    return 0
  elseif result then
    local owned = tell(function() return jobs:done(task, result.digest) end)
    done_here = done_here + 1
    log("%s %s %s%s", owned and "done  " or "late  ", name, result.digest,
      result.lost and " (left behind: " .. result.lost .. ")" or "")
    pauses = 0
    return 0
  end
  code = tostring(code)
  local fn, word = verdict(task, tostring(message), code)
  tell(fn)
  log("%-6s %s: %s (%s)", word, name, task.fields.message, code)
  if word ~= "later" then return 0 end
  pauses = pauses + 1
  return math.min(2 ^ (pauses - 1), 60) * (0.75 + math.random() / 2)
end

-- ---- the loop ---------------------------------------------------------------------------------------------

words.check(io.open(options.scripts, "r")):close() -- without its scripts, a worker would fail all jobs
client() -- says at once when the options make no sense
words.check(jobs:prepare())
jobs:sweep(10 * options.lease)
log("worker %s", jobs.worker)

local COLLECT = 50 -- jobs: doing it after each one takes a third of the time that a label does
local tasks, pause, down = 0, 0, 0
while not must_stop(pause) do
  local task, message, code = jobs:take(options.lease)
  pause = 0
  if task then
    down = 0
    pause = attend(task)
    tasks = tasks + 1
    if tasks % COLLECT == 0 then collectgarbage() end
  elseif task == nil then
    log("%s", message)
    if code ~= "ENETWORK" then jobs:prepare() end -- a Redis that kept nothing has no group
    down = math.min(down + 1, 10)
    pause = down / 2
  elseif options["until-empty"] and jobs:length() == 0 then
    break
  end
end
jobs:sweep(10 * options.lease, jobs.worker)
if hub then hub:close() end
jobs.redis:close()

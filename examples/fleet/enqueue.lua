--- Puts jobs into the queue: a script for each of many images.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local job = require "job"
local queue = require "queue"
local socket = require "socket"
local words = require "words"

local USAGE = [[
usage: enqueue.lua [OPTION ...] SCRIPT [NAME=VALUE ...] <REFERENCES
  SCRIPT               its name, such as label: jobs/label.lua. NAME=VALUE are its options; a reference among them is
                       taken by the digest that it has now
  REFERENCES           one a line, as docker://host/team/app:1.4
  --tags REFERENCE     all tags of a repository, but those of signatures, instead of the standard input; may be repeated
  --to TEMPLATE        where results go: docker://{host}/{repository}:{tag}-new. Default: the tag of the source
  --check              nothing is saved; the script only looks
  --limit N            wait while so many jobs are not done (10000)
  --redis ADDRESS, --queue NAME, --scripts DIRECTORY, --plain HOST   as for worker]]

local options, others = words.read(arg, {
  redis = queue.ADDRESS, queue = "fleet", scripts = here .. "/jobs", tags = {},
  to = "docker://{host}/{repository}:{tag}", check = false, limit = 10000, plain = {},
}, USAGE)

words.check(job.target("docker://host.example/team/app:1", options.to))

-- ---- the script and its options ---------------------------------------------------------------------------

local hub = words.check(job.registry(options.plain))
local jobs = words.check(queue.new(options.redis, options.queue))

local function script()
  local name = table.remove(others, 1) or words.die("a script is missing\n%s", USAGE)
  if not name:find("^[%w_-]+$") then words.die("a script is named by its name, as label, and not by %s", name) end
  local path = ("%s/%s.lua"):format(options.scripts, name)
  local _, takes = words.check(job.script(path))
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return name, takes, words.check(jobs:script_id(text))
end

local function script_options(takes)
  local given = {}
  for _, word in ipairs(others) do
    local name, value = word:match("^([^=]+)=(.*)$")
    if not name then words.die("an option of a script is NAME=VALUE, and not %s", word) end
    given[name] = value
  end
  return (words.check(job.options(given, takes, hub)))
end

-- ---- images -----------------------------------------------------------------------------------------------

-- Calls a function for each reference.
local function each_ref(fn)
  for _, repository in ipairs(options.tags) do
    for _, tag in ipairs(words.check(hub:tags(repository))) do
      if not tag:find("^sha%d+%-%x+") then fn(repository .. ":" .. tag) end -- those are about a digest
    end
  end
  if options.tags[1] then return end
  for line in io.lines() do
    local ref = line:match("^%s*([^%s#]+)")
    if ref then fn(ref:find("^docker://") and ref or "docker://" .. ref) end
  end
end

-- ---- the queue --------------------------------------------------------------------------------------------

local counts = { added = 0, queued = 0, done = 0, busy = 0, failed = 0 }

local function say(text, ...)
  io.stderr:write("fleet: ", text:format(...), "\n")
end

local GONE = 60 -- seconds that Redis may be gone for

-- Adds a job, when there is room for it.
local function add(one, script_id)
  local gone, waits = 0, false
  while true do
    local what, message, code = jobs:add(one, script_id, options.limit)
    if not what then
      if code ~= "ENETWORK" or gone == GONE then words.die("%s; start this again, nothing is queued twice", message) end
      gone = gone + 1
      socket.sleep(1)
    elseif what ~= "full" then
      return what
    else
      if not waits then say("%d jobs are not done; waiting", options.limit) end
      waits = true
      socket.sleep(0.2)
    end
  end
end

words.check(jobs:prepare())
if (jobs.redis:call("CONFIG", "GET", "appendonly") or {})[2] == "no" then
  say("this Redis keeps nothing when it dies: start it with --appendonly yes")
end
local name, takes, script_id = script()
local given = script_options(takes)
for _, word in ipairs(others) do
  local option, value = word:match("^([^=]+)=(.*)$")
  if given[option] ~= value then say("%s is %s", option, given[option]) end
end
local function enqueue(ref)
  local one, message = job.new(ref, name, given, not options.check and options.to or nil, hub)
  if not one then
    say("%s", message)
    counts.failed = counts.failed + 1
    return
  end
  local what = add(one, script_id)
  if what == "busy" then say("%s: another job has this target; enqueue it when that is done", one.target) end
  counts[what] = counts[what] + 1
end

words.interruptible("start this again, nothing is queued twice", function() each_ref(enqueue) end)
print(("added %d, in the queue already %d, done already %d, with a busy target %d, failed %d"):format(counts.added,
  counts.queued, counts.done, counts.busy, counts.failed))
hub:close()
os.exit(counts.failed + counts.busy == 0, true)

--- Tells how a queue is: a table for people, or text for Prometheus.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local queue = require "queue"
local words = require "words"

local USAGE = "usage: status.lua [--prometheus] [--redis ADDRESS] [--queue NAME]"

local options, others = words.read(arg, {
  redis = queue.ADDRESS, queue = "fleet", prometheus = false,
}, USAGE)
if others[1] then words.die("status takes no words: %s\n%s", others[1], USAGE) end

local GONE = 60 -- seconds

-- The counters of the queue, with their meanings.
local COUNTS = {
  { "added", "jobs that were put into the queue" },
  { "done", "jobs that were done" },
  { "failed", "tries that failed, and were given back" },
  { "weather", "tries that a registry or a machine did not let through, and were given back" },
  { "given_back", "jobs that a worker gave back because it had to stop" },
  { "reclaimed", "jobs that were taken from a worker that was gone" },
  { "lost", "times that a worker was told that its job is another's" },
  { "dead", "jobs that went to the dead" },
}

-- The parts of a worker's description of itself: when it was written, how many jobs are done, and the present one.
local function words_of(worker)
  local time, count, what = (worker.says or ""):match("^(%d+)\t(%d+)\t(.*)$")
  return tonumber(time), tonumber(count), what
end

local function duration(seconds)
  if seconds < 60 then return ("%.0f s"):format(seconds) end
  if seconds < 3600 then return ("%.0f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

local function show(status)
  print(("%d jobs are not done: %d wait, %d are with workers. %d are dead."):format(status.jobs,
    status.jobs - status.pending, status.pending, status.dead))
  local left = ""
  local rate = status.rates[1] > 0 and status.rates[1] or status.rates[2]
  if status.jobs > 0 and rate > 0 then left = ", done in about " .. duration(status.jobs / rate) end
  print(("jobs a second, in the last 1, 5, 15 minutes: %.1f %.1f %.1f%s"):format(status.rates[1],
    status.rates[2], status.rates[3], left))
  local parts = {}
  for _, row in ipairs(COUNTS) do parts[#parts + 1] = ("%s %d"):format(row[1], status.counts[row[1]] or 0) end
  print(table.concat(parts, ", "))
  if not status.workers[1] then return print "no worker" end
  print(("\n%-32s %-9s %s"):format("worker", "heard of", "works on"))
  for _, worker in ipairs(status.workers) do
    local _, _, what = words_of(worker)
    local does = worker.pending == 0 and "-" or what or "a job"
    if worker.pending > 0 and worker.idle > GONE then does = does .. " (gone?)" end
    print(("%-32s %-9s %s"):format(worker.name, duration(worker.idle), does))
  end
end

local function metric(name, kind, help, value)
  print(("# HELP fleet_%s %s\n# TYPE fleet_%s %s\nfleet_%s{queue=%q} %s"):format(name, help, name, kind, name,
    options.queue, value))
end

local function prometheus(status)
  metric("jobs_waiting", "gauge", "jobs that no worker has", status.jobs - status.pending)
  metric("jobs_pending", "gauge", "jobs that workers have", status.pending)
  metric("jobs_dead", "gauge", "jobs in the stream of the dead", status.dead)
  metric("workers", "gauge", "workers that the queue knows", #status.workers)
  for _, row in ipairs(COUNTS) do
    metric(row[1] .. "_total", "counter", row[2], status.counts[row[1]] or 0)
  end
end

local jobs = words.check(queue.new(options.redis, options.queue))
local status = words.check(jobs:status());
(options.prometheus and prometheus or show)(status)

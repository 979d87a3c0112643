--- Measures the fleet of examples/fleet: make bench-fleet [IMAGES=1000] [WORKERS=2]
--
-- IMAGES images in Debian's docker-registry get a label each, by WORKERS workers and a Redis, all on this machine.
-- Tells jobs a second, CPU by process, requests, and how the memory of a worker grows. Nothing is asserted, nothing is
-- left behind.

package.path = "./examples/fleet/?.lua;" .. package.path

local core = require "strata.core"
local docker_registry = require "spec.support.docker_registry"
local fleet = require "spec.support.fleet"
local machine = require "bench.machine"
local shell = require "bench.shell"
local strata = require "strata"

local JOBS = math.max(8, math.floor(tonumber(os.getenv "IMAGES" or "") or 1000))
local WORKERS = math.max(1, math.floor(tonumber(os.getenv "WORKERS" or "") or 2))

local reason = docker_registry.missing() or fleet.missing()
if reason then shell.die(reason) end

local queue = require "queue"
local socket = require "socket"

local TICKS = tonumber(shell.run "getconf CLK_TCK")

-- Seconds of CPU that a process has used.
local function cpu(pid)
  local file = io.open(("/proc/%s/stat"):format(pid))
  local user, system = file:read("*a"):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
  file:close()
  return (user + system) / TICKS
end

local server, here = docker_registry.start(), fleet.start()
local hub = assert(strata.registry { credentials = {} })

-- Different images, that nobody can answer one for the other.
local function push_images()
  local refs, img = {}, strata.new()
  assert(img:append { files = { ["etc/os-release"] = "ID=none\n" } })
  for i = 1, JOBS do
    img.config:set_label("number", tostring(i))
    refs[i] = ("docker://%s/app:%d"):format(server.host, i)
    assert(img:save(refs[i], { registry = hub }))
  end
  return refs
end

local function timed(fn, ...)
  local start = core.monotonic()
  local value = fn(...)
  return core.monotonic() - start, value
end

local function run()
  local refs = push_images()
  local jobs = queue.new(here.redis.path, "fleet")
  local pids = {
    ["docker-registry"] = { shell.run("pgrep -f '^docker-registry serve " .. server.dir.path .. "/'"):match "%d+" },
    Redis = { here.redis:pid() },
    workers = {},
  }
  print(("enqueue: %d jobs in %.1f s"):format(JOBS, (timed(function() here:enqueue(refs, "label", "team=shop") end))))
  server:forget()
  local before = {}
  for _, name in ipairs { "docker-registry", "Redis" } do before[name] = cpu(pids[name][1]) end
  local workers, memory = {}, nil
  local seconds = timed(function()
    for i = 1, WORKERS do workers[i] = here:worker() end
    for i = 1, WORKERS do pids.workers[i] = workers[i]:process() end
    repeat
      socket.sleep(0.05)
      local left = jobs:length()
      if not memory and left < JOBS * 0.75 then memory = workers[1]:memory() end
    until left == 0
  end)
  print(("%d jobs by %d workers in %.1f s: %.0f a second"):format(JOBS, WORKERS, seconds, JOBS / seconds))
  local requests = server:log()
  print(("requests: %.2f a job"):format(#requests / JOBS))
  for _, name in ipairs { "workers", "docker-registry", "Redis" } do
    local sum = -(before[name] or 0)
    for _, pid in ipairs(pids[name]) do sum = sum + cpu(pid) end
    print(("CPU of %-16s %6.2f ms a job"):format(name, sum / JOBS * 1000))
  end
  local last = workers[1]:memory()
  print(("memory of a worker: %.1f MiB after a quarter of the jobs, %.1f MiB at the end"):format(
    (memory or last) / 1024, last / 1024))
end

for i, line in ipairs(machine.describe()) do
  if i <= 2 then print(line) end -- there are no peers
end
local ok, message = pcall(run)
here:stop()
server:stop()
if not ok then shell.die(tostring(message)) end

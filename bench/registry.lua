--- Measures strata beside skopeo in registries: make bench-registry [RUNS=5] [SIZE=800] [LATENCY=20]
--
-- One of two registries of Debian's docker-registry on this machine has an image of SIZE megabytes, made from its
-- own files, and an index of it and another one. Every time is the median of RUNS runs, in which strata and its peer
-- take turns; each run writes to a registry or a repository that is new. The second table is the same with an image of
-- 20 megabytes, and LATENCY milliseconds before each answer. Nothing is asserted, nothing is left behind.

local core = require "strata.core"
local docker_registry = require "spec.support.docker_registry"
local image = require "bench.image"
local machine = require "bench.machine"
local registry = require "spec.support.registry"
local shell = require "bench.shell"

local MIB = 1048576

local rounds = math.max(1, math.floor(tonumber(os.getenv "RUNS" or "") or 5))
local megabytes = tonumber(os.getenv "SIZE" or "") or 800
local latency = (tonumber(os.getenv "LATENCY" or "") or 20) / 1000
local quote = shell.quote

local HAS_TIME = shell.has "/usr/bin/time"

local function interpreter()
  local i = -1
  while arg[i - 1] do i = i - 1 end
  return arg[i] or "lua5.4"
end

local function strata(job, from, to)
  return ("%s bench/registry_jobs.lua %s %s %s"):format(quote(interpreter()), job, quote(from), quote(to))
end

local function skopeo(from, to)
  return ("skopeo --insecure-policy copy -q --all --src-tls-verify=false --dest-tls-verify=false %s %s"):format(
    quote(from), quote(to))
end

-- Runs a command: seconds, peak of its memory in KiB where GNU time is installed, and requests.
local function run(command, servers)
  for _, server in ipairs(servers) do server:forget() end
  local start = core.monotonic()
  local output = shell.run((HAS_TIME and "/usr/bin/time -f '%M' " or "") .. command)
  local seconds, requests = core.monotonic() - start, 0
  for _, server in ipairs(servers) do requests = requests + #server:log() end
  return seconds, tonumber(output:match("(%d+)%s*$")) or 0, requests
end

local function median(list)
  table.sort(list) -- numbers
  return list[math.floor((#list + 1) / 2)]
end

local count = 0

-- A repository that nobody has written to.
local function fresh(server)
  count = count + 1
  return ("docker://%s/run/%d:1"):format(server.host, count)
end

-- Measures contestants, each of which makes a command for a run.
local function measure(title, contestants, servers)
  print(title)
  local results = {}
  for i in ipairs(contestants) do results[i] = { times = {} } end
  for _ = 1, rounds do
    for i, one in ipairs(contestants) do
      local seconds, peak, requests = run(one.command(), servers)
      table.insert(results[i].times, seconds)
      results[i].peak, results[i].requests = math.max(results[i].peak or 0, peak), requests
    end
  end
  for i, one in ipairs(contestants) do
    local result = results[i]
    print(("  %-8s %7.2f s %8.1f MiB %5d requests"):format(one.name, median(result.times), result.peak * 1024 / MIB,
      result.requests))
  end
end

-- A registry that answers after some seconds: {server that is spoken to, stop}.
local function start(delay)
  local real = docker_registry.start()
  local front = delay > 0 and registry.start({ upstream = real.host, latency = delay }) or nil
  return front or real, function()
    if front then front:stop() end
    real:stop()
  end
end

-- Some of them; stop() ends all.
local function start_all(delay)
  local all = { servers = {}, stops = {} }
  function all.add(at)
    if all.stops[at] then all.stops[at]() end
    all.servers[at], all.stops[at] = start(delay)
    return all.servers[at]
  end
  function all.stop()
    for _, stop in ipairs(all.stops) do stop() end
  end
  return all
end

-- One table.
local function rows(work, size, all)
  local a, b = all.add(1), all.add(2)
  local source, index = ("docker://%s/app:1"):format(a.host), ("docker://%s/multi:1"):format(a.host)
  local plain = image.make(work, size * 1e6)
  shell.run(strata("copy", plain.path, source))
  shell.run(strata("index", source, index))
  local function row(title, job, to, peer, from)
    from = from or source
    local list = { { name = "strata", command = function() return strata(job, from, to()) end } }
    if peer then list[2] = { name = "skopeo", command = function() return skopeo(from, peer()) end } end
    measure(title, list, all.servers)
  end
  local function at_a() return fresh(a) end
  local function at_empty() return fresh(all.add(3)) end
  local function to_file() return work .. "/pulled.tar" end
  local function to_archive()
    shell.run("rm -f " .. quote(work .. "/pulled.tar"))
    return "oci-archive:" .. work .. "/pulled.tar"
  end
  local same = fresh(b)
  row("copy to another registry", "copy", at_empty, at_empty)
  row("copy of an index to another registry", "copy", at_empty, at_empty, index)
  row("copy to another repository", "copy", at_a, at_a)
  shell.run(strata("copy", source, same))
  row("copy that has nothing to do", "copy", function() return same end, function() return same end)
  row("copy to a file", "copy", to_file, to_archive)
  row("edit a label, same repository", "label", function() return ("docker://%s/app:edited"):format(a.host) end)
  row("edit a label, another repository", "label", at_a)
  row("edit a label, another registry", "label", at_empty)
  row("remove a directory of one layer", "strip", function() return ("docker://%s/app:stripped"):format(a.host) end)
  row("list every entry", "list", to_file)
  os.remove(work .. "/pulled.tar")
end

local function main()
  io.stdout:setvbuf("line")
  local missing = docker_registry.missing() or not shell.has "skopeo" and "skopeo is not installed"
  if missing then shell.die(missing) end
  local work, where = shell.workplace(6 * megabytes * 1e6)
  for _, line in ipairs(machine.describe()) do print(line) end
  print(("where     %s; medians of %d runs; docker-registries on this machine"):format(where, rounds))
  for _, one in ipairs { { size = megabytes, delay = 0 }, { size = math.min(megabytes, 20), delay = latency } } do
    print(("\n%d MB, answers after %.0f ms"):format(one.size, one.delay * 1000))
    local all = start_all(one.delay)
    local ok, thrown = pcall(rows, work, one.size, all)
    all.stop()
    if not ok then error(thrown, 0) end
  end
end

main()

--- How long other requests wait while jobs run on a large image, and whether the
-- worker's memory grows with the number of jobs: make bench-nginx
--
--   PROBES, RATE    so many requests, so many a second (500, 50)
--   JOBS            so many edits for the memory (500)
--   GIGABYTES       size of the image (1)

local cjson = require "cjson"
local nginx = require "spec.support.nginx"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"
local zeros = require "spec.support.zeros"

local function number(name, default)
  return tonumber(os.getenv(name) or "") or default
end

local PROBES, RATE, JOBS = number("PROBES", 500), number("RATE", 50), number("JOBS", 500)
local GIGABYTES = number("GIGABYTES", 1)

local missing = nginx.missing()
if missing then
  io.stderr:write("bench: ", missing, "\n")
  os.exit(1)
end

local dir = tmp.dir(tmp.for_peers())
local images = dir:file("images")
shell.check { "mkdir", images }
local large = images .. "/large.tar"
zeros.write(large, GIGABYTES * 2 ^ 30)
local server = nginx.start { directory = images, env = { STRATA_THREADS = "2" } }

-- One connection that stays, and a modest rate: a probe that saturates the worker
-- would measure itself.
local function probe(path)
  local output = shell.check { "curl", "-s", "--rate", RATE .. "/s", "-o", "/dev/null",
    "-w", "%{http_code} %{time_starttransfer} %{time_pretransfer}\n", ("%s%s?[1-%d]"):format(server.url, path, PROBES) }
  local times = {}
  for status, first, before in output:gmatch("(%d+) ([%d.]+) ([%d.]+)\n") do
    assert(status == "200", status)
    times[#times + 1] = 1000 * (tonumber(first) - tonumber(before))
  end
  table.sort(times)
  return times
end

local function print_times(title, times)
  local function at(part) return times[math.max(1, math.ceil(part * #times))] end
  print(("  %-44s %5d requests  median %6.2f ms  99 %% %6.2f ms  worst %6.2f ms"):format(title, #times, at(0.5),
    at(0.99), times[#times]))
end

local function edit(id, wish)
  local made, status = server:post("/images/" .. id .. "/edit", wish)
  assert(status == 201, made.error)
  assert(select(2, server:ask("/images/" .. made.id, "-X", "DELETE")) == 200)
end

-- Edits one after the other until a file goes.
local function keep_busy(id, stop)
  local wish = cjson.encode { paths = { "etc/motd" }, compression = "gzip" }
  local url = server.url .. "/images/"
  os.execute(([[(n=0; while [ ! -e %s ]; do
    made=$(curl -s -H 'Content-Type: application/json' -d %s %s%s/edit | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
    curl -s -o /dev/null -X DELETE %s"$made"; n=$((n + 1)); done; echo $n >>%s.done) >/dev/null 2>&1 </dev/null &]])
    :format(shell.quote(stop), shell.quote(wish), url, id, url, shell.quote(stop)))
end

local function rss(pid)
  return tonumber(shell.read("/proc/" .. pid .. "/status"):match("VmRSS:%s+(%d+)")) / 1024
end

local ok, failure = xpcall(function()
  local image, status = server:post("/images", { path = "large.tar" })
  assert(status == 201, image.error)
  edit(image.id, { paths = { "etc/motd" } })

  print("other requests, one connection, " .. RATE .. " a second")
  print_times("nothing else to do", probe "/images")
  local stop = dir:file("stop")
  keep_busy(image.id, stop)
  keep_busy(image.id, stop)
  shell.run { "sleep", "1" }
  print_times(("2 jobs edit and compress an image of %g GB"):format(GIGABYTES), probe "/images")
  shell.write(stop, "")
  local done = nginx.wait("the jobs", 120, function()
    local text = shell.run { "cat", stop .. ".done" }.stdout
    local a, b = text:match("^(%d+)\n(%d+)\n$")
    return a and a + b
  end)
  print(("  %d edits meanwhile"):format(done))

  local small = dir:file("small.tar")
  zeros.write(small, 2 ^ 20)
  image = server:upload(small)
  local worker = server:workers()[1]
  print("memory of the worker process")
  print(("  %-44s %6.1f MiB"):format("before", rss(worker)))
  for n = 1, JOBS do
    edit(image.id, { paths = { "etc/motd" }, compression = n % 2 == 0 and "gzip" or "zstd" })
    if n % math.ceil(JOBS / 5) == 0 or n == JOBS then
      print(("  %-44s %6.1f MiB"):format(("after %d edits"):format(n), rss(worker)))
    end
  end
end, debug.traceback)
server:stop()
dir:remove()
if not ok then
  io.stderr:write(failure, "\n")
  os.exit(1, true)
end

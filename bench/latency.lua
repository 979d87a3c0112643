--- How long other requests wait while jobs run on a large image, and whether the
-- worker's memory grows with the number of jobs: make bench-nginx
--
--   PROBES, RATE    so many requests, so many a second (500, 50)
--   JOBS            so many edits for the memory (500)
--   GIGABYTES       size of the image (1)

local cjson = require "cjson"
local nginx = require "spec.support.nginx"
local probes = require "bench.probes"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"
local zeros = require "spec.support.zeros"

local number = probes.number

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

local ok, failure = xpcall(function()
  local image, status = server:post("/images", { path = "large.tar" })
  assert(status == 201, image.error)
  edit(image.id, { paths = { "etc/motd" } })

  print("other requests, one connection, " .. RATE .. " a second")
  probes.print("nothing else to do", probes.run(server.url .. "/images", PROBES, RATE))
  local stop = dir:file("stop")
  keep_busy(image.id, stop)
  keep_busy(image.id, stop)
  shell.run { "sleep", "1" }
  probes.print(("2 jobs edit and compress an image of %g GB"):format(GIGABYTES),
    probes.run(server.url .. "/images", PROBES, RATE))
  shell.write(stop, "")
  local done = waiting.till("the jobs", function()
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
  print(("  %-44s %6.1f MiB"):format("before", (probes.memory(worker))))
  for n = 1, JOBS do
    edit(image.id, { paths = { "etc/motd" }, compression = n % 2 == 0 and "gzip" or "zstd" })
    if n % math.ceil(JOBS / 5) == 0 or n == JOBS then
      print(("  %-44s %6.1f MiB"):format(("after %d edits"):format(n), (probes.memory(worker))))
    end
  end
end, debug.traceback)
server:stop()
dir:remove()
if not ok then
  io.stderr:write(failure, "\n")
  os.exit(1, true)
end

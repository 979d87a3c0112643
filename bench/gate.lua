--- How long other requests wait while the gate of examples/gate judges images, how long that takes, and in how much
-- memory: part of make bench-nginx
--
--   PROBES, RATE    so many requests, so many a second (500, 50)
--   GIGABYTES       size of the image's layer (1)

local gate = require "spec.support.gate"
local oci_layout = require "spec.support.oci_layout"
local probes = require "bench.probes"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"

local PROBES, RATE = probes.number("PROBES", 500), probes.number("RATE", 50)
local GIGABYTES = probes.number("GIGABYTES", 1)

local missing = gate.missing()
if missing then
  io.stderr:write("bench: ", missing, "\n")
  os.exit(1)
end

-- An image with a layer of zeros, compressed, in the blobs of a repository.
local function push(server)
  local layout, layer = oci_layout.new(), gate.large_layer(GIGABYTES)
  layout:document(layer.bytes, layer.descriptor.mediaType)
  local image = layout:image { layers = { layer } }
  server:blobs("large", layout)
  return layout.blobs[image.descriptor.digest]
end

-- Puts the manifest again and again, with more white space each time, so that no verdict is known.
local SCRIPT = [[
  n=NUMBER
  while [ ! -e WORK/stop ]; do
    n=$((n + 2))
    { cat WORK/manifest; printf "%${n}s" ''; } | curl -s -o /dev/null -w '%{http_code} %{time_total}\n' -X PUT \
      --data-binary @- -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' URL/v2/large/manifests/tNUMBER
  done >WORK/doneNUMBER
  echo end >>WORK/doneNUMBER]]

local function keep_busy(server, number, work)
  local script = SCRIPT:gsub("WORK", work.path):gsub("URL", server.url):gsub("NUMBER", tostring(number))
  os.execute(("(%s) 2>/dev/null </dev/null &"):format(script))
end

local work = tmp.dir(tmp.for_peers())
local server = gate.start()
local ok, failure = xpcall(function()
  shell.write(work:file("manifest"), push(server))
  print("the gate: other requests, one connection, " .. RATE .. " a second")
  probes.print("nothing else to do", probes.run(server.url .. "/v2/", PROBES, RATE))
  keep_busy(server, 1, work)
  keep_busy(server, 2, work)
  shell.run { "sleep", "1" }
  probes.print(("2 images of %g GB are judged"):format(GIGABYTES), probes.run(server.url .. "/v2/", PROBES, RATE))
  shell.write(work:file("stop"), "")
  local times = {}
  for number = 1, 2 do
    local text = waiting.till("the judgements", function()
      return shell.read(work:file("done" .. number)):match("^(.*)end\n$")
    end)
    for status, time in text:gmatch("(%d+) ([%d.]+)\n") do
      assert(status == "201", status)
      times[#times + 1] = tonumber(time)
    end
  end
  table.sort(times)
  print(("  %d judgements meanwhile, median %.2f s"):format(#times, times[math.ceil(#times / 2)]))
  print(("  the worker process, threads included, has had %.1f MiB at most"):format(
    (select(2, probes.memory(server:workers()[1])))))
end, debug.traceback)
server:stop()
server.dir:remove()
work:remove()
if not ok then
  io.stderr:write(failure, "\n")
  os.exit(1, true)
end

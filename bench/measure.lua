--- Runs commands in turn and takes the medians of their times.

local shell = require "bench.shell"

local measure = {}

---@class bench.Contestant
---@field name string
---@field script string  bash; "$out" is a file or directory to write, as "$out.plain", "${peak[@]}" stands before
--- what is to be weighed, "$facts" is a file where strata's jobs say what they saw
---@field missing string?  why it cannot run

---@class bench.Result
---@field wall number?  seconds, as cpu: user and system
---@field cpu number?
---@field peak number?  KiB of the biggest process
---@field entries number?  this and the rest: what strata's job saw
---@field dropped number?
---@field copied number?  layers, as the next three
---@field recompressed number?
---@field rewritten number?
---@field added number?
---@field written number?  bytes
---@field layers {action: string, old: number, size: number, compression: string}[]?  that were saved; sizes as stored
---@field failure string?

-- GNU time, where it is installed, knows the memory of the peers. strata's jobs ask the kernel themselves.
local HAS_TIME = shell.has("/usr/bin/time")

local RUN = [[
cd %s && rm -rf out out.plain facts peak.txt log
export TMPDIR=$PWD LC_ALL=C.UTF-8
out=$PWD/out facts=$PWD/facts peak=()
[ %d = 0 ] || peak=(/usr/bin/time -f %%M -a -o $PWD/peak.txt)
TIMEFORMAT='%%3R %%3U %%3S'
{ time { %s
} >/dev/null 2>log; } 2>&1
status=$?
[ $status = 0 ] || head -n 1 log
[ ! -e facts ] || cat facts
[ ! -e peak.txt ] || sed -n 's/^\([0-9]*\)$/peak \1/p' peak.txt
rm -rf out out.plain
exit_with() { return $1; }; exit_with $status]]

local function run_once(work, contestant)
  local output, status = shell.try(RUN:format(shell.quote(work), HAS_TIME and 1 or 0, contestant.script))
  local wall, user, system, rest = output:match("^([%d.]+) ([%d.]+) ([%d.]+)\n(.*)$")
  if status ~= 0 or not wall then
    return { failure = ((rest or output):match("^%s*([^\n]+)") or "status " .. status):sub(1, 90) }
  end
  local result = { wall = tonumber(wall), cpu = tonumber(user) + tonumber(system) }
  rest = rest:gsub("layer (%a+) (%d+) (%d+) (%a+)\n", function(action, old, size, compression)
    result.layers = result.layers or {}
    result.layers[#result.layers + 1] = { action = action, old = tonumber(old), size = tonumber(size),
                                          compression = compression }
    return ""
  end)
  for key, value in rest:gmatch("(%a+) (%d+)") do
    result[key] = math.max(result[key] or 0, tonumber(value))
  end
  return result
end

local function median(runs, key)
  local values = {}
  for i, run in ipairs(runs) do values[i] = run[key] end
  table.sort(values)
  local middle = math.floor(#values / 2)
  return #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
end

local function summary(runs)
  if runs.failure then return { failure = runs.failure } end
  local result = { wall = median(runs, "wall"), cpu = median(runs, "cpu"), layers = runs[1].layers }
  for _, key in ipairs { "peak", "entries", "dropped", "copied", "recompressed", "rewritten", "added", "written" } do
    for _, run in ipairs(runs) do
      if run[key] then result[key] = math.max(result[key] or 0, run[key]) end
    end
  end
  return result
end

--- Each contestant in turn, so many rounds.
---@param work string
---@param contestants bench.Contestant[]
---@param rounds integer
---@param before? fun()  what is done before each round
---@return bench.Result[]
function measure.compare(work, contestants, rounds, before)
  local runs, results = {}, {}
  for i, contestant in ipairs(contestants) do runs[i] = { failure = contestant.missing } end
  for _ = 1, rounds do
    if before then before() end
    for i, contestant in ipairs(contestants) do
      if not runs[i].failure then
        local result = run_once(work, contestant)
        runs[i].failure = result.failure
        runs[i][#runs[i] + 1] = result
      end
    end
  end
  for i in ipairs(contestants) do results[i] = summary(runs[i]) end
  return results
end

return measure

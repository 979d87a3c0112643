--- Measures strata beside its peers on one image: make bench [IMAGE=FILE] [RUNS=5] [SIZE=800]
--
-- Without IMAGE it makes an image of SIZE megabytes from the machine's own files. Every time is the
-- median of RUNS runs, in which strata and its peers take turns. Nothing is asserted, nothing is left behind.

local image = require "bench.image"
local machine = require "bench.machine"
local measure = require "bench.measure"
local shell = require "bench.shell"

local MIB = 1048576

local given = arg[1]
local rounds = math.max(1, math.floor(tonumber(os.getenv "RUNS" or "") or 5))
local megabytes = tonumber(os.getenv "SIZE" or "") or 800
local quote = shell.quote

-- The interpreter that runs this.
local function interpreter()
  local i = -1
  while arg[i - 1] do i = i - 1 end
  return arg[i] or "lua5.4"
end

local HERE = shell.run("pwd"):gsub("%s+$", "")
local JOBS = ("(cd %s && %s bench/jobs.lua \"$facts\" "):format(quote(HERE), quote(interpreter()))

local function strata(job, img)
  return { name = "strata", script = ("%s%s %s \"$out\")"):format(JOBS, job, quote(img.path)) }
end

-- A peer's script is made for each layer and its member's name, or for the whole file.
local function peer(name, script)
  local program = name:match("^%S+")
  return { name = name, script = script, missing = not shell.has(program) and program .. " is not installed" or nil }
end

local function each_layer(img, script)
  local parts = {}
  for i, member in ipairs(img.members) do
    local from = ('bsdtar -xOqf %s -- %s'):format(quote(img.path), quote(member))
    parts[i] = from .. " | " .. script
  end
  return table.concat(parts, " &&\n")
end

local function list(img)
  return {
    title = "open and list every entry", strata("list", img),
    peer("bsdtar -tf of each layer", each_layer(img, '"${peak[@]}" bsdtar -tf -')),
  }
end

local function verify(img)
  if not img.compressed then
    return {
      title = "verify every digest", strata("verify", img),
      peer("openssl dgst -sha256", ('"${peak[@]}" openssl dgst -sha256 %s'):format(quote(img.path))),
    }
  end
  return {
    title = "verify every diff_id", strata("verify", img),
    peer("bsdtar | gzip -d | openssl", each_layer(img, 'gzip -dc | "${peak[@]}" openssl dgst -sha256')),
  }
end

local function saving(title, job, img)
  local source = quote(img.path)
  return {
    title = title, strata(job, img), peer("cp", ('"${peak[@]}" cp %s "$out"'):format(source)),
    peer("skopeo copy", ('"${peak[@]}" skopeo --insecure-policy copy -q docker-archive:%s "docker-archive:$out"')
      :format(source)),
  }
end

local function config(img)
  return saving("set Env and save", "config", img)
end

local function strip(img)
  return saving("strip usr/share/doc and usr/share/man, and save", "strip", img)
end

-- ---- the table --------------------------------------------------------------

local function seconds(value)
  if value < 1 then return ("%.0f ms"):format(value * 1000) end
  return ("%.2f s"):format(value)
end

local function mebibytes(kib)
  return kib and ("%.1f MiB"):format(kib * 1024 / MIB) or "-"
end

local function print_row(name, result, ratio)
  if result.failure then
    print(("  %-30s %s"):format(name, result.failure))
  else
    print(("  %-30s %9s %9s %11s %9s"):format(name, seconds(result.wall), seconds(result.cpu), mebibytes(result.peak),
      ratio and ("%.2f"):format(ratio) or ""))
  end
end

local function print_group(group, results)
  local own = results[1]
  print(group.title .. (own.dropped and own.dropped > 0 and (" (%d entries dropped)"):format(own.dropped) or ""))
  for i, contestant in ipairs(group) do
    local ratio = i > 1 and own.wall and results[i].wall and results[i].wall > 0 and own.wall / results[i].wall
    print_row(contestant.name, results[i], ratio)
  end
end

local function bench(work, img, kind, groups)
  print(("\n%s layers: %d in %.0f MB"):format(kind, #img.members, img.size / 1e6))
  print(("  %-30s %9s %9s %11s %9s"):format("", "wall", "cpu", "peak", "to peer"))
  local entries, peak = 0, 0
  for _, make in ipairs(groups) do
    local group = make(img)
    local results = measure.compare(work, group, rounds)
    print_group(group, results)
    entries, peak = math.max(entries, results[1].entries or 0), math.max(peak, results[1].peak or 0)
  end
  local budget = 64 * MIB + 200 * entries
  print(("strata's peak is %s; the budget is 64 MiB + 200 B x %d entries = %.1f MiB"):format(mebibytes(peak), entries,
    budget / MIB))
end

local function main()
  io.stdout:setvbuf("line")
  local size = given and tonumber(shell.run("stat -Lc %s -- " .. quote(given)):match("%d+")) or megabytes * 1e6
  -- Two images and an output, and the parts of one while it is made.
  local work, where = shell.workplace(3.5 * size)
  for _, line in ipairs(machine.describe()) do print(line) end
  print(("where     %s; medians of %d runs; cpu is user and system time"):format(where, rounds))
  local plain = given and image.given(given) or image.make(work, size)
  if plain.compressed then
    bench(work, plain, "compressed", { list, verify, config, strip })
  else
    bench(work, plain, "plain", { list, verify, config, strip })
    bench(work, image.compress(work, plain), "gzip", { list, verify, strip })
  end
end

local ok, message = pcall(main)
shell.leave()
if not ok then shell.die(tostring(message)) end

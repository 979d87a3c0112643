--- Measures strata beside its peers: make bench [IMAGE=FILE] [RUNS=5] [SIZE=800] [ROWS="list oci"] [BIG=1]
--
-- Without IMAGE it makes an image of SIZE megabytes from the machine's own files. Every time is the
-- median of RUNS runs, in which strata and its peers take turns. Beside strata's CPU time stands its floor, which is
-- what the libraries alone need for the same bytes (bench/floor.lua), and how many times the floor it took. ROWS
-- chooses rows of the table (bench/rows.lua), BIG=1 measures layers that are out of the ordinary (bench/big.lua)
-- instead. Nothing is asserted, nothing is left behind.

local big = require "bench.big"
local floor = require "bench.floor"
local image = require "bench.image"
local machine = require "bench.machine"
local measure = require "bench.measure"
local rows = require "bench.rows"
local shell = require "bench.shell"

local MIB = 1048576

local given = arg[1]
local rounds = math.max(1, math.floor(tonumber(os.getenv "RUNS" or "") or 5))
local megabytes = tonumber(os.getenv "SIZE" or "") or 800

local function check_names()
  for word in (os.getenv "ROWS" or ""):gmatch("[^%s,]+") do
    if not rows.make[word] then
      local names = {}
      for name in pairs(rows.make) do names[#names + 1] = name end
      table.sort(names)
      shell.die(("there is no row %s; there are %s"):format(word, table.concat(names, ", ")))
    end
  end
end

-- The rows of a kind that are wanted.
local function wanted(kind)
  local chosen = os.getenv "ROWS" or ""
  if not chosen:find("%S") then return rows[kind] end
  local list = {}
  for _, row in ipairs(rows[kind]) do
    for word in chosen:gmatch("[^%s,]+") do
      if word == row then list[#list + 1] = row end
    end
  end
  return list
end

local function seconds(value)
  if value < 1 then return ("%.0f ms"):format(value * 1000) end
  return ("%.2f s"):format(value)
end

local function mebibytes(kib)
  return kib and ("%.1f MiB"):format(kib * 1024 / MIB) or "-"
end

local LINE = "  %-30s %9s %9s %11s %9s %9s %9s"

local function print_line(...)
  print((LINE:format(...):gsub(" +$", "")))
end

local function print_row(name, result, ratio, least)
  if result.failure then
    print(("  %-30s %s"):format(name, result.failure))
  else
    print_line(name, seconds(result.wall), seconds(result.cpu), mebibytes(result.peak),
      ratio and ("%.2f"):format(ratio) or "", least and seconds(least) or "",
      least and ("%.2f"):format(result.cpu / least) or "")
  end
end

-- What strata did, behind the title.
local function describe(own)
  local parts = {}
  if (own.dropped or 0) > 0 then parts[1] = ("%d entries dropped"):format(own.dropped) end
  for _, action in ipairs { "added", "rewritten", "recompressed", "copied" } do
    if own[action] then parts[#parts + 1] = ("%d %s"):format(own[action], action) end
  end
  return #parts > 0 and " (" .. table.concat(parts, ", ") .. ")" or ""
end

local function print_group(group, results, least)
  local own = results[1]
  print(group.title .. describe(own))
  for i, contestant in ipairs(group) do
    local ratio = i > 1 and own.wall and results[i].wall and results[i].wall > 0 and own.wall / results[i].wall
    print_row(contestant.name, results[i], ratio, i == 1 and least or nil)
  end
end

-- What the libraries do in a second.
local function print_speeds(speeds)
  local parts = {}
  for _, pass in ipairs { "read", "sha256", "inflate", "deflate", "zstd", "write" } do
    parts[#parts + 1] = ("%s %.0f"):format(pass, speeds[pass] / 1e6)
  end
  print(("  libraries, MB/s on a core of busy ones: %s; %.0f files/s"):format(table.concat(parts, ", "), speeds.create))
end

-- Measures and prints a row; `sample` measures the libraries before each round. Returns what strata did, and samples.
local function bench_row(work, img, row, sample)
  local group, samples = rows.make[row](img, work), {}
  local before = sample and group.floor and function() sample(samples) end or nil
  local results = measure.compare(work, group, rounds, before)
  local least = samples[1] and not results[1].failure and
    floor.of(floor.median(samples), img.bytes, group, results[1]) or nil
  print_group(group, results, least)
  return results[1], samples
end

local function bench(work, img, title, list)
  print(("\n%s: %d in %.0f MB"):format(title, #img.members, img.size / 1e6))
  local sample, all = img.bytes and floor.sampler(work, img.tars, img.bytes.plain), {}
  print_line("", "wall", "cpu", "peak", "to peer", sample and "floor" or "", sample and "x floor" or "")
  local entries, peak = 0, 0
  for _, row in ipairs(list) do
    local own, samples = bench_row(work, img, row, sample)
    for _, one in ipairs(samples) do all[#all + 1] = one end
    entries, peak = math.max(entries, own.entries or 0), math.max(peak, own.peak or 0)
  end
  if all[1] then print_speeds(floor.median(all)) end
  local budget = 64 * MIB + 200 * entries
  print(("strata's peak is %s; the budget is 64 MiB + 200 B x %d entries = %.1f MiB"):format(mebibytes(peak), entries,
    budget / MIB))
end

local function print_head(where)
  for _, line in ipairs(machine.describe()) do print(line) end
  print(("where     %s; medians of %d runs; cpu is user and system time"):format(where, rounds))
end

local function bench_images()
  local size = given and tonumber(shell.run("stat -Lc %s -- " .. shell.quote(given)):match("%d+")) or megabytes * 1e6
  -- The image, its gzip and its layout, and an output beside what is in the making.
  local work, where = shell.workplace(5.5 * size)
  print_head(where)
  local kinds = { plain = wanted "plain", gzip = wanted "gzip", layout = wanted "layout" }
  local plain = image.weigh(image.locate(given and image.given(given) or image.make(work, size)))
  if #kinds.plain > 0 then
    bench(work, plain, plain.compressed and "compressed layers" or "plain layers", kinds.plain)
  end
  if #kinds.gzip > 0 and not plain.compressed then
    bench(work, image.weigh(image.locate(image.compress(work, plain))), "gzip layers", kinds.gzip)
  end
  if #kinds.layout > 0 then bench(work, image.layout(work, plain), "OCI layout, gzip layers", kinds.layout) end
end

local function bench_big()
  local headed = false
  for _, one in ipairs(big.images) do
    local list = wanted(one.rows)
    if #list > 0 then
      local work, where = shell.workplace(one.room, true)
      if not headed then print_head("RAM disk (/dev/shm)") end
      headed = true
      if work then
        bench(work, one.make(work), one.title, list)
        shell.leave()
      else
        print(("\n%s: %s"):format(one.title, where))
      end
    end
  end
end

local function main()
  io.stdout:setvbuf("line")
  check_names()
  if (os.getenv "BIG" or "") ~= "" then bench_big() else bench_images() end
end

local ok, message = pcall(main)
shell.leave()
if not ok then shell.die(tostring(message)) end

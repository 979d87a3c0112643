--- The floor of a row: the CPU time that the libraries need for what cannot be left out.
--
-- Each byte is read, inflated, hashed and written once, at the speeds that bench/speeds.c measures in the same run, on
-- bytes of the same image and on one core, while the others are as busy. Hashed are the blobs that come in, what they
-- inflate to, new layers and new blobs. An edited layer that is compressed need not be deflated: blocks that hold
-- nothing of the edit can stay.
-- What strata itself does to entries, and the start of its process, is no part of a floor.

local shell = require "bench.shell"

local floor = {}

---@class bench.Speeds
---@field read number  bytes of plain tar per second of CPU time, as all of them
---@field write number
---@field sha256 number
---@field inflate number
---@field deflate number  at the default level, with CRC-32, as the next
---@field zstd number
---@field create number  empty files, with owner, mode and time

---@class bench.Bytes
---@field stored number  of all layers, as they are stored
---@field plain number  of their tars
---@field layers number[]  of the tar of each

local PIECE, PIECES = 1048576, 32

-- Writes pieces from all over the tars to a file, since some of their bytes are compressed faster than others.
local function take_sample(path, tars, size)
  local pipe = assert(io.popen(("(%s) 2>/dev/null"):format(tars)))
  local file = assert(io.open(path, "wb"))
  local step, i = math.max(1, math.floor(size / PIECE / PIECES)), 0
  for piece in function() return pipe:read(PIECE) end do
    if i % step == 0 then assert(file:write(piece)) end
    i = i + 1
  end
  pipe:close()
  assert(file:close())
end

--- What measures the libraries; nil without bench/speeds, which make builds. Machines are not always equally fast,
--- so they are measured again before each run of strata, and what counts is the median.
---@param work string
---@param tars string  a script that prints tars of the image
---@param size number  of the tars, in bytes
---@return (fun(samples: bench.Speeds[]))?  adds one to a list
function floor.sampler(work, tars, size)
  local program = os.getenv "SPEEDS"
  if not program then return nil end
  local sample = work .. "/sample"
  take_sample(sample, tars, size)
  local command = ("%s %s %s"):format(program, shell.quote(sample), shell.quote(work))
  return function(samples)
    local speeds = {}
    for name, speed in shell.run(command):gmatch("(%w+) (%d+)\n") do speeds[name] = tonumber(speed) end
    samples[#samples + 1] = speeds
  end
end

--- The median of each speed.
---@param samples bench.Speeds[]
---@return bench.Speeds
function floor.median(samples)
  local speeds = {}
  for name in pairs(samples[1]) do
    local values = {}
    for i, sample in ipairs(samples) do values[i] = sample[name] end
    table.sort(values)
    speeds[name] = values[math.floor(#values / 2) + 1]
  end
  return speeds
end

-- What a layer that is written costs, by what was done with it. `tar` is the size of its old tar. Where entries were
-- looked at, layers in which nothing was to be done have been read whole, too.
local function saved(layer, tar, is_scanned, add)
  local is_plain = layer.compression == "none"
  if layer.action == "copied" then
    add("read", layer.old)
    add("sha256", layer.old)
    if is_scanned and not is_plain then
      add("inflate", tar)
      add("sha256", tar)
    end
  elseif layer.action == "recompressed" then
    add("read", layer.old)
    add("sha256", tar + (is_plain and layer.old or layer.size))
    if layer.old ~= tar then add("inflate", tar) end
    if not is_plain then add(layer.compression == "zstd" and "zstd" or "deflate", tar) end
  elseif layer.action == "rewritten" then
    add("read", layer.old)
    add("sha256", layer.old + layer.size)
    if not is_plain then
      add("inflate", tar)
      add("sha256", tar + tar * layer.size / layer.old)
    end
  end
  add("write", layer.size)
end

-- New layers are made of the old ones that are not there any more.
local function assembled(layers, bytes, add)
  local gone, new = bytes.stored, 0
  for _, layer in ipairs(layers) do
    gone = gone - layer.old
    if layer.action == "added" then new = new + layer.size end
  end
  if new == 0 then return end
  local tars = gone * bytes.plain / bytes.stored
  add("read", gone)
  add("sha256", gone + new)
  if bytes.plain > bytes.stored then
    add("inflate", tars)
    add("sha256", tars + new * bytes.plain / bytes.stored)
    add("deflate", new * bytes.plain / bytes.stored)
  end
end

--- The floor of what strata did, in seconds; nil when there is none for it.
---@param speeds bench.Speeds
---@param bytes bench.Bytes
---@param row bench.Contestant[]  its `floor`: "save", or what is done with everything: "read", "export" or "tree"
---@param result bench.Result
---@return number?
function floor.of(speeds, bytes, row, result)
  local sum = 0
  local function add(pass, size) sum = sum + size / speeds[pass] end
  if not row.floor then return nil end
  if row.floor == "save" then
    local layers = result.layers or {}
    for i, layer in ipairs(layers) do
      local tar = #layers == #bytes.layers and bytes.layers[i] or layer.old * bytes.plain / bytes.stored
      saved(layer, tar, (result.entries or 0) > 0, add)
    end
    assembled(layers, bytes, add)
    return sum
  end
  add("read", bytes.stored)
  add("sha256", bytes.stored)
  if bytes.plain > bytes.stored then
    add("inflate", bytes.plain)
    add("sha256", bytes.plain)
  end
  if row.floor == "export" then
    add("sha256", result.written)
    add("write", result.written)
  elseif row.floor == "tree" then
    add("create", result.entries)
    add("write", bytes.plain)
  end
  return sum
end

return floor

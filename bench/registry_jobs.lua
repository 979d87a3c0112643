--- What strata does in a row of bench/registry.lua: lua5.4 bench/registry_jobs.lua JOB FROM TO

local strata = require "strata"

local jobs = {}

function jobs.copy(from, to)
  assert(strata.copy(from, to))
end

-- Of an image and of one for another platform, which has one layer more.
function jobs.index(from, to)
  local img, other = assert(strata.open(from)), assert(strata.open(from))
  other.config.architecture, other.config.variant = "riscv64", nil
  assert(other:append { files = { other = "other" } })
  assert(strata.save({ img, other }, to))
end

function jobs.label(from, to)
  local img = assert(strata.open(from))
  img.config:set_label("run", to)
  assert(img:save(to))
end

function jobs.strip(from, to)
  local img = assert(strata.open(from))
  assert(img.layers[#img.layers]:remove("usr/include", { optional = true }))
  assert(img:save(to))
end

function jobs.list(from)
  local count = 0
  for _ in assert(strata.open(from)):entries() do count = count + 1 end
  assert(count > 0)
end

jobs[arg[1]](arg[2], arg[3])

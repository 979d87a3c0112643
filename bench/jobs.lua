--- What strata does in the benchmark, each in a process of its own:
--   lua bench/jobs.lua FACTS JOB IMAGE [OUTPUT]
--
-- FACTS is a file to which it writes, at its end, what it saw: entries, dropped, peak memory in KiB.

local strata = require "strata"

local STRIPPED = { "usr/share/doc/", "usr/share/man/" }

local facts_path, name, input, output = ...
local facts = { entries = 0, dropped = 0 }
local jobs = {}

-- Prints names, as tar -t does.
function jobs.list(img)
  for _, layer in img:layers() do
    for entry in layer:entries() do
      facts.entries = facts.entries + 1
      io.write(entry.path, "\n")
    end
  end
end

function jobs.verify(img)
  assert(img:verify())
end

function jobs.config(img)
  img.config:set_env("STRATA_BENCH", "1")
  assert(img:save(output))
end

local function is_stripped(path)
  for _, prefix in ipairs(STRIPPED) do
    if path:sub(1, #prefix) == prefix then return true end
  end
  return false
end

function jobs.strip(img)
  assert(img:filter(function(entry)
    facts.entries = facts.entries + 1
    if not is_stripped(entry.path) then return true end
    facts.dropped = facts.dropped + 1
    return false
  end))
  assert(img:save(output))
end

local img = assert(strata.open(input))
jobs[name](img)
img:close()

local status = assert(io.open("/proc/self/status"))
facts.peak = status:read("*a"):match("VmHWM:%s*(%d+)")
status:close()
local file = assert(io.open(facts_path, "w"))
for key, value in pairs(facts) do file:write(key, " ", value, "\n") end
file:close()

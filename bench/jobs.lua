--- What strata does in the benchmark, each in a process of its own:
--   lua bench/jobs.lua FACTS JOB IMAGE [OUTPUT]
--
-- FACTS is a file to which it writes, at its end, what it saw: entries, dropped, bytes written, layers by what was done
-- with them, peak memory in KiB; and a line for each layer that was saved: what was done, old size, size, compression.

local strata = require "strata"

local STRIPPED = { "usr/share/doc", "usr/share/man" }

local facts_path, name, input, output = ...
local facts = { entries = 0, dropped = 0 }
local saved = {}
local jobs = {}

local function save(img, options)
  local result = assert(img:save(output, options))
  for i, layer in ipairs(result.layers) do
    facts[layer.action] = (facts[layer.action] or 0) + 1
    saved[i] = ("layer %s %d %d %s\n"):format(layer.action, layer.old_size or 0, layer.size, layer.compression)
  end
end

local function drop(img, is_dropped)
  assert(img:filter(function(entry)
    facts.entries = facts.entries + 1
    if not is_dropped(entry) then return true end
    facts.dropped = facts.dropped + 1
    return false
  end))
  save(img)
end

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
  save(img)
end

-- On a machine that has none of them nothing is removed.
function jobs.strip(img)
  local _, removed = assert(img:remove(STRIPPED, { optional = true }))
  facts.dropped = #removed
  for _, layer in img:layers() do facts.entries = facts.entries + layer.count end
  facts.entries = facts.entries + facts.dropped
  save(img)
end

-- Every layer has some.
function jobs.symlinks(img)
  drop(img, function(entry) return entry.type == "symlink" end)
end

function jobs.half(img)
  drop(img, function() return facts.entries % 2 == 0 end)
end

function jobs.edit(img)
  assert(img:rewrite(function(entry)
    facts.entries = facts.entries + 1
    if entry.path == "etc/motd" then entry:replace("edited\n") end
  end))
  save(img)
end

function jobs.gzip(img)
  save(img, { format = "oci", compression = "gzip" })
end

function jobs.zstd(img)
  save(img, { format = "oci-archive", compression = "zstd" })
end

function jobs.docker(img)
  save(img, { format = "docker", compression = "none" })
end

function jobs.extract(img)
  facts.entries = assert(img:extract(output)).entries
end

function jobs.squash(img)
  assert(img:squash(#img.layers - 1, #img.layers))
  save(img)
end

function jobs.flatten(img)
  assert(img:flatten())
  save(img)
end

function jobs.normalize(img)
  facts.entries = assert(img:normalize({ epoch = 0 })).entries
  save(img)
end

function jobs.rechunk(img)
  assert(img:rechunk({ by = "directory" }))
  save(img)
end

function jobs.export(img)
  local result = assert(img:export(output))
  facts.entries, facts.written = result.entries, result.size
end

-- Paths from all over the tree.
function jobs.rootfs(img)
  local root = assert(img:rootfs())
  local paths = {}
  for entry in root:walk() do paths[#paths + 1] = entry.path end
  facts.entries = #paths
  for i = 1, 10000 do
    local path = paths[(i * 7919) % #paths + 1]
    assert(root:lstat(path), path)
  end
end

function jobs.diff(img)
  facts.entries = #assert(strata.diff(img, output)).files
end

local img = assert(strata.open(input))
jobs[name](img)
img:close()

local status = assert(io.open("/proc/self/status"))
facts.peak = status:read("*a"):match("VmHWM:%s*(%d+)")
status:close()
local file = assert(io.open(facts_path, "w"))
for key, value in pairs(facts) do file:write(key, " ", value, "\n") end
file:write(table.concat(saved))
file:close()

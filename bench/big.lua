--- OCI layouts of one layer that is out of the ordinary: 4 GB of files, or 1,000,000 entries.

local shell = require "bench.shell"

local big = {}

---@class bench.Big
---@field title string
---@field rows string  which of bench.rows
---@field room number  bytes that it takes while it is measured
---@field make fun(work: string): bench.Image

local quote = shell.quote

local GIGABYTES = 4
local ENTRIES = 1000000
local PER_DIRECTORY = 1000

local function write(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  assert(file:close())
end

-- Makes a blob of what the script prints; returns its descriptor's text.
local function blob(layout, media_type, script)
  local digest = shell.run(([[set -o pipefail; cd %s; (%s) | tee blobs/sha256/new | sha256sum]]):format(
    quote(layout), script)):match("^%x+")
  local path = layout .. "/blobs/sha256/" .. digest
  assert(os.rename(layout .. "/blobs/sha256/new", path))
  local size = shell.run("stat -c %s " .. quote(path)):match("%d+")
  return ('{"mediaType":"%s","digest":"sha256:%s","size":%s}'):format(media_type, digest, size), path
end

-- A layout whose only layer is what `plain` prints, packed by the filter.
local function layout(path, plain, filter)
  shell.run("mkdir -p " .. quote(path .. "/blobs/sha256"))
  local diff_id = shell.run(plain .. " | sha256sum"):match("^%x+")
  local oci = "application/vnd.oci.image."
  local layer, file = blob(path, oci .. "layer.v1.tar" .. (filter and "+gzip" or ""),
    plain .. (filter and " | " .. filter or ""))
  local config = blob(path, oci .. "config.v1+json", "printf %s " .. quote((
    '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}'):format(diff_id)))
  local manifest = blob(path, oci .. "manifest.v1+json", "printf %s " .. quote((
    '{"schemaVersion":2,"mediaType":"%smanifest.v1+json","config":%s,"layers":[%s]}'):format(oci, config, layer)))
  local stored = tonumber(shell.run("stat -c %s " .. quote(file)):match("%d+"))
  local tar = tonumber(shell.run(plain .. " | wc -c"):match("%d+"))
  write(path .. "/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
  write(path .. "/index.json", ('{"schemaVersion":2,"manifests":[%s]}'):format(manifest))
  return { path = path, layer = file, members = { file }, compressed = filter ~= nil, size = stored,
           bytes = { stored = stored, plain = tar, layers = { tar } },
           tars = (filter and "gzip -dc " or "cat ") .. quote(file) }
end

-- ---- one layer of 4 GB ----------------------------------------------------------

-- etc/motd, and the machine's files again and again.
local function giant(work, filter)
  local tree, part = work .. "/tree", 256e6
  shell.run(("mkdir -p %s/etc && echo motd >%s/etc/motd; cd / && LC_ALL=C tar -cf - usr/lib usr/share 2>/dev/null "
    .. "| head -c %d >%s"):format(quote(tree), quote(tree), part, quote(tree .. "/part")))
  local length = tonumber(shell.run("stat -c %s " .. quote(tree .. "/part")):match("%d+"))
  local names = {}
  for i = 1, math.ceil(GIGABYTES * 1e9 / length) do names[i] = "data/" .. i end
  shell.run(("cd %s && mkdir data && for name in %s; do ln part $name; done"):format(quote(tree),
    table.concat(names, " ")))
  local img = layout(work .. "/giant", ("LC_ALL=C tar -C %s --format=ustar --numeric-owner --hard-dereference "
    .. "--no-recursion -cf - etc etc/motd data %s"):format(quote(tree), table.concat(names, " ")), filter)
  shell.run("rm -r " .. quote(tree))
  return img
end

-- ---- 1,000,000 entries ------------------------------------------------------------

local function sum_of(bytes)
  local sum = 0
  for i = 1, #bytes do sum = sum + bytes:byte(i) end
  return sum
end

-- Makes ustar headers of entries without content. Only names differ, so that the rest is summed up once.
local function headers(mode, typeflag)
  local head = mode .. "\0" .. ("0"):rep(7) .. "\0" .. ("0"):rep(7) .. "\0" .. (("0"):rep(11) .. "\0"):rep(2)
  local tail = typeflag .. ("\0"):rep(100) .. "ustar\00000" .. ("\0"):rep(247)
  local sum = sum_of(head .. (" "):rep(8) .. tail)
  return function(name)
    return name .. ("\0"):rep(100 - #name) .. head .. ("%06o\0 "):format(sum + sum_of(name)) .. tail
  end
end

local function million(work)
  local tar = work .. "/million.tar"
  local file = assert(io.open(tar, "wb"))
  local directory, plain = headers("0000755", "5"), headers("0000644", "0")
  for i = 1, ENTRIES / PER_DIRECTORY do
    local name = ("directory%04d/"):format(i)
    local parts = { directory(name) }
    for n = 2, PER_DIRECTORY do parts[n] = plain(("%sfile%04d"):format(name, n)) end
    assert(file:write(table.concat(parts)))
  end
  assert(file:write(("\0"):rep(1024)))
  assert(file:close())
  local img = layout(work .. "/million", "cat " .. quote(tar))
  os.remove(tar)
  return img
end

---@type bench.Big[]
big.images = {
  { title = "one layer of 4 GB, plain", rows = "giant", room = 13.5e9, make = function(work) return giant(work) end },
  { title = "one layer of 4 GB, gzip", rows = "giant", room = 9e9,
    make = function(work) return giant(work, "gzip -1 -n") end },
  { title = "one layer of 1,000,000 entries", rows = "million", room = 3e9, make = million },
}

return big

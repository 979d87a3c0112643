--- The largest files that a container of an image would see, and the layer of each:
-- largest.lua IMAGE.tar [COUNT]

local strata = require "strata"

local path, count = ...
if not path then error("usage: largest.lua IMAGE.tar [COUNT]", 0) end
local img = assert(strata.open(path))
local files = {}
for entry in assert(img:rootfs()):walk() do
  if entry.type == "file" then
    files[#files + 1] = { size = entry.size, path = entry.path, layer = entry.layer.position }
  end
end
table.sort(files, function(a, b)
  if a.size ~= b.size then return a.size > b.size end
  return a.path < b.path
end)
for i = 1, math.min(tonumber(count) or 10, #files) do
  print(("%12d  layer %d  %s"):format(files[i].size, files[i].layer, files[i].path))
end

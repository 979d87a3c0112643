--- Removes paths from every layer: lua5.4 examples/strip.lua IN.tar OUT.tar PATH ...
--
-- A path or a glob ("**/*.pyc") goes with everything below what it matches. Layers
-- that have none of them keep their bytes and their digests; OUT may be IN. Both may be
-- in a registry, such as docker://reg.example/team/app:1.4.

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value, message end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local input, output = ...
local paths = { select(3, ...) }
if #paths == 0 then
  io.stderr:write("usage: strip.lua IN.tar OUT.tar PATH ...\n")
  os.exit(2)
end

local img = check(strata.open(input))
local _, removed = check(img:remove(paths, { optional = true }))
local bytes = 0
for _, entry in ipairs(removed) do bytes = bytes + entry.size end

local saved = check(img:save(output))
print(("%d entries with %.1f MB of content are out"):format(#removed, bytes / 1e6))
for i, layer in ipairs(saved.layers) do
  print(("layer %d  %-9s  %11d -> %11d bytes"):format(i, layer.action, layer.old_size, layer.size))
end
print(saved.id)

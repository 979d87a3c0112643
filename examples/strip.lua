--- Takes paths out of every layer: lua5.4 examples/strip.lua IN.tar OUT.tar PATH ...
--
-- A path goes with everything below it. Layers that hold none of the paths keep
-- their bytes and their digests; OUT may be IN.

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local input, output = ...
local paths = { select(3, ...) }
if #paths == 0 then
  io.stderr:write("usage: strip.lua IN.tar OUT.tar PATH ...\n")
  os.exit(2)
end

for i, path in ipairs(paths) do
  paths[i] = path:gsub("^%.?/+", ""):gsub("/+$", "")
end

local function unwanted(path)
  for _, prefix in ipairs(paths) do
    if path == prefix or path:sub(1, #prefix + 1) == prefix .. "/" then return true end
  end
  return false
end

local img = check(strata.open(input))
local entries, bytes = 0, 0
check(img:filter(function(entry)
  if not unwanted(entry.path) then return true end
  entries, bytes = entries + 1, bytes + entry.size
  return false
end))

local saved = check(img:save(output))
print(("%d entries with %.1f MB of content are out"):format(entries, bytes / 1e6))
for i, layer in ipairs(saved.layers) do
  print(("layer %d  %-9s  %11d -> %11d bytes"):format(i, layer.action, layer.old_size, layer.size))
end
print(saved.id)

--- What a container sees of some paths, which layer each comes from and what the layers have done to it:
-- lua5.4 examples/rootfs.lua IMAGE.tar [PATTERN ...]

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local patterns = { ... }
local source = check(table.remove(patterns, 1), "usage: rootfs.lua IMAGE.tar [PATTERN ...]")
if #patterns == 0 then patterns = { "etc/*-release", "etc/passwd" } end

local root = check(check(strata.open(source)):rootfs())
print(root)
for _, pattern in ipairs(patterns) do
  for _, path in ipairs(check(root:glob(pattern))) do
    print(root:lstat(path))
    for _, row in ipairs(check(root:history(path))) do
      print(("  %-8s by layer %d  %s"):format(row.action, row.layer.position, row.layer.created_by or ""))
    end
  end
end

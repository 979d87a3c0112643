--- Dividing an image into layers that stay the same from build to build.
--
-- The layers become one, and its entries go into chunks by a name: that of their package, or of their directory. Which
-- chunk a name belongs to is worked out from the name alone, so a package that changes, comes or goes touches no other
-- chunk. What belongs to no package and changes with every build is in the topmost one.

local core = require "strata.core"
local fail = require "strata.util.fail"
local image = require "strata.image"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge_tar = require "strata.edit.merge_tar"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local packages = require "strata.edit.rechunk.packages"
local parts = require "strata.edit.parts"
local parent_of = require("strata.util.path").parent
local printed = require "strata.util.printed"
local squash = require "strata.edit.squash"

local CHUNKS = 16

-- Where every build and every system writes.
local VOLATILE = { etc = true, home = true, root = true, run = true, tmp = true, var = true }

-- Names of directories below the root that tell packages apart: usr/share/NAME, opt/NAME/lib, app/node_modules/NAME.
local DEPTH = 3

local function by_directory(entry)
  local directory = entry.type == "dir" and entry.path or parent_of(entry.path)
  if not directory or VOLATILE[entry.path:match("^[^/]*")] then return nil end
  local names = {}
  for name in directory:gmatch("[^/]+") do
    if #names < DEPTH then names[#names + 1] = name end
  end
  return table.concat(names, "/")
end

-- A function that gives the name of what an entry belongs to.
local function namer(state, by)
  if by == "directory" then return by_directory end
  if type(by) == "function" then
    return function(entry)
      local name = by(entry)
      if name ~= nil and type(name) ~= "string" then
        misuse("rechunk: by: the function returned %s for %s: a name is wanted, or nil", type(name),
          core.quote(entry.path))
      end
      if state.closed then misuse("rechunk: the image was closed meanwhile") end
      return name
    end
  end
  local root, message, code = state.handle:rootfs()
  if not root then return nil, message, code end
  local owners
  owners, message, code = packages.owners(root)
  root:close()
  if not owners then return nil, message, code end
  return function(entry)
    -- A directory is of many packages.
    local owner = entry.type ~= "dir" and owners[entry.path]
    return owner and "package " .. owner or by_directory(entry)
  end
end

-- A function that gives the chunk of an entry. The topmost one is for what has no name.
local function chooser(name_of, count)
  local known = {}
  return function(entry)
    local name = name_of(entry)
    if not name then return count end
    if not known[name] then
      known[name] = tonumber(core.sha256(name):match(":(%x%x%x%x%x%x%x)"), 16) % (count - 1) + 1
    end
    return known[name]
  end
end

local function run(state, opts)
  local base, message, code = layer_list.count_base(state, opts.above or 0)
  if not base then return nil, message, code end
  if base == #state.layers then return fail("EINVAL", "rechunk: no layer is above the base") end
  local states
  states, message, code = layer_list.prepare(state, opts, base + 1, #state.layers)
  if not states then return nil, message, code end
  local name_of
  name_of, message, code = namer(state, opts.by)
  if not name_of then return nil, message, code end
  local i, compression = base + 1, layer.current(states[#states]).compression
  local ok
  ok, message, code = squash.merge(state, i, #states, opts, "none")
  states = ok
  if ok then states, message, code = layer_list.prepare(state, opts) end
  if not states then return nil, message, code end
  local indexes
  indexes, message, code = merge_tar.indexes(states)
  if not indexes then return nil, message, code end
  local count = opts.chunks or CHUNKS
  local lists, own = parts.distribute(indexes[i], count, chooser(name_of, count))
  return parts.divide(state, i, indexes, lists, own, opts, {
    named = "strata rechunk: chunk %d of %d", compression = compression,
  })
end

--- Divides the layers of an image, or those above its base, anew.
---@param opts? strata.RechunkOptions
---@return strata.Image? self
---@return strata.Chunk[]|string chunks | message
---@return string? code
function image.methods:rechunk(opts)
  options.check("rechunk", "RechunkOptions", opts)
  opts = opts or {}
  local state = image.state_of(self)
  layer_list.check_above(state, opts.above, "rechunk")
  local chunks, message, code = image.edit(state, "rechunk", function() return run(state, opts) end)
  if not chunks then return nil, message, code end
  return self, printed.list(chunks, printed.chunk)
end

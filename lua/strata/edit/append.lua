--- Adding a layer to an image.

local config_schema = require "strata.document.config_schema"
local image = require "strata.image"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local limits = require "strata.util.limits"
local merge = require "strata.tree.merge"
local misuse = require "strata.util.misuse"
local new_layer = require "strata.layer.new"
local paths = require "strata.util.path"

-- A layer that is there already, and its row of the history.
local function take(other)
  local state = layer.state_of(other)
  if state.blob.missing then return nil, ("%s: its blob is not there"):format(layer.label(state)), "ENOENT" end
  local ok, message, code = layer.settle { state }
  if not ok then return nil, message, code end
  local copy, row = layer.copy(state), other.history
  copy.digest = other.digest
  return copy, {}, nil, row
end

-- A function that tells where a path leads in a merged tree, and the list of directories that led elsewhere.
local function resolver(tree)
  local known, moved = { ["."] = "." }, {}
  local function directory(path)
    local way, at = {}, path
    while at and not known[at] do
      way[#way + 1] = at
      at = paths.parent(at)
    end
    for i = #way, 1, -1 do
      local one, above = way[i], way[i + 1] or at
      local place = above and paths.join(known[above], paths.base(one)) or one
      local node = tree:find(place, true)
      if node and tree:info(node) == "dir" then place = tree:path(node) end
      local is_first = not above or known[above] == above
      if place ~= one and is_first then moved[#moved + 1] = { from = one, to = place } end
      known[one] = place
    end
    return known[path]
  end
  return function(path, is_dir)
    local parent = paths.parent(path)
    if is_dir or path == "." then return directory(path) end
    return parent and paths.join(directory(parent), paths.base(path)) or path
  end, moved
end

local function make(spec, kind, states, at)
  if kind == "layer" then return take(spec.layer) end
  local below = {}
  for i = 1, at - 1 do below[i] = states[i] end
  if not below[1] then return new_layer.make(spec, kind, "append", below) end
  -- Directories, link targets and symlinks may be there already.
  local ok, message, code = layer.load(below)
  if not ok then return nil, message, code end
  local tree
  tree, message, code = merge.kept(below[1].hub, below)
  if not tree then return nil, message, code end
  local resolve, moved = resolver(tree)
  local made, skipped, why = new_layer.make(spec, kind, "append", below, resolve)
  return made, skipped, why, nil, moved
end

--- Adds a layer made of files, a directory, a tar, another archive, or one that is
-- there already; on top, or at a place between the others.
---@param spec strata.AppendOptions  exactly one of files, dir, tar, archive, layer
---@return strata.Image? self
---@return string[]|string|nil skipped  what cannot be in a layer; nil for nothing | message
---@return string? code
---@return {from: string, to: string}[]? moved  directories that symlinks of the image lead to; nil for none
function image.methods:append(spec)
  local state = image.state_of(self)
  local config, top = state.config, #state.layers + 1
  local kind = new_layer.check(spec, "append", "AppendOptions")
  local at = spec.at or top
  if at > top then misuse("append: at should be a whole number from 1 to %d", top) end
  local made, skipped, code, other, moved = make(limits.options(spec, state.hub.limits), kind, state.hub.layers, at)
  if not made then return nil, skipped, code end
  made.index, made.loaded, made.result = nil, nil, nil
  local ok, message
  ok, message, code = image.edit(state, "append", function()
    return layer_list.insert(state, at, made, {
      created = spec.created or other and other.created or config.created or config_schema.EPOCH,
      created_by = spec.created_by or other and other.created_by or "strata append",
      comment = spec.comment or other and other.comment, author = spec.author or other and other.author,
    })
  end)
  if not ok then return nil, message, code end
  local told = skipped[1] and skipped or nil
  if moved and moved[1] then return self, told, nil, moved end
  return self, told
end

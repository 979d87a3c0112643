--- An entry of the root file system, as a container sees it.

local core = require "strata.core"
local json = require "strata.util.json"
local object = require "strata.util.object"

local tree_entry = {}

---@class strata.RootEntry
local methods = {}

local new, state_of

-- The attributes that unpackers give to a directory without an entry of its own.
local IMPLIED = { mode = 493, uid = 0, gid = 0, uname = "", gname = "", size = 0, mtime = 0, mtime_nsec = 0 }

local OF_SOURCE = {
  mode = true, uid = true, gid = true, uname = true, gname = true, size = true, mtime = true,
  mtime_nsec = true, linkpath = true, major = true, minor = true, xattrs = true,
}

local fields = {
  path = function(state) return state.tree:path(state.node) end,
  name = function(state) return state.tree:name(state.node) end,
  type = function(state) return (state.tree:info(state.node)) end,
  layer = function(state)
    local _, layer = state.tree:info(state.node)
    return layer and state.layers[layer]
  end,
  content_layer = function(state)
    local _, layer = state.tree:source(state.node)
    return layer and state.layers[layer]
  end,
  inode = function(state)
    local _, _, inode = state.tree:info(state.node)
    return inode
  end,
  links = function(state)
    local _, _, _, links = state.tree:info(state.node)
    return links
  end,
  entry = function(state) return state.tree:entry(state.node) end,
  implied = function(state) return state.tree:entry(state.node) == nil end,
}

--- The content of a file.
---@param max? integer  bytes at most
---@param from? integer  bytes to pass over
---@return string?
---@return string? message
---@return string? code
function methods:read(max, from)
  local state = state_of(self)
  local kind = state.tree:info(state.node)
  if kind ~= "file" then
    return nil, ("%s: is a %s, not a file"):format(core.quote(state.tree:path(state.node)), kind),
      kind == "dir" and "EISDIR" or "EINVAL"
  end
  return state.tree:source(state.node):read(max, from)
end

new, state_of = object.class("strata.RootEntry", methods, {
  index = function(state, key)
    if OF_SOURCE[key] then
      local source = state.tree:source(state.node)
      if source then return source[key] end
      return key == "xattrs" and {} or IMPLIED[key]
    end
    local field = fields[key]
    return field and field(state)
  end,
  tostring = function(state)
    local tree, node = state.tree, state.node
    local source = tree:source(node) or IMPLIED
    local kind, layer = tree:info(node)
    return ("strata.RootEntry(%s, %s, %04o, %d:%d, %s%s)"):format(json.printable(tree:path(node), 200), kind,
      source.mode, source.uid, source.gid, core.human_size(source.size),
      layer and (", layer %d"):format(layer) or "")
  end,
})

--- Makes one.
---@param tree userdata  the core's
---@param node integer
---@param layers strata.Layer[]
---@return strata.RootEntry
function tree_entry.new(tree, node, layers)
  return new { tree = tree, node = node, layers = layers }
end

return tree_entry

--- The file system that a container sees, without unpacking anything.
--
-- It follows edits of the layers: each question is answered for the layers as they are
-- at that moment.

local above = require "strata.tree.above"
local argument = require "strata.util.argument"
local chosen_paths = require "strata.tree.chosen_paths"
local core = require "strata.core"
local digests = require "strata.tree.digests"
local draw = require "strata.tree.draw"
local frozen = require "strata.util.frozen"
local glob = require "strata.util.glob"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"
local object = require "strata.util.object"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local packages = require "strata.tree.packages"
local path_history = require "strata.tree.path_history"
local printed = require "strata.util.printed"
local tree_entry = require "strata.tree.entry"
local tree_file = require "strata.tree.file"
local tree_glob = require "strata.tree.glob"
local usage = require "strata.tree.usage"

local rootfs = {}

---@class strata.Rootfs
local methods = {}

--- The methods of the class; edit/export adds export() and extract().
rootfs.methods = methods

local new, state_of, is

-- The tree as the layers are now.
local function tree_of(state)
  if state.tree and state.tree:current() then return state.tree end
  local tree, message, code = merge.of(state.layers, { view = state.view })
  if not tree then return nil, message, code end
  state.tree = tree
  return tree
end

-- The node of a path, its tree, and the layers by the tree's numbers. Of an image in a registry only those layers are
-- fetched that decide about the path.
local function find(state, path, follow)
  if state.is_lazy and not state.tree then
    local node, found, code = above.find(state.layers, path, follow, state.above)
    if node then
      state.above = found
      return node, found.tree, nil, found.layers
    end
    if found then return nil, found, code end
  end
  local tree, message, code = tree_of(state)
  if not tree then return nil, message, code end
  local node
  node, message, code = tree:find(path, follow)
  if not node then return nil, message, code end
  return node, tree, nil, state.layers
end

-- The tree and the node of a directory; without a path, of the root.
local function find_directory(state, path)
  local tree, message, code = tree_of(state)
  if not tree then return nil, message, code end
  local node
  node, message, code = tree:find(path or "/", true)
  if not node then return nil, message, code end
  if tree:info(node) ~= "dir" then
    return nil, ("%s: not a directory"):format(core.quote(path)), "ENOTDIR"
  end
  return node, tree
end

--- The entry at a path; symlinks are followed, inside the root.
---@param path string
---@return strata.RootEntry?
---@return string? message
---@return string? code  "ENOENT", "ENOTDIR", "ELOOP"
function methods:stat(path)
  argument.path(path, "stat")
  local state = state_of(self)
  local node, tree, code, layers = find(state, path, true)
  if not node then return nil, tree, code end
  return tree_entry.new(tree, node, layers)
end

--- The entry at a path; a symlink at its end is not followed.
---@param path string
---@return strata.RootEntry?
---@return string? message
---@return string? code
function methods:lstat(path)
  argument.path(path, "lstat")
  local state = state_of(self)
  local node, tree, code, layers = find(state, path, false)
  if not node then return nil, tree, code end
  return tree_entry.new(tree, node, layers)
end

--- Whether a path exists; a symlink whose target does not exist counts as missing.
---@param path string
---@return boolean
function methods:exists(path)
  argument.path(path, "exists")
  local node, message, code = find(state_of(self), path, true)
  if not node and code ~= "ENOENT" and code ~= "ENOTDIR" and code ~= "ELOOP" then error(message, 0) end
  return node ~= nil
end

--- Where a symlink leads to, as it says.
---@param path string
---@return string?
---@return string? message
---@return string? code  "EINVAL": it is none
function methods:readlink(path)
  argument.path(path, "readlink")
  local node, tree, code = find(state_of(self), path, false)
  if not node then return nil, tree, code end
  if tree:info(node) ~= "symlink" then
    return nil, ("%s: not a symbolic link"):format(core.quote(path)), "EINVAL"
  end
  return tree:source(node).linkpath
end

--- Opens a file, to be read in pieces.
---@param path string
---@return strata.RootFile?
---@return string? message
---@return string? code
function methods:open(path)
  argument.path(path, "open")
  local node, tree, code, layers = find(state_of(self), path, true)
  if not node then return nil, tree, code end
  local kind = tree:info(node)
  if kind ~= "file" then
    local why = kind == "hardlink" and "a hardlink to a file that is not there"
      or ("is %s, not a file"):format(printed.type(kind))
    return nil, ("%s: %s"):format(core.quote(path), why),
      kind == "dir" and "EISDIR" or kind == "hardlink" and "ENOENT" or "EINVAL"
  end
  local entry, from = tree:source(node)
  return tree_file.new(entry, layer.state_of(layers[from]), path)
end

--- The content of a file.
---@param path string
---@param max? integer  bytes at most
---@return string?
---@return string? message
---@return string? code
function methods:read(path, max)
  argument.path(path, "read")
  argument.count(max, "read", "max")
  local file, message, code = self:open(path)
  if not file then return nil, message, code end
  return tree_file.content(file, max)
end

--- The names in a directory, in the order of their bytes.
---@param path? string  "/"
---@return string[]?
---@return string? message
---@return string? code
function methods:list(path)
  argument.path(path, "list", true)
  local node, tree, code = find_directory(state_of(self), path)
  if not node then return nil, tree, code end
  local names = {}
  local child = tree:first(node)
  while child do
    names[#names + 1] = tree:name(child)
    child = tree:next(child)
  end
  return printed.list(names)
end

--- Iterates over everything below a directory, each directory before its contents.
-- Symlinks are not followed. Throws when the directory does not exist.
---@param path? string  "/"
---@return fun(): strata.RootEntry?
function methods:walk(path)
  argument.path(path, "walk", true)
  local state = state_of(self)
  local top, tree = find_directory(state, path)
  if not top then misuse(tree) end
  local node = top
  return function()
    node = node and merge.after(tree, node, top)
    return node and tree_entry.new(tree, node, state.layers) or nil
  end
end

--- The paths that match a pattern, in the order of their bytes: `*` and `?` and
-- `[a-z]` within a name (also a hidden one), `**` for any directories between.
---@param pattern string  e.g. "etc/**/*.conf"
---@return string[]?
---@return string? message
---@return string? code
function methods:glob(pattern)
  argument.path(pattern, "glob")
  local problem = glob.problem(pattern)
  if problem then misuse("glob: %s is no glob: %s", core.quote(pattern), problem) end
  local tree, message, code = tree_of(state_of(self))
  if not tree then return nil, message, code end
  return printed.list(tree_glob.paths(tree, pattern))
end

-- What the directories of the tree add up to; it is added up once, and anew after edits of the layers.
local function usage_of(state)
  local tree, message, code = tree_of(state)
  if not tree then return nil, message, code end
  if not state.usage or state.usage.tree ~= tree then state.usage = usage.of(tree) end
  return state.usage
end

--- What a directory adds up to: the bytes of all files below it, a file with several names once, and how many paths
-- these are. Of a file, its bytes. A symlink at the end is not followed.
---@param path? string  "/"
---@return strata.Usage?
---@return string? message
---@return string? code
function methods:usage(path)
  argument.path(path, "usage", true)
  local state = state_of(self)
  local sums, message, code = usage_of(state)
  if not sums then return nil, message, code end
  local node
  node, message, code = sums.tree:find(path or "/", false)
  if not node then return nil, message, code end
  return printed.by({ bytes = sums.bytes[node], entries = sums.entries[node] }, printed.usage)
end

--- The largest files, a file with several names once.
---@param count? integer  at most; 20
---@return strata.RootEntry[]?
---@return string? message
---@return string? code
function methods:largest(count)
  argument.count(count, "largest", "count")
  local state = state_of(self)
  local sums, message, code = usage_of(state)
  if not sums then return nil, message, code end
  local list = usage.largest(sums, count or 20)
  for i, node in ipairs(list) do list[i] = tree_entry.new(sums.tree, node, state.layers) end
  return printed.list(list)
end

--- The layers that changed a path, and how, the base first.
---@param path string
---@return strata.PathHistory[]?
---@return string? message
---@return string? code
function methods:history(path)
  argument.path(path, "history")
  return path_history.of(state_of(self).layers, path)
end

--- The SHA-256 of the contents of files, hashed on threads, sorted by path.
---@param which? strata.Which  a function gets a strata.RootEntry; nil: all
---@param opts? strata.DigestOptions
---@return strata.FileDigest[]?
---@return string? message
---@return string? code
function methods:digests(which, opts)
  options.check("digests", "DigestOptions", opts)
  opts = opts or {}
  local state, wanted = state_of(self), nil
  local tree, message, code = tree_of(state)
  if not tree then return nil, message, code end
  if which ~= nil then
    wanted, message, code = chosen_paths.find(tree, state.layers, which, { fn = "digests", optional = opts.optional })
    if not wanted then return nil, message, code end
  end
  return digests.of(tree, state.layers, wanted, opts)
end

--- The packages that are installed, as the databases of dpkg and apk tell them. That of rpm is not read.
---@return strata.Package[]?
---@return strata.PackageDatabase[]|string databases  that are there | message
---@return string? code  "EUNSUPPORTED": only that of rpm
function methods:packages()
  state_of(self)
  return packages.of(self)
end

--- The tree, for people.
---@param root strata.Rootfs
---@param opts? strata.TreeOptions  checked
---@return string
function rootfs.draw(root, opts)
  local path = opts and opts.path
  local node, tree = find_directory(state_of(root), path)
  if not node then misuse(tree) end
  local title = tree:path(node)
  local totals = opts and opts.sizes and usage_of(state_of(root)).bytes or nil
  return draw.render(tree, node, title == "." and "/" or title .. "/", opts, totals)
end

--- The tree, for people. Throws when there is no such directory.
---@param opts? strata.TreeOptions
---@return string
function methods:tree(opts)
  options.check("tree", "TreeOptions", opts)
  local text = rootfs.draw(self, opts)
  return text -- no tail call: misuse is the caller's
end

local fields = {
  layers = function(state)
    local copy = {}
    for i, one in ipairs(state.layers) do copy[i] = one end
    return frozen.table(copy, "root.layers", "it is there to be read")
  end,
  count = function(state)
    local tree, message = tree_of(state)
    if not tree then error(message, 0) end
    return tree:count()
  end,
}

new, state_of, is = object.class("strata.Rootfs", methods, {
  fields = fields,
  tostring = function(state)
    if state.is_lazy and not state.tree then
      return ("strata.Rootfs(%s, not all of which are here)"):format(printed.counted(#state.layers, "layer"))
    end
    local tree = tree_of(state)
    return ("strata.Rootfs(%s, %s)"):format(printed.counted(#state.layers, "layer"),
      tree and printed.counted(tree:count(), "path") or "cannot be read")
  end,
  close = function(state)
    if state.tree then state.tree:close() end
    if state.above then state.above.tree:close() end
  end,
})

rootfs.is, rootfs.state_of, rootfs.tree_of, rootfs.usage_of = is, state_of, tree_of, usage_of

--- The root file system of the first layers of an image.
---@param layers strata.Layer[]
---@param opts? strata.RootfsOptions  checked
---@return strata.Rootfs?
---@return string? message
---@return string? code
function rootfs.of(layers, opts)
  local upto = opts and opts.upto or #layers
  if upto > #layers then misuse("rootfs: upto should be a whole number from 0 to %d", #layers) end
  local state = { layers = {}, view = opts and opts.view }
  for i = 1, upto do state.layers[i] = layers[i] end
  state.is_lazy = state.view ~= "spec" and above.is_worth_it(state.layers)
  if state.is_lazy then return new(state) end
  local tree, message, code = tree_of(state)
  if not tree then return nil, message, code end
  return new(state)
end

--- The tree of this layer's entries, drawn for people.
---@param opts? strata.TreeOptions
---@return string
function layer.methods:tree(opts)
  options.check("tree", "TreeOptions", opts)
  local root, message = rootfs.of { self }
  if not root then error(message, 0) end
  local text = rootfs.draw(root, opts)
  root:close()
  return text
end

return rootfs

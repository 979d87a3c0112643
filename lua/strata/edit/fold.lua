--- Removing entries that only repeat what a lower layer has, with other metadata.
--
-- `chown -R` and `chmod` in a build leave the whole content of every file again in an
-- upper layer. Where the final file system stays the same entry by entry, the lower entry
-- takes the metadata of the upper one, which is dropped.
--
-- An entry goes into what the layers below it have at its path when
--  * both are of one type and have the same content, link target or device number;
--  * all names of a hardlinked file are repeated, or none: metadata is the inode's;
--  * no other layer has a hardlink to either of them;
--  * its own layer has no whiteout and no opaque directory that hides what is below;
--  * neither layer names a path twice or goes through symlinks of lower layers;
--  * PAX records that are no extended attributes, such as ACLs, are the same;
--  * neither has an attribute of overlayfs, such as the mark of an opaque directory, which
--    tells what its own layer does to the layers below.
-- A directory has to go with all that its layer has below it, and no layer between the
-- two may have anything below it either: unpackers make the parents that a layer does
-- not tell with attributes of their own.

local core = require "strata.core"
local image = require "strata.image"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge = require "strata.tree.merge"
local metadata = require "strata.layer.metadata"
local options = require "strata.util.options"
local paths = require "strata.util.path"
local printed = require "strata.util.printed"

-- A file of the layers is one number: that of its layer, times this, and that of its entry.
local STEP = 2 ^ 32
-- Larger times cannot be assigned exactly.
local MAX_TIME = 2 ^ 52

local TYPES = { file = true, hardlink = true, dir = true, symlink = true, char = true, block = true, fifo = true }

local function key_of(number, entry)
  return number * STEP + entry
end

local function layer_of(key)
  return math.floor(key / STEP)
end

-- Like paths.parent, but an entry in the root has a parent as well: ".".
local function parent_of(path)
  if path == "." then return nil end
  return paths.parent(path) or "."
end

-- ---- what each layer has -------------------------------------------------------------

--- A file of a layer, with all of its names, that may repeat one below.
---@class strata.RepeatedFile
---@field kind string  type of both
---@field layer integer
---@field key integer
---@field into integer  key of the file below
---@field links integer  names of the file below
---@field names {path: string, number: integer}[]  entries of the layer
---@field torn boolean?  the names repeat several files

---@class strata.Fold
---@field states strata.LayerState[]
---@field odd table<integer, boolean>  layers that are left alone
---@field crossed table<integer, boolean>  files that another layer has a hardlink to
---@field groups table<integer, integer[]>  by the key of a file: the entries that are names of it
---@field files strata.RepeatedFile[][]  of each layer
local Fold = {}
Fold.__index = Fold

function Fold:entry(key)
  return self.states[layer_of(key)].index:entry(key % STEP)
end

-- Whether an entry has attributes of overlayfs.
local function has_overlay_mark(entry)
  for name in pairs(entry.xattrs) do
    if name:find("trusted.overlay.", 1, true) == 1 then return true end
  end
  return false
end

-- The node of a path, and whether no symlink leads to it.
local function find_direct(tree, path)
  local node = tree:find(path, false)
  return node, not node or tree:path(node) == path
end

-- Sorts the paths of a layer: which ones it has, which are no directories (`solid`), which ones its
-- whiteouts hide, and whether it is odd. Of a hardlink that comes before its file, readers differ about which file it
-- is a name of.
local function survey(index, tree)
  local told = { paths = {}, solid = {}, hidden = {}, opaque = {}, odd = false }
  local awaited = {}
  for entry in index:entries() do
    job.tick()
    local path = entry.path
    if entry.whiteout or entry.opaque then
      if entry.whiteout then told.hidden[entry.whiteout] = true else told.opaque[entry.opaque] = true end
      told.odd = told.odd or not select(2, find_direct(tree, parent_of(path)))
    elseif told.paths[path] then
      told.odd = true
    else
      told.paths[path] = true
      told.odd = told.odd or awaited[path] == true
      if entry.type == "hardlink" then awaited[core.normalise(entry.linkpath)] = true end
      if has_overlay_mark(entry) then told.opaque[path] = true end
      if entry.type ~= "dir" then told.solid[path] = true end
    end
  end
  return told
end

-- Whether a layer has something that replaces or hides what lower layers have at a path.
local function is_hidden(told, path)
  if told.hidden[path] then return true end
  local parent = parent_of(path)
  while parent do
    if told.hidden[parent] or told.opaque[parent] or told.solid[parent] then return true end
    parent = parent_of(parent)
  end
  return false
end

-- For each entry of a layer: what the tree of the layers below has at its path.
local function look_below(index, tree, told)
  local found = {}
  for entry in index:entries() do
    job.tick()
    local path, node, direct = entry.path, nil, nil
    if TYPES[entry.type] and not core.whiteout(path) and not is_hidden(told, path) then
      node, direct = find_direct(tree, path)
    end
    if node and direct then
      local kind, from, _, links = tree:info(node)
      local source, holder = tree:source(node)
      if source and from then
        found[entry.position] = { kind = kind, into = key_of(holder, source.position), links = links }
      end
    end
  end
  return found
end

-- Notes the names of the files of a layer, now that it is in the tree, and which of them repeat something.
function Fold:collect(number, tree, told, below)
  local files, list = {}, {}
  self.odd[number], self.files[number] = told.odd, list
  for entry in self.states[number].index:entries() do
    job.tick()
    local node, direct = nil, true
    if not entry.whiteout and not entry.opaque then node, direct = find_direct(tree, entry.path) end
    if not direct then self.odd[number] = true end
    local own, kind, from, inode, links = node and tree:entry(node), nil, nil, nil, nil
    if own then kind, from, inode, links = tree:info(node) end
    if own and from == number and own.position == entry.position then
      local source, holder = tree:source(node)
      local key, lower = key_of(holder, source.position), below[entry.position]
      if holder ~= number then self.crossed[key] = true end
      if inode then
        self.groups[key] = self.groups[key] or { links = links }
        table.insert(self.groups[key], entry.position)
      end
      if holder == number and lower and lower.kind == kind then
        local file = files[key]
        if not file then
          file = { kind = kind, layer = number, key = key, into = lower.into, links = lower.links, names = {} }
          files[key], list[#list + 1] = file, file
        end
        file.names[#file.names + 1] = { path = entry.path, number = entry.position }
        file.torn = file.torn or lower.into ~= file.into
      end
    end
  end
end

function Fold:collect_all()
  local told, below
  local tree, message, code = merge.of_states(self.states, {
    view = "spec", -- it shows which layers go through symlinks of others; they stay as they are
    before = function(tree, number)
      local index = self.states[number].index
      told = survey(index, tree)
      below = look_below(index, tree, told)
    end,
    after = function(tree, number) self:collect(number, tree, told, below) end,
  })
  if not tree then return nil, message, code end
  tree:close()
  return true
end

-- ---- which of them can go ----------------------------------------------------------------

local IGNORED = { mtime = true, atime = true, ctime = true, path = true, linkpath = true, size = true, uid = true,
                  gid = true, uname = true, gname = true, comment = true, ["SCHILY.nlink"] = true }
local IGNORED_PATTERNS = { "^SCHILY%.xattr%.", "^LIBARCHIVE%.xattr%.", "^LIBARCHIVE%.creationtime",
                           "^SCHILY%.[di][en][vo]$" }

local function is_ignored(key)
  if IGNORED[key] then return true end
  for _, pattern in ipairs(IGNORED_PATTERNS) do
    if key:find(pattern) then return true end
  end
  return false
end

-- Records that say more of a file than its fields and attributes do.
local function other_records(entry)
  local list = {}
  for key, value in pairs(entry.pax) do
    if not is_ignored(key) then list[#list + 1] = ("%d:%s=%s"):format(#key, key, value) end
  end
  return table.concat(json.sort(list), "\n")
end

local function has_plain_times(entry)
  for _, field in ipairs { "mtime", "atime", "ctime" } do
    if math.abs(entry[field] or 0) > MAX_TIME then return false end
  end
  return true
end

local function may_repeat(upper, lower)
  local is_owned = upper.uid ~= -1 and upper.gid ~= -1 -- an owner that is left as it is cannot be assigned
  return is_owned and upper.size == lower.size and not upper.sparse and not lower.sparse and
    has_plain_times(upper) and not has_overlay_mark(upper) and not has_overlay_mark(lower) and
    upper.linkpath == lower.linkpath and upper.major == lower.major and upper.minor == lower.minor and
    other_records(upper) == other_records(lower)
end

-- A hardlinked file goes with all of its names or not at all, and only if no other layer links to it.
function Fold:is_whole(file)
  local group, lower, count = self.groups[file.key], self.groups[file.into], #file.names
  if file.torn or self.crossed[file.key] or self.crossed[file.into] then return false end
  if self.odd[file.layer] or self.odd[layer_of(file.into)] then return false end
  if group and (#group ~= count or group.links ~= count) then return false end
  return file.links == count and not (lower and #lower < count)
end

-- Whether all names of a file have the metadata of the file. Where they differ, unpackers do not
-- agree about what the file gets.
function Fold:is_plain(file)
  local source, index = self:entry(file.key), self.states[file.layer].index
  for _, one in ipairs(file.names) do
    local entry = index:entry(one.number)
    local same = entry.uname == source.uname and entry.gname == source.gname and metadata.same(entry, source)
    if not same then return false end
  end
  return may_repeat(source, self:entry(file.into))
end

-- The files that can go by what the entries say. The topmost layers come first: what goes
-- into an entry goes further down with it.
function Fold:choose()
  local chosen = {}
  for number = #self.states, 2, -1 do
    for _, file in ipairs(self.files[number]) do
      if self:is_whole(file) and self:is_plain(file) then chosen[#chosen + 1] = file end
    end
  end
  return chosen
end

-- ---- contents ------------------------------------------------------------------------------

-- Layers are prepared side by side.
function Fold:prepare(chosen, opts)
  local wanted, list = {}, {}
  for _, file in ipairs(chosen) do
    if file.kind == "file" and self:entry(file.key).size > 0 then
      wanted[file.layer], wanted[layer_of(file.into)] = true, true
    end
  end
  for number, state in ipairs(self.states) do
    if wanted[number] then list[#list + 1] = state end
  end
  return layer.prepare(list, opts)
end

-- The chosen files whose contents are the same as those of the files below.
function Fold:compare(chosen, opts)
  local total, done, same = 0, 0, {}
  local function size_of(file) return file.kind == "file" and self:entry(file.key).size or 0 end
  for _, file in ipairs(chosen) do total = total + size_of(file) end
  local function told(bytes)
    done = done + bytes
    if opts.progress then opts.progress(done, total, "comparing") end
  end
  for _, file in ipairs(chosen) do
    local finish, equal, message, code = done + size_of(file), true, nil, nil
    if file.kind == "file" then
      equal, message, code = metadata.same_content(self:entry(file.key), self:entry(file.into), told)
    end
    if equal == nil then return nil, message, code end
    if equal then same[#same + 1] = file elseif done < finish then told(finish - done) end
  end
  return same
end

-- ---- directories -----------------------------------------------------------------------------

-- Adds to the counts of entries of a layer below each of the directories above a path.
local function count_above(counts, path, number, more)
  local parent = parent_of(path)
  while parent do
    local count = counts[parent]
    if count then count[number] = (count[number] or 0) + more end
    parent = parent_of(parent)
  end
end

-- Whether a directory has to stay because its layer, or one between the two, has entries below it.
local function is_needed(count, file)
  for number, entries in pairs(count) do
    if entries > 0 and number > layer_of(file.into) and number <= file.layer then return true end
  end
  return false
end

local function depth_of(path)
  return path == "." and -1 or select(2, path:gsub("/", "/"))
end

-- Takes the directories that have to stay out of the list.
function Fold:without_needed_directories(chosen)
  local counts, result, dirs = {}, {}, {}
  for i, file in ipairs(chosen) do
    local path = file.names[1].path
    if file.kind == "dir" then
      counts[path] = {}
      dirs[#dirs + 1] = { file = file, path = path, depth = depth_of(path), order = i }
    else
      result[#result + 1] = file
    end
  end
  if #dirs == 0 then return result end
  for number, state in ipairs(self.states) do
    for entry in state.index:entries() do count_above(counts, entry.path, number, 1) end
  end
  for _, file in ipairs(result) do
    for _, one in ipairs(file.names) do count_above(counts, one.path, file.layer, -1) end
  end
  table.sort(dirs, function(a, b) -- numbers: the deepest first
    if a.depth ~= b.depth then return a.depth > b.depth end
    return a.order < b.order
  end)
  for _, dir in ipairs(dirs) do
    if not is_needed(counts[dir.path], dir.file) then
      result[#result + 1] = dir.file
      count_above(counts, dir.path, dir.file.layer, -1)
    end
  end
  return result
end

-- ---- the whole -----------------------------------------------------------------------------------

function Fold:plan(opts)
  local ok, message, code = layer.load(self.states, {
    threads = opts.threads, progress = opts.progress, contents = self.states,
  })
  if ok then ok, message, code = self:collect_all() end
  if not ok then return nil, message, code end
  local chosen = self:choose()
  ok, message, code = self:prepare(chosen, opts)
  if not ok then return nil, message, code end
  chosen, message, code = self:compare(chosen, opts)
  if not chosen then return nil, message, code end
  return self:without_needed_directories(chosen)
end

-- Gives the file below the metadata of a file, which is dropped under all of its names.
function Fold:carry_out(file, list)
  local into, bytes = layer_of(file.into), 0
  local lower = { self:entry(file.into) }
  for _, number in ipairs(self.groups[file.into] or {}) do lower[#lower + 1] = self.states[into].index:entry(number) end
  -- Its names may differ in atime and ctime: the last header counts, of a symlink the first one.
  local index, names = self.states[file.layer].index, file.names
  metadata.take(lower, file.kind == "symlink" and self:entry(file.key) or index:entry(names[#names].number))
  for _, one in ipairs(names) do
    local entry = index:entry(one.number)
    local span = entry.data_offset - entry.header_offset + math.ceil(entry.stored / 512) * 512
    list[#list + 1] = { path = one.path, type = entry.type, layer = file.layer, into = into, bytes = span }
    bytes = bytes + span
    entry:remove()
  end
  return bytes
end

--- Drops entries that repeat the content of a lower layer with other metadata, which the
-- lower one takes. A container sees the same.
---@param opts? strata.FoldOptions
---@return integer? bytes  that the plain tars have less
---@return strata.Folded[]|string  folded | message
---@return string? code
function image.methods:fold(opts)
  options.check("fold", "FoldOptions", opts)
  opts = opts or {}
  local state = image.state_of(self)
  local work = setmetatable({ states = state.hub.layers, odd = {}, crossed = {}, groups = {}, files = {} }, Fold)
  return image.edit(state, "fold", function(edit)
    local chosen, message, code = work:plan(opts)
    local ok = chosen ~= nil
    if ok then ok, message, code = edit:keep(state.hub.layers) end
    local list, bytes = {}, 0
    for _, file in ipairs(ok and chosen or {}) do bytes = bytes + work:carry_out(file, list) end
    if ok and opts.prune and #list > 0 then ok, message, code = layer_list.prune(state) end
    if not ok then return nil, message, code end
    return bytes, printed.list(list, printed.folded)
  end)
end

--- Folding entries that only repeat what a lower layer has, with other metadata.
--
-- `chown -R` and `chmod` in a build leave the whole content of every file again in an
-- upper layer. Where the final file system stays the same entry by entry, the lower entry
-- takes the metadata of the upper one, which is dropped.
--
-- An entry is folded into what the layers below it have at its path when
--  * both are of one type and have the same content, link target or device number;
--  * all names of a hardlinked file are repeated, or none: metadata is the inode's;
--  * no other layer has a hardlink to either of them;
--  * its own layer has no whiteout and no opaque directory that hides what is below;
--  * neither layer names a path twice or goes through symlinks of lower layers;
--  * PAX records that are no extended attributes, such as ACLs, are the same.
-- A directory has to go with all that its layer has below it, and no layer between the
-- two may have anything below it either: unpackers make the parents that a layer does
-- not tell with attributes of their own.

local core = require "strata.core"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local metadata = require "strata.layer.metadata"
local run_job = require("strata.util.job").run

local dedup = {}

-- A name of an entry in the layers, in one number.
local STEP = 2 ^ 32
local PIECE = 16 * 1048576
-- Larger times cannot be assigned exactly.
local MAX_TIME = 2 ^ 52

local FOLDABLE = { file = true, hardlink = true, dir = true, symlink = true, char = true, block = true, fifo = true }

local function parent_of(path)
  if path == "." then return nil end
  return path:match("^(.*)/[^/]*$") or "."
end

-- ---- what each layer has -------------------------------------------------------------

---@class strata.Folding
---@field states table[]
---@field tree userdata
---@field odd table<integer, boolean>  layers that are left alone
---@field crossed table<integer, boolean>  files that another layer has a hardlink to
---@field groups table<integer, integer[]>  entries that are names of one file, by the file's
---@field candidates table[][]  of each layer
local Folding = {}
Folding.__index = Folding

local function key_of(number, entry)
  return number * STEP + entry
end

-- True when the node of a path is at that very path: no symlink leads there.
local function is_direct(tree, path)
  local node = tree:find(path, false)
  return not node or tree:path(node) == path, node
end

-- What a layer says by its paths alone. `solid` are those that are no directories.
local function survey(state, tree)
  local told = { paths = {}, solid = {}, hidden = {}, opaque = {}, odd = false }
  for entry in state.index:entries() do
    local path = entry.path
    if entry.whiteout or entry.opaque then
      if entry.whiteout then told.hidden[entry.whiteout] = true else told.opaque[entry.opaque] = true end
      told.odd = told.odd or not is_direct(tree, parent_of(path))
    elseif told.paths[path] then
      told.odd = true
    else
      told.paths[path] = true
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

--- An entry of a layer, and what the layers below have at its path.
---@class strata.FoldCandidate
---@field kind string  type of both
---@field into integer  the file below
---@field links integer  names of that
---@field path string
---@field number integer  of the entry in its layer
---@field file integer
---@field layer integer  the rest: of the first name of a file, which stands for all
---@field names strata.FoldCandidate[]
---@field torn boolean?  the names repeat several files

-- What the layers below have at the path of each entry of a layer.
function Folding:look_below(number, told)
  local found = {}
  for entry in self.states[number].index:entries() do
    local path = entry.path
    local named = FOLDABLE[entry.type] and not core.whiteout(path)
    local direct, node = false, nil
    if named and not is_hidden(told, path) then direct, node = is_direct(self.tree, path) end
    if node and direct then
      local kind, from, _, links = self.tree:info(node)
      local source, holder = self.tree:source(node)
      if source and from then
        found[entry.index] = { kind = kind, into = key_of(holder, source.index), links = links, path = path }
      end
    end
  end
  return found
end

-- Notes what the layer's own files are, once it lies on the others, and which of its
-- entries repeat something.
function Folding:look_at(number, told, below)
  local tree, odd, candidates = self.tree, told.odd, {}
  for entry in self.states[number].index:entries() do
    local direct, node = true, nil
    if not entry.whiteout and not entry.opaque then direct, node = is_direct(tree, entry.path) end
    odd = odd or not direct
    local own = node and tree:entry(node)
    local kind, from, inode, links
    if own then kind, from, inode, links = tree:info(node) end
    if own and from == number and own.index == entry.index then
      local source, holder = tree:source(node)
      local file = key_of(holder, source.index)
      if holder ~= number then self.crossed[file] = true end
      if inode then
        self.groups[file] = self.groups[file] or { links = links }
        table.insert(self.groups[file], entry.index)
      end
      local lower = below[entry.index]
      if holder == number and lower and lower.kind == kind then
        lower.number, lower.file = entry.index, file
        candidates[#candidates + 1] = lower
      end
    end
  end
  self.odd[number], self.candidates[number] = odd, candidates
end

function Folding:collect()
  for number, state in ipairs(self.states) do
    local told = survey(state, self.tree)
    local below = self:look_below(number, told)
    local ok, message, code = self.tree:apply(state.index)
    if not ok then return nil, ("%s: %s"):format(layer.label(state), message), code end
    self:look_at(number, told, below)
  end
  return true
end

function Folding:entry(file)
  return self.states[math.floor(file / STEP)].index:entry(file % STEP)
end

-- ---- which of them can go ----------------------------------------------------------------

local IGNORED = { mtime = true, atime = true, ctime = true, path = true, linkpath = true, size = true, uid = true,
                  gid = true, uname = true, gname = true, comment = true }

-- Records that say more of a file than its fields and attributes do.
local function other_records(entry)
  local list = {}
  for key, value in pairs(entry.pax) do
    if not IGNORED[key] and not key:find("^SCHILY%.xattr%.") and not key:find("^LIBARCHIVE%.xattr%.") and
      not key:find("^LIBARCHIVE%.creationtime") and not key:find("^SCHILY%.[di][en][vo]$") and
      key ~= "SCHILY.nlink" then
      list[#list + 1] = ("%d:%s=%s"):format(#key, key, value)
    end
  end
  table.sort(list)
  return table.concat(list, "\n")
end

local function same_file(upper, lower)
  if upper.size ~= lower.size or upper.sparse or lower.sparse or math.abs(upper.mtime) > MAX_TIME then return false end
  return upper.linkpath == lower.linkpath and upper.major == lower.major and upper.minor == lower.minor and
    other_records(upper) == other_records(lower)
end

-- The candidates of a layer as files: with all their names, each with what it repeats.
function Folding:files_of(number)
  local files, order = {}, {}
  for _, one in ipairs(self.candidates[number]) do
    local file = files[one.file]
    if not file then
      file, one.names, one.layer = one, {}, number
      files[one.file] = file
      order[#order + 1] = file
    end
    file.names[#file.names + 1] = one
    if one.into ~= file.into then file.torn = true end
  end
  self.candidates[number] = nil
  return order
end

-- All names or none, and nobody else's.
function Folding:is_whole(file)
  local group, lower = self.groups[file.file], self.groups[file.into]
  if file.torn or self.crossed[file.file] or self.crossed[file.into] then return false end
  if self.odd[file.layer] or self.odd[math.floor(file.into / STEP)] then return false end
  if group and (#group ~= #file.names or group.links ~= #group) then return false end
  if file.links ~= #file.names then return false end
  return not (lower and #lower < #file.names)
end

-- Whether all names have the metadata of the file: what unpackers make of the others is
-- not the same everywhere.
function Folding:is_plain(file)
  local source = self:entry(file.file)
  for _, one in ipairs(file.names) do
    local entry = self.states[file.layer].index:entry(one.number)
    if entry.index ~= source.index and not metadata.same(entry, source) then return false end
  end
  return same_file(source, self:entry(file.into))
end

function Folding:choose()
  local chosen = {}
  for number = #self.states, 2, -1 do
    for _, file in ipairs(self:files_of(number)) do
      if self:is_whole(file) and self:is_plain(file) then chosen[#chosen + 1] = file end
    end
  end
  return chosen
end

-- ---- contents ------------------------------------------------------------------------------

-- Layers that are compressed are inflated, side by side, so that they can be read anywhere.
function Folding:spool(chosen, opts)
  local wanted, job, count = {}, core.job(), 0
  for _, file in ipairs(chosen) do
    if file.kind == "file" and self:entry(file.file).size > 0 then
      wanted[file.layer], wanted[math.floor(file.into / STEP)] = true, true
    end
  end
  for number, state in ipairs(self.states) do
    if wanted[number] and state.blob.compression ~= "none" then
      job:inflate(limits.add(state.hub.limits, { label = layer.label(state), index = state.index }))
      count = count + 1
    end
  end
  local ok, message, code = true, nil, nil
  if count > 0 then ok, message, code = run_job(job, opts, "inflating") end
  job:close()
  return ok, message, code
end

local function same_content(upper, lower, told)
  for from = 0, upper.size - 1, PIECE do
    local same, message, code = upper:same_content(lower, PIECE, from)
    if not same then return same, message, code end
    told(math.min(PIECE, upper.size - from))
  end
  return true
end

-- Those of the chosen whose contents are the same.
function Folding:compare(chosen, opts)
  local total, done, same = 0, 0, {}
  for _, file in ipairs(chosen) do total = total + (file.kind == "file" and self:entry(file.file).size or 0) end
  local function told(bytes)
    done = done + bytes
    if opts.progress then opts.progress(done, total, "comparing") end
  end
  for _, file in ipairs(chosen) do
    local before, upper = done, self:entry(file.file)
    local equal, message, code = true, nil, nil
    if file.kind == "file" then equal, message, code = same_content(upper, self:entry(file.into), told) end
    if equal == nil then return nil, message, code end
    if equal then
      same[#same + 1] = file
    elseif before + upper.size > done then
      told(before + upper.size - done)
    end
  end
  return same
end

-- ---- directories -----------------------------------------------------------------------------

-- Notes for each directory that may go which layers have something below it, and how many
-- entries of each do.
function Folding:count_below(chosen)
  local counts = {}
  for _, file in ipairs(chosen) do
    if file.kind == "dir" then counts[file.names[1].path] = {} end
  end
  if next(counts) == nil then return counts end
  for number, state in ipairs(self.states) do
    for entry in state.index:entries() do
      local parent = parent_of(entry.path)
      while parent do
        local count = counts[parent]
        if count then count[number] = (count[number] or 0) + 1 end
        parent = parent_of(parent)
      end
    end
  end
  return counts
end

local function has_between(count, lower, upper)
  for number, entries in pairs(count) do
    if entries > 0 and number > lower and number < upper then return true end
  end
  return false
end

-- Drops the directories from the list that have to stay. What is below comes first.
function Folding:settle_directories(chosen)
  local counts, result, dirs = self:count_below(chosen), {}, {}
  local function gone(path, number)
    local parent = parent_of(path)
    while parent do
      local count = counts[parent]
      if count then count[number] = count[number] - 1 end
      parent = parent_of(parent)
    end
  end
  for _, file in ipairs(chosen) do
    if file.kind == "dir" then
      dirs[#dirs + 1] = file
    else
      result[#result + 1] = file
      for _, one in ipairs(file.names) do gone(one.path, file.layer) end
    end
  end
  local function depth(file)
    local path = file.names[1].path
    return path == "." and -1 or select(2, path:gsub("/", "/"))
  end
  for i, file in ipairs(dirs) do file.depth, file.order = depth(file), i end
  table.sort(dirs, function(a, b)
    if a.depth ~= b.depth then return a.depth > b.depth end
    return a.order < b.order
  end)
  for _, file in ipairs(dirs) do
    local path = file.names[1].path
    local count = counts[path]
    if (count[file.layer] or 0) == 0 and not has_between(count, math.floor(file.into / STEP), file.layer) then
      result[#result + 1] = file
      gone(path, file.layer)
    end
  end
  return result
end

-- ---- the whole -----------------------------------------------------------------------------------

-- The topmost layers first: what is folded into an entry goes further down with that.
local function in_order(chosen)
  for i, file in ipairs(chosen) do file.order = i end
  table.sort(chosen, function(a, b)
    if a.layer ~= b.layer then return a.layer > b.layer end
    return a.order < b.order
  end)
  return chosen
end

local function run(self, opts)
  local ok, message, code = self:collect()
  if not ok then return nil, message, code end
  local chosen = self:choose()
  ok, message, code = self:spool(chosen, opts)
  if not ok then return nil, message, code end
  chosen, message, code = self:compare(chosen, opts)
  if not chosen then return nil, message, code end
  return in_order(self:settle_directories(chosen))
end

--- Folds what can be folded.
---@param image strata.Operand
---@param opts? strata.FoldOptions
---@return integer? bytes  of plain tars that are saved
---@return strata.Folded[]|string  folded | message
---@return string? code
function dedup.run(image, opts)
  opts = opts or {}
  local states = image.states()
  local ok, message, code = layer.load(states, opts)
  if not ok then return nil, message, code end
  local tree
  tree, message, code = core.tree()
  if not tree then return nil, message, code end
  local self = setmetatable({ states = states, tree = tree, odd = {}, crossed = {}, groups = {}, candidates = {} },
    Folding)
  local called, chosen, why, how = pcall(run, self, opts)
  tree:close()
  if not called then error(chosen, 0) end
  if not chosen then return nil, why, how end
  local list, bytes = {}, 0
  for _, file in ipairs(chosen) do
    local into = math.floor(file.into / STEP)
    local lower = { states[into].index:entry(file.into % STEP) }
    for _, number in ipairs(self.groups[file.into] or {}) do lower[#lower + 1] = states[into].index:entry(number) end
    metadata.take(lower, states[file.layer].index:entry(file.file % STEP))
    for _, one in ipairs(file.names) do
      local entry = states[file.layer].index:entry(one.number)
      local span = entry.data_offset - entry.header_offset + math.ceil(entry.stored / 512) * 512
      list[#list + 1] = { path = one.path, type = entry.type, layer = file.layer, into = into, bytes = span }
      bytes = bytes + span
      entry:drop()
    end
  end
  return bytes, list
end

return dedup

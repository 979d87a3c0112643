--- One tar that has the effect of several layers.
--
-- Two merged trees are compared: that of the layers below, and that of all layers up
-- to the last one. Their differences go into the tar: entries as they are, whiteouts
-- for paths that are gone, and for a file with several names first one name with the
-- content and then links to it. A hardlink can change a file of the layers below. When its
-- own name is gone, the file is in the tar, with its content: a tar has no other way to say so.

local core = require "strata.core"
local join = require("strata.util.path").join
local json = require "strata.util.json"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local merge = require "strata.tree.merge"
local run_job, tick = require("strata.util.job").run, require("strata.util.job").tick

local merge_tar = {}

--- The entry indexes of layers whose edits are carried out: of the results, where there were edits.
---@param states strata.LayerState[]  settled and loaded
---@param first? integer  the contents of the layers from this one on are going to be read
---@return userdata[]?
---@return string? message
---@return string? code
function merge_tar.indexes(states, first)
  local indexes, job, fresh = {}, core.job(), 0
  for i, state in ipairs(states) do
    indexes[i] = state.index
    if state.index:revision() > 0 then
      local now = layer.current(state)
      indexes[i] = core.entry_index(now.file, now.offset, now.size, now.compression, state.hub.limits.read)
      local is_read = first ~= nil and i >= first
      job:scan(limits.add(state.hub.limits, { label = layer.label(state), index = indexes[i], inflate = is_read }))
      fresh = fresh + 1
    end
  end
  local ok, message, code = true, nil, nil
  if fresh > 0 then ok, message, code = run_job(job) end
  job:close()
  if not ok then return nil, message, code end
  return indexes
end

---@class strata.MergeTar
---@field assembly userdata
---@field above userdata  the tree of all layers
---@field below userdata  the tree of those below the first
---@field first integer  the lowest of the merged layers
---@field whole boolean  a tar for itself, not a layer on others
---@field wanted table<string, boolean>?  the only paths that go into it
---@field indexes userdata[]
---@field sources table<integer, integer>  by layer: its number in the assembly
---@field written table<integer, string>  from inodes to the name that has the content
---@field copied table<integer, boolean>  inodes of the layers below that are written with all their names
---@field above_copied table<integer, boolean>  the directories that these names are in
local MergeTar = {}
MergeTar.__index = MergeTar

-- Keeps the first failure: without what could not be added there is no tar.
function MergeTar:check(ok, message, code)
  if not ok and not self.failure then self.failure = { message, code } end
end

function MergeTar:header(fields)
  local bytes, message, code = core.write_header(fields)
  if not bytes then return self:check(nil, message, code) end
  self:check(self.assembly:bytes(bytes))
end

-- The number of a layer in the assembly.
function MergeTar:source(from)
  if not self.sources[from] then
    local source, message, code = self.assembly:source(self.indexes[from])
    if not source then return self:check(nil, message, code) end
    self.sources[from] = source
  end
  return self.sources[from]
end

-- Adds an entry of a layer under a path.
function MergeTar:entry(from, entry, path, linkpath)
  local source = self:source(from)
  if not source then return false end
  local name = entry.type == "dir" and path ~= "." and path .. "/" or path
  local keep = entry.path == path and (not self.whole or entry.name == name)
  local ok, message, code = self.assembly:add(source, entry.position, not keep and name or nil, linkpath)
  self:check(ok, message, code)
  return ok
end

-- Gives the entry added last the attributes that its file has: those of the last header that names it. Names
-- may have other places here than they had in their layer, so each of them gets these.
function MergeTar:attributes(node, entry, entry_from)
  local header, from = self.above:header(node)
  if not header or (header.position == entry.position and from == entry_from) then return end
  local source = self:source(from)
  if source then self.assembly:take_header(source, header.position) end
end

-- Adds a link to a file that stands earlier in the tar, or in a layer below. A name whose own entry is no link takes
-- the header of the last link, which has the attributes of the file.
function MergeTar:link(node, from, path, target)
  local entry = self.above:entry(node)
  if entry.type ~= "hardlink" then entry, from = self.above:header(node) end
  local same = core.normalise(entry.linkpath) == target and (not self.whole or entry.linkpath == target)
  if self:entry(from, entry, path, not same and target or nil) then self:attributes(node, entry, from) end
end

-- A directory without an entry of its own is normally implied by its children and needs no
-- header. One is written when it is empty, or when it replaces a directory with other attributes.
function MergeTar:implied(node, path, lower)
  if core.whiteout(path) then return end -- its entry would be one
  local replaces = lower and self.below:entry(lower)
  if path ~= "." and (self.whole or replaces or not self.above:first(node)) then
    self:header { name = path .. "/", typeflag = "5", mode = 493 } -- 0755
  end
end

-- Adds what is at a path of the tree above, when it comes from one of the merged layers, or has to be copied.
function MergeTar:node(node, path, lower)
  local _, from, inode = self.above:info(node)
  local is_copied = inode and self.copied[inode] or self.above_copied[node]
  if not from or from < self.first and not is_copied then return end
  local entry = self.above:entry(node)
  if not entry then return self:implied(node, path, lower) end
  if not inode then return self:entry(from, entry, path) end
  if self.written[inode] then return self:link(node, from, path, self.written[inode]) end
  self.written[inode] = path
  local source, holder = self.above:source(node)
  if self:entry(holder, source, path) then self:attributes(node, source, holder) end
end

-- Notes a name of each file of the layers below, so that other names of it become links. The names of a file that a
-- hardlink has changed are noted when no such link is there to do so again.
function MergeTar:find_lower_names()
  local node, names, has_link = 0, {}, {}
  while node do
    local _, from, inode = self.above:info(node)
    if inode and from >= self.first then
      has_link[inode] = true
    elseif inode then
      self.written[inode] = self.written[inode] or self.above:path(node)
      local _, changed_by = self.above:header(node)
      if changed_by >= self.first then names[#names + 1] = { node = node, inode = inode } end
    end
    node = merge.after(self.above, node, 0)
  end
  for _, name in ipairs(names) do
    if not has_link[name.inode] then self:copy(name.node, name.inode) end
  end
end

-- Has the name of a lower file written, and the directories that it is in: those without an entry would lose their
-- attributes.
function MergeTar:copy(node, inode)
  self.copied[inode], self.written[inode] = true, nil
  node = self.above:parent(node)
  while node ~= 0 and not self.above_copied[node] do
    self.above_copied[node] = true
    node = self.above:parent(node)
  end
end

-- The children of two directories, side by side: those above with their
-- counterparts below, and the names of those that are only below.
function MergeTar:compare(node, lower)
  local pairs_of, gone = {}, {}
  local a = self.above:first(node)
  local b = lower and self.below:info(lower) == "dir" and self.below:first(lower) or nil
  while a or b do
    local x, y = a and self.above:name(a), b and self.below:name(b)
    if b and (not a or json.before(y, x)) then
      gone[#gone + 1] = y
      b = self.below:next(b)
    else
      local same = x == y and b or nil
      pairs_of[#pairs_of + 1] = { node = a, lower = same }
      a = self.above:next(a)
      if same then b = self.below:next(b) end
    end
  end
  return pairs_of, gone
end

-- Adds whiteouts for names that are gone, one by one: readers differ about opaque markers, in the root above all.
function MergeTar:whiteouts(path, gone)
  for _, name in ipairs(gone) do
    self:header { name = core.whiteout_name(join(path, name)), typeflag = "0", mode = 0 }
  end
end

-- Visits the tree, a directory before its contents.
function MergeTar:run()
  local stack = { { node = 0, lower = 0 } }
  if self.first > 1 then self:find_lower_names() end
  while #stack > 0 and not self.failure do
    tick()
    local here = table.remove(stack)
    local path = self.above:path(here.node)
    local is_wanted = not self.wanted or self.wanted[path]
    if is_wanted then self:node(here.node, path, here.lower) end
    if (is_wanted or path == ".") and self.above:info(here.node) == "dir" then
      local children, gone = self:compare(here.node, here.lower)
      self:whiteouts(path, gone)
      for i = #children, 1, -1 do stack[#stack + 1] = children[i] end
    end
  end
end

-- The assembly reads pieces of plain tars, so their digests are compared by reading them once
-- more, as a whole, in the same job.
local function add_hashes(self, job, states)
  for from = 1, #self.indexes do
    local now = layer.current(states[from])
    if self.sources[from] and not self.indexes[from]:prepared() and now.compression == "none" then
      job:hash {
        label = layer.label(states[from]), file = now.file, offset = now.offset, size = now.size,
        digest = now.diff_id,
      }
    end
  end
end

---@class strata.MergeTarOptions
---@field to userdata  a file
---@field label string  what messages call it
---@field whole? boolean  a tar for itself
---@field wanted? table<string, boolean>  of such a tar: the only paths that go into it, with those of their directories
---@field view? "runtime"|"spec"
---@field compression? string
---@field level? integer
---@field splice? boolean  what can stay of the compressed bytes of the layers stays
---@field threads? integer
---@field progress? function

--- Writes the tar of layers `first` to `last`.
---@param states strata.LayerState[]  of all layers of the image, settled and loaded
---@param first integer
---@param last integer
---@param opts strata.MergeTarOptions
---@return {file: userdata, size: integer, digest: string, diff_id: string, entries: integer, kept: integer}?
---@return string? message
---@return string? code
function merge_tar.write(states, first, last, opts)
  local upto = {}
  for i = 1, last do upto[i] = states[i] end
  local indexes, message, code = merge_tar.indexes(upto, not opts.wanted and first or nil)
  if not indexes then return nil, message, code end
  local self = setmetatable({
    assembly = core.assemble(), first = first, whole = opts.whole, wanted = opts.wanted, indexes = indexes,
    sources = {}, written = {}, copied = {}, above_copied = {},
  }, MergeTar)
  self.above, message, code = merge.of_states(states, { count = last, indexes = indexes, view = opts.view })
  if not self.above then return nil, message, code end
  self.below, message, code = merge.of_states(states, {
    count = first - 1, indexes = indexes, view = opts.view,
  })
  if not self.below then return nil, message, code end
  self:run()
  if self.failure then return nil, self.failure[1], self.failure[2] end
  local job, entries = core.job(), self.assembly:count()
  job:assemble {
    label = opts.label, assembly = self.assembly, to = opts.to, compression = opts.compression,
    level = opts.level, splice = opts.splice,
  }
  add_hashes(self, job, states)
  local ok
  ok, message, code = run_job(job, opts, "writing")
  local done = ok and job:task(1)
  job:close()
  if not ok then return nil, message, code end
  return { file = opts.to, size = done.size, digest = done.digest, diff_id = done.diff_id, entries = entries,
    kept = done.kept }
end

return merge_tar

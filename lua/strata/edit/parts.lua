--- New layers of the entries of one: in several parts, or in another order.
--
-- Entries keep their bytes. The merged trees before and after are compared in both views: where one differs in a path,
-- a type, a file or its attributes, nothing is done.

local core = require "strata.core"
local fail = require "strata.util.fail"
local history = require "strata.history"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local limits = require "strata.util.limits"
local merge = require "strata.tree.merge"
local merge_tar = require "strata.edit.merge_tar"
local metadata = require "strata.layer.metadata"
local run_job = require("strata.util.job").run

local parts = {}

-- ---- writing ------------------------------------------------------------------------

-- Makes the contents of a layer ready to be read, and verifies it.
local function prepare(state, index, opts)
  if index:prepared() then return true end
  local job = core.job()
  job:prepare(limits.add(state.hub.limits, { label = layer.label(state), index = index }))
  local ok, message, code = run_job(job, opts, "verifying")
  job:close()
  return ok, message, code
end

-- Adds a task that writes a tar of the entries with some numbers. Returns its file.
local function add_task(job, state, index, numbers, compression)
  local assembly = core.assemble()
  local source, message, code = assembly:source(index)
  if not source then return nil, message, code end
  for _, number in ipairs(numbers) do
    local ok
    ok, message, code = assembly:add(source, number)
    if not ok then return nil, message, code end
  end
  local to
  to, message, code = core.temp_file()
  if not to then return nil, message, code end
  job:assemble { label = layer.label(state), assembly = assembly, to = to, compression = compression }
  return to
end

-- Writes a tar for each list of numbers of entries. Returns the states of their layers, scanned, which keep what the
-- manifest says of the old one.
local function write(state, index, lists, opts)
  local ok, message, code = prepare(state, index, opts)
  if not ok then return nil, message, code end
  local compression, job, files, made = layer.current(state).compression, core.job(), {}, {}
  for i, numbers in ipairs(lists) do
    files[i], message, code = add_task(job, state, index, numbers, compression)
    if not files[i] then
      job:close()
      return nil, message, code
    end
  end
  ok, message, code = run_job(job, opts, "writing")
  for i, file in ipairs(ok and files or {}) do
    local done = job:task(i)
    made[i] = {
      blob = { file = file, offset = 0, size = done.size, compression = compression }, diff_id = done.diff_id,
      digest = done.digest, made = true, hub = state.hub, position = state.position, media_type = state.media_type,
      annotations = state.annotations,
      descriptor_text = state.origin and state.hub.descriptor(state.origin) or state.descriptor_text,
    }
  end
  job:close()
  if ok then ok, message, code = layer.load(made, opts) end
  if not ok then return nil, message, code end
  return made
end

-- ---- comparing ------------------------------------------------------------------------

-- What stands at a node: its type, where its entry is and where its content is, and the entry with its attributes.
-- origin tells where an entry was before.
local function look(tree, node, origin)
  local kind, from, inode = tree:info(node)
  local entry, source, holder = tree:entry(node), tree:source(node)
  return {
    path = tree:path(node), kind = kind, inode = inode, header = tree:header(node),
    entry = entry and origin(from, entry.position), source = source and origin(holder, source.position),
  }
end

local function same_attributes(a, b)
  if not (a and b) then return a == b end
  return metadata.same(a, b)
end

-- The first path at which two trees differ; nil when they are alike.
local function find_difference(before, after, origin)
  local a, b, inodes, taken = 0, 0, {}, {}
  local function as_it_is(from, position) return from .. ":" .. position end
  while a and b do
    local x, y = look(before, a, as_it_is), look(after, b, origin)
    local same = x.path == y.path and x.kind == y.kind and x.entry == y.entry and x.source == y.source
      and same_attributes(x.header, y.header) and (x.inode == nil) == (y.inode == nil)
    if same and x.inode then
      same = (inodes[x.inode] or y.inode) == y.inode and (taken[y.inode] or x.inode) == x.inode
      inodes[x.inode], taken[y.inode] = y.inode, x.inode
    end
    if not same then return x.path end
    a, b = merge.after(before, a, 0), merge.after(after, b, 0)
  end
  return a and before:path(a) or b and after:path(b) or nil
end

-- Compares what containers see of layers with what they see when one has become others.
local function compare(states, indexes, i, made, lists)
  local later, after, after_indexes = #made - 1, {}, {}
  for number = 1, #states + later do
    local old = number < i and number or number - later
    local new = made[number - i + 1]
    after[number] = new or states[old]
    after_indexes[number] = new and new.index or indexes[old]
  end
  local function origin(from, position)
    local numbers = lists[from - i + 1]
    if numbers then return i .. ":" .. numbers[position] end
    return (from < i and from or from - later) .. ":" .. position
  end
  for _, view in ipairs { "runtime", "spec" } do
    local one, message, code = merge.of_states(states, { indexes = indexes, view = view })
    if not one then return nil, message, code end
    local other
    other, message, code = merge.of_states(after, { indexes = after_indexes, view = view })
    local path = other and find_difference(one, other, origin)
    one:close()
    if other then other:close() end
    if not other then return nil, message, code end
    if path then
      return fail("EINVAL", "%s: a container would see another %s then", layer.label(states[i]), core.quote(path))
    end
  end
  return true
end

-- ---- the whole --------------------------------------------------------------------------

-- Rows of the history for the parts behind the first, like that of the layer that they were a part of.
local function add_rows(cfg, i, count, comment)
  local row = history.layer_row(cfg, i)
  if not row then return true end
  local like = { created = row.created, created_by = row.created_by, author = row.author, comment = comment }
  for part = 2, count do
    local ok, message, code = history.append(cfg, like, i + part - 1)
    if not ok then return nil, message, code end
  end
  return true
end

--- The entry index of a layer as it is now, to choose numbers of entries from.
---@param state strata.LayerState  settled and loaded
---@return userdata?
---@return string? message
---@return string? code
function parts.index(state)
  local indexes, message, code = merge_tar.indexes { state }
  if not indexes then return nil, message, code end
  return indexes[1]
end

--- Replaces a layer by others, which have entries of it.
---@param state strata.ImageState  its layers are settled and loaded
---@param i integer  the layer's number
---@param index userdata  as parts.index gives it
---@param lists integer[][]  the numbers of the entries of each, in order
---@param opts strata.WorkOptions
---@param comment string  of the rows that the history gets
---@return boolean? ok
---@return string? message
---@return string? code  "EINVAL": a container would see something else
function parts.replace(state, i, index, lists, opts, comment)
  local states = state.hub.layers
  local made, message, code = write(states[i], index, lists, opts)
  if not made then return nil, message, code end
  local indexes
  indexes, message, code = merge_tar.indexes(states)
  if not indexes then return nil, message, code end
  indexes[i] = index
  local ok
  ok, message, code = compare(states, indexes, i, made, lists)
  if ok then ok, message, code = add_rows(state.config, i, #made, comment) end
  if not ok then return nil, message, code end
  layer_list.take_out(state, i)
  for part, one in ipairs(made) do
    layer_list.put_in(state, i + part - 1, layer.new(one), one.diff_id)
  end
  layer_list.finish(state)
  return true
end

return parts

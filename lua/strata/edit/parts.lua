--- New layers of the entries of old ones: in several parts, or in another order.
--
-- Entries keep their bytes. The merged trees before and after are compared in both views: where one differs in a path,
-- a type, a file or its attributes, nothing is done.

local core = require "strata.core"
local fail = require "strata.util.fail"
local history = require "strata.history"
local job = require "strata.util.job"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local limits = require "strata.util.limits"
local merge = require "strata.tree.merge"
local metadata = require "strata.layer.metadata"
local parent_of = require("strata.util.path").parent

local parts = {}

---@class strata.Division
---@field comment string?  of the rows that the history gets for further layers
---@field named string?  created_by of a row for each of them, with the numbers of the part and of all
---@field compression string?  of the new layers; nil: that of the old one

--- A layer, and what becomes of it.
---@class strata.Replacement
---@field layer integer  its number
---@field lists integer[][]  the numbers of the entries of each new layer, in order
---@field made strata.LayerState[]?  the new layers, once they are written

local BLOCK = 512

-- ---- writing ------------------------------------------------------------------------

-- The plain tar of a layer, verified: its file, where it begins there, nil, and true when the file is for this alone.
local function plain_tar(state, index, opts)
  local now = layer.current(state)
  if now.compression ~= "none" and index:prepared() then
    return index:tar()
  elseif now.compression ~= "none" then
    local list = { { label = layer.label(state), blob = now, as = "none" } }
    local made, message, code = job.recode(list, {
      limits = state.hub.limits, threads = opts.threads, progress = opts.progress,
    }, "inflating")
    if not made then return nil, message, code end
    return made[1].file, 0, nil, true
  end
  if index:prepared() then return now.file, now.offset end
  local tasks = core.job()
  tasks:prepare(limits.add(state.hub.limits, { label = layer.label(state), index = index }))
  local ok, message, code = job.run(tasks, opts, "verifying")
  tasks:close()
  if not ok then return nil, message, code end
  return now.file, now.offset
end

-- Adds a task that writes a tar of the entries with some numbers. Returns its file.
local function add_task(tasks, label, index, numbers, from)
  local assembly = core.assemble()
  for _, number in ipairs(numbers) do
    local entry = index:entry(number)
    local stop = entry.data_offset + math.ceil(entry.stored / BLOCK) * BLOCK
    local ok, message, code = assembly:range(from.file, from.offset + entry.header_offset, stop - entry.header_offset)
    if not ok then return nil, message, code end
  end
  local to, message, code = core.temp_file()
  if not to then return nil, message, code end
  tasks:assemble { label = label, assembly = assembly, to = to, compression = from.compression }
  return to
end

-- The state of a new layer, which keeps what the manifest says of the old one.
local function new_state(old, file, compression, done)
  return {
    blob = { file = file, offset = 0, size = done.size, compression = compression, hashed = true },
    diff_id = done.diff_id, digest = done.digest, made = true, hub = old.hub, position = old.position,
    media_type = old.media_type, descriptor_text = layer.descriptor(old), annotated = old.annotated,
  }
end

-- Writes a tar for each list of numbers of entries, all at the same time. Returns the states of their layers, scanned.
local function write(state, index, lists, opts, compression)
  local file, offset, code, is_ours = plain_tar(state, index, opts)
  if not file then return nil, offset, code end
  local from = { file = file, offset = offset, compression = compression or layer.current(state).compression }
  local tasks, files, made, ok, message = core.job(), {}, {}, true, nil
  for i, numbers in ipairs(lists) do
    files[i], message, code = add_task(tasks, layer.label(state), index, numbers, from)
    ok = ok and files[i] ~= nil
    if not ok then break end
  end
  if ok then ok, message, code = job.run(tasks, opts, "writing") end
  for i, to in ipairs(ok and files or {}) do made[i] = new_state(state, to, from.compression, tasks:task(i)) end
  tasks:close()
  if is_ours then file:close() end
  if ok then ok, message, code = layer.load(made, opts) end
  if not ok then return nil, message, code end
  return made
end

-- ---- comparing ------------------------------------------------------------------------

local function same_attributes(a, b)
  if not (a and b) then return a == b end
  return metadata.same(a, b)
end

-- Whether an entry, and its layer, are those that an entry of the new layers was before.
local function same_entry(old, old_from, new, new_from, origin)
  if not (old and new) then return old == new end
  local from, position = origin(new_from, new.position)
  return from == old_from and position == old.position
end

-- Whether two nodes are alike: type, entry, content and attributes.
local function same_nodes(before, a, after, b, origin)
  local kind, from = before:info(a)
  local new_kind, new_from = after:info(b)
  if kind ~= new_kind or before:name(a) ~= after:name(b) then return false end
  if not same_entry(before:entry(a), from, after:entry(b), new_from, origin) then return false end
  local source, holder = before:source(a)
  local new_source, new_holder = after:source(b)
  return same_entry(source, holder, new_source, new_holder, origin) and
    same_attributes(before:header(a), (after:header(b)))
end

-- Whether the names of a file are the same ones. `pairs_of` has the files that were met, in both directions.
local function same_file(before, a, after, b, pairs_of)
  local _, _, old = before:info(a)
  local _, _, new = after:info(b)
  if not (old and new) then return old == new end
  local same = (pairs_of.old[old] or new) == new and (pairs_of.new[new] or old) == old
  pairs_of.old[old], pairs_of.new[new] = new, old
  return same
end

-- The next node in a walk, and how many levels the way goes down; nil at the end.
local function step(tree, node)
  local found, levels = tree:first(node), 1
  while not found and node ~= 0 do
    found, levels = tree:next(node), levels - 1
    if not found then node = tree:parent(node) end
  end
  return found, levels
end

-- The first path at which two trees differ; nil when they are alike. origin tells where an entry was before.
local function find_difference(before, after, origin)
  local a, b, down, new_down, files = 0, 0, 0, 0, { old = {}, new = {} }
  while a and b do
    job.tick()
    local same = down == new_down and same_nodes(before, a, after, b, origin) and
      same_file(before, a, after, b, files)
    if not same then return before:path(a) end
    a, down = step(before, a)
    b, new_down = step(after, b)
  end
  return a and before:path(a) or b and after:path(b) or nil
end

-- The layers after the first replacements, their indexes, and for each the number of the layer that it was, or was a
-- part of, and those of its entries there.
local function replaced(states, indexes, replacements, count)
  local after, after_indexes, origins, at = {}, {}, {}, 1
  local function add(state, index, origin)
    after[#after + 1], after_indexes[#after_indexes + 1], origins[#origins + 1] = state, index, origin
  end
  for i, state in ipairs(states) do
    local one = at <= count and replacements[at]
    if one and one.layer == i then
      for part, new in ipairs(one.made) do add(new, new.index, { layer = i, numbers = one.lists[part] }) end
      at = at + 1
    else
      add(state, indexes[i], { layer = i })
    end
  end
  return after, after_indexes, origins
end

-- The first path that containers see otherwise after the first replacements; false: all is alike.
local function compare(states, indexes, replacements, count)
  local after, after_indexes, origins = replaced(states, indexes, replacements, count)
  local function origin(from, position)
    local numbers = origins[from].numbers
    return origins[from].layer, numbers and numbers[position] or position
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
    if path then return path end
  end
  return false
end

-- Fails unless containers see the same. The message names a layer with which that ends.
local function check(states, indexes, replacements)
  local low, high = 1, #replacements -- after the first `high` something is different, before `low` nothing
  local path, message, code = compare(states, indexes, replacements, high)
  if path == false then return true end
  while path and low < high do
    local middle = math.floor((low + high) / 2)
    local found
    found, message, code = compare(states, indexes, replacements, middle)
    if found == nil then return nil, message, code end
    if found then high, path = middle, found else low = middle + 1 end
  end
  if not path then return nil, message, code end
  return fail("EINVAL", "%s: a container would see another %s then", layer.label(states[replacements[high].layer]),
    core.quote(path))
end

-- ---- choosing ------------------------------------------------------------------------

-- The number by which a file is known: that of the last entry of its path, whatever its names in the layer are.
local function file_of(index, entry)
  local seen
  while entry.type == "hardlink" and not (seen and seen[entry.position]) do
    local target = index:find(core.normalise(entry.linkpath))
    if not target then break end
    seen = seen or {}
    seen[entry.position] = true
    entry = target
  end
  return index:find(entry.path).position
end

local function is_whiteout(entry) return entry.whiteout ~= nil or entry.opaque ~= nil end

-- Notes that a part needs the directories that an entry is in: without their entries runtimes would make others.
local function need_parents(index, needed, path)
  local parent = parent_of(path)
  while parent and not needed.paths[parent] do
    needed.paths[parent] = true
    local entry = index:find(parent)
    if entry then needed.numbers[entry.position] = true end
    parent = parent_of(parent)
  end
end

--- Puts the entries of a layer into parts. All names of a file go into the highest one that is chosen for one of them;
--- whiteouts are in the lowest part, and directories also in those that have something in them.
---@param index userdata
---@param count integer  of parts
---@param choose fun(entry: strata.Entry): integer  called for all but whiteouts
---@return integer[][] lists  numbers of entries; the first has the global headers
---@return integer[] own  how many entries of each are no copies of a directory
function parts.distribute(index, count, choose)
  local files, part_of, needed, lists, own = {}, {}, {}, {}, {}
  for part = 1, count do lists[part], own[part], needed[part] = {}, 0, { paths = {}, numbers = {} } end
  for entry in index:entries() do
    job.tick()
    local number = entry.position
    if is_whiteout(entry) then
      files[number], part_of[number] = number, 1
    else
      files[number] = file_of(index, entry)
      part_of[files[number]] = math.max(part_of[files[number]] or 1, choose(entry))
    end
  end
  for entry in index:entries() do need_parents(index, needed[part_of[files[entry.position]]], entry.path) end
  for header in index:globals() do table.insert(lists[1], header.position) end
  for entry in index:entries() do
    job.tick()
    local number = entry.position
    local part = part_of[files[number]]
    own[part] = own[part] + 1
    for at = 1, count do
      if at == part or needed[at].numbers[number] then table.insert(lists[at], number) end
    end
  end
  return lists, own
end

-- ---- the whole --------------------------------------------------------------------------

-- Rows of the history for the parts: for those behind the first like that of the layer that they were a part of, or for
-- all of them, where the layer's own stays as a step.
local function add_rows(cfg, i, count, how)
  local row = history.layer_row(cfg, i)
  if not row then return true end
  local like = { created = row.created, created_by = row.created_by, author = row.author, comment = how.comment }
  if how.named then history.mark_empty(cfg, { i }) end
  for part = how.named and 1 or 2, count do
    if how.named then like.created_by = how.named:format(part, count) end
    local ok, message, code = history.append(cfg, like, i + part - 1)
    if not ok then return nil, message, code end
  end
  return true
end

--- Replaces layers by others, which have entries of them.
---@param state strata.ImageState  its layers are settled and loaded
---@param indexes userdata[]  of all layers, as merge_tar.indexes gives them; those of the new ones come into it
---@param replacements strata.Replacement[]  the lowest layer first
---@param opts strata.WorkOptions
---@param how strata.Division
---@return boolean? ok
---@return string? message
---@return string? code  "EINVAL": a container would see something else
function parts.replace(state, indexes, replacements, opts, how)
  local states = state.hub.layers
  local ok, message, code
  for _, one in ipairs(replacements) do
    local i = one.layer
    one.made, message, code = write(states[i], indexes[i], one.lists, opts, how.compression)
    if not one.made then return nil, message, code end
  end
  ok, message, code = check(states, indexes, replacements)
  if not ok then return nil, message, code end
  for at = #replacements, 1, -1 do -- the numbers of those below stay
    local i, made = replacements[at].layer, replacements[at].made
    ok, message, code = add_rows(state.config, i, #made, how)
    if not ok then return nil, message, code end
    layer_list.take_out(state, i)
    table.remove(indexes, i)
    for part, one in ipairs(made) do
      layer_list.put_in(state, i + part - 1, layer.new(one), one.diff_id)
      table.insert(indexes, i + part - 1, one.index)
    end
  end
  layer_list.finish(state)
  return true
end

--- Replaces a layer by those that entries were put into, without those that have none of their own. A layer that stays
--- in one part stays as it is, unless a compression is asked for.
---@param state strata.ImageState  its layers are settled and loaded
---@param i integer
---@param indexes userdata[]  as for parts.replace
---@param lists integer[][]  as parts.distribute gives them
---@param own integer[]
---@param opts strata.WorkOptions
---@param how strata.Division
---@return strata.Chunk[]? chunks
---@return string? message
---@return string? code
function parts.divide(state, i, indexes, lists, own, opts, how)
  local chunks, chosen = {}, {}
  for part, numbers in ipairs(lists) do
    if own[part] > 0 then
      chosen[#chosen + 1] = numbers
      chunks[#chunks + 1] = { layer = i + #chunks, entries = own[part] }
    end
  end
  if #chosen == 0 then chosen[1], chunks[1] = lists[1], { layer = i, entries = 0 } end
  if #chosen > 1 or how.compression then
    local ok, message, code = parts.replace(state, indexes, { { layer = i, lists = chosen } }, opts, how)
    if not ok then return nil, message, code end
  end
  for _, chunk in ipairs(chunks) do
    local now = layer.current(state.hub.layers[chunk.layer])
    chunk.size, chunk.diff_id = now.size, now.diff_id
  end
  return chunks
end

return parts

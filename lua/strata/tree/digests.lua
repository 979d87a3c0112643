--- The digests of the files of a merged tree, hashed on threads.

local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local layer = require "strata.layer"
local merge = require "strata.tree.merge"
local printed = require "strata.util.printed"

local digests = {}

-- Files of one content have one number: that of its layer, times this, and that of its entry.
local STEP = 2 ^ 32

-- The files among the paths, by path, and their contents, each once.
local function collect(tree, states, wanted)
  local files, contents, by_key = {}, {}, {}
  local node = merge.after(tree, 0, 0)
  while node do
    job.tick()
    local path = tree:info(node) == "file" and tree:path(node)
    if path and (not wanted or wanted[path]) then
      local entry, number = tree:source(node)
      local key = number * STEP + entry.position
      local content = by_key[key]
      if not content then
        content = { entry = entry, state = states[number] }
        by_key[key], contents[#contents + 1] = content, content
      end
      files[#files + 1] = { path = path, size = entry.size, content = content }
    end
    node = merge.after(tree, node, 0)
  end
  return files, contents
end

-- Verifies the layers that have bytes of these contents, unless that has been done.
local function prepare(contents, opts)
  local seen, list = {}, {}
  for _, one in ipairs(contents) do
    if one.entry.size > 0 and not seen[one.state] then
      seen[one.state], list[#list + 1] = true, one.state
    end
  end
  return layer.prepare(list, opts)
end

-- Adds a task for a content that lies in one piece in a tar; false: it does not.
local function add_task(tasks, one, tars)
  local index = one.state.index
  if one.entry.size == 0 or one.entry.sparse or index:revision() > 0 then return false end
  if not tars[index] then
    local file, offset = index:tar()
    tars[index] = { file = file, offset = offset }
  end
  local tar = tars[index]
  one.task = tasks:hash {
    label = ("%s: %s"):format(layer.label(one.state), core.quote(one.entry.path)), file = tar.file,
    offset = tar.offset + one.entry.data_offset, size = one.entry.size,
  }
  return true
end

local function hash(contents, opts)
  local tasks, tars, others = core.job(), {}, {}
  for _, one in ipairs(contents) do
    if not add_task(tasks, one, tars) then others[#others + 1] = one end
  end
  local ok, message, code = job.run(tasks, opts, "hashing")
  for _, one in ipairs(ok and contents or {}) do
    if one.task then one.digest = tasks:task(one.task).digest end
  end
  tasks:close()
  for _, tar in pairs(tars) do tar.file:close() end
  for _, one in ipairs(ok and others or {}) do
    job.tick()
    one.digest, message, code = one.entry:digest()
    if not one.digest then return nil, message, code end
  end
  return ok, message, code
end

--- The digests of files, by path.
---@param tree userdata  the core's
---@param layers strata.Layer[]  that it is made of
---@param wanted table<string, boolean>?  the paths that are meant; nil: all
---@param opts strata.DigestOptions
---@return strata.FileDigest[]?
---@return string? message
---@return string? code
function digests.of(tree, layers, wanted, opts)
  local states = {}
  for i, one in ipairs(layers) do states[i] = layer.state_of(one) end
  local files, contents = collect(tree, states, wanted)
  if wanted and #files == 0 and not opts.optional then
    return fail("ENOENT", "digests: nothing that was chosen is a file")
  end
  local ok, message, code = prepare(contents, opts)
  if ok then ok, message, code = hash(contents, opts) end
  -- A plain layer that was written to meanwhile is verified again, and refused.
  if ok then ok, message, code = prepare(contents, opts) end
  if not ok then return nil, message, code end
  local list = {}
  for i, file in ipairs(files) do list[i] = { path = file.path, size = file.size, digest = file.content.digest } end
  return printed.list(list, printed.file_digest)
end

return digests

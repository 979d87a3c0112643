--- layer:list(): the entries of one layer in a directory, whiteouts included, and what the
-- layers above do to each of them.

local argument = require "strata.util.argument"
local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local paths = require "strata.util.path"
local printed = require "strata.util.printed"

-- ---- the directories of the layer -----------------------------------------------------------

-- A node has `entry`, the number of its entry, `copies`, `opaque`, and `kids` by name;
-- one with an entry and nothing else is that number alone.
local function child(node, name)
  node.kids = node.kids or {}
  local one = node.kids[name]
  if type(one) ~= "table" then
    one = { entry = one, copies = one and 1 or 0 }
    node.kids[name] = one
  end
  return one
end

local function descend(node, path)
  for name in path:gmatch("[^/]+") do
    if name ~= "." then node = child(node, name) end
  end
  return node
end

local function count(node, number)
  node.entry, node.copies = number, node.copies + 1
end

local function put(directory, name, number)
  directory.kids = directory.kids or {}
  if directory.kids[name] then
    count(child(directory, name), number)
  else
    directory.kids[name] = number
  end
end

local function build(index)
  local root, _, slots = { copies = 0 }, index:count()
  -- Entries of one directory mostly stand together.
  local last, directory = "", root
  for number = 1, slots do
    job.tick()
    local entry = index:entry(number)
    local path = entry and entry.path
    if entry and entry.opaque then
      descend(root, entry.opaque).opaque = true
    elseif path == "." then
      count(root, number)
    elseif path then
      local above, name = path:match("^(.*)/([^/]*)$")
      above, name = above or "", name or path
      if above ~= last then
        last, directory = above, descend(root, above)
      end
      put(directory, name, number)
    end
  end
  return root
end

-- The root directory of a layer. It is built once, and anew after edits.
local function root_of(state)
  local index = state.index
  local kept = state.listing
  if not kept or kept.index ~= index or kept.revision ~= index:revision() then
    kept = { index = index, revision = index:revision(), root = build(index) }
    state.listing = kept
  end
  return kept.root
end

-- ---- the layers above -------------------------------------------------------------------

local function is_directory(entry)
  return entry ~= nil and entry.type == "dir"
end

-- Whether a layer takes away all that lower ones have in a directory.
local function empties(index, directory)
  if index:find(core.opaque_name(".")) then return true end
  local path = ""
  for name in directory:gmatch("[^/]+") do
    path = paths.join(path, name)
    local entry = index:find(path)
    if entry and not is_directory(entry) then return true end
    if index:find(core.whiteout_name(path)) or index:find(core.opaque_name(path)) then return true end
  end
  return false
end

-- A function that tells what the first of the layers above does to an entry in a directory, if one does.
local function fates(state, directory)
  local above, states = {}, state.hub.layers
  for number = state.position + 1, #states do
    local index = states[number].index
    above[#above + 1] = { number = number, index = index, empties = empties(index, directory) }
    if above[#above].empties then break end
  end
  return function(path, is_dir)
    for _, one in ipairs(above) do
      local entry = one.index:find(path)
      local gone = one.empties or one.index:find(core.whiteout_name(path)) ~= nil
      if entry and not (is_dir and is_directory(entry) and not gone) then
        return { layer = one.number, action = "replaced" }
      end
      if gone then return { layer = one.number, action = "removed" } end
      if is_dir and one.index:find(core.opaque_name(path)) then return { layer = one.number, action = "emptied" } end
    end
    return nil
  end
end

-- ---- looking ------------------------------------------------------------------------------

-- The names in a directory, sorted. A whiteout is sorted by the name that it hides.
local function sorted(node)
  local keys = {}
  for name in pairs(node.kids or {}) do
    local seen = name:sub(1, #paths.WHITEOUT) == paths.WHITEOUT and name:sub(#paths.WHITEOUT + 1) or name
    keys[#keys + 1] = seen .. "\0" .. name
  end
  json.sort(keys)
  for i, key in ipairs(keys) do keys[i] = key:sub(key:find("\0", 1, true) + 1) end
  return keys
end

local function find(root, path)
  local node = root
  for name in path:gmatch("[^/]+") do
    node = type(node) == "table" and node.kids and node.kids[name]
    if not node then return nil end
  end
  return type(node) == "number" and { entry = node } or node
end

-- The directory of a layer, its path, and the names in it; the layers above are scanned as well.
local function open(state, directory)
  local ok, message, code = layer.load(state.hub.layers)
  if not ok then return nil, message, code end
  local path = core.normalise(directory)
  local node = find(root_of(state), path == "." and "" or path)
  if not node then return fail("ENOENT", "%s: not in %s", core.quote(directory), layer.label(state)) end
  if not node.kids and node.entry and not is_directory(state.index:entry(node.entry)) then
    return fail("ENOTDIR", "%s: not a directory", core.quote(directory))
  end
  node.names = node.names or sorted(node)
  return node, path
end

local function check_count(value, name)
  if value ~= nil and (type(value) ~= "number" or value < 0 or value % 1 ~= 0) then
    misuse("list: %s should be a whole number", name)
  end
end

--- The entries of this layer in a directory, sorted by name, whiteouts included, and what the
-- layers above do to each of them.
---@param directory? string  "/"
---@param offset? integer  names to pass over: 0
---@param limit? integer  rows at most
---@return strata.LayerPage?
---@return string? message
---@return string? code  "ENOENT", "ENOTDIR"
function layer.methods:list(directory, offset, limit)
  argument.path(directory, "list", true)
  local state = layer.state_of(self)
  check_count(offset, "offset")
  check_count(limit, "limit")
  local node, path, code = open(state, directory or "/")
  if not node then return nil, path, code end
  local rows, fate, first = {}, fates(state, path), offset or 0
  for i = first + 1, math.min(#node.names, first + (limit or #node.names)) do
    local name = node.names[i]
    local one = node.kids[name]
    if type(one) == "number" then one = { entry = one, copies = 1 } end
    local entry = one.entry and state.index:entry(one.entry) or nil
    local row = {
      name = name, path = paths.join(path, name), entry = entry, below = one.kids ~= nil,
      opaque = one.opaque == true, copies = one.copies,
    }
    if not entry or not entry.whiteout then row.above = fate(row.path, not entry or is_directory(entry)) end
    rows[#rows + 1] = row
  end
  printed.list(rows, printed.row)
  return printed.by({ rows = rows, total = #node.names, opaque = node.opaque == true }, printed.page)
end

--- The file tree of one layer as its tar tells it, whiteouts included, and what
-- becomes of each entry in the layers above.

local layer = require "strata.layer"

local layer_listing = {}

---@class strata.LayerTree
---@field layers strata.Layer[]
---@field number integer  of the layer
---@field root table
local methods = {}
methods.__index = methods

---@class strata.LayerTreeRow
---@field name string  as in the tar
---@field path string
---@field entry strata.Entry?  nil: only what is below it has entries
---@field below boolean  there is something below it
---@field opaque boolean  it hides what lower layers have there
---@field copies integer  entries of that path; the last one counts
---@field above {layer: integer, action: "replaced"|"emptied"|"removed"}?  what an upper layer does to it

local OPAQUE = ".wh..wh..opq"
local WHITEOUT = ".wh."

local function index_of(one)
  one:entries() -- reads it
  return layer.state_of(one).index
end

-- ---- building -------------------------------------------------------------------------

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

local function build(index, tick)
  local root, _, slots = { copies = 0 }, index:count()
  -- Entries of one directory mostly stand together.
  local last, directory = "", root
  for number = 1, slots do
    tick()
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

--- Reads the tree of a layer.
---@param layers strata.Layer[]
---@param number integer
---@param tick fun()  called for every entry
---@return strata.LayerTree
function layer_listing.of(layers, number, tick)
  return setmetatable({ layers = layers, number = number, root = build(index_of(layers[number]), tick) }, methods)
end

-- ---- the layers above -------------------------------------------------------------------

local function join(directory, name)
  return directory == "" and name or directory .. "/" .. name
end

local function whiteout_of(path)
  local directory, name = path:match("^(.*)/([^/]*)$")
  return join(directory or "", WHITEOUT .. (name or path))
end

local function is_directory(entry)
  return entry ~= nil and entry.type == "dir"
end

-- Whether a layer takes away all that lower ones have in a directory.
local function empties(index, directory)
  if index:find(OPAQUE) then return true end
  local path = ""
  for name in directory:gmatch("[^/]+") do
    path = join(path, name)
    local entry = index:find(path)
    if entry and not is_directory(entry) then return true end
    if index:find(whiteout_of(path)) or index:find(path .. "/" .. OPAQUE) then return true end
  end
  return false
end

-- A function that tells what the first of the layers above does to an entry in a directory, if one does.
local function fates(self, directory)
  local above = {}
  for number = self.number + 1, #self.layers do
    local index = index_of(self.layers[number])
    above[#above + 1] = { number = number, index = index, empties = empties(index, directory) }
    if above[#above].empties then break end
  end
  return function(path, is_dir)
    for _, one in ipairs(above) do
      local entry = one.index:find(path)
      local gone = one.empties or one.index:find(whiteout_of(path)) ~= nil
      if entry and not (is_dir and is_directory(entry) and not gone) then
        return { layer = one.number, action = "replaced" }
      end
      if gone then return { layer = one.number, action = "removed" } end
      if is_dir and one.index:find(path .. "/" .. OPAQUE) then return { layer = one.number, action = "emptied" } end
    end
    return nil
  end
end

-- ---- looking ------------------------------------------------------------------------------

-- In the order of the names that people see: a whiteout stands where the name is
-- that it removes.
local function sorted(node)
  local keys = {}
  for name in pairs(node.kids or {}) do
    local seen = name:sub(1, #WHITEOUT) == WHITEOUT and name:sub(#WHITEOUT + 1) or name
    keys[#keys + 1] = seen .. "\0" .. name
  end
  table.sort(keys)
  for i, key in ipairs(keys) do keys[i] = key:sub(key:find("\0", 1, true) + 1) end
  return keys
end

local function find(self, path)
  local node = self.root
  for name in path:gmatch("[^/]+") do
    local one = type(node) == "table" and node.kids and node.kids[name]
    if not one then return nil end
    node = one
  end
  return node
end

--- What the layer has in a directory.
---@param directory string  "" is the root
---@param offset integer
---@param limit integer
---@return strata.LayerTreeRow[]? rows
---@return integer|string|nil total | code  "ENOENT", "ENOTDIR"
---@return boolean? opaque  it hides what lower layers have there
function methods:list(directory, offset, limit)
  directory = directory:gsub("^/+", ""):gsub("/+$", "")
  local node, index = find(self, directory), index_of(self.layers[self.number])
  if not node then return nil, "ENOENT" end
  if type(node) == "number" then node = { entry = node } end
  if not node.kids and node.entry and not is_directory(index:entry(node.entry)) then return nil, "ENOTDIR" end
  node.names = node.names or sorted(node)
  local rows, fate = {}, fates(self, directory)
  for i = offset + 1, math.min(#node.names, offset + limit) do
    local name = node.names[i]
    local one = node.kids[name]
    if type(one) == "number" then one = { entry = one, copies = 1 } end
    local entry = one.entry and index:entry(one.entry) or nil
    local row = {
      name = name, path = join(directory, name), entry = entry, below = one.kids ~= nil,
      opaque = one.opaque == true, copies = one.copies,
    }
    if not entry or not entry.whiteout then row.above = fate(row.path, not entry or is_directory(entry)) end
    rows[#rows + 1] = row
  end
  return rows, #node.names, node.opaque == true
end

return layer_listing

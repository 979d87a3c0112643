--- Where the file systems of two images differ.

local core = require "strata.core"
local choice = require "strata.util.choice"
local job = require "strata.util.job"
local layer = require "strata.layer"
local metadata = require "strata.layer.metadata"
local tree_entry = require "strata.tree.entry"

local files = {}

local NONE = -1 -- a node that a tree does not have

-- Fields that are compared by `==`, in the order of the answer; of these, what a rebuild changes by itself.
local PLAIN = { "mode", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime" }
local PASSING = { uname = true, gname = true, mtime = true, atime = true, ctime = true }
local TIMES = { mtime = true, atime = true, ctime = true }

---@class strata.FileComparison
---@field a strata.DiffSide
---@field b strata.DiffSide
---@field semantic boolean
---@field excludes? fun(path: string): boolean
---@field pairs integer[]  as tree:compare gives them
---@field rows table<integer, strata.DiffFile>  by the number of the pair
---@field first table<strata.DiffSide, table<integer, string>>  by inode: the first name of a file with several names
---@field contents integer[]  numbers of the pairs whose contents have to be read
---@field same table<string, boolean>  what was found about the contents of files with several names
local Comparison = {}
Comparison.__index = Comparison

-- ---- what a side has at a path --------------------------------------------------------

local function device_of(fields)
  if fields.type ~= "char" and fields.type ~= "block" then return nil end
  return ("%d:%d"):format(fields.major, fields.minor)
end

-- What is told of a path that one image has, or whose type has changed.
local function describe(side, node, fields)
  local _, number = side.tree:info(node)
  return {
    type = fields.type, layer = number and side.positions[number], mode = fields.mode, uid = fields.uid,
    gid = fields.gid, size = fields.type == "file" and fields.size or nil, device = device_of(fields),
    linkpath = (fields.type == "symlink" or fields.type == "hardlink") and fields.linkpath or nil,
  }
end

-- What is told of a path that both have: what has changed comes later.
local function outline(side, node, fields)
  local _, number = side.tree:info(node)
  return { type = fields.type, layer = number and side.positions[number],
           size = fields.type == "file" and fields.size or nil }
end

-- The name that a hardlinked file has before this one; nil for the first or only name.
function Comparison:earlier_name(side, node, path)
  local _, _, inode = side.tree:info(node)
  local first = inode and self.first[side][inode]
  return first ~= path and first or nil
end

-- Notes the first names. Every file with several names is among the pairs.
function Comparison:note_names()
  for at = 1, #self.pairs, 3 do
    for offset, side in ipairs { self.a, self.b } do
      local node = self.pairs[at + offset - 1]
      local inode
      if node ~= NONE then inode = select(3, side.tree:info(node)) end
      if inode and not self.first[side][inode] then self.first[side][inode] = side.tree:path(node) end
    end
    job.tick()
  end
end

-- ---- comparing ---------------------------------------------------------------------------

local function add(row, name, x, y)
  row.fields[#row.fields + 1] = name
  row.a[name], row.b[name] = x, y
end

local function add_if_other(row, name, x, y)
  if x ~= y then add(row, name, x, y) end
end

-- The attributes of one that the other lacks, or has with another value.
local function others(xattrs, than)
  local list = {}
  for name, value in pairs(xattrs) do
    if than[name] ~= value then list[name] = value end
  end
  return list
end

-- Compares times, which a number of seconds alone need not tell exactly.
local function add_time(row, name, x, y)
  local nsec = name .. "_nsec"
  if x[name] == y[name] and x[nsec] == y[nsec] then return end
  add(row, name, x[name], y[name])
  row.a[nsec], row.b[nsec] = x[nsec], y[nsec]
end

function Comparison:compare_fields(row, x, y)
  for _, name in ipairs(PLAIN) do
    local passing = self.semantic and (PASSING[name] or name == "mode" and x.type == "symlink")
    if not passing and TIMES[name] then add_time(row, name, x, y) end
    if not passing and not TIMES[name] then add_if_other(row, name, x[name], y[name]) end
  end
  if not metadata.same_xattrs(x.xattrs, y.xattrs) then
    add(row, "xattrs", others(x.xattrs, y.xattrs), others(y.xattrs, x.xattrs))
  end
end

local function source_of(side, node)
  local entry, number = side.tree:source(node)
  return entry, side.owners[number], number
end

-- The nodes of a pair.
function Comparison:nodes(number)
  return self.pairs[3 * number - 2], self.pairs[3 * number - 1]
end

-- Whether the sizes of two files tell that their contents differ. Notes the pairs whose contents have to be read.
function Comparison:compare_sizes(number, x, y)
  if x.size ~= y.size then return true end
  if x.size == 0 then return false end
  local na, nb = self:nodes(number)
  local in_a, owner_a = source_of(self.a, na)
  local in_b, owner_b = source_of(self.b, nb)
  local same = owner_a == owner_b and in_a.position == in_b.position
  if not same then self.contents[#self.contents + 1] = number end
  return false
end

-- The row of a path that both have, in which nothing differs yet, and the fields of both.
function Comparison:new_row(number, path)
  local na, nb = self:nodes(number)
  local x, y = tree_entry.fields(self.a.tree, na), tree_entry.fields(self.b.tree, nb)
  local tell = x.type == y.type and outline or describe
  return { kind = "file", change = "changed", path = path, fields = {}, a = tell(self.a, na, x),
           b = tell(self.b, nb, y) }, x, y
end

-- The row of a path that both have, without what only reading tells.
function Comparison:both(number, path)
  local row, x, y = self:new_row(number, path)
  if x.type ~= y.type then
    row.fields[1] = "type"
  else
    if x.type == "file" and self:compare_sizes(number, x, y) then add(row, "content") end
    if x.type == "symlink" or x.type == "hardlink" then add_if_other(row, "linkpath", x.linkpath, y.linkpath) end
    add_if_other(row, "device", device_of(x), device_of(y))
  end
  self:compare_fields(row, x, y)
  return row
end

function Comparison:compare_pair(number)
  local na, nb = self:nodes(number)
  local path = na ~= NONE and self.a.tree:path(na) or self.b.tree:path(nb)
  if self.excludes and self.excludes(path) then return end
  local row
  if nb == NONE then
    row = { kind = "file", change = "removed", path = path,
            a = describe(self.a, na, tree_entry.fields(self.a.tree, na)) }
  elseif na == NONE then
    row = { kind = "file", change = "added", path = path,
            b = describe(self.b, nb, tree_entry.fields(self.b.tree, nb)) }
  else
    local x, y = self:earlier_name(self.a, na, path), self:earlier_name(self.b, nb, path)
    if self.pairs[3 * number] == 1 and x == y then return end
    row = self:both(number, path)
    add_if_other(row, "hardlink", x, y)
    if not row.fields[1] then return end
  end
  self.rows[number] = row
end

-- ---- contents ----------------------------------------------------------------------------

-- The entries with the contents of a pair: that of a, that of b.
function Comparison:sources(number)
  local na, nb = self:nodes(number)
  return (source_of(self.a, na)), (source_of(self.b, nb))
end

-- Makes the layers ready that contents are in, and gives the bytes of these, of a and of b.
function Comparison:prepare(numbers, opts)
  local list, seen, in_a, in_b = {}, {}, 0, 0
  for _, number in ipairs(numbers) do
    for offset, side in ipairs { self.a, self.b } do
      local entry, owner = source_of(side, self.pairs[3 * number - 3 + offset])
      if entry.size > 0 and not seen[owner] then list[#list + 1] = owner end
      seen[owner] = seen[owner] or entry.size > 0
      if offset == 1 then in_a = in_a + entry.size else in_b = in_b + entry.size end
    end
  end
  local ok, message, code = layer.prepare(list, opts)
  if not ok then return nil, message, code end
  return in_a, in_b
end

local function failed(path, message, code)
  return nil, ("content of %s: %s"):format(core.quote(path), message), code
end

-- A function that is told of bytes that are done.
local function meter(total, what, progress)
  local done = 0
  return function(bytes)
    done = done + bytes
    if progress then progress(done, total, what) end
  end
end

-- A key of two files that both have several names; nil for others, which are compared but once.
function Comparison:key_of(number)
  local na, nb = self:nodes(number)
  if select(4, self.a.tree:info(na)) == 1 or select(4, self.b.tree:info(nb)) == 1 then return nil end
  local in_a, _, layer_a = source_of(self.a, na)
  local in_b, _, layer_b = source_of(self.b, nb)
  return ("%d:%d:%d:%d"):format(layer_a, in_a.position, layer_b, in_b.position)
end

-- Compares two files of one size. nil, message, code when one cannot be read.
function Comparison:compare_content(number, told)
  local key, in_a, in_b = self:key_of(number), self:sources(number)
  local known = self.same[key or false]
  local left = in_a.size
  local same, message, code = known, nil, nil
  if known == nil then
    same, message, code = metadata.same_content(in_a, in_b, function(bytes)
      left = left - bytes
      told(bytes)
    end)
  end
  if same == nil then return failed(self.a.tree:path((self:nodes(number))), message, code) end
  if key then self.same[key] = same end
  if left > 0 then told(left) end
  return same
end

-- Compares the contents that have to be read, and adds the field to the rows.
function Comparison:compare_contents(opts)
  local total, message, code = self:prepare(self.contents, opts)
  if not total then return nil, message, code end
  local told = meter(total, "comparing", opts.progress)
  for _, number in ipairs(self.contents) do
    local same
    same, message, code = self:compare_content(number, told)
    if same == nil then return nil, message, code end
    if not same then
      self.rows[number] = self.rows[number] or self:new_row(number, self.a.tree:path((self:nodes(number))))
      table.insert(self.rows[number].fields, 1, "content")
    end
    job.tick()
  end
  return true
end

-- The numbers of the rows that tell of content.
function Comparison:with_content()
  local numbers = {}
  for number = 1, #self.pairs / 3 do
    local row = self.rows[number]
    if row and row.fields and row.fields[1] == "content" then numbers[#numbers + 1] = number end
  end
  return numbers
end

-- The digests of contents that differ.
function Comparison:digest_contents(opts)
  local numbers = self:with_content()
  local bytes_of_a, bytes_of_b, code = self:prepare(numbers, opts)
  if not bytes_of_a then return nil, bytes_of_b, code end
  local told = meter(bytes_of_a + bytes_of_b, "hashing", opts.progress)
  for _, number in ipairs(numbers) do
    local row, in_a, in_b = self.rows[number], self:sources(number)
    local message
    row.a.content, message, code = in_a:digest()
    if row.a.content then row.b.content, message, code = in_b:digest() end
    if not row.b.content then return failed(row.path, message, code) end
    told(in_a.size + in_b.size)
    job.poll()
  end
  return true
end

-- ---- the whole -----------------------------------------------------------------------------

-- The rows in the order of the paths.
function Comparison:list()
  local list = {}
  for number = 1, #self.pairs / 3 do
    local row = self.rows[number]
    if row then list[#list + 1] = row end
  end
  return list
end

--- Compares two merged trees.
---@param a strata.DiffSide
---@param b strata.DiffSide
---@param opts strata.DiffOptions
---@return strata.DiffFile[]?
---@return string? message
---@return string? code
function files.compare(a, b, opts)
  local self = setmetatable({
    a = a, b = b, semantic = opts.semantic or false, pairs = a.tree:compare(b.tree), rows = {},
    first = { [a] = {}, [b] = {} }, contents = {}, same = {},
    excludes = opts.exclude and choice.matcher(opts.exclude, "diff: exclude"),
  }, Comparison)
  self:note_names()
  for number = 1, #self.pairs / 3 do
    self:compare_pair(number)
    job.tick()
  end
  local work = { threads = opts.threads, progress = opts.progress }
  local ok, message, code = self:compare_contents(work)
  if ok then ok, message, code = self:digest_contents(work) end
  if not ok then return nil, message, code end
  return self:list()
end

return files

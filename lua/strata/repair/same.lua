--- Whether what default runtimes show is the same before and after a layer has been mended.

local core = require "strata.core"
local job = require "strata.util.job"
local json = require "strata.util.json"
local merge = require "strata.tree.merge"

local same = {}

local ATTRIBUTES = { "mode", "uid", "gid", "mtime", "mtime_nsec" }

-- A header of a directory that runtimes make without being told.
local IMPLIED = { mode = 493, uid = 0, gid = 0, mtime = 0, mtime_nsec = 0, xattrs = {} } -- 0755

-- The extended attributes, without those that runtimes do not set.
local function xattrs_of(header)
  local set = {}
  for name, value in pairs(header.xattrs) do set[name] = value ~= "" and value or nil end
  return set
end

local function has_all(a, b)
  for name, value in pairs(a) do
    if b[name] ~= value then return false end
  end
  return true
end

local function same_header(a, b)
  for _, field in ipairs(ATTRIBUTES) do
    if a[field] ~= b[field] then return false end
  end
  local one, other = xattrs_of(a), xattrs_of(b)
  return has_all(one, other) and has_all(other, one)
end

--- One of two trees that are compared.
---@class strata.ComparedTree
---@field tree userdata
---@field origins table<integer, table<integer, integer>>  by layer, for those that were mended: where the content of
---  entries was before
---@field first table<integer, string>  of each file with several names the first one
local Compared = {}
Compared.__index = Compared

-- What a node has: its type, the attributes, where its content comes from, and the first name of its file.
function Compared:look(node, path)
  local tree = self.tree
  local kind, _, inode, links = tree:info(node)
  if links == 1 then inode = nil end -- others have gone
  local source, layer = tree:source(node)
  local number = source and source.position
  local origins = layer and self.origins[layer]
  if inode and not self.first[inode] then self.first[inode] = path end
  return {
    kind = kind, header = tree:header(node) or IMPLIED, source = source, layer = layer,
    number = origins and number and origins[number] or number, file = inode and self.first[inode],
  }
end

local function same_node(a, b)
  if a.kind ~= b.kind or a.file ~= b.file or not same_header(a.header, b.header) then return false end
  if a.kind == "dir" then return true end
  local one, other = a.source, b.source
  if not (one and other) then return one == other end
  if a.kind == "file" then return a.layer == b.layer and a.number == b.number and one.size == other.size end
  return one.linkpath == other.linkpath and one.major == other.major and one.minor == other.minor
end

-- The first path at which two trees differ; nil for none.
local function difference(before, after, origins)
  local one = setmetatable({ tree = before, origins = {}, first = {} }, Compared)
  local other = setmetatable({ tree = after, origins = origins, first = {} }, Compared)
  local a, b = 0, 0
  while a and b do
    job.tick()
    local path, its = before:path(a), after:path(b)
    if path ~= its then return json.before(path, its) and path or its end
    if not same_node(one:look(a, path), other:look(b, path)) then return path end
    a, b = merge.after(before, a, 0), merge.after(after, b, 0)
  end
  return a and before:path(a) or b and after:path(b) or nil
end

-- Whether a tree was not made for a reason that says nothing about its layers.
local function is_unknown(code)
  return code == "ENOMEM" or code == "ELIMIT"
end

local function tree_of(indexes, steps)
  local tree, message, code = core.tree(steps, "runtime")
  for _, index in ipairs(tree and indexes or {}) do
    local ok
    ok, message, code = tree:apply(index)
    if not ok then
      tree:close()
      return nil, message, code
    end
  end
  return tree, message, code
end

--- The first path at which what entry indexes add up to differs.
---@param before userdata[]
---@param after userdata[]
---@param origins table<integer, table<integer, integer>>  by place: the numbers that entries of `after` had before
---@param steps integer  the limit of a tree
---@return string|false|nil path  false: none, or nobody could unpack them before
---@return string? message
---@return string? code
function same.difference(before, after, origins, steps)
  local one, other, message, code
  one, message, code = tree_of(before, steps)
  if not one then
    if is_unknown(code) then return nil, message, code end
    return false
  end
  other, message, code = tree_of(after, steps)
  local path = "/" -- nobody can unpack them any more
  if other then
    path = difference(one, other, origins) or false
    other:close()
  elseif is_unknown(code) then
    path = nil
  end
  one:close()
  return path, message, code
end

return same

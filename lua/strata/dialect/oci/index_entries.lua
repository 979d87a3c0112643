--- The descriptors of the indexes of a layout or of a registry, as edits have left them.
--
-- All are read once. Names, digests and subjects lead to them, and each edit changes what it is about: edits one by one
-- would else look at all descriptors as often as there are edits.

local choose = require "strata.dialect.choose"
local core = require "strata.core"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_image = require "strata.dialect.oci.image"
local oci_names = require "strata.dialect.oci.names"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"

local index_entries = {}

--- A descriptor of an index. One of an index that several ways lead to is there for each of them.
---@class strata.IndexEntry
---@field index string  the digest of the index; "" is the root
---@field raw string
---@field key string  the same for one descriptor that several ways lead to
---@field digest string?  nil: only a save tells it
---@field kind "image"|"attestation"|"artifact"|"index"
---@field at integer  its place among all
---@field depth integer
---@field upper strata.IndexEntry?  the descriptor that led to its index
---@field names string[]  that it has itself
---@field platform strata.PlatformFields?
---@field platform_key string?  for comparison
---@field subject string?  the digest that it is about
---@field row strata.Manifest?  nil: an index, or a blob that is no manifest
---@field added strata.AddedImage?  it stands for an image that no index has yet
---@field repeats boolean?  another way has led to it before
---@field gone boolean?  an edit has taken it
---@field left integer?  of an index that leads to something: how many of its descriptors are there
---@field is_there boolean  as far as it depends on itself and what it leads to

---@class strata.IndexEntries
---@field catalog strata.Catalog
---@field list strata.IndexEntry[]  all, each index before what it leads to; those that are gone, too
---@field counts table<string, integer>  descriptors that did not go, by index and digest
---@field at_root integer  descriptors of the root that are there, and are no indexes
---@field of_root strata.IndexEntry[]  those that are
---@field by_raw table<string, strata.IndexEntry[]>  by index and raw text
---@field by_name table<string, strata.IndexEntry[]>  by what reference.comparable gives: those that had the name once
---@field by_digest table<string, strata.IndexEntry[]>
---@field by_subject table<string, strata.IndexEntry[]>  by index and subject
---@field by_platform table<string, strata.IndexEntry[]>  images, by index and platform
---@field completed integer?  what the catalog's counter said
---@field by_id table<string, strata.IndexEntry[]>?  images, by their IDs
---@field getting table<string, integer>  how many images are added to an index, by its digest
local Entries = {}
Entries.__index = Entries

local NONE = {}

local function note(map, key, one)
  local list = map[key]
  if list then list[#list + 1] = one else map[key] = { one } end
end

local function place(index, digest)
  return index .. "\0" .. digest
end

local function kind_of(catalog, descriptor, row)
  if row then return row.kind end
  local is_index = catalog.indexes[descriptor.digest] or media_types.kind(descriptor.mediaType) == "index"
  return is_index and "index" or "artifact"
end

local function entry_of(catalog, index, number, raw)
  local descriptor = catalog.indexes[index].document.manifests[number + 1]
  local row, annotations = (catalog.rows[index] or {})[number], oci_descriptor.annotations(descriptor.annotations)
  local own = platform.in_document(descriptor.platform)
  local runs_on = own or row and oci_image.platform(catalog, row) or nil
  return {
    index = index, raw = raw, key = ("%s\0%d"):format(index, number), digest = descriptor.digest, row = row,
    kind = kind_of(catalog, descriptor, row), names = oci_names.of(annotations),
    platform = runs_on, platform_key = runs_on and platform.key(own and descriptor.platform or runs_on),
    subject = oci_catalog.subject(annotations, row and row.kind ~= "image" and row.document),
  }
end

local function add(self, one, upper)
  one.upper, one.depth, one.at, one.is_there = upper, upper and upper.depth + 1 or 0, #self.list + 1, true
  self.list[one.at] = one
  if upper then upper.left = (upper.left or 0) + 1 end
  if not upper and one.kind ~= "index" then self.at_root = self.at_root + 1 end
  if not upper and one.kind == "index" then self.of_root[#self.of_root + 1] = one end
  local at = place(one.index, one.digest)
  if not one.repeats then self.counts[at] = (self.counts[at] or 0) + 1 end
  note(self.by_raw, place(one.index, one.raw), one)
  note(self.by_digest, one.digest, one)
  if one.kind == "image" and one.platform_key then note(self.by_platform, place(one.index, one.platform_key), one) end
  if one.subject then note(self.by_subject, place(one.index, one.subject), one) end
  for _, name in ipairs(one.names) do note(self.by_name, reference.comparable(name), one) end
end

local function visit(self, index, upper, visited)
  local text, repeats = self.catalog.indexes[index].text, visited[index]
  local spans = core.json(text):spans("/manifests") or NONE
  visited[index] = true
  for number = 0, #spans / 2 - 1 do
    local one = entry_of(self.catalog, index, number, text:sub(spans[2 * number + 1], spans[2 * number + 2]))
    one.repeats = repeats
    add(self, one, upper)
    if self.catalog.indexes[one.digest] then visit(self, one.digest, one, visited) end
  end
end

--- The descriptors of a catalog, before any edit.
---@param catalog strata.Catalog
---@return strata.IndexEntries
function index_entries.new(catalog)
  local self = setmetatable({
    catalog = catalog, list = {}, counts = {}, at_root = 0, of_root = {}, getting = {},
    by_raw = {}, by_name = {}, by_digest = {}, by_subject = {}, by_platform = {},
    completed = catalog.completed,
  }, Entries)
  if not catalog.single then visit(self, "", nil, {}) end
  return self
end

-- ---- edits ------------------------------------------------------------------------------------------------------

-- Finds out again whether a descriptor is there. That of an index which was left with nothing is not, unless an image
-- is added to it.
local function refresh(self, one)
  local is_there = not one.gone and (one.left ~= 0 or (self.getting[one.digest] or 0) > 0)
  if is_there == one.is_there then return end
  local step, upper = is_there and 1 or -1, one.upper
  one.is_there = is_there
  if not upper and one.kind ~= "index" then self.at_root = self.at_root + step end
  if upper then
    upper.left = upper.left + step
    refresh(self, upper)
  end
end

--- Takes the descriptors with a text from an index.
---@param index string
---@param raw string
function Entries:take(index, raw)
  for _, one in ipairs(self.by_raw[place(index, raw)] or NONE) do
    local at = place(index, one.digest)
    if not one.gone and not one.repeats then self.counts[at] = self.counts[at] - 1 end
    one.gone = true
    refresh(self, one)
  end
end

--- Notes that an index gets an image more, or one less.
---@param index string
---@param step integer  1 or -1
function Entries:get(index, step)
  self.getting[index] = (self.getting[index] or 0) + step
  for _, one in ipairs(self.by_digest[index] or NONE) do refresh(self, one) end
end

--- Gives the descriptors of the root with a text only one name, or none.
---@param raw string
---@param name string|false
function Entries:rename(raw, name)
  for _, one in ipairs(self.by_raw[place("", raw)] or NONE) do one.names = { name or nil } end
end

-- ---- what is there ----------------------------------------------------------------------------------------------

--- Whether a descriptor is there, and leads nowhere that has gone.
---@param one strata.IndexEntry?
---@return boolean
function index_entries.is_there(one)
  while one and one.is_there do one = one.upper end
  return one == nil
end

local is_there = index_entries.is_there

--- The names of a descriptor, and those of the indexes that lead to it.
---@param one strata.IndexEntry
---@return string[]
function Entries:tags(one)
  local above = one.upper and self:tags(one.upper) or self.catalog.store.names or NONE
  return reference.union(above, one.names)
end

--- All that are there.
---@return strata.IndexEntry[]
function Entries:all()
  local list = {}
  for _, one in ipairs(self.list) do
    if is_there(one) then list[#list + 1] = one end
  end
  return list
end

-- Those of lists that are there, each once, in their order.
local function those_there(lists)
  local found, seen = {}, {}
  for _, list in ipairs(lists) do
    for _, one in ipairs(list) do
      if not seen[one] and is_there(one) then found[#found + 1] = one end
      seen[one] = true
    end
  end
  table.sort(found, function(a, b) return a.at < b.at end) -- numbers
  return found
end

-- The images, by their IDs.
local function ids_of(self)
  if not self.by_id then
    self.by_id = {}
    for _, one in ipairs(self.list) do
      local id = one.kind == "image" and one.row and oci_image.id(self.catalog, one.row)
      if id then note(self.by_id, id, one) end
    end
  end
  return self.by_id
end

--- The descriptors that have a name or had it once, or a digest, and the images of an ID.
---@param ref string
---@return strata.IndexEntry[]
function Entries:candidates(ref)
  local digest = choose.digest_of(ref)
  return those_there {
    self.by_name[reference.comparable(ref)] or NONE, digest and self.by_digest[digest] or NONE,
    digest and ids_of(self)[digest] or NONE,
  }
end

--- Whether a descriptor leads to a manifest.
---@param row strata.Manifest
---@return boolean
function Entries:leads_to(row)
  for _, one in ipairs(self.by_digest[row.digest] or NONE) do
    if one.row == row and is_there(one) then return true end
  end
  return false
end

--- The descriptors that lead to a digest.
---@param digest string
---@return strata.IndexEntry[]
function Entries:with_digest(digest)
  return those_there { self.by_digest[digest] }
end

--- Whether descriptors of an index lead to a digest, beside so many.
---@param index string
---@param digest string
---@param but integer
---@return boolean
function Entries:has_more(index, digest, but)
  return (self.counts[place(index, digest)] or 0) > but
end

--- The descriptors of an index that are about a digest.
---@param index string
---@param digest string
---@return strata.IndexEntry[]
function Entries:about(index, digest)
  return those_there { self.by_subject[place(index, digest)] }
end

--- Whether other descriptors of the root lead to what one of them leads to.
---@param one strata.IndexEntry
---@return boolean
function Entries:is_repeated(one)
  return self:has_more("", one.digest, #self.by_raw[place("", one.raw)])
end

-- Of a list what is of one index: each descriptor once, whatever leads to the index.
local function of_index(list, index, fits)
  local found, seen = {}, {}
  for _, one in ipairs(list) do
    if one.index == index and not seen[one.key] and (not fits or fits(one)) then found[#found + 1] = one end
    seen[one.key] = true
  end
  return found
end

--- The descriptors of an index that have one of these names.
---@param index string
---@param refs string[]
---@return strata.IndexEntry[]
function Entries:named(index, refs)
  local lists, wanted = {}, {}
  for i, ref in ipairs(refs) do
    local name = reference.comparable(ref)
    lists[i], wanted[name] = self.by_name[name] or NONE, true
  end
  return of_index(those_there(lists), index, function(one)
    for _, name in ipairs(one.names) do
      if wanted[reference.comparable(name)] then return true end
    end
    return false
  end)
end

--- The images of an index for a platform.
---@param index string
---@param key string  as platform.key gives it
---@return strata.IndexEntry[]
function Entries:for_platform(index, key)
  return of_index(those_there { self.by_platform[place(index, key)] }, index)
end

--- The index that all of the root leads to; "" when it leads to none, nil when it leads to several, or to more.
---@return string? digest
function Entries:only_index()
  local only
  for _, one in ipairs(self.of_root) do
    if one.is_there and only and only ~= one.digest then return nil end
    if one.is_there then only = one.digest end
  end
  if only and self.at_root > 0 then return nil end
  return only or ""
end

return index_entries

--- Edits of the indexes of a layout or of a registry: descriptors that go, names that go, images that are added.
--
-- They are noted here, and oci/changes carries them out in the texts of the indexes. A descriptor is known by its raw
-- text and by the digest of its index: both hold when somebody else has changed index.json meanwhile.

local choose = require "strata.dialect.choose"
local core = require "strata.core"
local fail = require "strata.util.fail"
local index_entries = require "strata.dialect.oci.index_entries"
local json = require "strata.util.json"
local oci_image = require "strata.dialect.oci.image"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"

local index_edits = {}

--- An image that is added to an index.
---@class strata.AddedImage
---@field index string  the digest of the index; "" is the root
---@field handle strata.Image
---@field tags string[]  names of its descriptors
---@field is_there boolean?  false: an edit has taken it away again
---@field attestations "keep"|"drop"|"refuse"|nil
---@field request strata.SaveRequest?  written by each save, as the next one
---@field addition strata.IndexAddition?

---@class strata.IndexEdits
---@field catalog strata.Catalog?  nil: there is nothing to edit
---@field gone table<string, table<string, boolean>>  by digest of the index: raw texts of descriptors
---@field names table<string, string|false>  by raw text of a descriptor of the root: the name that is left, if any
---@field untagged table<string, boolean>  names that went, as reference.comparable gives them
---@field added strata.AddedImage[]
---@field named table<string, strata.AddedImage[]>  images that were added to index.json, by these names. Some are not
---  there any more
---@field of_handle table<strata.Image, strata.AddedImage[]>  the same by their objects
---@field revision integer  counts edits
---@field live strata.IndexEntries?  what is there after the edits. Written by entries_of()
local Edits = {}
Edits.__index = Edits

--- No edits.
---@param catalog? strata.Catalog
---@return strata.IndexEdits
function index_edits.new(catalog)
  return setmetatable({
    catalog = catalog, gone = {}, names = {}, untagged = {}, added = {}, named = {}, of_handle = {}, revision = 0,
  }, Edits)
end

--- Whether there is anything to do.
---@return boolean
function Edits:is_empty()
  return next(self.gone) == nil and next(self.names) == nil and #self.added == 0
end

--- Whether a descriptor goes.
---@param index string
---@param raw string
---@return boolean
function Edits:takes(index, raw)
  return self.gone[index] ~= nil and self.gone[index][raw] == true
end

--- The only name that a descriptor of the root keeps, false for none. nil: it keeps all that it has.
---@param index string
---@param raw string
---@return string|false|nil
function Edits:name_of(index, raw)
  if index ~= "" then return nil end
  return self.names[raw]
end

--- The descriptors of the root that are edited.
---@return string[]  raw texts
function Edits:of_root()
  local list = {}
  for raw in pairs(self.gone[""] or {}) do list[#list + 1] = raw end
  for raw in pairs(self.names) do list[#list + 1] = raw end
  return json.sort(list)
end

-- ---- entries after the edits ------------------------------------------------------------------------------------

-- The descriptors as they are after the edits. Manifests that were read meanwhile may be others than they were said to
-- be.
local function entries_of(self)
  local live, catalog = self.live, self.catalog
  if live and live.completed == catalog.completed then return live end
  live = index_entries.new(catalog)
  for raw, name in pairs(self.names) do live:rename(raw, name) end
  for index, set in pairs(self.gone) do
    for raw in pairs(set) do live:take(index, raw) end
  end
  for _, one in ipairs(self.added) do live:get(one.index, 1) end
  self.live = live
  return live
end

--- The descriptors of all indexes as they are after the edits, each index before what it leads to. An index that the
--- edits leave with nothing is not among them.
---@return strata.IndexEntry[]
function Edits:entries()
  return entries_of(self):all()
end

--- Whether a descriptor leads to a manifest after the edits.
---@param row strata.Manifest
---@return boolean
function Edits:leads_to(row)
  return entries_of(self):leads_to(row)
end

--- The names of a descriptor, and those of what leads to it.
---@param one strata.IndexEntry
---@return string[]
function Edits:tags(one)
  local entries, index = entries_of(self), one.index
  if not one.added or index == "" and self.catalog.store.flat then return entries:tags(one) end
  local tags = one.names
  for _, upper in ipairs(index ~= "" and entries:with_digest(index) or {}) do
    tags = reference.union(tags, entries:tags(upper))
  end
  return tags
end

-- A descriptor that stands for an image that is added.
local function entry_of(one)
  local img = one.handle
  return {
    index = one.index, key = one, digest = not img.edited and img.digest or nil, kind = "image", depth = 0,
    names = one.tags, platform = platform.fields(img.config), added = one,
  }
end

--- The images that are added.
---@return strata.IndexEntry[]
function Edits:additions()
  local list = {}
  for i, one in ipairs(self.added) do list[i] = entry_of(one) end
  return list
end

-- ---- choosing ---------------------------------------------------------------------------------------------------

-- A name means the descriptors that have it. An ID means those of the image.
local function has_ref(catalog, one, ref, names)
  if reference.find(names, ref) then return true end
  local wanted = choose.digest_of(ref)
  if not wanted then return false end
  return one.digest == wanted or one.kind == "image" and one.row ~= nil and oci_image.id(catalog, one.row) == wanted
end

--- What chooses descriptors: a name or a digest; or fields that all have to fit.
---@param self strata.IndexEdits
---@param which string|strata.ManifestOptions
---@return fun(one: strata.IndexEntry): boolean
local function matcher(self, which)
  local catalog = self.catalog
  if type(which) == "string" then
    return function(one) return has_ref(catalog, one, which, one.names) end
  end
  local wanted = which.platform and platform.parse(which.platform)
  local is_alone = not (wanted or which.digest or which.kind) -- with others, a name means all that has it
  return function(one)
    if wanted and not (one.platform and platform.rank(wanted, one.platform) == 1) then return false end
    if which.digest and one.digest ~= which.digest or which.kind and one.kind ~= which.kind then return false end
    return not which.ref or has_ref(catalog, one, which.ref, is_alone and one.names or self:tags(one))
  end
end

-- Whether a descriptor is in a set, or an index that leads to it.
local function is_within(set, one)
  while one and not set[one] do one = one.upper end
  return one ~= nil
end

-- The entries that a test chooses. What a chosen index leads to goes with it.
local function chosen(entries, test)
  local found, set = {}, {}
  for _, one in ipairs(entries) do
    if not is_within(set, one) and test(one) then found[#found + 1], set[one] = one, true end
  end
  return found
end

local function extend(list, more)
  for _, one in ipairs(more) do list[#list + 1] = one end
  return list
end

-- All descriptors that an item may choose: those that its name or its digest leads to.
local function candidates(self, item)
  local entries = entries_of(self)
  if type(item) == "table" then
    return extend(item.digest and entries:with_digest(item.digest) or entries:all(), self:additions())
  elseif choose.digest_of(item) then
    return extend(entries:candidates(item), self:additions())
  end
  local list = entries:candidates(item)
  for _, one in ipairs(self:named_like(item)) do list[#list + 1] = entry_of(one) end
  return list
end

--- The descriptors that somebody means, and the items that have chosen none.
---@param which (string|strata.ManifestOptions)[]
---@return strata.IndexEntry[]
---@return (string|strata.ManifestOptions)[] unused
function Edits:choose(which)
  local found, seen, unused = {}, {}, {}
  for _, item in ipairs(which) do
    local list = chosen(candidates(self, item), matcher(self, item))
    if #list == 0 then unused[#unused + 1] = item end
    for _, one in ipairs(list) do
      if not seen[one.key] then found[#found + 1] = one end
      seen[one.key] = true
    end
  end
  return found, unused
end

--- The descriptors that a function says true of; each is asked about once.
---@param test fun(one: strata.IndexEntry): boolean
---@return strata.IndexEntry[]
function Edits:choose_by(test)
  local answers, found, seen = {}, {}, {}
  local list = chosen(extend(self:entries(), self:additions()), function(one)
    if answers[one.key] == nil then answers[one.key] = test(one) end
    return answers[one.key]
  end)
  for _, one in ipairs(list) do
    if not seen[one.key] then found[#found + 1] = one end
    seen[one.key] = true
  end
  return found
end

--- The attestations and artifacts whose subject goes from their index, and those about these.
---@param going strata.IndexEntry[]
---@return strata.IndexEntry[]
function Edits:about(going)
  local entries, goes, lost, found, queue = entries_of(self), {}, {}, {}, {}
  local function leave(one)
    local at = one.index .. "\0" .. (one.digest or "")
    goes[one.key], lost[at], queue[#queue + 1] = true, (lost[at] or 0) + 1, one
  end
  for _, one in ipairs(going) do
    if not one.added then leave(one) end
  end
  local i = 0
  while queue[i + 1] do
    i = i + 1
    local subject = queue[i]
    local is_last = not entries:has_more(subject.index, subject.digest, lost[subject.index .. "\0" .. subject.digest])
    for _, one in ipairs(is_last and entries:about(subject.index, subject.digest) or {}) do
      if not goes[one.key] then
        found[#found + 1] = one
        leave(one)
      end
    end
  end
  table.sort(found, function(a, b) return a.at < b.at end) -- numbers
  return found
end

-- ---- places ----------------------------------------------------------------------------------------------------

-- The indexes in words.
local function describe(entries)
  local words, known = {}, {}
  for _, one in ipairs(entries) do
    local text = one.kind == "index" and (one.names[1] or one.digest)
    if text and not known[text] then words[#words + 1], known[text] = core.quote(text), true end
  end
  return #words > 0 and table.concat(words, ", ") or "none"
end

-- The only index: that of a registry, the one that all of index.json leads to, or index.json when that leads to none.
local function only_index(self)
  local store = self.catalog.store
  local only = store.flat and "" or entries_of(self):only_index()
  if only then return only end
  return fail("EAMBIGUOUS", "add: %s: which index is meant? index = %q is that of the layout itself, and there are: %s",
    store.path, store.root, describe(self:entries()))
end

--- The digest of the index that an image is added to.
---@param wanted string?  a name or a digest; nil: the only one
---@return string?
---@return string? message
---@return string? code
function Edits:target(wanted)
  local catalog, found, other = self.catalog, nil, nil
  local path = catalog.store.path
  if wanted == nil then
    local message, code
    found, message, code = only_index(self)
    if not found then return nil, message, code end
  elseif wanted == catalog.store.root and not catalog.store.flat then
    return ""
  else
    for _, one in ipairs(entries_of(self):candidates(wanted)) do
      local is_meant = reference.find(one.names, wanted) or one.digest == choose.digest_of(wanted)
      if is_meant and one.kind == "index" then found = found or one.digest end
      other = other or is_meant and one
    end
  end
  if not found and other then
    return fail("EINVAL", "add: %s: %s is that of an %s; strata.save({...}, to, {index = ...}) makes an index", path,
      core.quote(wanted), other.kind)
  elseif not found then
    return fail("ENOENT", "add: %s: no index is %s; there are: %s", path, core.quote(wanted), describe(self:entries()))
  elseif not catalog.indexes[found] then
    return fail("ENOENT", "add: %s: the index %s is not there", path, found)
  end
  return found
end

--- The images that were added to index.json under a name.
---@param ref string
---@return strata.AddedImage[]
function Edits:named_like(ref)
  local list = {}
  for _, one in ipairs(self.named[reference.comparable(ref)] or {}) do
    if one.is_there then list[#list + 1] = one end
  end
  return list
end

-- Of the images that were added those with the place of another one: in index.json one of its names.
local function added_rivals(self, one, is_listed)
  local list = {}
  for _, other in ipairs(self.of_handle[one.handle] or {}) do list[#list + 1] = other end
  if is_listed then
    for _, ref in ipairs(one.tags) do extend(list, self:named_like(ref)) end
    return list
  end
  local key = platform.key(one.handle.config)
  for _, other in ipairs(self.added) do
    if platform.key(other.handle.config) == key then list[#list + 1] = other end
  end
  return list
end

--- The descriptors that have the place of an image in an index: those for its platform, in index.json those with one of
--- its names.
---@param one strata.AddedImage
---@param is_listed boolean  the index is that of a layout itself
---@return strata.IndexEntry[]
---@return strata.AddedImage[] mine  those that were added
function Edits:rivals(one, is_listed)
  local entries, mine, seen = entries_of(self), {}, {}
  local found = is_listed and entries:named("", one.tags) or
    entries:for_platform(one.index, platform.key(one.handle.config))
  for _, other in ipairs(added_rivals(self, one, is_listed)) do
    local is_other = other ~= one and other.is_there and other.index == one.index
    if is_other and not seen[other] then mine[#mine + 1], seen[other] = other, true end
  end
  return found, mine
end

-- ---- edits ------------------------------------------------------------------------------------------------------

local function note(map, key, one)
  map[key] = map[key] or {}
  table.insert(map[key], one)
end

--- Adds an image.
---@param one strata.AddedImage
function Edits:add(one)
  self.revision = self.revision + 1
  self.added[#self.added + 1], one.is_there = one, true
  note(self.of_handle, one.handle, one)
  for _, ref in ipairs(one.tags) do note(self.named, reference.comparable(ref), one) end
  entries_of(self):get(one.index, 1)
end

-- Keeps of the images that were added those that a test is true of.
local function keep_added(self, stays)
  local left = {}
  for _, one in ipairs(self.added) do
    one.is_there = stays(one)
    if one.is_there then left[#left + 1] = one else entries_of(self):get(one.index, -1) end
  end
  self.added = left
end

--- Has descriptors go, and images that were added, with those that were added to an index that goes.
---@param list strata.IndexEntry[]
---@param mine? strata.AddedImage[]  more of the latter
function Edits:take(list, mine)
  local entries, without, any = entries_of(self), {}, false
  self.revision = self.revision + 1
  for _, one in ipairs(mine or {}) do without[one], any = true, true end
  for _, one in ipairs(list) do
    any = any or one.added ~= nil or one.kind == "index"
    if one.added then
      without[one.added] = true
    else
      self.gone[one.index] = self.gone[one.index] or {}
      self.gone[one.index][one.raw] = true
      entries:take(one.index, one.raw)
    end
  end
  if not any or not self.added[1] then return end
  keep_added(self, function(one)
    return not without[one] and (one.index == "" or entries:with_digest(one.index)[1] ~= nil)
  end)
end

--- Takes back what take() did.
---@param list strata.IndexEntry[]
---@param added strata.AddedImage[]  that there were before
function Edits:give_back(list, added)
  for _, one in ipairs(list) do
    local set = not one.added and self.gone[one.index]
    if set then set[one.raw] = nil end
    if set and next(set) == nil then self.gone[one.index] = nil end
  end
  for _, one in ipairs(added) do one.is_there = true end
  self.added, self.live, self.revision = added, nil, self.revision + 1
end

--- Takes a name from the descriptors of the root that have it. One that is left without a name goes, when another leads
-- to the same.
---@param ref string
---@return boolean found
function Edits:untag(ref)
  local entries, found = entries_of(self), false
  for _, one in ipairs(entries:named("", { ref })) do
    local left
    for _, name in ipairs(one.names) do
      if reference.comparable(name) ~= reference.comparable(ref) then left = left or name end
    end
    found = true
    if not left and entries:is_repeated(one) then
      self.names[one.raw] = nil
      self:take({ one })
    else
      self.names[one.raw] = left or false
      entries:rename(one.raw, left or false)
    end
  end
  if not found then return false end
  self.revision = self.revision + 1
  self.untagged[reference.comparable(ref)] = true
  return true
end

return index_edits

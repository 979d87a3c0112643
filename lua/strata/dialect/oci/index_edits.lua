--- Edits of the indexes of a layout or of a registry: descriptors that go, names that go, images that are added.
--
-- They are noted here, and oci/changes carries them out in the texts of the indexes. A descriptor is known by its raw
-- text and by the digest of its index: both hold when somebody else has changed index.json meanwhile.

local choose = require "strata.dialect.choose"
local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_image = require "strata.dialect.oci.image"
local oci_names = require "strata.dialect.oci.names"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"

local index_edits = {}

--- An image that is added to an index.
---@class strata.AddedImage
---@field index string  the digest of the index; "" is the root
---@field handle strata.Image
---@field tags string[]  names of its descriptors
---@field attestations "keep"|"drop"|"refuse"|nil
---@field request strata.SaveRequest?  written by each save, as the next one
---@field addition strata.IndexAddition?

---@class strata.IndexEdits
---@field gone table<string, table<string, boolean>>  by digest of the index: raw texts of descriptors
---@field names table<string, string|false>  by raw text of a descriptor of the root: the name that is left, if any
---@field untagged string[]  names that went
---@field added strata.AddedImage[]
local Edits = {}
Edits.__index = Edits

--- No edits.
---@return strata.IndexEdits
function index_edits.new()
  return setmetatable({ gone = {}, names = {}, untagged = {}, added = {} }, Edits)
end

--- The same edits, to which others can be added.
---@return strata.IndexEdits
function Edits:copy()
  local copy = index_edits.new()
  for index, set in pairs(self.gone) do
    copy.gone[index] = {}
    for raw in pairs(set) do copy.gone[index][raw] = true end
  end
  for raw, name in pairs(self.names) do copy.names[raw] = name end
  for i, name in ipairs(self.untagged) do copy.untagged[i] = name end
  for i, one in ipairs(self.added) do copy.added[i] = one end
  return copy
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

--- A descriptor of an index.
---@class strata.IndexEntry
---@field index string  the digest of the index; "" is the root
---@field raw string
---@field key string  the same for one descriptor that several ways lead to
---@field digest string?  nil: only a save tells it
---@field kind "image"|"attestation"|"artifact"|"index"
---@field depth integer
---@field names string[]  that it has itself
---@field tags string[]  these, and those of the indexes that lead to it
---@field platform strata.PlatformFields?
---@field platform_key string?  for comparison
---@field subject string?  the digest that it is about
---@field row strata.Manifest?  nil: an index, or a blob that is no manifest
---@field added strata.AddedImage?  it stands for an image that no index has yet

local function kind_of(catalog, descriptor, row)
  if row then return row.kind end
  local is_index = catalog.indexes[descriptor.digest] or media_types.kind(descriptor.mediaType) == "index"
  return is_index and "index" or "artifact"
end

local function entry_of(self, catalog, index, number, raw)
  local descriptor = catalog.indexes[index].document.manifests[number + 1]
  local row, annotations = (catalog.rows[index] or {})[number], oci_descriptor.annotations(descriptor.annotations)
  local own = platform.in_document(descriptor.platform)
  local runs_on = own or row and oci_image.platform(catalog, row) or nil
  local name, names = self:name_of(index, raw), oci_names.of(annotations)
  if name ~= nil then names = { name or nil } end
  return {
    index = index, raw = raw, key = ("%s\0%d"):format(index, number), digest = descriptor.digest, row = row,
    kind = kind_of(catalog, descriptor, row), names = names,
    platform = runs_on, platform_key = runs_on and platform.key(own and descriptor.platform or runs_on),
    subject = oci_catalog.subject(annotations, row and row.kind ~= "image" and row.document),
  }
end

-- Whether the edits add something to an index.
local function gets(self, index)
  for _, one in ipairs(self.added) do
    if one.index == index then return true end
  end
  return false
end

local function visit(self, catalog, index, tags, depth, list)
  local doc = core.json(catalog.indexes[index].text)
  for number = 0, (doc:count("/manifests") or 0) - 1 do
    local raw = doc:raw("/manifests/" .. number)
    if not self:takes(index, raw) then
      local one = entry_of(self, catalog, index, number, raw)
      one.depth, one.tags = depth, reference.union(tags, one.names)
      list[#list + 1] = one
      local at = #list
      if catalog.indexes[one.digest] then
        visit(self, catalog, one.digest, one.tags, depth + 1, list)
        local had_some = #(json.or_nil(catalog.indexes[one.digest].document.manifests) or {}) > 0
        if at == #list and had_some and not gets(self, one.digest) then list[at] = nil end
      end
    end
  end
end

--- The descriptors of all indexes as they are after the edits, each index before what it leads to. An index that the
-- edits leave with nothing is not among them.
---@param catalog strata.Catalog
---@return strata.IndexEntry[]
function Edits:entries(catalog)
  local list = {}
  if not catalog.single then visit(self, catalog, "", catalog.store.names or {}, 0, list) end
  return list
end

--- The same with the images that are added, which come last.
---@param catalog strata.Catalog
---@return strata.IndexEntry[]
function Edits:all(catalog)
  local list = self:entries(catalog)
  local count = #list
  for i, one in ipairs(self.added) do
    local img, tags = one.handle, one.tags
    if one.index == "" and catalog.store.flat then tags = catalog.store.names or {} end
    for k = 1, count do
      if one.index ~= "" and list[k].digest == one.index then tags = reference.union(tags, list[k].tags) end
    end
    list[#list + 1] = {
      index = one.index, key = "\0" .. i, digest = not img.edited and img.digest or nil, kind = "image", depth = 0,
      names = one.tags, tags = tags, platform = platform.fields(img.config), added = one,
    }
  end
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
---@param catalog strata.Catalog
---@param which string|strata.ManifestOptions
---@return fun(one: strata.IndexEntry): boolean
local function matcher(catalog, which)
  if type(which) == "string" then
    return function(one) return has_ref(catalog, one, which, one.names) end
  end
  local wanted = which.platform and platform.parse(which.platform)
  local is_alone = not (wanted or which.digest or which.kind) -- with others, a name means all that has it
  return function(one)
    if wanted and not (one.platform and platform.rank(wanted, one.platform) == 1) then return false end
    if which.digest and one.digest ~= which.digest or which.kind and one.kind ~= which.kind then return false end
    return not which.ref or has_ref(catalog, one, which.ref, is_alone and one.names or one.tags)
  end
end

-- The entries that a test chooses. What a chosen index leads to goes with it.
local function chosen(entries, test)
  local found, below = {}, nil
  for _, one in ipairs(entries) do
    if not below or one.depth <= below then
      below = nil
      if test(one) then
        found[#found + 1] = one
        below = one.depth
      end
    end
  end
  return found
end

--- The descriptors that somebody means, and the items that have chosen none.
---@param catalog strata.Catalog
---@param which (string|strata.ManifestOptions)[]
---@return strata.IndexEntry[]
---@return (string|strata.ManifestOptions)[] unused
function Edits:choose(catalog, which)
  local entries, found, seen, unused = self:all(catalog), {}, {}, {}
  for _, item in ipairs(which) do
    local list = chosen(entries, matcher(catalog, item))
    if #list == 0 then unused[#unused + 1] = item end
    for _, one in ipairs(list) do
      if not seen[one.key] then found[#found + 1] = one end
      seen[one.key] = true
    end
  end
  return found, unused
end

--- The descriptors that a function says true of; each is asked about once.
---@param catalog strata.Catalog
---@param test fun(one: strata.IndexEntry): boolean
---@return strata.IndexEntry[]
function Edits:choose_by(catalog, test)
  local answers, found, seen = {}, {}, {}
  local list = chosen(self:all(catalog), function(one)
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
---@param catalog strata.Catalog
---@param going strata.IndexEntry[]
---@return strata.IndexEntry[]
function Edits:about(catalog, going)
  local goes, leads, stays, found = {}, {}, {}, {}
  for _, one in ipairs(going) do
    goes[one.key] = true
    if not one.added then leads[one.index .. "\0" .. one.digest] = true end
  end
  local entries = self:entries(catalog)
  for _, one in ipairs(entries) do
    if not goes[one.key] then stays[one.index .. "\0" .. one.digest] = true end
  end
  local count
  repeat
    count = #found
    for _, one in ipairs(entries) do
      local about = one.subject and one.index .. "\0" .. one.subject
      if about and leads[about] and not stays[about] and not goes[one.key] then
        found[#found + 1], goes[one.key] = one, true
        local own = one.index .. "\0" .. one.digest
        leads[own], stays[own] = true, nil
      end
    end
  until count == #found
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
local function only_index(catalog, entries)
  if catalog.store.flat then return "" end
  local only, others = nil, false
  for _, one in ipairs(entries) do
    local is_index = one.index == "" and one.kind == "index"
    if is_index and only and only ~= one.digest then only, others = false, true end
    if is_index and only == nil then only = one.digest end
    others = others or one.index == "" and not is_index
  end
  if only == nil then return "" end
  if not others then return only end
  return fail("EAMBIGUOUS", "add: %s: which index is meant? index = %q is that of the layout itself, and there are: %s",
    catalog.store.path, catalog.store.root, describe(entries))
end

--- The digest of the index that an image is added to.
---@param catalog strata.Catalog
---@param wanted string?  a name or a digest; nil: the only one
---@return string?
---@return string? message
---@return string? code
function Edits:target(catalog, wanted)
  local path, entries, found, other = catalog.store.path, self:entries(catalog), nil, nil
  if wanted == nil then
    local message, code
    found, message, code = only_index(catalog, entries)
    if not found then return nil, message, code end
  elseif wanted == catalog.store.root and not catalog.store.flat then
    return ""
  else
    for _, one in ipairs(entries) do
      local is_meant = reference.find(one.names, wanted) or one.digest == choose.digest_of(wanted)
      if is_meant and one.kind == "index" then found = found or one.digest end
      other = other or is_meant and one
    end
  end
  if not found and other then
    return fail("EINVAL", "add: %s: %s is that of an %s; strata.save({...}, to, {index = ...}) makes an index", path,
      core.quote(wanted), other.kind)
  elseif not found then
    return fail("ENOENT", "add: %s: no index is %s; there are: %s", path, core.quote(wanted), describe(entries))
  elseif not catalog.indexes[found] then
    return fail("ENOENT", "add: %s: the index %s is not there", path, found)
  end
  return found
end

--- The descriptors that have the place of an image in an index: those for its platform, in index.json those with one of
--- its names.
---@param catalog strata.Catalog
---@param one strata.AddedImage
---@param is_listed boolean  the index is that of a layout itself
---@return strata.IndexEntry[]
---@return integer[] mine  the numbers of those that were added
function Edits:rivals(catalog, one, is_listed)
  local key, found, mine, seen = platform.key(one.handle.config), {}, {}, {}
  local function has_name(names)
    for _, ref in ipairs(one.tags) do
      if reference.find(names, ref) then return true end
    end
    return false
  end
  for _, entry in ipairs(self:entries(catalog)) do
    local is_same = entry.kind == "image" and entry.platform_key == key
    if is_listed then is_same = has_name(entry.names) end
    if entry.index == one.index and is_same and not seen[entry.key] then found[#found + 1] = entry end
    seen[entry.key] = true
  end
  for i, other in ipairs(self.added) do
    local is_same = platform.key(other.handle.config) == key
    if is_listed then is_same = has_name(other.tags) end
    if other.index == one.index and (is_same or other.handle == one.handle) then mine[#mine + 1] = i end
  end
  return found, mine
end

-- ---- edits ------------------------------------------------------------------------------------------------------

--- Has descriptors go, and images that were added, with those that were added to an index that goes.
---@param catalog strata.Catalog
---@param list strata.IndexEntry[]
function Edits:take(catalog, list)
  local without, stays = {}, { [""] = true }
  for _, one in ipairs(list) do
    if one.added then
      without[one.added] = true
    else
      self.gone[one.index] = self.gone[one.index] or {}
      self.gone[one.index][one.raw] = true
    end
  end
  for _, one in ipairs(self:entries(catalog)) do
    if one.kind == "index" then stays[one.digest] = true end
  end
  for i = #self.added, 1, -1 do
    local one = self.added[i]
    if without[one] or not stays[one.index] then table.remove(self.added, i) end
  end
end

--- Takes a name from the descriptors of the root that have it. One that is left without a name goes, when another leads
-- to the same.
---@param catalog strata.Catalog
---@param ref string
---@return boolean found
function Edits:untag(catalog, ref)
  local of_root, found = {}, false
  for _, one in ipairs(self:entries(catalog)) do
    if one.index == "" then of_root[#of_root + 1] = one end
  end
  local function is_repeated(one)
    for _, other in ipairs(of_root) do
      local is_there = other ~= one and other.digest == one.digest and not self:takes("", other.raw)
      if is_there then return true end
    end
    return false
  end
  for _, one in ipairs(of_root) do
    local at = reference.find(one.names, ref)
    if at then
      found = true
      table.remove(one.names, at)
      if #one.names == 0 and is_repeated(one) then
        self.names[one.raw] = nil
        self:take(catalog, { one })
      else
        self.names[one.raw] = one.names[1] or false
      end
    end
  end
  if found then self.untagged[#self.untagged + 1] = ref end
  return found
end

return index_edits

--- Saving an index with all that it leads to, to a registry: of another registry, of a layout or of an archive.

local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_edit = require "strata.dialect.oci.edit"
local push = require "strata.registry.push"

local registry_index = {}

--- The documents and blobs below a root.
---@class strata.IndexWalk
---@field catalog strata.Catalog
---@field new table<string, table>  what edits have made, by digest: bytes or a part
---@field documents strata.PushedManifest[]  children before those that name them; the root is the last
---@field blobs strata.PushedBlob[]
---@field seen table<string, boolean>
---@field referrers integer  that were found so far
---@field is_near boolean?  what stays as it was is there
---@field is_about boolean?  what is added is about something else
---@field gone table<string, boolean>  digests of what edits have taken
local Walk = {}
Walk.__index = Walk

-- The text of a document, and whether it is as it was.
function Walk:text_of(digest)
  local made = self.new[digest]
  if made then return made.bytes, false end
  local catalog = self.catalog
  local known = catalog.by_digest[digest]
  if known and known.text then return known.text, true end
  if catalog.indexes[digest] then return catalog.indexes[digest].text, true end
  return catalog.strangers[digest] and catalog:stranger(digest) or nil, true
end

--- Has a blob read from where its bytes lie. A file that is opened for it is the blob's own.
---@param blob strata.PushedBlob
---@param part strata.Segment?
---@return boolean? ok
---@return string? message
---@return string? code
function registry_index.take_part(blob, part)
  if not part then return true end
  blob.offset, blob.size = part.offset, part.size
  if not part.from then
    blob.file = part.file
    return true
  end
  local file, message, code = part.from:open(part.name)
  if not file then return nil, message, code end
  blob.file, blob.own = file, true
  return true
end

-- Adds a blob that a manifest names.
function Walk:add_blob(descriptor, label)
  if type(descriptor) ~= "table" or type(descriptor.digest) ~= "string" or self.seen[descriptor.digest] then
    return true
  end
  local digest, store = descriptor.digest, self.catalog.store
  self.seen[digest] = true
  local blob = { label = label, digest = digest, size = descriptor.size, is_about = self.is_about }
  local made = self.new[digest]
  if media_types.is_foreign(descriptor.mediaType) then -- it stays where its URLs lead
    return true
  elseif made then
    blob.bytes, blob.origin = made.bytes, made.origin
    local ok, message, code = registry_index.take_part(blob, made.part)
    if not ok then return nil, message, code end
  elseif store.remote then
    blob.origin = store
  else
    local there, message, code = store:blob(digest)
    if not there then return nil, message, code end
    blob.file, blob.offset, blob.size, blob.own = there.file, there.offset, there.size, there.own
  end
  if not blob.size and blob.bytes then blob.size = #blob.bytes end
  self.blobs[#self.blobs + 1] = blob
  return true
end

function Walk:add_manifest(document)
  local ok, message, code = self:add_blob(document.config, "config")
  local layers = json.or_nil(document.layers) or {}
  for i, descriptor in ipairs(json.is_array(layers) and layers or {}) do
    if not ok then return nil, message, code end
    ok, message, code = self:add_blob(descriptor, ("layer %d/%d"):format(i, #layers))
  end
  return ok, message, code
end

function Walk:add_children(document, where)
  for _, descriptor in ipairs(json.or_nil(document.manifests) or {}) do
    local digest = type(descriptor) == "table" and descriptor.digest
    local text, is_kept = nil, nil
    if type(digest) == "string" then text, is_kept = self:text_of(digest) end
    local is_there = self.is_near and (is_kept or not text)
    if not text and not is_there then
      return fail("ENOENT", "%s names %s, which is not here: a registry takes no index without what it names", where,
        json.printable(tostring(digest), 100))
    end
    local ok, message, code = true, nil, nil
    if not is_there then ok, message, code = self:add(text, digest, json.or_nil(descriptor.mediaType), is_kept) end
    if not ok then return nil, message, code end
  end
  return true
end

--- Adds a document and all that it names.
---@param text string
---@param digest string
---@param stated string?  its media type by its descriptor
---@param is_kept boolean  it came so from the store
---@return boolean? ok
---@return string? message
---@return string? code
function Walk:add(text, digest, stated, is_kept)
  if self.seen[digest] then return true end
  self.seen[digest] = true
  local document, message, code = json.decode(text, self.catalog.limits.json)
  if type(document) ~= "table" then return fail(code or "EFORMAT", "%s: %s", digest, message or "no object") end
  local is_index = document.manifests ~= nil
  local ok
  if is_index then
    ok, message, code = self:add_children(document, digest)
  else
    ok, message, code = self:add_manifest(document)
  end
  if not ok then return nil, message, code end
  self.documents[#self.documents + 1] = {
    text = text, digest = digest, is_kept = is_kept, is_about = self.is_about,
    media_type = json.or_nil(document.mediaType) or stated or
      (is_index and media_types.OCI_INDEX or media_types.OCI_MANIFEST),
  }
  return true
end

-- The digest of what an artifact is about that lies beside it in a layout.
local function subject_of(catalog, digest)
  local known = catalog.by_digest[digest]
  local subject = known and known.kind ~= "image" and known.document and json.or_nil(known.document.subject)
  return type(subject) == "table" and subject.digest or nil
end

-- The root of a layout: what its index.json leads to, when that is one document. Artifacts that are about others go
-- along as referrers do.
local function root_of_layout(walk, text, path, notes, opts)
  local document = json.decode(text, walk.catalog.limits.json) or {}
  local list, about, seen = {}, {}, {}
  for _, descriptor in ipairs(json.or_nil(document.manifests) or {}) do
    local among = not seen[descriptor.digest] and (subject_of(walk.catalog, descriptor.digest) and about or list)
    if among then among[#among + 1] = descriptor end
    seen[descriptor.digest] = true
  end
  if #list == 0 then list, about = about, {} end
  for _, descriptor in ipairs(not opts.referrers and about or {}) do
    local digest = descriptor.digest
    notes[#notes + 1] = ("the artifact %s, which is about %s: referrers = true takes it along"):format(digest,
      subject_of(walk.catalog, digest))
  end
  if #list ~= 1 then
    return fail("EAMBIGUOUS", "%s: its index.json has %d entries, and a tag of a registry is one: choose by its ref",
      path, #list)
  end
  local found, is_kept = walk:text_of(list[1].digest)
  if not found then return fail("ENOENT", "%s: %s is not here", path, list[1].digest) end
  if next(oci_descriptor.annotations(document.annotations)) then
    notes[#notes + 1] = "the annotations of index.json"
  end
  return found, list[1].digest, json.or_nil(list[1].mediaType), is_kept
end

local function root_of(walk, change, opts)
  local catalog = walk.catalog
  local store = catalog.store
  if not store.flat then return root_of_layout(walk, change.root, store.path, change.notes, opts) end
  local is_kept = change.root == catalog.root_text
  local digest = digests.of(change.root, store.root_digest)
  return change.root, digest, is_kept and store.root_type or nil, is_kept
end

-- ---- referrers ----------------------------------------------------------------------------------------------

local MAX_DEPTH, MAX_REFERRERS = 3, 1000 -- RFR9

-- The manifests of a layout that are about a digest, but for those that edits have taken.
local function referrers_in(catalog, digest, gone)
  local list = {}
  for _, one in ipairs(catalog.manifests) do
    local subject = one.document and not gone[one.digest] and json.or_nil(one.document.subject)
    if type(subject) == "table" and subject.digest == digest then
      list[#list + 1] = { digest = one.digest, text = one.text, mediaType = one.media_type }
    end
  end
  return list
end

-- Adds the manifests that are about a document, and those about these, before the root.
function Walk:add_referrers(digest, depth)
  local store = self.catalog.store
  local list, message, code
  if store.remote then
    list, message, code = store:referrers(digest)
    if not list then return nil, message, code end
  else
    list = referrers_in(self.catalog, digest, self.gone)
  end
  for _, one in ipairs(depth <= MAX_DEPTH and list or {}) do
    self.referrers = self.referrers + 1
    if self.referrers > MAX_REFERRERS then return fail("ELIMIT", "more than %d referrers", MAX_REFERRERS) end
    local ok = true
    if not self.seen[one.digest] then ok, message, code = self:add(one.text, one.digest, one.mediaType, true) end
    if ok then ok, message, code = self:add_referrers(one.digest, depth + 1) end
    if not ok then return nil, message, code end
  end
  return true
end

-- Adds those of the root and of all that it leads to. The root stays the last.
function Walk:add_all_referrers()
  local root, before = table.remove(self.documents), {}
  self.is_about = true
  for i, document in ipairs(self.documents) do before[i] = document.digest end
  before[#before + 1] = root.digest
  local ok, message, code = true, nil, nil
  for _, digest in ipairs(before) do
    if ok then ok, message, code = self:add_referrers(digest, 1) end
  end
  self.documents[#self.documents + 1] = root
  return ok, message, code
end

--- What is pushed of a listing, with some of its images changed, and the edits of its indexes.
---@param listing strata.Listing
---@param images strata.ImageToWrite[]  those that have changed
---@param opts {attestations?: string, referrers?: boolean}
---@param how {whole: boolean, is_near: boolean?}  whole: attestations of all images are meant, not of changed ones
---  alone; is_near: it goes to the repository that has the rest
---@return {documents: strata.PushedManifest[], blobs: strata.PushedBlob[], notes: string[], close: fun()}?
---@return string? message
---@return string? code
function registry_index.of(listing, images, opts, how)
  local catalog = listing.catalog
  local change, message, code = oci_edit.changes(images, catalog, opts, how.whole and listing or nil)
  if not change then return nil, message, code end
  local walk = setmetatable({
    catalog = catalog, new = {}, documents = {}, blobs = {}, seen = {}, referrers = 0, gone = change.gone,
    is_near = how.is_near,
  }, Walk)
  for _, blob in ipairs(change.blobs) do walk.new[blob.digest] = blob end
  local function close()
    for _, blob in ipairs(walk.blobs) do
      if blob.own then blob.file:close() end
    end
  end
  local text, digest, stated, is_kept = root_of(walk, change, opts)
  local ok
  if text then
    ok, message, code = walk:add(text, digest, stated, is_kept)
    if ok and opts.referrers then ok, message, code = walk:add_all_referrers() end
  else
    message, code = digest, stated
  end
  if not ok then
    close()
    return nil, message, code
  end
  return { documents = walk.documents, blobs = walk.blobs, notes = change.notes, close = close }
end

--- How many blobs a manifest names; those of an index are named in documents that were not read.
---@param text string
---@param given strata.JsonLimits
---@return integer?  nil: it is an index
function registry_index.count_blobs(text, given)
  local document, seen, count = json.decode(text, given), {}, 0
  local layers = json.or_nil(document.layers)
  if document.config == nil and layers == nil then return nil end
  for _, list in ipairs { { document.config }, layers or {} } do
    for _, descriptor in ipairs(list) do
      if not seen[descriptor.digest] and not media_types.is_foreign(descriptor.mediaType) then count = count + 1 end
      seen[descriptor.digest] = true
    end
  end
  return count
end

--- The blobs that the documents of a repository's own catalog list.
---@param catalog strata.Catalog
---@param known table<string, boolean>
function registry_index.note_known(catalog, known)
  for _, manifest in ipairs(catalog.manifests) do
    if manifest.text then push.note_blobs(known, manifest.text, catalog.limits.json) end
  end
end

return registry_index

--- The changes of a layout for changed images: their manifests, and all indexes that lead
-- to them, get new digests; everything else stays.

local annotations = require "strata.document.annotations"
local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local index_edits = require "strata.dialect.oci.index_edits"
local json = require "strata.util.json"
local manifest = require "strata.document.manifest"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_names = require "strata.dialect.oci.names"
local scrub = require "strata.document.scrub"

local oci_changes = {}

---@class strata.ImageChange
---@field before string  digest of the manifest that the image had
---@field text string  of the new manifest
---@field blobs {digest: string, bytes: string?, part: strata.Segment?}[]  config and layers that are new
---@field tags string[]?  nil: as they were
---@field platform table?  nil: as it was
---@field scrubs strata.Scrub[]?  of the annotations of its descriptors

--- What is added to an index.
---@class strata.IndexAddition
---@field index string  its digest; "" is the root
---@field descriptors string[]  texts
---@field blobs {digest: string, bytes: string?, part: strata.Segment?, origin: strata.RemoteStore?, size: integer?}[]
---@field notes string[]

---@class strata.LayoutChange
---@field root string  text of index.json (of manifest.json in a skopeo directory)
---@field blobs {digest: string, bytes: string?, part: strata.Segment?}[]  new ones
---@field gone table<string, boolean>  digests to which no document leads any longer
---@field notes string[]  what could not be kept

local Change = {}
Change.__index = Change

local function put_blob(self, digest, blob)
  if not self.have[digest] then
    self.have[digest] = true
    self.blobs[#self.blobs + 1] = { digest = digest, bytes = blob.bytes, part = blob.part, origin = blob.origin,
                                    size = blob.size, is_manifest = blob.is_manifest }
  end
end

--- What attestations are to become.
---@class strata.Attestations
---@field how "keep"|"drop"|"refuse"
---@field saved table<string, boolean>  digests of the manifests that saved images had
---@field new_of table<string, table>  what became of documents, by their digests
---@field subject fun(digest: string): string?  the image that a manifest is about, as far as another place tells it
---@field removed table<string, boolean>  gets the digests of those that were dropped
---@field notes string[]  gets what could not be kept

--- Keeps an attestation about a saved image, drops it, or refuses to leave it behind when its image changes.
---@param self strata.Attestations
---@param doc strata.JSON  an index
---@param pointer string  of a descriptor
---@param digest string?  that it has
---@return boolean? ok
---@return string? message
---@return string? code
function oci_changes.edit_attestation(self, doc, pointer, digest)
  local stated = oci_descriptor.annotations(json.decode(doc:raw(pointer .. "/annotations") or "{}"))
  local subject = type(digest) == "string" and (oci_catalog.subject(stated) or self.subject(digest))
  if not subject then return true end
  if self.how == "drop" then
    if not self.saved[subject] then return true end
    doc:remove(pointer)
    self.removed[digest] = true
  elseif not self.new_of[subject] then
    return true
  elseif self.how == "refuse" then
    return nil, ("attestation %s is about the image %s, which changes"):format(digest, subject), "EINVAL"
  else
    self.notes[#self.notes + 1] = ("attestation %s stays with the image as it was, %s"):format(digest, subject)
  end
  return true
end

-- Notes that `digest` leads to all images that `to` leads to.
local function leads_on(self, digest, to)
  local set = self.leads[digest] or {}
  for change in pairs(self.leads[to] or {}) do set[change] = true end
  if next(set) then self.leads[digest] = set end
end

-- Edits a descriptor of an index, whose digest is `own`. The second result of a success: it is gone, since the index
-- that it leads to was left with nothing.
local function edit_descriptor(self, doc, own, pointer, depth)
  local digest = doc:get(pointer .. "/digest")
  if self.catalog.indexes[digest] then
    local ok, message, code = self:edit_index(digest, depth + 1)
    if not ok then return nil, message, code end
  end
  if self.emptied[digest] then
    doc:remove(pointer)
    return true, true
  end
  local new = self.new_of[digest]
  if new then manifest.point(doc, pointer, new.digest, new.size) end
  if new and new.platform then manifest.set_platform(doc, pointer, new.platform) end
  scrub.image_descriptor(doc, pointer, self.scrubs[digest] or {})
  leads_on(self, own, digest)
  local count = doc:count("/manifests")
  local ok, message, code = oci_changes.edit_attestation(self.proofs, doc, pointer, digest)
  if not ok then return nil, message, code end
  if digest and doc:count("/manifests") == count then self.stays[digest] = true end
  return true
end

-- Adds what an index gets behind its last descriptor.
local function add_descriptors(self, doc, own)
  for _, one in ipairs(self.additions) do
    if one.index == own then
      self.added[one] = true
      if doc:type("/manifests") ~= "array" then doc:set("/manifests", "[]") end
      for _, text in ipairs(one.descriptors) do doc:set("/manifests/-", text) end
      for _, blob in ipairs(one.blobs) do put_blob(self, blob.digest, blob) end
    end
  end
end

-- Edits the descriptors of an index: those that are to go do, and those that are added come last.
local function edit_descriptors(self, doc, own, depth)
  local has_lost = false
  for i = doc:count("/manifests") - 1, 0, -1 do
    local pointer = "/manifests/" .. i
    local raw = doc:raw(pointer)
    local name = self.edits:name_of(own, raw)
    self.met[own .. "\0" .. raw] = true
    if self.edits:takes(own, raw) then
      doc:remove(pointer)
      has_lost = true
    else
      if name ~= nil then oci_names.set(doc, pointer) end
      if name then oci_names.set(doc, pointer, name) end
      local ok, gone, code = edit_descriptor(self, doc, own, pointer, depth)
      if not ok then return nil, gone, code end
      has_lost = has_lost or gone == true
    end
  end
  add_descriptors(self, doc, own)
  self.emptied[own] = has_lost and doc:count("/manifests") == 0 or nil
  return true
end

-- Carries out what is asked of the annotations of an index.
local function annotate(self, doc, digest)
  for _, change in ipairs(self.index_changes[digest] or {}) do annotations.change(doc, "", change) end
end

-- Edits a nested index, which becomes another blob when anything below it changed.
function Change:edit_index(digest, depth)
  if self.done[digest] then return true end
  self.done[digest] = true
  local text = self.catalog.indexes[digest].text
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  local ok
  ok, message, code = edit_descriptors(self, doc, digest, depth)
  if not ok then return nil, message, code end
  annotate(self, doc, digest)
  local now = doc:text()
  if now ~= text and not self.emptied[digest] then
    local new = core.sha256(now)
    self.new_of[digest] = { digest = new, size = #now }
    leads_on(self, new, digest)
    put_blob(self, new, { bytes = now, is_manifest = true })
  end
  return true
end

-- Adds the digests of the config and the layers in a manifest.
local function note_references(set, document)
  if type(document) ~= "table" then return end
  local function note(descriptor)
    if type(descriptor) == "table" and type(descriptor.digest) == "string" then set[descriptor.digest] = true end
  end
  note(document.config)
  for _, descriptor in ipairs(type(document.layers) == "table" and document.layers or {}) do note(descriptor) end
end

-- Adds all digests in a document that stays, except those of documents that changed.
local function note_digests(self, set, text)
  for digest in (text or ""):gmatch('"(%w+:%x+)"') do
    if not self.new_of[digest] then set[digest] = true end
  end
end

-- The digests that only changed or removed documents led to.
local function find_gone(self)
  local needed, old = {}, {}
  for _, one in ipairs(self.catalog.manifests) do
    local new = self.new_of[one.digest]
    if new or not self.stays[one.digest] then
      old[one.digest] = true
      note_references(old, one.document)
      note_references(needed, new and new.document)
    else
      needed[one.digest] = true
      note_digests(self, needed, one.text)
    end
  end
  for digest in pairs(self.catalog.strangers) do
    local set = self.stays[digest] and needed or old
    set[digest] = true
    if set == needed then note_digests(self, needed, self.catalog:stranger(digest)) end
  end
  for digest in pairs(self.catalog.indexes) do
    local is_reached = digest == "" or self.stays[digest]
    if self.new_of[digest] or not is_reached then old[digest] = true else needed[digest] = true end
  end
  for _, blob in ipairs(self.blobs) do needed[blob.digest] = true end
  local gone = {}
  for digest in pairs(old) do
    if not needed[digest] then gone[digest] = true end
  end
  return gone
end

-- The descriptors of the root that lead to an image.
local function places(self, doc, change)
  local list = {}
  for i = 0, doc:count("/manifests") - 1 do
    local leads = self.leads[doc:get("/manifests/" .. i .. "/digest")]
    if leads and leads[change] then list[#list + 1] = i end
  end
  return list
end

-- The root of a directory of skopeo with one image: its manifest, which has no names.
local function single_root(self, changes)
  local text = self.catalog.by_digest[self.catalog.single].text
  self.stays[self.catalog.single] = true
  for _, change in ipairs(changes) do
    text = change.text
    if change.tags and #change.tags > 0 then
      self.notes[#self.notes + 1] = "the tags: a directory of skopeo's names no image"
    end
  end
  return text
end

-- Whether every edit has found its descriptor: an index.json that others have changed since may not have it any more.
local function check_edits(self)
  local path = self.catalog.store.path
  for _, raw in ipairs(self.edits:of_root()) do
    if not self.met["\0" .. raw] then
      return fail("ESTALE", "%s: index.json was changed after it had been opened, and lacks %s", path,
        json.printable(raw, 200))
    end
  end
  for _, one in ipairs(self.additions) do
    if not self.added[one] then
      return fail("ESTALE", "%s: index.json was changed after it had been opened, and leads to the index %s no more",
        path, one.index)
    end
  end
  return true
end

local function edit_root(self, changes)
  if self.catalog.single then return single_root(self, changes) end
  local doc, message, code = core.json(self.catalog.indexes[""].text)
  if not doc then return nil, message, code end
  local ok
  ok, message, code = edit_descriptors(self, doc, "", 0)
  if ok then ok, message, code = check_edits(self) end
  if not ok then return nil, message, code end
  annotate(self, doc, "")
  local namings = {}
  for _, change in ipairs(changes) do
    local ours = change.tags and places(self, doc, change)
    if ours and #ours > 0 then namings[#namings + 1] = { ours = ours, refs = change.tags } end
  end
  if #namings > 0 then
    ok, message, code = oci_names.give(doc, namings, self.notes)
    if not ok then return nil, ("%s: %s"):format(self.catalog.store.path, message), code end
  end
  return doc:text()
end

local EVERYTHING = setmetatable({}, { __index = function() return true end })

--- Works the changes out; nothing is written.
---@param catalog strata.Catalog
---@param changes strata.ImageChange[]
---@param opts? {attestations?: "keep"|"drop"|"refuse"}
---@param whole? strata.Listing  all that it has is saved: attestations of all images are meant, not only of changed
---  ones, with annotations and edits of indexes
---@param additions? strata.IndexAddition[]
---@return strata.LayoutChange?
---@return string? message
---@return string? code
function oci_changes.work_out(catalog, changes, opts, whole, additions)
  local self = setmetatable({
    catalog = catalog, new_of = {}, leads = {}, done = {}, blobs = {}, have = {}, stays = {}, notes = {},
    scrubs = {}, emptied = {}, met = {}, added = {}, additions = additions or {},
    edits = whole and whole.edits or index_edits.new(), index_changes = whole and whole.index_changes or {},
  }, Change)
  self.proofs = {
    how = opts and opts.attestations or "keep", saved = whole and EVERYTHING or {}, new_of = self.new_of,
    removed = {}, notes = self.notes,
    subject = function(digest)
      local known = catalog.by_digest[digest]
      return known and oci_catalog.subject(known.annotations, known.kind ~= "image" and known.document)
    end,
  }
  for _, change in ipairs(changes) do
    local before = change.before
    local digest = digests.of(change.text, before)
    self.leads[digest], self.leads[before] = { [change] = true }, { [change] = true }
    if not whole then self.proofs.saved[before] = true end
    self.scrubs[before] = change.scrubs
    if digest ~= before then
      self.new_of[before] = {
        digest = digest, size = #change.text, document = json.decode(change.text), platform = change.platform,
      }
      if not catalog.single then put_blob(self, digest, { bytes = change.text, is_manifest = true }) end
    end
    for _, blob in ipairs(change.blobs) do put_blob(self, blob.digest, blob) end
  end
  local root, message, code = edit_root(self, changes)
  if not root then return nil, message, code end
  return { root = root, blobs = self.blobs, gone = find_gone(self), notes = self.notes }
end

return oci_changes

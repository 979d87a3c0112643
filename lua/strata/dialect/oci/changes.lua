--- The changes of a layout for changed images: their manifests, and all indexes that lead
-- to them, get new digests; everything else stays.

local core = require "strata.core"
local digests = require "strata.util.digests"
local json = require "strata.util.json"
local manifest = require "strata.document.manifest"
local oci_names = require "strata.dialect.oci.names"

local oci_changes = {}

---@class strata.ImageChange
---@field manifest strata.Manifest  as it was
---@field text string  of the new manifest
---@field blobs {digest: string, bytes: string?, part: strata.Segment?}[]  config and layers that are new
---@field tags string[]?  nil: as they were
---@field platform table?  nil: as it was

---@class strata.LayoutChange
---@field root string  text of index.json (of manifest.json in a skopeo directory)
---@field blobs {digest: string, bytes: string?, part: strata.Segment?}[]  new ones
---@field gone table<string, boolean>  digests to which no document leads any longer
---@field notes string[]  what could not be kept

local SUBJECT = "vnd.docker.reference.digest"

local Change = {}
Change.__index = Change

local function put_blob(self, digest, blob)
  if not self.have[digest] then
    self.have[digest] = true
    self.blobs[#self.blobs + 1] = { digest = digest, bytes = blob.bytes, part = blob.part,
                                    is_manifest = blob.is_manifest }
  end
end

-- The digest of the image that an attestation is about. buildkit states it in the
-- descriptor, and OCI 1.1 in the manifest (of a signature, for example).
local function subject_of(self, doc, pointer, digest)
  local known = self.catalog and self.catalog.by_digest[digest]
  local subject = known and type(known.document) == "table" and known.document.subject
  return doc:get(pointer .. "/annotations" .. json.part(SUBJECT)) or type(subject) == "table" and subject.digest
end

-- Keeps, drops or refuses an attestation whose image has changed.
local function edit_attestation(self, doc, pointer, digest)
  local subject = subject_of(self, doc, pointer, digest)
  local new = subject and self.new_of[subject]
  if not new then return true end
  if self.attestations == "refuse" then
    return nil, ("attestation %s is about the image %s, which changes"):format(digest, subject), "EINVAL"
  elseif self.attestations == "drop" then
    doc:remove(pointer)
    self.removed[digest] = true
  else
    self.notes[#self.notes + 1] = ("attestation %s stays with the image as it was, %s"):format(digest, subject)
  end
  return true
end

oci_changes.edit_attestation = edit_attestation

-- Notes that `digest` leads to all images that `to` leads to.
local function leads_on(self, digest, to)
  local set = self.leads[digest] or {}
  for change in pairs(self.leads[to] or {}) do set[change] = true end
  if next(set) then self.leads[digest] = set end
end

-- Edits the descriptors of an index, whose digest is `own`.
local function edit_descriptors(self, doc, own, depth)
  for i = doc:count("/manifests") - 1, 0, -1 do
    local pointer = "/manifests/" .. i
    local digest = doc:get(pointer .. "/digest")
    if self.catalog.indexes[digest] then
      local ok, message, code = self:edit_index(digest, depth + 1)
      if not ok then return nil, message, code end
    end
    local new = self.new_of[digest]
    if new then manifest.point(doc, pointer, new.digest, new.size) end
    if new and new.platform then manifest.set_platform(doc, pointer, new.platform) end
    leads_on(self, own, digest)
    local ok, message, code = edit_attestation(self, doc, pointer, digest)
    if not ok then return nil, message, code end
  end
  return true
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
  local now = doc:text()
  if now ~= text then
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
    if new or self.removed[one.digest] then
      old[one.digest] = true
      note_references(old, one.document)
      note_references(needed, new and new.document)
    else
      needed[one.digest] = true
      note_digests(self, needed, one.text)
    end
  end
  for digest in pairs(self.catalog.strangers) do
    needed[digest] = true
    note_digests(self, needed, self.catalog:stranger(digest))
  end
  for digest in pairs(self.catalog.indexes) do
    if self.new_of[digest] then old[digest] = true else needed[digest] = true end
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
  for _, change in ipairs(changes) do
    text = change.text
    if change.tags and #change.tags > 0 then
      self.notes[#self.notes + 1] = "the tags: a directory of skopeo's names no image"
    end
  end
  return text
end

local function edit_root(self, changes)
  if self.catalog.single then return single_root(self, changes) end
  local doc, message, code = core.json(self.catalog.indexes[""].text)
  if not doc then return nil, message, code end
  local ok
  ok, message, code = edit_descriptors(self, doc, "", 0)
  if not ok then return nil, message, code end
  for _, change in ipairs(changes) do
    local ours = change.tags and places(self, doc, change)
    if ours and #ours > 0 then oci_names.sync(doc, ours, change.tags) end
  end
  return doc:text()
end

--- Works the changes out; nothing is written.
---@param catalog strata.Catalog
---@param changes strata.ImageChange[]
---@param opts? {attestations?: "keep"|"drop"|"refuse"}
---@return strata.LayoutChange?
---@return string? message
---@return string? code
function oci_changes.work_out(catalog, changes, opts)
  local self = setmetatable({
    catalog = catalog, new_of = {}, leads = {}, done = {}, blobs = {}, have = {}, removed = {}, notes = {},
    attestations = opts and opts.attestations or "keep",
  }, Change)
  for _, change in ipairs(changes) do
    local digest = digests.of(change.text, change.manifest.digest)
    self.leads[digest], self.leads[change.manifest.digest] = { [change] = true }, { [change] = true }
    if digest ~= change.manifest.digest then
      self.new_of[change.manifest.digest] = {
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

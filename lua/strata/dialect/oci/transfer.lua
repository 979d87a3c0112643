--- A whole layout that is written to another place: a directory becomes an archive, an archive a directory, skopeo's
-- directory either. Indexes, attestations and artifacts stay as they are, and so does every name.

local core = require "strata.core"
local digests = require "strata.util.digests"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local new_layout = require "strata.dialect.new_layout"
local oci_edit = require "strata.dialect.oci.edit"
local oci_names = require "strata.dialect.oci.names"

local transfer = {}

--- What the other place gets.
---@class strata.Transfer
---@field blobs {name: string, type: "file", digest: string?, bytes: string?, part: strata.Segment?}[]
---@field root string  text of index.json
---@field layout string  text of oci-layout
---@field notes string[]
---@field digest string?  of the one document that index.json leads to, when the source had no index.json

local LISTS = { ["manifest.json"] = true, ["repositories"] = true }

-- The digests that the documents of a layout name.
local function reached(catalog)
  local found = {}
  local function note(text)
    for digest in (text or ""):gmatch('"(%w+:%x+)"') do found[digest] = true end
  end
  note(catalog.root_text)
  for _, digest in ipairs(catalog.nested) do note(catalog.indexes[digest].text) end
  for _, one in ipairs(catalog.manifests) do note(one.text) end
  for digest in pairs(catalog.strangers) do note(catalog:stranger(digest)) end
  return found
end

-- Where a file lies in a layout: that of a blob in skopeo's directory has another name there. nil: it is no blob.
local function blob_path(store, name)
  if not store.flat then return name:find("^blobs/[^/]+/[^/]+$") and name or nil end
  local digest = store:stated_digest(name)
  return digest and digests.path(digest)
end

-- The content of a file of the store, to be verified when it is written.
local function part_of(store, one, digest)
  if store.remote then
    return { file = one.file, bytes = one.bytes, offset = 0, size = one.size, digest = digest, label = one.name }
  end
  if store.dir then
    return { from = store.dir, name = one.name, offset = 0, size = one.size, digest = digest, label = one.name }
  end
  local member = store:resolve(one.name, "blob")
  return member and { file = store.file, offset = member.offset, size = member.size, digest = digest, label = one.name }
end

-- The blobs that stay, and notes about files that have no place in a layout. Of an archive that has a manifest.json
-- beside index.json only what index.json leads to belongs to the layout.
local function add_kept(self, catalog, gone)
  local store = catalog.store
  local contents, message, code = store:contents()
  if not contents then return nil, message, code end
  local is_both = not store.dir and store:has("manifest.json")
  local wanted, seen = is_both and reached(catalog) or nil, {}
  for _, one in ipairs(contents) do
    local path = one.type ~= "dir" and blob_path(store, one.name)
    local digest = path and digests.in_path(path)
    local is_wanted = path and not seen[path] and not gone[digest or ""] and (not wanted or wanted[digest or ""])
    local part = is_wanted and part_of(store, one, digest)
    if part then
      seen[path] = true
      self.blobs[#self.blobs + 1] = { name = path, type = "file", digest = digest, bytes = part.bytes,
                                      part = not part.bytes and part or nil }
    elseif not path and one.type ~= "dir" and not is_both and one.name ~= store.root and one.name ~= "oci-layout" and
      not (store.flat and one.name == "version") and not LISTS[one.name] then
      self.notes[#self.notes + 1] = ("the file %s, which is no part of a layout"):format(json.printable(one.name, 200))
    end
  end
  return true
end

-- The index.json for skopeo's directory and for a registry, whose root is the manifest or the index of an image itself.
local function root_of_flat(self, text)
  local digest, document = core.sha256(text), core.json(text)
  local stated = document:get("/mediaType")
  self.blobs[#self.blobs + 1] = { name = digests.path(digest), type = "file", digest = digest, bytes = text }
  local name = (self.names or {})[1]
  self.digest = digest
  return new_layout.index { json.encode {
    mediaType = stated or document:type("/manifests") and media_types.OCI_INDEX or media_types.OCI_MANIFEST,
    digest = digest, size = #text, annotations = name and oci_names.annotations(name) or nil,
  } }
end

-- Images that index.json does not lead to get descriptors of their own.
local function add_unlisted(self, images)
  local made, message, code = new_layout.layout(images, "oci")
  if not made then return nil, message, code end
  for _, blob in ipairs(made.blobs) do self.blobs[#self.blobs + 1] = blob end
  local doc = core.json(self.root)
  if doc:type("/manifests") ~= "array" then doc:set("/manifests", "[]") end
  for _, descriptor in ipairs(made.descriptors) do doc:set("/manifests/-", descriptor) end
  self.root = doc:text()
  return true
end

-- One blob of a path: what a save makes and what the layout has can be the same.
local function without_doubles(blobs)
  local list, seen = {}, {}
  for _, blob in ipairs(blobs) do
    if not seen[blob.name] then list[#list + 1] = blob end
    seen[blob.name] = true
  end
  return list
end

--- Works out what the other place gets.
---@param catalog strata.Catalog
---@param images strata.ImageToWrite[]  of it that are saved anew
---@param opts {attestations?: string}
---@param whole strata.Listing
---@return strata.Transfer?
---@return string? message
---@return string? code
function transfer.of(catalog, images, opts, whole)
  local listed, unlisted = {}, {}
  for _, image in ipairs(images) do
    local list = image.source.manifest and listed or unlisted
    list[#list + 1] = image
  end
  local ok, change, message, code = true, nil, nil, nil
  if catalog.store.remote then ok, message, code = catalog:complete_all(opts) end
  if ok then change, message, code = oci_edit.changes(listed, catalog, opts, whole) end
  if not change then return nil, message, code end
  local self = { blobs = {}, root = change.root, notes = change.notes, names = catalog.store.names,
                 layout = not catalog.store.flat and catalog.store:has("oci-layout") and
                   catalog.store:document("oci-layout", catalog.max) or new_layout.LAYOUT }
  for _, blob in ipairs(change.blobs) do
    self.blobs[#self.blobs + 1] = { name = digests.path(blob.digest), type = "file", digest = blob.digest,
                                    bytes = blob.bytes, part = blob.part }
  end
  if catalog.store.remote then ok, message, code = catalog.store:gather(catalog, opts, change.gone) end
  if ok then ok, message, code = add_kept(self, catalog, change.gone) end
  if ok and catalog.store.flat then self.root = root_of_flat(self, self.root) end
  if ok and #unlisted > 0 then ok, message, code = add_unlisted(self, unlisted) end
  if not ok then return nil, message, code end
  self.blobs = without_doubles(self.blobs)
  return self
end

return transfer

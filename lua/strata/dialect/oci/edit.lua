--- Saving an edited image back into its layout, an archive or a directory. Blobs to which
-- no document leads any longer are removed; all others stay.

local archive_edits = require "strata.dialect.archive_edits"
local companions = require "strata.dialect.oci.companions"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local new_layout = require "strata.dialect.new_layout"
local oci_changes = require "strata.dialect.oci.changes"

local oci_edit = {}

-- The change of an image for its layout.
local function change_of(image)
  local text, message, code = new_layout.manifest(image)
  if not text then return nil, message, code end
  local change = { before = image.source.manifest.digest, text = text, blobs = {}, tags = image.new_tags,
                   platform = image.new_platform, scrubs = image.scrubs }
  change.blobs[1] = { digest = image.config_digest, bytes = image.config_text }
  for _, one in ipairs(image.layers) do
    if one.action ~= "copied" then
      change.blobs[#change.blobs + 1] = { digest = one.digest, part = new_layout.part_of(one) }
    end
  end
  return change
end

-- The blobs of an image that an index gets: all of them, wherever they are.
local function blobs_of(image, digest, text)
  local store = image.source and image.source.store
  local has_config = store and store.remote and image.manifest_config == image.config_digest
  local list = {
    { digest = digest, bytes = text, is_manifest = true },
    { digest = image.config_digest, bytes = image.config_text, origin = has_config and store or nil },
  }
  for _, one in ipairs(image.layers) do
    if not one.missing then
      list[#list + 1] = { digest = one.digest, part = one.file and new_layout.part_of(one) or nil, size = one.size,
                          origin = one.remote or one.came_from }
    end
  end
  return list
end

--- The descriptors and blobs that an index gets for an image that is added to it. The image keeps the manifest that it
--- has, and one that has none gets one of the index's family.
---@param one strata.AddedImage
---@param image strata.ImageToWrite
---@param catalog strata.Catalog  of the index
---@param opts {attestations: string?, progress: function?, bring: boolean}  bring: fetches blobs from registries
---@return strata.IndexAddition?
---@return string? message
---@return string? code
function oci_edit.addition(one, image, catalog, opts)
  local index = catalog.indexes[one.index]
  local family = not image.manifest_text and media_types.family(index.media_type) or nil
  local text, digest, code = new_layout.manifest(image, family)
  if not text then return nil, digest, code end
  local own = family or media_types.family(json.or_nil((json.decode(text) or {}).mediaType) or image.manifest_type)
  local addition = {
    index = one.index, blobs = blobs_of(image, digest, text),
    descriptors = new_layout.descriptors(digest, #text, one.tags, {
      text = image.descriptor_text, platform = image.platform, new_platform = image.new_platform, family = own,
    }),
  }
  local asked = opts.attestations ~= "keep" and opts.attestations or one.attestations
  local along, notes, how = companions.of(image, digest, asked)
  if not along then return nil, notes, how end
  local ok, message = true, nil
  if opts.bring then ok, message, code = companions.bring(along, opts) end
  if not ok then return nil, message, code end
  for _, companion in ipairs(along) do
    addition.descriptors[#addition.descriptors + 1] = companion.text
    table.insert(addition.blobs, { digest = companion.digest, bytes = companion.bytes, is_manifest = true })
    for _, blob in ipairs(companion.blobs) do table.insert(addition.blobs, blob) end
  end
  addition.notes = notes
  return addition
end

--- The changes of a layout when these images of it are saved.
---@param images strata.ImageToWrite[]
---@param catalog strata.Catalog  of the layout
---@param opts {attestations?: string}
---@param whole strata.Listing?  all that it has is saved
---@return strata.LayoutChange?
---@return string? message
---@return string? code
function oci_edit.changes(images, catalog, opts, whole)
  local list = {}
  for i, image in ipairs(images) do
    local change, message, code = change_of(image)
    if not change then return nil, message, code end
    list[i] = change
  end
  local additions = {}
  for i, one in ipairs(whole and whole.edits and whole.edits.added or {}) do additions[i] = one.addition end
  local change, message, code = oci_changes.work_out(catalog, list, opts, whole, additions)
  for _, one in ipairs(change and additions or {}) do
    for _, note in ipairs(one.notes) do change.notes[#change.notes + 1] = note end
  end
  return change, message, code
end

-- Has all blobs that stay hashed while they are copied, also those of other images.
local function verify_kept(plan, store, images)
  local labels = {}
  for _, image in ipairs(images) do
    for _, one in ipairs(image.layers) do labels[one.digest or ""] = one.label end
  end
  for _, member in ipairs(store.list) do
    local digest = store:stated_digest(member)
    if digest and not plan:of(member) then
      plan.verify[member.position] = { digest = digest, label = labels[digest] or member.name }
    end
  end
end

--- The parts of an archive after the changes.
---@return strata.Segment[]?
---@return string? message
---@return string? code
function oci_edit.segments(store, change, images)
  local plan = archive_edits.new(store)
  for digest in pairs(change.gone) do
    local member = store.by_name[store:blob_name(digest)]
    if member then plan:set(member, { drop = true }) end
  end
  for _, blob in ipairs(change.blobs) do
    local name = store:blob_name(blob.digest)
    if not store.by_name[name] then plan:add { name = name, bytes = blob.bytes, part = blob.part } end
  end
  local root, message, code = store:resolve("index.json", "index")
  if not root then return nil, message, code end
  plan:set(root, { bytes = change.root })
  verify_kept(plan, store, images)
  return plan:segments()
end

--- The files of a directory after the changes, without the root document.
---@param store strata.DirectoryStore
---@param change strata.LayoutChange
---@param here boolean  only what is new: the rest is there
---@return strata.DirectoryFile[]?
---@return string? message
---@return string? code
function oci_edit.files(store, change, here)
  local there, message, code = store:contents()
  if not there then return nil, message, code end
  local gone, files = {}, {}
  for digest in pairs(change.gone) do gone[store:blob_name(digest)] = true end
  for _, one in ipairs(here and {} or there) do
    if one.name ~= store.root and not gone[one.name] then
      local digest = store:stated_digest(one.name)
      files[#files + 1] = {
        name = one.name, digest = digest,
        part = { from = store.dir, name = one.name, offset = 0, size = one.size, label = one.name, digest = digest },
      }
    end
  end
  for _, blob in ipairs(change.blobs) do
    files[#files + 1] = { name = store:blob_name(blob.digest, blob.is_manifest), digest = blob.digest,
                          bytes = blob.bytes, part = blob.part }
  end
  return files
end

return oci_edit

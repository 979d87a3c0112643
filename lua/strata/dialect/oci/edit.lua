--- Saving an edited image back into its layout, an archive or a directory. Blobs to which
-- no document leads any longer are removed; all others stay.

local archive_edits = require "strata.dialect.archive_edits"
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
  return oci_changes.work_out(catalog, list, opts, whole)
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

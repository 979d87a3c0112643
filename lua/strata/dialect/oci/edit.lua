--- Saving an edited image back into its layout, archive or directory: blobs that
-- are not concerned stay, those that nothing leads to any more go.

local assemble = require "strata.dialect.new_layout"
local edits = require "strata.dialect.archive_edits"
local oci_changes = require "strata.dialect.oci.changes"

local oci_save = {}

-- What an image's edits mean for its layout.
local function change_of(product, source)
  local text, message, code = assemble.manifest(product)
  if not text then return nil, message, code end
  local change = { manifest = source.manifest, text = text, blobs = {}, tags = product.new_tags,
                   platform = product.new_platform }
  change.blobs[1] = { digest = product.config_digest, bytes = product.config_text }
  for _, one in ipairs(product.renditions) do
    if one.action ~= "copied" then
      change.blobs[#change.blobs + 1] = { digest = one.digest, part = assemble.part_of(one) }
    end
  end
  return change
end

--- The changes of a layout when these images of it are saved.
---@param products strata.Product[]
---@param sources table[]  of the images
---@param opts? {attestations?: string}
---@return strata.LayoutChange?
---@return string? message
---@return string? code
function oci_save.changes(products, sources, opts)
  local list = {}
  for i, product in ipairs(products) do
    local change, message, code = change_of(product, sources[i])
    if not change then return nil, message, code end
    list[i] = change
  end
  return oci_changes.work_out(sources[1].catalog, list, opts)
end

-- Blobs that stay are hashed on their way, those of other images, too.
local function verify_kept(plan, members, products)
  local labels = {}
  for _, product in ipairs(products) do
    for _, one in ipairs(product.renditions) do labels[one.digest or ""] = one.label end
  end
  for _, member in ipairs(members.list) do
    local digest = members:stated_digest(member)
    if digest and not plan:of(member) then
      plan.verify[member.position] = { digest = digest, label = labels[digest] or member.name }
    end
  end
end

--- The parts of an archive after the changes.
---@return strata.Segment[]?
---@return string? message
---@return string? code
function oci_save.segments(members, change, products)
  local plan = edits.new(members)
  for digest in pairs(change.gone) do
    local member = members.by_name[members:blob_name(digest)]
    if member then plan:set(member, { drop = true }) end
  end
  for _, blob in ipairs(change.blobs) do
    local name = members:blob_name(blob.digest)
    if not members.by_name[name] then plan:add { name = name, bytes = blob.bytes, part = blob.part } end
  end
  local root, message, code = members:resolve("index.json", "index")
  if not root then return nil, message, code end
  plan:set(root, { bytes = change.root })
  verify_kept(plan, members, products)
  return plan:segments()
end

--- The files of a directory after the changes, without the root document.
---@param store strata.Directory
---@param change strata.LayoutChange
---@param here boolean  only what is new: the rest is there
---@return strata.DirectoryFile[]?
---@return string? message
---@return string? code
function oci_save.files(store, change, here)
  local there, message, code = store:contents()
  if not there then return nil, message, code end
  local gone, files = {}, {}
  for digest in pairs(change.gone) do gone[store:blob_name(digest)] = true end
  for _, one in ipairs(here and {} or there) do
    if one.name ~= store.root and not gone[one.name] then
      local digest = store:stated_digest(one.name)
      files[#files + 1] = {
        name = one.name, digest = digest, from = store.dir,
        part = { offset = 0, size = one.size, label = one.name, digest = digest },
      }
    end
  end
  for _, blob in ipairs(change.blobs) do
    files[#files + 1] = { name = store:blob_name(blob.digest, blob.is_manifest), digest = blob.digest,
                          bytes = blob.bytes, part = blob.part }
  end
  return files
end

return oci_save

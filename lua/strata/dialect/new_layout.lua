--- Images as the documents and blobs of a new layout: for a directory, for an
-- archive, or with a manifest.json for the hybrid that Docker 25 and later save.
--
-- Members are sorted and their times are 0: the same images give the same bytes.

local core = require "strata.core"
local digests = require "strata.util.digests"
local json = require "strata.util.json"
local manifest = require "strata.document.manifest"
local media_types = require "strata.document.media_types"
local oci_names = require "strata.dialect.oci.names"
local reference = require "strata.document.reference"

local new_layout = {}

new_layout.LAYOUT = '{"imageLayoutVersion":"1.0.0"}'

--- The bytes of a layer, to be verified when they are written.
---@param one strata.StoredLayer
---@return strata.Segment
function new_layout.part_of(one)
  return { file = one.file, offset = one.offset, size = one.size, digest = one.digest, label = one.label }
end

--- An image's manifest in one family of media types.
---@param image strata.ImageToWrite
---@param family? "oci"|"docker"  default: that of the manifest that it was opened with
---@return string? text
---@return string? digest | message
---@return string? code
function new_layout.manifest(image, family)
  local text, message, code
  if image.manifest_text then
    text, message, code = manifest.edit(image.manifest_text, image, family)
  else
    text = manifest.new(image, family)
  end
  if not text then return nil, message, code end
  return text, digests.of(text, image.manifest_digest)
end

-- The descriptor that led to the image before, with its annotations and unknown keys.
local function descriptor_like(text, new, ref)
  local doc = core.json(text)
  if doc:get("/digest") ~= new.digest then manifest.point(doc, "", new.digest, new.size) end
  doc:set("/mediaType", core.json_quote(new.mediaType))
  oci_names.set(doc, "", ref)
  return doc
end

--- The descriptors of a manifest: one for each tag, or one without a name.
---@param digest string
---@param size integer
---@param refs string[]
---@param like? {text: string?, platform: table?, new_platform: table?, family: string?}  text: of the one before
---@return string[]
function new_layout.descriptors(digest, size, refs, like)
  local list = {}
  like = like or {}
  for i = 1, math.max(#refs, 1) do
    local media_type = media_types.convert(media_types.OCI_MANIFEST, like.family or "oci")
    local new = { mediaType = media_type, digest = digest, size = size }
    if like.text then
      local doc = descriptor_like(like.text, new, refs[i])
      if like.new_platform then manifest.set_platform(doc, "", like.new_platform) end
      if doc:type("/platform") ~= "object" and like.platform then
        doc:set("/platform", json.encode(like.platform))
      end
      list[i] = doc:text()
    else
      new.annotations, new.platform = refs[i] and oci_names.annotations(refs[i]), like.platform
      list[i] = json.encode(new)
    end
  end
  return list
end

--- The blobs and the descriptors of a layout of images.
---@param images strata.ImageToWrite[]
---@param family "oci"|"docker"
---@return {blobs: table[], descriptors: string[]}?
---@return string? message
---@return string? code
function new_layout.layout(images, family)
  local blobs, seen, list = {}, {}, {}
  local function put(digest, content)
    if seen[digest] then return end
    seen[digest] = true
    content.digest, content.name, content.type = digest, digests.path(digest), "file"
    blobs[#blobs + 1] = content
  end
  for _, image in ipairs(images) do
    local text, digest, code = new_layout.manifest(image, family)
    if not text then return nil, digest, code end
    put(digest, { bytes = text })
    put(image.config_digest, { bytes = image.config_text })
    for _, one in ipairs(image.layers) do
      if not one.missing then put(one.digest, { part = new_layout.part_of(one) }) end
    end
    local like = { text = image.descriptor_text, platform = image.platform,
                   new_platform = image.new_platform, family = family }
    for _, descriptor in ipairs(new_layout.descriptors(digest, #text, image.tags, like)) do
      list[#list + 1] = descriptor
    end
  end
  return { blobs = blobs, descriptors = list }
end

--- The text of an index.json.
---@param list string[]  texts of descriptors
function new_layout.index(list)
  return ('{"manifests":[%s],"mediaType":%s,"schemaVersion":2}'):format(table.concat(list, ","),
    core.json_quote(media_types.OCI_INDEX))
end

--- The text of a manifest.json.
---@param images strata.ImageToWrite[]
function new_layout.docker_manifest(images)
  local items = {}
  for i, image in ipairs(images) do
    local names = {}
    for n, one in ipairs(image.layers) do names[n] = digests.path(one.digest) end
    items[i] = { Config = digests.path(image.config_digest), Layers = json.array(names),
                 RepoTags = json.array((reference.for_docker(image.tags))) }
  end
  return json.encode(items)
end

--- The members of an archive. Control files come first, for those who read it as a stream.
---@param layout table  of new_layout.layout
---@param docker_manifest string?  text of manifest.json
---@return strata.TarMember[]
function new_layout.members(layout, docker_manifest)
  local members = {
    { name = "index.json", type = "file", bytes = new_layout.index(layout.descriptors) },
    { name = "oci-layout", type = "file", bytes = new_layout.LAYOUT },
  }
  if docker_manifest then
    table.insert(members, 2, { name = "manifest.json", type = "file", bytes = docker_manifest })
  end
  local blobs = {}
  for i, blob in ipairs(layout.blobs) do blobs[i] = blob end
  table.sort(blobs, function(a, b) return json.before(a.name, b.name) end)
  local made = {}
  for _, blob in ipairs(blobs) do
    local dir = blob.name:match("^(.*)/")
    for _, name in ipairs { "blobs", dir } do
      if not made[name] then
        made[name] = true
        members[#members + 1] = { name = name, type = "dir" }
      end
    end
    members[#members + 1] = blob
  end
  return members
end

return new_layout

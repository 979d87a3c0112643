--- Images as the documents and blobs of a new layout: for a directory, for an
-- archive, or with a manifest.json for the hybrid that Docker 25 and later save.
--
-- Members are sorted and their times are 0: the same images give the same bytes.

local core = require "strata.core"
local json = require "strata.json"
local manifest = require "strata.manifest"
local media = require "strata.media"
local tags = require "strata.tags"

local assemble = {}

local NAME = "io.containerd.image.name"
local REF_NAME = "org.opencontainers.image.ref.name"

assemble.LAYOUT = '{"imageLayoutVersion":"1.0.0"}'

--- One image, ready to be written.
---@class strata.Product
---@field config_text string
---@field renditions strata.Rendition[]
---@field origins integer  how many layers it was opened with
---@field tags string[]
---@field platform {os: string, architecture: string, variant: string?}
---@field manifest_text string?  that it came with
---@field annotations table<string, string>?  of its descriptor, but for names

local function blob_name(digest)
  return "blobs/" .. digest:gsub(":", "/", 1)
end

assemble.blob_name = blob_name

local function part_of(one)
  return { file = one.file, offset = one.offset, size = one.size, digest = one.digest, label = one.label }
end

assemble.part_of = part_of

--- The text of an image's manifest in one family of media types.
---@param product strata.Product
---@param family "oci"|"docker"
---@return string? text
---@return string? message
---@return string? code
function assemble.manifest(product, family)
  if product.manifest_text then return manifest.edit(product.manifest_text, product, family) end
  return manifest.new(product, family)
end

--- The descriptors of a manifest: one per tag, one without when there is none.
---@param digest string
---@param size integer
---@param refs string[]
---@param like? {annotations: table?, platform: table?, family: string?}
---@return table[]
function assemble.descriptors(digest, size, refs, like)
  local list = {}
  like = like or {}
  for i = 1, math.max(#refs, 1) do
    local annotations, ref = {}, refs[i]
    for key, value in pairs(like.annotations or {}) do
      if key ~= NAME and key ~= REF_NAME then annotations[key] = value end
    end
    if ref then
      local _, tag = tags.split(ref)
      -- A name that is only a tag came from a layout that has no more.
      if tag and not ref:find("@", 1, true) then annotations[NAME] = tags.full(ref) end
      annotations[REF_NAME] = not ref:find("@", 1, true) and tag or ref
    end
    list[i] = {
      mediaType = media.convert(media.OCI_MANIFEST, like.family or "oci"), digest = digest, size = size,
      annotations = next(annotations) and annotations or nil, platform = like.platform,
    }
  end
  return list
end

--- What a layout of these images consists of.
---@param products strata.Product[]
---@param family "oci"|"docker"
---@return {blobs: table[], descriptors: table[], digests: string[]}?
---@return string? message
---@return string? code
function assemble.layout(products, family)
  local blobs, seen, list, digests = {}, {}, {}, {}
  local function put(digest, content)
    if seen[digest] then return end
    seen[digest] = true
    content.digest, content.name, content.type = digest, blob_name(digest), "file"
    blobs[#blobs + 1] = content
  end
  for i, product in ipairs(products) do
    local text, message, code = assemble.manifest(product, family)
    if not text then return nil, message, code end
    digests[i] = core.sha256(text)
    put(digests[i], { bytes = text })
    put(core.sha256(product.config_text), { bytes = product.config_text })
    for _, one in ipairs(product.renditions) do
      if not one.missing then put(one.digest, { part = part_of(one) }) end
    end
    local like = { annotations = product.annotations, platform = product.platform, family = family }
    for _, descriptor in ipairs(assemble.descriptors(digests[i], #text, product.tags, like)) do
      list[#list + 1] = descriptor
    end
  end
  return { blobs = blobs, descriptors = list, digests = digests }
end

--- The text of an index.json.
function assemble.index(list)
  return json.encode { schemaVersion = 2, mediaType = media.OCI_INDEX, manifests = json.array(list) }
end

--- The text of a manifest.json.
---@param products strata.Product[]
function assemble.docker_manifest(products)
  local items = {}
  for i, product in ipairs(products) do
    local names = {}
    for n, one in ipairs(product.renditions) do names[n] = blob_name(one.digest) end
    items[i] = { Config = blob_name(core.sha256(product.config_text)), Layers = json.array(names),
                 RepoTags = json.array((tags.for_docker(product.tags))) }
  end
  return json.encode(items)
end

--- The members of an archive: the control files first, so that one who reads a
-- stream knows what comes.
---@param layout table  of assemble.layout
---@param docker_manifest string?  text of manifest.json
---@return strata.TarMember[]
function assemble.members(layout, docker_manifest)
  local members = {
    { name = "index.json", type = "file", bytes = assemble.index(layout.descriptors) },
    { name = "oci-layout", type = "file", bytes = assemble.LAYOUT },
  }
  if docker_manifest then
    table.insert(members, 2, { name = "manifest.json", type = "file", bytes = docker_manifest })
  end
  local blobs = {}
  for i, blob in ipairs(layout.blobs) do blobs[i] = blob end
  table.sort(blobs, function(a, b) return a.name < b.name end)
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

return assemble

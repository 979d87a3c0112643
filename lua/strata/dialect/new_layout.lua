--- Images as the documents and blobs of a new layout: for a directory, for an
-- archive, or with a manifest.json for the hybrid that Docker 25 and later save.
--
-- Members are sorted and their times are 0: the same images give the same bytes.

local companions = require "strata.dialect.oci.companions"
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
  return { file = one.file, offset = one.offset, size = one.size, digest = one.digest, label = one.label,
           hashed = one.hashed, inflated = one.inflated }
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

--- The text of an index, such as index.json.
---@param list string[]  texts of descriptors
---@param media_type? string  default: OCI's
function new_layout.index(list, media_type)
  return ('{"manifests":[%s],"mediaType":%s,"schemaVersion":2}'):format(table.concat(list, ","),
    core.json_quote(media_type or media_types.OCI_INDEX))
end

-- ---- names --------------------------------------------------------------------------

-- The images that each name belongs to, in order.
local function images_by_name(images)
  local owners = {}
  for i, image in ipairs(images) do
    for _, ref in ipairs(image.tags) do
      local key = reference.comparable(ref)
      owners[key] = owners[key] or {}
      if owners[key][#owners[key]] ~= i then table.insert(owners[key], i) end
    end
  end
  return owners
end

-- The names that an image has for itself, and those that it shares; the first of the images has them to give.
local function names_of(images, owners, i)
  local own, shared = {}, {}
  for _, ref in ipairs(images[i].tags) do
    local among = owners[reference.comparable(ref)]
    if #among == 1 then
      own[#own + 1] = ref
    elseif among[1] == i then
      shared[#shared + 1] = { ref = ref, images = among }
    end
  end
  return own, shared
end

-- The descriptors of the indexes of images that share names: one index for the same images, however many names it has.
local function add_indexes(shared, singles, put, list)
  local made = {}
  for _, one in ipairs(shared) do
    local key = table.concat(one.images, ",")
    if not made[key] then
      local children = {}
      for k, i in ipairs(one.images) do children[k] = singles[i].text end
      local text = new_layout.index(children)
      made[key] = { digest = core.sha256(text), size = #text }
      put(made[key].digest, { bytes = text })
    end
    list[#list + 1] = json.encode {
      mediaType = media_types.OCI_INDEX, digest = made[key].digest, size = made[key].size,
      annotations = oci_names.annotations(one.ref),
    }
  end
end

-- The only descriptor of a layout: that of an index of all images, with the attestations that go along. The second
-- result of a success has notes.
local function make_index(images, singles, into, put)
  local children, notes, listed = {}, {}, {}
  local function add(text)
    if not listed[text] then children[#children + 1] = text end
    listed[text] = true
  end
  for i, image in ipairs(images) do
    add(singles[i].text)
    local along, more, code = companions.of(image, singles[i].digest, into.attestations)
    if not along then return nil, more, code end
    local ok, message, how = companions.bring(along, into)
    if not ok then return nil, message, how end
    for _, one in ipairs(along) do
      add(one.text)
      put(one.digest, { bytes = one.bytes })
      for _, blob in ipairs(one.blobs) do put(blob.digest, { part = blob.part }) end
    end
    for _, note in ipairs(more) do notes[#notes + 1] = note end
  end
  local text = new_layout.index(children)
  local digest = core.sha256(text)
  put(digest, { bytes = text })
  return { mediaType = media_types.OCI_INDEX, digest = digest, size = #text,
           annotations = oci_names.annotations(into.index) }, notes
end

--- A layout of images.
---@class strata.NewLayout
---@field blobs table[]
---@field descriptors string[]  of index.json, texts
---@field index string?  the digest of the index that all images are in
---@field notes string[]?

--- The blobs and the descriptors of a layout of images. A name that several images have, which are for different
-- platforms, is that of an index of them.
---@param images strata.ImageToWrite[]
---@param family "oci"|"docker"
---@param into? {index: string, attestations: string?, progress: function?}  index: all images get into one index of
---  that name
---@return strata.NewLayout?
---@return string? message
---@return string? code
function new_layout.layout(images, family, into)
  local blobs, seen, list, owners, singles, own = {}, {}, {}, images_by_name(images), {}, {}
  local function put(digest, content)
    if seen[digest] then return end
    seen[digest] = true
    content.digest, content.name, content.type = digest, digests.path(digest), "file"
    blobs[#blobs + 1] = content
  end
  for i, image in ipairs(images) do
    local text, digest, code = new_layout.manifest(image, family)
    if not text then return nil, digest, code end
    put(digest, { bytes = text })
    put(image.config_digest, { bytes = image.config_text })
    for _, one in ipairs(image.layers) do
      if not one.missing and not one.left then put(one.digest, { part = new_layout.part_of(one) }) end
    end
    local like = { text = image.descriptor_text, platform = image.platform,
                   new_platform = image.new_platform, family = family }
    singles[i] = { digest = digest, text = new_layout.descriptors(digest, #text, {}, like)[1] }
    own[i] = new_layout.descriptors(digest, #text, (names_of(images, owners, i)), like)
  end
  if into then
    local descriptor, notes, code = make_index(images, singles, into, put)
    if not descriptor then return nil, notes, code end
    return { blobs = blobs, descriptors = { json.encode(descriptor) }, index = descriptor.digest, notes = notes }
  end
  local listed = {}
  for i, image in ipairs(images) do
    local names, shared = names_of(images, owners, i)
    for _, descriptor in ipairs((#names > 0 or #image.tags == 0) and own[i] or {}) do
      if not listed[descriptor] then list[#list + 1] = descriptor end
      listed[descriptor] = true
    end
    add_indexes(shared, singles, put, list)
  end
  return { blobs = blobs, descriptors = list }
end

--- The text of a manifest.json. An image without a name that is there already is left out.
---@param images strata.ImageToWrite[]
function new_layout.docker_manifest(images)
  local items, seen = {}, {}
  for _, image in ipairs(images) do
    local names = {}
    for n, one in ipairs(image.layers) do names[n] = digests.path(one.digest) end
    local item = json.encode {
      Config = digests.path(image.config_digest), Layers = json.array(names),
      RepoTags = json.array((reference.for_docker(image.tags))),
    }
    if not seen[item] then items[#items + 1] = item end
    seen[item] = true
  end
  return "[" .. table.concat(items, ",") .. "]"
end

--- The members of an archive. Control files come first, for those who read it as a stream.
---@param blobs strata.TarMember[]
---@param documents {index: string, layout: string?, docker_manifest: string?}  texts of index.json, oci-layout and
---  manifest.json
---@return strata.TarMember[]
function new_layout.members(blobs, documents)
  local members = {
    { name = "index.json", type = "file", bytes = documents.index },
    { name = "oci-layout", type = "file", bytes = documents.layout or new_layout.LAYOUT },
  }
  if documents.docker_manifest then
    table.insert(members, 2, { name = "manifest.json", type = "file", bytes = documents.docker_manifest })
  end
  local sorted, made = {}, {}
  for i, blob in ipairs(blobs) do sorted[i] = blob end
  table.sort(sorted, function(a, b) return json.before(a.name, b.name) end)
  for _, blob in ipairs(sorted) do
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

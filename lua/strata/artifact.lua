--- Artifacts: manifests that lead to files which are no layers, and may be about an image, as a signature or a list of
-- its contents is. Source: image-spec manifest.md, "Guidelines for Artifact Usage".
--
-- One is made of files, or opened from a layout, an archive or a registry. It is not edited: another one is made.

local annotations = require "strata.document.annotations"
local argument = require "strata.util.argument"
local base64 = require "strata.util.base64"
local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local frozen = require "strata.util.frozen"
local image = require "strata.image"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"
local run_job = require("strata.util.job").run
local save_artifact = require "strata.save.artifact"

local artifact = {}

--- The state of an artifact; nothing is written to it afterwards.
---@class strata.ArtifactState
---@field manifest {text: string, digest: string, media_type: string}
---@field document table  decoded
---@field config table  descriptor
---@field files table[]  descriptors
---@field contents table<string, strata.ArtifactBlob>  by digest: those of one that was made
---@field store strata.ArchiveStore|strata.DirectoryStore|strata.RemoteStore|nil  that it was opened from
---@field catalog strata.Catalog?  of the store
---@field descriptor_text string?  that led to it
---@field limits strata.Limits

---@class strata.Artifact
local methods = {}

local new, state_of, is

local TITLE = "org.opencontainers.image.title"
local EMPTY_TYPE, EMPTY = "application/vnd.oci.empty.v1+json", "{}"
local OCTETS = "application/octet-stream"

-- RFC 6838, 4.2: names of a type and a subtype.
local NAME = "[%w][%w!#$&^_.+-]*"

options.rules.media_type = {
  words = 'a media type such as "application/spdx+json"',
  holds = function(value) return value:find("^" .. NAME .. "/" .. NAME .. "$") ~= nil end,
}

local function text_of(value)
  return type(value) == "string" and value or nil
end

local function type_of(document)
  local config = document.config
  return text_of(document.artifactType) or type(config) == "table" and text_of(config.mediaType) or nil
end

-- ---- making --------------------------------------------------------------------------

-- The content of a file, whose digest is still to be told when it is one of the host.
local function content_of(one, name)
  if (one.content == nil) == (one.path == nil) then misuse("artifact: %s should have either content or path", name) end
  if one.content then
    return { label = name, bytes = one.content, size = #one.content, digest = core.sha256(one.content) }
  end
  argument.host_path(one.path, "artifact")
  local file, message, code = core.open_file(one.path)
  if not file then return nil, message, code end
  return { label = name, file = file, offset = 0, size = file:size() }
end

-- Tells the digests of files of the host.
local function hash(contents, opts)
  local job, todo = core.job(), {}
  for _, one in ipairs(contents) do
    if not one.digest then
      job:hash { label = one.label, file = one.file, offset = 0, size = one.size, algorithm = "sha256" }
      todo[#todo + 1] = one
    end
  end
  local ok, message, code = true, nil, nil
  if #todo > 0 then ok, message, code = run_job(job, opts, "hashing") end
  for i, one in ipairs(ok and todo or {}) do one.digest = job:task(i).digest end
  job:close()
  return ok, message, code
end

-- The contents of all files, in the order of their names; that of the config is the first.
local function read_contents(spec)
  local names, contents = json.keys(spec.files or {}), {}
  local function give_up(message, code)
    for _, one in ipairs(contents) do
      if one.file then one.file:close() end
    end
    return nil, message, code
  end
  local function add(one, name)
    local content, message, code = content_of(type(one) == "string" and { content = one } or one, name)
    if not content then return nil, message, code end
    contents[#contents + 1] = content
    return true
  end
  local ok, message, code = add(spec.config or { content = EMPTY }, "config")
  for _, name in ipairs(names) do
    if ok then ok, message, code = add(spec.files[name], "files['" .. name .. "']") end
  end
  if ok then ok, message, code = hash(contents, spec) end
  if not ok then return give_up(message, code) end
  return contents, names
end

local function described(content, one, name)
  local more = {}
  for key, value in pairs(one.annotations or {}) do more[key] = value end
  more[TITLE] = name
  return save_artifact.descriptor({ media_type = one.media_type or OCTETS, digest = content.digest,
                                    size = content.size }, { annotations = next(more) and more })
end

local function empty_descriptor()
  return save_artifact.descriptor({ media_type = EMPTY_TYPE, digest = core.sha256(EMPTY), size = #EMPTY },
    { data = base64.encode(EMPTY) })
end

-- The descriptor of what an artifact is about.
local function subject_of(value)
  if image.is(value) then
    local state = image.given(value, "artifact")
    local manifest = state.manifest
    if value.edited then
      return fail("EINVAL", "artifact: the image has edits, which change its digest: save it, and open what was saved")
    elseif not manifest then
      return fail("EUNSUPPORTED", "artifact: the image came without a manifest, which an artifact could be about: save "
        .. "it to a layout or a registry, and open what was saved")
    end
    return save_artifact.descriptor({ media_type = manifest.media_type or media_types.OCI_MANIFEST,
                                      digest = manifest.digest, size = #manifest.text })
  elseif is(value) then
    local manifest = state_of(value).manifest
    return save_artifact.descriptor({ media_type = manifest.media_type, digest = manifest.digest,
                                      size = #manifest.text })
  end
  local right = type(value.media_type) == "string" and type(value.size) == "number" and value.size >= 0 and
    value.size % 1 == 0 and type(value.digest) == "string" and core.digest_valid(value.digest)
  if not right then misuse("artifact: subject should be an image, an artifact, or have media_type, digest and size") end
  return save_artifact.descriptor(value)
end

local function check(spec)
  options.check("artifact", "ArtifactOptions", spec)
  if not next(spec.files or {}) and not next(spec.annotations or {}) then
    misuse("artifact: files is missing, or annotations, when they say it all")
  end
  local function check_one(one, name)
    if type(one) ~= "table" then return end
    annotations.all(one.annotations, "artifact: " .. name .. ".annotations")
  end
  for _, name in ipairs(json.keys(spec.files or {})) do
    if name == "" or not core.json_quote(name) then misuse("artifact: %s is no name of a file", core.quote(name)) end
    check_one(spec.files[name], "files['" .. name .. "']")
  end
  annotations.all(spec.annotations, "artifact: annotations")
  local config = spec.config
  if not config then return end
  check_one(config, "config")
  if media_types.is_image_config(config.media_type or OCTETS, "oci") then
    misuse("artifact: a config of the type %s is that of an image", config.media_type)
  end
end

-- The manifest of the contents.
local function document_of(spec, contents, names, subject)
  local layers = {}
  for i, name in ipairs(names) do
    local one = spec.files[name]
    layers[i] = described(contents[i + 1], type(one) == "table" and one or {}, name)
  end
  if #layers == 0 then layers[1] = empty_descriptor() end -- a manifest has to have one
  return {
    schemaVersion = 2, mediaType = media_types.OCI_MANIFEST, artifactType = spec.type, subject = subject,
    config = spec.config and described(contents[1], spec.config) or empty_descriptor(),
    layers = json.array(layers), annotations = next(spec.annotations or {}) and spec.annotations or nil,
  }
end

local function new_of(document, text, digest, media_type, more)
  more.manifest = { text = text, digest = digest, media_type = media_type }
  more.document, more.config, more.files = document, document.config, document.layers
  more.contents = more.contents or {}
  return new(more)
end

--- Makes an artifact of files.
---@param spec strata.ArtifactOptions
---@return strata.Artifact?
---@return string? message
---@return string? code
function artifact.make(spec)
  check(spec)
  local subject, message, code
  if spec.subject then
    subject, message, code = subject_of(spec.subject)
    if not subject then return nil, message, code end
  end
  local contents, names
  contents, names, code = read_contents(spec)
  if not contents then return nil, names, code end
  local text = json.encode(document_of(spec, contents, names, subject))
  local by_digest = { [core.sha256(EMPTY)] = { label = "config", bytes = EMPTY, size = #EMPTY } }
  for _, one in ipairs(contents) do by_digest[one.digest] = by_digest[one.digest] or one end
  return new_of(json.decode(text), text, core.sha256(text), media_types.OCI_MANIFEST,
    { contents = by_digest, limits = limits.resolve(spec.limits) })
end

-- ---- opening -------------------------------------------------------------------------

local function describe(manifest)
  local words = {}
  for _, tag in ipairs(manifest.tags) do words[#words + 1] = json.printable(tag, 200) end
  local kind = manifest.document and type_of(manifest.document)
  words[#words + 1] = kind and json.printable(kind, 100)
  words[#words + 1] = manifest.digest
  return table.concat(words, " ")
end

local function describe_all(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = describe(one) end
  return #lines > 0 and table.concat(lines, "; ") or "none"
end

-- The manifest that the options mean.
local function choose(listing, opts)
  local all, found, other = {}, {}, nil
  for _, one in ipairs(listing.catalog and listing.catalog.manifests or {}) do
    local fits = (not opts.digest or one.digest == opts.digest) and (not opts.ref or reference.find(one.tags, opts.ref))
    if one.kind ~= "image" then all[#all + 1] = one end
    if fits and one.kind == "image" then other = one end
    if fits and one.kind ~= "image" then found[#found + 1] = one end
  end
  local path = listing.store.path
  if #found == 1 then return found[1] end
  if #found > 1 then
    return fail("EAMBIGUOUS", "%s: holds %d artifacts, choose one with digest or ref: %s", path, #found,
      describe_all(found))
  elseif other and (opts.digest or opts.ref or #all == 0) then
    return fail("EUNSUPPORTED", "%s: %s is an image, which strata.open opens; img:referrers() lists what is about it",
      path, other.digest)
  end
  return fail("ENOENT", "%s: no such artifact; there are: %s", path, describe_all(all))
end

-- Checks the descriptors of config and files.
local function check_document(document, where)
  local config, layers = document.config, json.or_nil(document.layers) or {}
  if not json.is_array(layers) then return fail("EFORMAT", "%s: layers is not an array", where) end
  local digest, message, code = oci_descriptor.check(config, where .. ": config")
  for i, one in ipairs(layers) do
    if digest then digest, message, code = oci_descriptor.check(one, ("%s: layers[%d]"):format(where, i - 1)) end
  end
  if not digest then return nil, message, code end
  document.layers = layers
  return true
end

--- Opens an artifact that was listed.
---@param listing strata.Listing
---@param opts strata.ArtifactOpenOptions
---@return strata.Artifact?
---@return string? message
---@return string? code
function artifact.open(listing, opts)
  local manifest, message, code = choose(listing, opts)
  if not manifest then return nil, message, code end
  if manifest.problem then return nil, manifest.problem[1], manifest.problem[2] end
  local catalog = listing.catalog
  local ok
  ok, message, code = catalog:complete(manifest)
  if ok and not manifest.document then
    ok, message, code = fail("ENOENT", "%s: the manifest %s is not there", listing.store.path, manifest.digest)
  end
  if ok then ok, message, code = check_document(manifest.document, listing.store.path .. ": " .. manifest.digest) end
  if not ok then return nil, message, code end
  listing.store:use()
  return new_of(manifest.document, manifest.text, manifest.digest,
    manifest.media_type or json.or_nil(manifest.document.mediaType) or media_types.OCI_MANIFEST,
    { store = listing.store, catalog = catalog, limits = listing.limits,
      descriptor_text = not listing.store.flat and catalog:descriptor_of(manifest) or nil })
end

-- ---- contents ------------------------------------------------------------------------

-- The bytes inside a descriptor, when they are what it says.
local function inline(descriptor)
  local data = descriptor.data
  local known = type(data) == "string" and oci_descriptor.is_verifiable(descriptor.digest)
  local bytes = known and base64.decode(data)
  return bytes and #bytes == descriptor.size and digests.matches(bytes, descriptor.digest) and bytes or nil
end

-- Reads a blob, and compares its digest.
local function read(state, descriptor, max)
  local digest, size = descriptor.digest, descriptor.size
  local path = state.store and state.store.path or "artifact"
  max = max or state.limits.read
  if size > max then return fail("ELIMIT", "%s: blob %s has %d bytes; limits.read is %d", path, digest, size, max) end
  local known = state.contents[digest]
  local text = known and known.bytes or inline(descriptor)
  if text then return text end
  local message, code
  if known then
    text, message, code = known.file:read(0, size)
    if text and core.sha256(text) ~= digest then
      return fail("ESTALE", "%s was changed after the artifact had been made", known.label)
    end
    if not text then return nil, message, code end
    return text
  end
  text, message, code = oci_descriptor.read(state.store, digest, size, max, json.or_nil(descriptor.mediaType))
  if not text and not message then return fail("ENOENT", "%s: blob %s is not there", path, digest) end
  if not text then return nil, message, code end
  return text
end

local function name_of(descriptor)
  return oci_descriptor.annotations(descriptor.annotations)[TITLE]
end

local function find(state, which)
  if type(which) == "number" then
    local one = state.files[which]
    if not one then
      misuse("read: the artifact has %s, and no file %s", printed.counted(#state.files, "file"), tostring(which))
    end
    return one
  end
  if type(which) ~= "string" then
    misuse("read: the name or the number of a file is wanted, not %s", argument.kind_of(which))
  end
  local names = {}
  for _, one in ipairs(state.files) do
    local name = name_of(one)
    if name == which then return one end
    names[#names + 1] = name and json.printable(name, 100)
  end
  return fail("ENOENT", "read: the artifact has no file %s; there are: %s", core.quote(which),
    #names > 0 and table.concat(names, ", ") or "none with a name")
end

--- The content of a file, compared with its digest.
---@param which string|integer  its name, or its number
---@param max? integer  more bytes are ELIMIT. Default: limits.read
---@return string? content
---@return string? message
---@return string? code
function methods:read(which, max)
  local state = state_of(self)
  argument.count(max, "read", "max")
  local one, message, code = find(state, which)
  if not one then return nil, message, code end
  return read(state, one, max)
end

--- The content of the config, compared with its digest.
---@return string? content
---@return string? message
---@return string? code
function methods:read_config()
  local state = state_of(self)
  return read(state, state.config, state.limits.json.max_bytes)
end

-- ---- saving --------------------------------------------------------------------------

-- Where the bytes of a blob are.
local function blob_of(state, descriptor, label)
  local digest, known = descriptor.digest, state.contents[descriptor.digest]
  local blob = { label = label, digest = digest, size = descriptor.size }
  local bytes = known and known.bytes or not known and inline(descriptor)
  if bytes then
    blob.bytes = bytes
  elseif known then
    blob.file, blob.offset = known.file, known.offset
  elseif state.store.remote then
    blob.origin = state.store
  else
    local there, message, code = state.store:blob(digest)
    if not there then return nil, message, code end
    blob.file, blob.offset, blob.own = there.file, there.offset, there.own
  end
  return blob
end

local function to_write(state)
  local manifest, list, seen = state.manifest, {}, {}
  local made = { manifest = manifest, blobs = list, descriptor = state.descriptor_text or json.encode(
    save_artifact.descriptor({ media_type = manifest.media_type, digest = manifest.digest, size = #manifest.text },
      { artifactType = type_of(state.document) })) }
  local function add(descriptor, label)
    if seen[descriptor.digest] or media_types.is_foreign(descriptor.mediaType) then return true end
    seen[descriptor.digest] = true
    local message, code
    list[#list + 1], message, code = blob_of(state, descriptor, label)
    return message == nil, message, code
  end
  local ok, message, code = add(state.config, "config")
  for i, one in ipairs(state.files) do
    if ok then ok, message, code = add(one, ("file %d/%d"):format(i, #state.files)) end
  end
  return made, not ok and message or nil, code
end

--- Saves the artifact: beside what a layout or an archive has, as a new one, or to a registry.
---@param what string|file*  with a tag, a reference gets it; without one the artifact is there by its digest alone
---@param opts? strata.ArtifactSaveOptions
---@return strata.SaveResult?
---@return string? message
---@return string? code
function methods:save(what, opts)
  local state = state_of(self)
  argument.stream(what, "save")
  options.check("save", "ArtifactSaveOptions", opts)
  frozen.check(state)
  local made, message, code = to_write(state)
  local saved
  if not message then saved, message, code = save_artifact.save(made, what, opts or {}) end
  for _, blob in ipairs(made.blobs) do
    if blob.own then blob.file:close() end
  end
  if not saved then return nil, message, code end
  return saved
end

-- ---- what is about a manifest --------------------------------------------------------

-- The manifests of a layout that are about a digest, as it is at the moment.
local function in_layout(catalog, digest)
  local message, code
  if catalog.store.dir then catalog, message, code = oci_catalog.of(catalog.store, catalog.limits) end
  if not catalog then return nil, message, code end
  local list = {}
  for _, one in ipairs(catalog.manifests) do
    local document = one.document or {}
    local subject = json.or_nil(document.subject)
    if type(subject) == "table" and subject.digest == digest then
      list[#list + 1] = { mediaType = one.media_type, digest = one.digest, size = #one.text,
                          artifactType = type_of(document), annotations = document.annotations }
    end
  end
  return list
end

--- What is about a manifest or an index of a store.
---@param catalog strata.Catalog?  nil: there are no manifests
---@param digest string?
---@param opts? strata.ReferrersOptions  checked
---@return strata.Referrer[]?
---@return string? message
---@return string? code
function artifact.referrers(catalog, digest, opts)
  local wanted, rows = opts and opts.type, {}
  local list, message, code = {}, nil, nil
  if digest and catalog and catalog.store.remote then
    list, message, code = catalog.store:referrer_descriptors(digest)
  elseif digest and catalog then
    list, message, code = in_layout(catalog, digest)
  end
  if not list then return nil, message, code end
  for _, one in ipairs(list) do
    local kind = text_of(one.artifactType)
    if not wanted or kind == wanted then
      rows[#rows + 1] = { digest = one.digest, media_type = text_of(one.mediaType), artifact_type = kind,
                          size = type(one.size) == "number" and one.size or nil,
                          annotations = oci_descriptor.annotations(one.annotations) }
    end
  end
  return printed.list(rows, printed.referrer)
end

--- The artifacts that are about the image as it was opened: signatures, lists of its contents.
---@param opts? strata.ReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return string? code
function image.methods:referrers(opts)
  options.check("referrers", "ReferrersOptions", opts)
  local state = image.state_of(self)
  local manifest = state.opened.manifest
  return artifact.referrers(state.source and state.source.catalog, manifest and manifest.digest, opts)
end

--- The artifacts that are about this one.
---@param opts? strata.ReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return string? code
function methods:referrers(opts)
  options.check("referrers", "ReferrersOptions", opts)
  local state = state_of(self)
  return artifact.referrers(state.catalog, state.manifest.digest, opts)
end

-- ---- the class -----------------------------------------------------------------------

local ADVICE = "make another one with strata.artifact"

local function row_of(descriptor)
  return { name = name_of(descriptor), media_type = json.or_nil(descriptor.mediaType), digest = descriptor.digest,
           size = descriptor.size, annotations = oci_descriptor.annotations(descriptor.annotations) }
end

local fields = {
  type = function(state) return type_of(state.document) end,
  digest = function(state) return state.manifest.digest end,
  media_type = function(state) return state.manifest.media_type end,
  path = function(state) return state.store and not state.store.spooled and state.store.path or nil end,
  annotations = function(state)
    return frozen.copy(state, "annotations", oci_descriptor.annotations(state.document.annotations),
      "artifact.annotations", ADVICE)
  end,
  subject = function(state)
    local subject = json.or_nil(state.document.subject)
    if type(subject) ~= "table" or not oci_descriptor.check(subject, "subject") then return nil end
    return frozen.copy(state, "subject", { media_type = text_of(subject.mediaType), digest = subject.digest,
                                           size = subject.size }, "artifact.subject", ADVICE)
  end,
  config = function(state) return frozen.copy(state, "config", row_of(state.config), "artifact.config", ADVICE) end,
  files = function(state)
    local rows = {}
    for i, one in ipairs(state.files) do rows[i] = row_of(one) end
    return frozen.copy(state, "files", rows, "artifact.files", ADVICE)
  end,
}

new, state_of, is = object.class("strata.Artifact", methods, {
  fields = fields,
  tostring = function(state)
    local size, count = 0, #state.files
    for _, one in ipairs(state.files) do size = size + one.size end
    local kind = type_of(state.document)
    return ("strata.Artifact(%s, %d file%s, %s, %s)"):format(kind and json.printable(kind, 80) or "<none>", count,
      count == 1 and "" or "s", core.human_size(size), state.manifest.digest:sub(1, 19))
  end,
  close = function(state)
    for _, digest in ipairs(json.keys(state.contents)) do
      local one = state.contents[digest]
      if one.file then one.file:close() end
    end
    if state.store then state.store:release() end
  end,
})

return artifact

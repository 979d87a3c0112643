--- Saving an artifact: beside what a layout or an archive has, or into a repository of a registry.

local core = require "strata.core"
local detect = require "strata.dialect.detect"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local new_archive = require "strata.dialect.new_archive"
local new_layout = require "strata.dialect.new_layout"
local oci_directory = require "strata.dialect.oci.directory"
local oci_edit = require "strata.dialect.oci.edit"
local output = require "strata.store.output"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"

local save_artifact = {}

--- An artifact as it is going to be written.
---@class strata.ArtifactToWrite
---@field manifest strata.PushedManifest
---@field descriptor string  text of the descriptor that leads to it in a layout
---@field blobs strata.ArtifactBlob[]

--- A blob of an artifact, and where its bytes are.
---@class strata.ArtifactBlob
---@field label string
---@field digest string
---@field size integer
---@field bytes string?  this,
---@field file userdata?  or this,
---@field offset integer?  of the bytes in the file
---@field own boolean?  the file is closed after the save
---@field origin strata.RemoteStore?  or this

local function result_of(artifact, fields)
  fields.digest, fields.layers = artifact.manifest.digest, {}
  return printed.by(fields, printed.save)
end

-- ---- layouts and archives ------------------------------------------------------------

-- Fetches what is in a registry.
local function bring(artifact, opts)
  local by_store, stores = {}, {}
  for _, blob in ipairs(artifact.blobs) do
    local store = not blob.bytes and not blob.file and blob.origin
    if store and not by_store[store] then
      by_store[store] = {}
      stores[#stores + 1] = store
    end
    if store then table.insert(by_store[store], blob) end
  end
  for _, store in ipairs(stores) do
    local files, message, code = store:fetch(by_store[store], opts)
    if not files then return nil, message, code end
    for i, blob in ipairs(by_store[store]) do blob.file, blob.offset, blob.own = files[i], 0, true end
  end
  return true
end

-- What a layout gets.
local function blobs_of(artifact)
  local list = {}
  for i, blob in ipairs(artifact.blobs) do
    list[i] = {
      name = digests.path(blob.digest), type = "file", digest = blob.digest, bytes = blob.bytes,
      part = blob.file and { file = blob.file, offset = blob.offset, size = blob.size, digest = blob.digest,
                             label = blob.label } or nil,
    }
  end
  local manifest = artifact.manifest
  list[#list + 1] = { name = digests.path(manifest.digest), type = "file", digest = manifest.digest,
                      bytes = manifest.text }
  return list
end

local function to_directory(artifact, path, opts)
  local out, message, code = output.directory(path)
  if not out then return nil, message, code end
  local plan, size, ok
  local function plan_now()
    return oci_directory.plan_added(blobs_of(artifact), { artifact.descriptor }, out, plan)
  end
  plan, message, code = plan_now()
  if plan then size, message, code = out:write(plan.files, opts) end
  if size then ok, message, code = out:finish(plan_now, opts) end
  if ok then return result_of(artifact, { path = path, format = "oci", size = size + #plan.root.text }) end
  local left = out:give_up()
  return nil, left and ("%s; it leaves %s"):format(message, left) or message, code
end

-- The parts of an archive that has its own things and the artifact.
local function added_to(listing, artifact)
  local catalog, store = listing.catalog, listing.store
  if not catalog or store.outer and store.outer ~= "gzip" and store.outer ~= "zstd" then
    return fail("EUNSUPPORTED", "%s: %s", store.path, catalog and "writing " .. store.outer .. " is not supported" or
      "an archive without index.json has no place for an artifact")
  end
  local root, message, code = oci_directory.extend(catalog.root_text, { artifact.descriptor })
  if not root then return nil, message, code end
  local list = blobs_of(artifact)
  return oci_edit.segments(store, { gone = {}, blobs = list, root = root }, {})
end

-- The parts of a new archive.
local function alone(artifact)
  local index = new_layout.index { artifact.descriptor }
  return new_archive.segments(new_layout.members(blobs_of(artifact), { index = index }))
end

local function write_file(artifact, what, opts, listing)
  local segments, message, code
  if listing then
    segments, message, code = added_to(listing, artifact)
  else
    segments, message, code = alone(artifact)
  end
  if not segments then return nil, message, code end
  local out
  out, message, code = output.file(what)
  if not out then return nil, message, code end
  local store, ok = listing and listing.store, nil
  local size
  if store and store.outer then
    size, message, code = out:write_compressed(segments, store.outer, opts)
  else
    size, message, code = out:write(segments, opts)
  end
  local file = store and (store.original or store.file)
  if size and file then ok, message, code = file:unchanged() end
  if size and (ok or not file) then ok, message, code = out:publish() end
  if not ok then
    out:give_up()
    return nil, message, code
  end
  return result_of(artifact, {
    path = type(what) == "string" and what ~= "-" and what or nil, size = size,
    format = listing and listing.kind ~= "oci" and listing.kind or "oci-archive",
  })
end

-- An archive that is there already is opened, and goes on with what it has.
local function to_file(artifact, what, opts)
  if type(what) ~= "string" or what == "-" then return write_file(artifact, what, opts) end
  local there, message, code = core.open_file(what)
  if not there and code == "ENOENT" then return write_file(artifact, what, opts) end
  if not there then return nil, message, code end
  there:close()
  local listing
  listing, message, code = detect.open(what, { limits = limits.resolve() })
  if not listing then return nil, message, code end
  local saved
  saved, message, code = write_file(artifact, what, opts, listing)
  listing.store:release()
  if not saved then return nil, message, code end
  return saved
end

local function is_directory(path)
  local dir = type(path) == "string" and path ~= "-" and core.open_dir(path)
  if dir then dir:close() end
  return dir and true or false
end

-- ---- both ----------------------------------------------------------------------------

local function to_registry(artifact, what, opts)
  if opts.format then misuse("save: a registry has no format; leave the option out") end
  local with = opts.registry and require("strata.registry").client_of(opts.registry) or nil
  local row, message, code = require("strata.save.registry").artifact(artifact, what, opts, with)
  if not row then return nil, message, code end
  return result_of(artifact, row)
end

--- Saves an artifact. A layout or an archive that is there gets it beside what it has.
---@param artifact strata.ArtifactToWrite
---@param what string|file*
---@param opts strata.ArtifactSaveOptions
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save_artifact.save(artifact, what, opts)
  if reference.is_remote(what) then return to_registry(artifact, what, opts) end
  local as_directory = opts.format == "oci" or not opts.format and is_directory(what)
  if opts.format == "oci" and (type(what) ~= "string" or what == "-") then
    misuse("save: a layout directory cannot be written to a stream; choose the format oci-archive")
  end
  local ok, message, code = bring(artifact, opts)
  if not ok then return nil, message, code end
  return (as_directory and to_directory or to_file)(artifact, what, opts)
end

--- A descriptor, as a document has it.
---@param fields {media_type: string, digest: string, size: integer}
---@param more? table<string, any>
---@return table
function save_artifact.descriptor(fields, more)
  local made = { mediaType = fields.media_type, digest = fields.digest, size = fields.size }
  for _, name in ipairs(json.keys(more or {})) do made[name] = more[name] end
  return made
end

return save_artifact

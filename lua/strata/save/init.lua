--- Saving: verified, then published, whole or not at all.

local copy = require "strata.save.copy"
local core = require "strata.core"
local docker_edit = require "strata.dialect.docker.edit"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local lost = require "strata.save.lost"
local misuse = require "strata.util.misuse"
local new_archive = require "strata.dialect.new_archive"
local new_layout = require "strata.dialect.new_layout"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_directory = require "strata.dialect.oci.directory"
local oci_edit = require "strata.dialect.oci.edit"
local output = require "strata.store.output"
local places = require "strata.save.places"
local platform = require "strata.document.platform"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"
local result = require "strata.save.result"
local run_job = require("strata.util.job").run
local save_image = require "strata.save.image"
local save_layer = require "strata.save.layer"
local transfer = require "strata.dialect.oci.transfer"
local write_legacy = require "strata.dialect.docker.write_legacy"

local save = {}

--- A part of the output: bytes, or a range of a file. A range with a digest is compared with it.
---@class strata.Segment
---@field bytes? string
---@field file? userdata
---@field from? userdata  the directory that has the file `name`, which is opened when its turn comes
---@field name? string
---@field offset? integer
---@field size? integer
---@field digest? string
---@field hashed? boolean  the digest is that of what this process wrote there: see strata.LayerBlob
---@field inflated? strata.InflatedPart  the bytes are those that a blob inflates to, and not in a file
---@field label? string

--- An image that is to be saved, by image.lua.
---@class strata.SaveRequest
---@field state strata.ImageState
---@field edited boolean
---@field alone boolean?  it is saved without all else that its store has, also where that is the way it was stored in
---@field settle fun(opts: strata.StoreSettings): boolean?, string?, string?  carries out pending edits of layers

-- ---- as it came -----------------------------------------------------------------

--- The way that a store is written in.
---@param kind string?  of a source or a listing; nil: there is no store
---@param store strata.ArchiveStore|strata.DirectoryStore|nil
---@return "docker"|"docker-v1"|"oci"|"oci-archive"|"dir"
local function way_of(kind, store)
  if not store or store.remote then return "docker" end
  if kind ~= "oci" then return kind end
  if not store.dir then return "oci-archive" end
  return store.flat and "dir" or "oci"
end

-- Writes an archive, compressed as a whole when the one that it replaces was.
local function write_archive(out, store, segments, opts)
  local outer = store and store.outer
  if not outer then return out:write(segments, opts) end
  if outer ~= "gzip" and outer ~= "zstd" then
    return fail("EUNSUPPORTED", "%s: writing %s is not supported; choose a format", store.path, outer)
  end
  return out:write_compressed(segments, outer, opts)
end

-- ---- writing ----------------------------------------------------------------------

--- One save.
---@class strata.Save
---@field requests strata.SaveRequest[]
---@field images strata.ImageToWrite[]  of the requests; make_images fills it
---@field opts strata.SaveOptions
---@field limits strata.Limits
---@field format "docker"|"docker-legacy"|"docker-v1"|"oci"|"oci-archive"|"dir"
---@field native boolean  the images are saved in the way that they were stored in
---@field whole strata.Listing?  all that it has is saved, not the images alone
---@field store strata.ArchiveStore|strata.DirectoryStore|nil  that the images came from, when it is one
---@field catalog strata.Catalog?  of the layout that is kept, with the images changed
---@field edits strata.IndexEdits?  of the indexes of the listing
---@field added strata.ImageToWrite[]  that they add
---@field into {index: string, attestations: string?, progress: function?}?  the index that the images become
---@field index_digest string?  of the index that was made
---@field root_digest string?  of the index that is saved as a whole. Written by who writes it
---@field stores table[]  all stores that are read
---@field in_directory boolean  the target is a directory
---@field places table<strata.LayerState, strata.LayerPlace>  of layers that are written into the output at once.
---  Written by make_images
---@field is_indirect boolean?  the size of a layer turned out to be another than stated, or its place another than
---  planned, so that nothing is taken for granted any more
---@field notes string[]  what could not be kept, a line each
---@field noted table<string, boolean>  the same

local function take_notes(self, notes)
  for _, note in ipairs(notes or {}) do
    if not self.noted[note] then self.notes[#self.notes + 1] = note end
    self.noted[note] = true
  end
end

local function has_index_changes(self)
  return self.whole ~= nil and self.whole.index_changes ~= nil
end

local function is_untouched(self)
  if self.edits then return false end
  for i, request in ipairs(self.requests) do
    if request.edited then return false end
    for _, one in ipairs(self.images[i].layers) do
      if one.action ~= "copied" then return false end
    end
  end
  return true
end

-- The parts of the archive that the images came from, after their edits. nil without a message: nothing changes.
local function native_segments(self)
  local store, source = self.store, self.images[1] and self.images[1].source
  if source and source.kind == "docker-v1" then
    if is_untouched(self) then return nil end
    return fail("EUNSUPPORTED", "%s: an archive without manifest.json is only read; choose a format", store.path)
  elseif source and store:has("manifest.json") then
    local notes = {}
    local edits, message, code = docker_edit.edits(self.images, self.opts, notes, self.whole)
    if not edits then return nil, message, code end
    take_notes(self, notes)
    if edits:is_empty() then return nil end
    return edits:segments()
  elseif not self.catalog and has_index_changes(self) then
    return fail("ENOENT", "%s: no image is all here, so that its indexes could be changed", store.path)
  elseif not self.catalog then
    return nil
  end
  local change, message, code = oci_edit.changes(self.images, self.catalog, self.opts, self.whole)
  if not change then return nil, message, code end
  take_notes(self, change.notes)
  if change.root == self.catalog.root_text then return nil end
  return oci_edit.segments(store, change, self.images)
end

local function new_segments(self)
  if self.format == "docker-legacy" then
    local members, message, code = write_legacy.members(self.images)
    if not members then return nil, message, code end
    return new_archive.segments(members)
  end
  if self.catalog then
    local moved, message, code = transfer.of(self.catalog, self.images, self.opts, self.whole)
    if not moved then return nil, message, code end
    take_notes(self, moved.notes)
    self.root_digest = moved.digest
    return new_archive.segments(new_layout.members(moved.blobs, { index = moved.root, layout = moved.layout }))
  end
  local made, message, code = new_layout.layout(self.images, "oci", self.into)
  if not made then return nil, message, code end
  take_notes(self, made.notes)
  self.index_digest = made.index
  local list = self.format == "docker" and new_layout.docker_manifest(self.images) or nil
  return new_archive.segments(new_layout.members(made.blobs,
    { index = new_layout.index(made.descriptors), docker_manifest = list }))
end

-- The parts of the file. nil without a message: it is a copy of the one that the images came from.
local function segments_of(self)
  if not self.native or not self.store then return new_segments(self) end
  if self.opts.attestations == "drop" or has_index_changes(self) or not is_untouched(self) then
    return native_segments(self)
  end
end

local function write_file(self, out)
  local segments, message, code = segments_of(self)
  if message then return nil, message, code end
  if not places.are_right(self.places, segments, out.out) then
    return fail("ERANGE", "a layer has another place than planned")
  end
  if not segments then return copy.write(self, out) end
  return write_archive(out, self.native and self.store or nil, segments, self.opts)
end

-- The images of the requests, and those that edits add.
local function all_images(self)
  local list = {}
  for i, image in ipairs(self.images) do list[i] = image end
  for _, image in ipairs(self.added) do list[#list + 1] = image end
  return list
end

-- Hashes the layers that would have been inflated into the output and were not, since it has their tar already.
local function verify_unwritten(self)
  local job, any = core.job(), false
  for _, image in ipairs(all_images(self)) do
    for _, one in ipairs(image.layers) do
      local blob = one.inflated and not one.inflated.written and one.inflated.blob
      if blob then
        any = true
        job:hash(limits.add(one.inflated.limits, {
          label = one.label, file = blob.file, offset = blob.offset, size = blob.size, compression = blob.compression,
          plain = true, digest = blob.digest, diff_id = blob.diff_id,
        }))
      end
    end
  end
  local ok, message, code = true, nil, nil
  if any then ok, message, code = run_job(job, self.opts, "hashing") end
  job:close()
  return ok, message, code
end

-- Writes the blobs of a directory, and last the document that leads to them.
local function write_directory(self, out)
  local message, code
  self.plan, message, code = oci_directory.plan(self, out)
  if not self.plan then return nil, message, code end
  take_notes(self, self.plan.notes)
  self.index_digest = self.plan.index
  self.root_digest = self.plan.digest
  local size
  size, message, code = out:write(self.plan.files, self.opts)
  if not size then return nil, message, code end
  return size + #self.plan.root.text
end

local function publish(self, out)
  if not self.plan then return out:publish() end
  return out:finish(function() return oci_directory.plan(self, out, self.plan) end, self.opts)
end

-- Fails when a source was written to meanwhile: the bytes may be those of two images.
local function check_unchanged(self)
  for _, store in ipairs(self.stores) do
    local file = store.original or store.file
    if file then
      local ok, message, code = file:unchanged()
      if not ok then return nil, message, code end
    end
  end
  for _, image in ipairs(all_images(self)) do
    for _, one in ipairs(image.layers) do
      if one.volatile then
        local ok, message, code = one.file:unchanged()
        if not ok then return nil, message, code end
      end
    end
  end
  return true
end

-- Whether the digests of all layers are needed. A copy of the whole file is hashed by
-- save/copy; in an archive without manifests digests only serve to verify.
local function needs_digests(self)
  local first = self.requests[1]
  if not self.native or #self.requests > 1 or not first then return true end
  if self.opts.verify == false and self.format == "docker" and not first.state.manifest then return false end
  return first.edited or self.opts.compression ~= nil or self.opts.attestations == "drop" or self.edits ~= nil or
    has_index_changes(self)
end

-- How the layers are to be stored. Docker knows images by SHA-256 alone, so all in a new
-- archive for it is named so, and in one of its own whatever is added.
---@return strata.StoreSettings
local function settings_of(self)
  local opts, is_plain = self.opts, self.format == "docker-legacy"
  return {
    compression = is_plain and "none" or opts.compression, plain = is_plain, level = opts.level,
    reproducible = opts.reproducible, verify = opts.verify, threads = opts.threads, progress = opts.progress,
    -- With a listing all blobs are fetched together, and a sparse layout goes without.
    remote = self.whole ~= nil and self.catalog ~= nil or self.opts.sparse,
    sha256 = self.format:find("^docker") and (self.native and "added" or "all") or nil,
    direct = not self.in_directory and not self.is_indirect,
  }
end

-- Finds the places of edited layers in the output, when they can be told.
local function find_places(self, out, settings)
  local is_packed = self.native and self.store and self.store.outer
  if not settings.direct or is_packed or self.edits or self.whole and not self.native then return {} end
  return places.find(self.requests, settings, out.out, function(images)
    local quiet = setmetatable({ verify = false }, { __index = self.opts })
    return (segments_of(setmetatable({ images = images, opts = quiet, notes = {}, noted = {} }, { __index = self })))
  end)
end

-- Carries out edits and compresses, so that every digest is known.
local function make_images(self, out)
  local settings = settings_of(self)
  local found, why, how = find_places(self, out, settings)
  if not found then return nil, why, how end
  self.places = found
  settings.exact, settings.temp_dir, settings.digests = true, out.temp_dir, needs_digests(self)
  settings.places = self.places
  for i, request in ipairs(self.requests) do
    local message, code
    self.images[i], message, code = save_image.make(request, settings)
    if not self.images[i] then return nil, message, code end
    for _, one in ipairs(self.images[i].layers) do one.left = self.opts.sparse and one.came_from ~= nil end
  end
  settings.remote, settings.digests = false, true
  for i, one in ipairs(self.edits and self.edits.added or {}) do
    local message, code
    self.added[i], message, code = save_image.make(one.request, settings)
    if not self.added[i] then return nil, message, code end
    one.addition, message, code = oci_edit.addition(one, self.added[i], self.catalog, {
      attestations = self.opts.attestations, progress = self.opts.progress, bring = true,
    })
    if not one.addition then return nil, message, code end
  end
  return true
end

-- Leaves a name that several images have to the first of them: one image has it in an archive for docker, and one for
-- each platform in a layout.
local function share_names(self)
  local taken = {}
  for _, image in ipairs(self.images) do
    local tags = {}
    for _, ref in ipairs(image.tags) do
      local key = reference.comparable(ref)
      if not self.format:find("^docker") then key = key .. "\0" .. platform.key(image.platform) end
      if taken[key] then
        take_notes(self, { ("the name %s of the image %s, which the image %s has, too"):format(
          json.printable(ref, 300), image.config_digest, taken[key]) })
      else
        tags[#tags + 1] = ref
      end
      taken[key] = taken[key] or image.config_digest
    end
    image.tags = tags
  end
end

-- The way that the images were stored in, and the format that they get. A layout that is saved as a whole stays one in
-- any way to store layouts.
local function choose_format(self, what)
  local whole, wanted, first = self.whole, self.opts.format, self.requests[1]
  local source = first and first.state.source
  local way = whole and way_of(whole.kind, whole.store) or way_of(source and source.kind, source and source.store)
  if whole and whole.store.remote then -- a file keeps all of an index when it is a layout
    way = wanted or "oci-archive"
    self.native, self.catalog = false, way:find("^oci") and whole.catalog or nil
  elseif whole then
    local stays = wanted == nil or wanted == way and whole.kind == "oci"
    self.native, self.store = stays, whole.store
    self.catalog = (stays and whole.kind == "oci" or not stays and wanted:find("^oci")) and whole.catalog or nil
  elseif self.into then
    self.native, way = false, way == "dir" and "oci" or way:find("^oci") and way or "oci-archive"
  else
    local may_stay = wanted == nil and not first.alone
    self.native = may_stay and save_image.is_one_store(self.requests) and not source.store.remote
    self.store = self.native and source.store or nil
    self.catalog = self.native and source.kind == "oci" and source.catalog or nil
  end
  self.format = self.native and way or wanted or way == "docker-v1" and "docker" or way
  if self.format == "dir" and not self.native then self.format = "oci" end
  self.in_directory = self.format == "oci" or self.format == "dir"
  if self.in_directory and what ~= nil and (type(what) ~= "string" or what == "-") then
    misuse("a layout directory cannot be written to a stream; choose the format oci-archive or docker")
  end
  if self.opts.sparse and (self.native or whole or self.format ~= "oci") then
    misuse('save: sparse is for images that go into a layout directory, with format = "oci"')
  end
  local compression = self.opts.compression or "keep"
  if self.format == "docker-legacy" and compression ~= "keep" and compression ~= "none" then
    misuse('save: layers of the format docker-legacy are plain: compression = "%s" is for the others', compression)
  end
end

local function new_save(requests, opts, whole, name)
  local self = { requests = requests, images = {}, opts = opts, notes = {}, noted = {}, whole = whole, stores = {},
                 edits = whole and whole.edits, added = {} }
  self.into = name and { index = name, attestations = opts.attestations, progress = opts.progress }
  local function note_store(request)
    local source = request.state.source
    if source then self.stores[#self.stores + 1] = source.store end
  end
  for _, request in ipairs(requests) do note_store(request) end
  for _, one in ipairs(self.edits and self.edits.added or {}) do note_store(one.request) end
  if whole then self.stores[#self.stores + 1] = whole.store end
  local hub = requests[1] and requests[1].state.hub
  self.limits = hub and hub.limits or whole and whole.limits
  return self
end

-- The index of a registry that an image goes back into: it was opened by the same tag. Otherwise the tag would lose the
-- images for other platforms.
---@return strata.Listing?
local function own_index(request, what)
  local source = request.state.source
  local store = source and source.store
  if not (store and store.remote and source.catalog) or source.catalog.single then return nil end
  local from, to = reference.of_registry(store.path), reference.of_registry(what)
  if not to or not to.tag or to.name ~= from.name or to.tag ~= from.tag then return nil end
  return { kind = source.kind, store = store, catalog = source.catalog, limits = source.limits }
end

--- What a save would write, as far as it can be told without compressing.
---@param request strata.SaveRequest
---@param opts strata.PlanOptions
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save.plan(request, opts)
  if opts.to then
    local with = opts.registry and require("strata.registry").client_of(opts.registry) or nil
    return require("strata.save.registry").plan(request, opts.to, opts, with, own_index(request, opts.to))
  end
  local self = new_save({ request }, opts)
  choose_format(self)
  local ok, message, code = request.settle { threads = opts.threads, progress = opts.progress }
  if not ok then return nil, message, code end
  local settings = settings_of(self)
  local layers = save_layer.plan(request.state.hub.layers, settings)
  return result.image(save_image.of(request.state, layers, settings.sha256 == "all"), self.format, self.native)
end

--- The same for all that a listing has: its images that would be written anew, and those that are added.
---@param requests strata.SaveRequest[]
---@param opts strata.PlanOptions
---@param whole strata.Listing
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save.plan_whole(requests, opts, whole)
  local self = new_save(requests, opts, whole)
  choose_format(self)
  local settings, list = settings_of(self), {}
  for _, request in ipairs(requests) do list[#list + 1] = request end
  for _, one in ipairs(self.edits and self.edits.added or {}) do list[#list + 1] = one.request end
  local images = {}
  for i, request in ipairs(list) do
    local ok, message, code = request.settle { threads = opts.threads, progress = opts.progress }
    if not ok then return nil, message, code end
    local image = save_image.of(request.state, save_layer.plan(request.state.hub.layers, settings))
    local is_kept = image.manifest_text ~= nil and (self.native or self.catalog ~= nil)
    images[i] = result.image(image, self.format, is_kept)
  end
  return printed.by({ format = self.format, layers = {}, images = images }, printed.save)
end

--- The digest of the manifest that saving the image in its own dialect would give it.
---@param request strata.SaveRequest
---@return string? digest  nil: an archive without manifests is its source, or it failed
---@return string? message
---@return string? code
function save.digest(request)
  local source, manifest = request.state.source, request.state.manifest
  if source and not manifest then return nil end
  local made, message, code = save_image.make(request, {
    exact = true, digests = true, remote = true, sha256 = source and source.kind == "docker" and "added" or nil,
  })
  if not made then return nil, message, code end
  local text, digest
  text, digest, code = new_layout.manifest(made, not manifest and "oci" or nil)
  if not text then return nil, digest, code end
  return digest
end

--- What keeps images from being saved together: the same image twice, or the same name for two.
---@param requests strata.SaveRequest[]
---@param what string|file*
---@param opts strata.SaveOptions
---@param name? string  of the index that they become
---@return string? problem
function save.clash(requests, what, opts, name)
  if reference.is_remote(what) then return save_image.clash(requests, "registry", false) end
  if name then return save_image.clash(requests, "index", false) end
  local self = new_save(requests, opts)
  choose_format(self)
  return save_image.clash(requests, self.format, self.native)
end

-- Makes the output, which is not published yet: the result.
local function write(self, out, what)
  local ok, message, code = make_images(self, out)
  if ok then ok, message, code = save_image.check(self.images, self.format) end
  if ok and not self.native and not self.catalog and not self.into then -- there attestations go along
    ok, message, code = oci_catalog.check_alone(self.images, self.opts)
  end
  if not ok then return nil, message, code end
  if self.whole and not self.native and not self.catalog then share_names(self) end
  local size
  size, message, code = (self.in_directory and write_directory or write_file)(self, out)
  if not size then return nil, message, code end
  ok, message, code = verify_unwritten(self)
  if ok then ok, message, code = check_unchanged(self) end
  if not ok then return nil, message, code end
  for _, store in ipairs(self.stores) do
    message, code = store:take_failure()
    if message then return nil, message, code end
  end
  take_notes(self, lost(self))
  return result.of(self, what, size)
end

-- Saves an image, or all that a listing has, to a registry.
local function to_registry(requests, what, opts, whole)
  if opts.sparse then misuse("save: sparse is for layout directories, and not for registries") end
  local with = opts.registry and require("strata.registry").client_of(opts.registry) or nil
  local save_registry = require "strata.save.registry"
  if opts.referrers and not (whole and whole.catalog) then
    misuse("save: referrers go with an index, or with all that a reference leads to")
  end
  if whole and whole.catalog then return save_registry.index(requests, what, opts, whole, with) end
  if #requests == 1 then return save_registry.image(requests[1], what, opts, with, own_index(requests[1], what)) end
  return save_registry.several(requests, what, opts, with)
end

--- Saves images. A second result lists what the format could not hold.
---@param requests strata.SaveRequest[]
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts strata.SaveOptions
---@param whole strata.Listing?  to save all that it has, with these images of it changed
---@param name string?  of the index that the images become
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function save.images(requests, what, opts, whole, name)
  if reference.is_remote(what) then return to_registry(requests, what, opts, whole) end
  local self, out = new_save(requests, opts, whole, name), nil
  choose_format(self, what)
  for _, store in ipairs(self.stores) do store:take_failure() end
  local function open_and_write()
    local why, how
    -- The target is opened first: when that fails no work was done in vain.
    out, why, how = (self.in_directory and output.directory or output.file)(what)
    if not out and how == "EISDIR" then why = why .. '; format = "oci" writes a layout into a directory' end
    if not out then return nil, why, how end
    -- The result is made before publishing, since nothing may fail afterwards.
    return write(self, out, what)
  end
  local function attempt()
    local ok
    local saved, why, how = open_and_write()
    if how == "ERANGE" then -- a size, or a place, was not what it was taken for: see strata.InflatedPart, save/places
      out:give_up()
      self.is_indirect = true
      saved, why, how = open_and_write()
    end
    if not saved then return nil, why, how end
    ok, why, how = publish(self, out)
    if not ok then return nil, why, how end
    return saved
  end
  local ok, saved, message, code = pcall(attempt)
  local left = out and not (ok and saved) and out:give_up()
  if not ok then error(saved, 0) end
  if not saved then return nil, left and ("%s; it leaves %s"):format(message, left) or message, code end
  return saved, #self.notes > 0 and printed.list(self.notes) or nil
end

return save

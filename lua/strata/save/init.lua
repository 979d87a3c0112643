--- Saving: verified, then published, whole or not at all.

local core = require "strata.core"
local docker_edit = require "strata.dialect.docker.edit"
local fail = require "strata.util.fail"
local limits = require "strata.util.limits"
local new_archive = require "strata.dialect.new_archive"
local new_layout = require "strata.dialect.new_layout"
local oci_directory = require "strata.dialect.oci.directory"
local oci_edit = require "strata.dialect.oci.edit"
local output = require "strata.store.output"
local result = require "strata.save.result"
local run_job = require("strata.util.job").run
local save_image = require "strata.save.image"
local save_layer = require "strata.save.layer"
local write_legacy = require "strata.dialect.docker.write_legacy"

local save = {}

--- A part of the output: bytes, or a range of a file. A range with a digest is compared with it.
---@class strata.Segment
---@field bytes? string
---@field file? userdata
---@field offset? integer
---@field size? integer
---@field digest? string
---@field label? string

--- An image that is to be saved, by image.lua.
---@class strata.SaveRequest
---@field state strata.ImageState
---@field edited boolean
---@field settle fun(opts: strata.StoreSettings): boolean?, string?, string?  carries out pending edits of layers

-- ---- as it came -----------------------------------------------------------------

--- The way that a source is stored in.
---@return "docker"|"docker-v1"|"oci"|"oci-archive"|"dir"
local function way_of(source)
  if not source then return "docker" end
  if source.kind ~= "oci" then return source.kind end
  if not source.store.dir then return "oci-archive" end
  return source.store.flat and "dir" or "oci"
end

-- Adds the blobs of a layout that belong to other images.
local function hash_other_blobs(job, out, store, layers)
  local own = {}
  for _, one in ipairs(layers) do own[one.digest or ""] = true end
  for _, member in ipairs(store.list) do
    local digest = store:stated_digest(member)
    if digest and not own[digest] then
      job:hash { label = member.name, file = store.original and store.file or out.out, offset = member.offset,
                 size = member.size, digest = digest }
    end
  end
end

-- An image without edits is saved as a copy of its file, which the kernel makes. The
-- copy is hashed.
local function copy_archive(self, out, store)
  local image, opts, given = self.images[1], self.opts, self.requests[1].state.hub.limits
  local file = store.original or store.file
  local size = file:size()
  local ok, message, code = out.out:copy(0, file, 0, size)
  if not ok then return nil, message, code end
  if opts.verify == false then return size end
  local job = core.job()
  for _, one in ipairs(image.layers) do
    if not one.missing then
      job:hash(limits.add(given, {
        label = one.label, file = store.original and one.file or out.out, offset = one.offset, size = one.size,
        compression = one.compression, plain = not one.digest, digest = one.digest,
        diff_id = not one.digest and one.diff_id or nil,
      }))
    end
  end
  if image.source.kind == "oci" then hash_other_blobs(job, out, store, image.layers) end
  ok, message, code = run_job(job, opts, "hashing")
  job:close()
  if not ok then return nil, message, code end
  return size
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
---@field sources strata.Source[]  that the images were opened from
---@field opts strata.SaveOptions
---@field format "docker"|"docker-legacy"|"docker-v1"|"oci"|"oci-archive"|"dir"
---@field native boolean  the images are saved in the way that they were stored in
---@field in_directory boolean  the target is a directory
---@field notes string[]  what could not be kept, a line each

local function is_untouched(self)
  if #self.requests > 1 or self.requests[1].edited then return false end
  for _, one in ipairs(self.images[1].layers) do
    if one.action ~= "copied" then return false end
  end
  return true
end

local function take_notes(self, notes)
  for _, note in ipairs(notes or {}) do self.notes[#self.notes + 1] = note end
end

local function native_segments(self)
  local source = self.sources[1]
  if source.kind == "docker" then
    local edits, message, code = docker_edit.edits(self.images[1], self.opts, self.notes)
    if not edits then return nil, message, code end
    return edits:segments()
  end
  if source.kind == "docker-v1" then
    return fail("EUNSUPPORTED", "%s: an archive without manifest.json is only read; choose a format",
      source.store.path)
  end
  local change, message, code = oci_edit.changes(self.images, self.sources, self.opts)
  if not change then return nil, message, code end
  take_notes(self, change.notes)
  return oci_edit.segments(source.store, change, self.images)
end

local function new_segments(self)
  if self.format == "docker-legacy" then
    local members, message, code = write_legacy.members(self.images)
    if not members then return nil, message, code end
    return new_archive.segments(members)
  end
  local made, message, code = new_layout.layout(self.images, "oci")
  if not made then return nil, message, code end
  local list = self.format == "docker" and new_layout.docker_manifest(self.images) or nil
  return new_archive.segments(new_layout.members(made, list))
end

local function write_file(self, out)
  local store = self.native and self.sources[1] and self.sources[1].store or nil
  if store and is_untouched(self) then return copy_archive(self, out, store) end
  local segments, message, code
  if store then segments, message, code = native_segments(self) else segments, message, code = new_segments(self) end
  if not segments then return nil, message, code end
  return write_archive(out, store, segments, self.opts)
end

-- Writes the blobs of a directory, and last the document that leads to them.
local function write_directory(self, out)
  local message, code
  self.plan, message, code = oci_directory.plan(self, out)
  if not self.plan then return nil, message, code end
  take_notes(self, self.plan.notes)
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
  for _, source in ipairs(self.sources) do
    local file = source.store.original or source.store.file
    if file then
      local ok, message, code = file:unchanged()
      if not ok then return nil, message, code end
    end
  end
  for _, image in ipairs(self.images) do
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
-- copy_archive; in an archive without manifests digests only serve to verify.
local function needs_digests(self)
  local first = self.requests[1]
  if not self.native or #self.requests > 1 then return true end
  if self.opts.verify == false and self.format == "docker" and not first.state.manifest then return false end
  return first.edited or self.opts.compression ~= nil
end

-- How the layers are to be stored. Docker knows images by SHA-256 alone, so all in a new
-- archive for it is named so, and in one of its own whatever is added.
---@return strata.StoreSettings
local function settings_of(self)
  local opts, is_plain = self.opts, self.format == "docker-legacy"
  return {
    compression = is_plain and "none" or opts.compression, plain = is_plain, level = opts.level,
    reproducible = opts.reproducible, verify = opts.verify, threads = opts.threads, progress = opts.progress,
    sha256 = self.format:find("^docker") and (self.native and "added" or "all") or nil,
  }
end

-- Carries out edits and compresses, so that every digest is known.
local function make_images(self, temp_dir)
  local settings = settings_of(self)
  settings.exact, settings.temp_dir, settings.digests = true, temp_dir, needs_digests(self)
  for i, request in ipairs(self.requests) do
    local message, code
    self.images[i], message, code = save_image.make(request, settings)
    if not self.images[i] then return nil, message, code end
  end
  return true
end

local function choose_format(self, what)
  local ways = {}
  for i, request in ipairs(self.requests) do ways[i] = way_of(request.state.source) end
  self.native = self.opts.format == nil and save_image.is_one_store(self.requests)
  self.format = self.opts.format or ways[1] == "docker-v1" and not self.native and "docker" or ways[1]
  if self.format == "dir" and not self.native then self.format = "oci" end
  self.in_directory = self.format == "oci" or self.format == "dir"
  if self.in_directory and what ~= nil and (type(what) ~= "string" or what == "-") then
    error("a layout directory cannot be written to a stream; choose the format oci-archive or docker", 0)
  end
end

--- What a save would write, as far as it can be told without compressing.
---@param request strata.SaveRequest
---@param opts strata.SaveOptions
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save.plan(request, opts)
  local self = { requests = { request }, opts = opts }
  choose_format(self)
  local ok, message, code = request.settle { threads = opts.threads, progress = opts.progress }
  if not ok then return nil, message, code end
  local settings = settings_of(self)
  local layers = save_layer.plan(request.state.hub.layers, settings)
  return result.image(save_image.of(request.state, layers, settings.sha256 == "all"), self.format, self.native)
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
    exact = true, digests = true, sha256 = source and source.kind == "docker" and "added" or nil,
  })
  if not made then return nil, message, code end
  local text, digest
  text, digest, code = new_layout.manifest(made, not manifest and "oci" or nil)
  if not text then return nil, digest, code end
  return digest
end

--- Saves images. A second result lists what the format could not hold.
---@param requests strata.SaveRequest[]
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts strata.SaveOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function save.images(requests, what, opts)
  local self = { requests = requests, images = {}, sources = {}, opts = opts, notes = {} }
  for _, request in ipairs(requests) do self.sources[#self.sources + 1] = request.state.source end
  choose_format(self, what)
  local out
  for _, source in ipairs(self.sources) do source.store:take_failure() end
  local function attempt()
    local ok, why, how
    -- The target is opened first: when that fails no work was done in vain.
    out, why, how = (self.in_directory and output.directory or output.file)(what)
    if not out then return nil, why, how end
    ok, why, how = make_images(self, out.temp_dir)
    if not ok then return nil, why, how end
    ok, why, how = save_image.check(self.images, self.format)
    if not ok then return nil, why, how end
    local size
    size, why, how = (self.in_directory and write_directory or write_file)(self, out)
    if not size then return nil, why, how end
    ok, why, how = check_unchanged(self)
    if not ok then return nil, why, how end
    for _, source in ipairs(self.sources) do
      why, how = source.store:take_failure()
      if why then return nil, why, how end
    end
    -- The result is made before publishing, since nothing may fail afterwards.
    take_notes(self, save_image.lost(self.images, self.format, self.native))
    local saved = result.of(self, what, size)
    ok, why, how = publish(self, out)
    if not ok then return nil, why, how end
    return saved
  end
  local ok, saved, message, code = pcall(attempt)
  if out and not (ok and saved) then out:give_up() end
  if not ok then error(saved, 0) end
  if not saved then
    return nil, message, code
  end
  return saved, #self.notes > 0 and self.notes or nil
end

return save

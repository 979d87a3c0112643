--- Saving an image to a registry. Only what the registry lacks moves; a manifest that nobody edited keeps its bytes.

local client = require "strata.registry.client"
local companions = require "strata.dialect.oci.companions"
local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local new_layout = require "strata.dialect.new_layout"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_edit = require "strata.dialect.oci.edit"
local platform = require "strata.document.platform"
local printed = require "strata.util.printed"
local push = require "strata.registry.push"
local reference = require "strata.document.reference"
local registry_index = require "strata.save.registry_index"
local result = require "strata.save.result"
local save_image = require "strata.save.image"
local scrub = require "strata.document.scrub"
local target = require "strata.save.target"

local save_registry = {}

-- The blobs of an image, and where their bytes are.
local function blobs_of(image)
  local list = { {
    label = "config", digest = image.config_digest, size = #image.config_text, bytes = image.config_text,
  } }
  local source = image.source and image.source.store
  if source and source.remote and image.manifest_config == image.config_digest then
    list[1].origin = source
  end
  for i, one in ipairs(image.layers) do
    local is_foreign = one.action == "copied" and media_types.is_foreign(one.media_type)
    if not is_foreign then -- a foreign layer stays where its URLs lead
      list[#list + 1] = {
        label = ("layer %d/%d"):format(i, #image.layers), digest = one.digest, size = one.size, file = one.file,
        offset = one.offset, origin = one.remote or one.came_from,
      }
    end
  end
  return list
end

-- The manifest that the image gets.
local function manifest_of(image)
  local text, digest, code = new_layout.manifest(image, not image.manifest_text and "oci" or nil)
  if not text then return nil, digest, code end
  local document = json.decode(text)
  local media_type = json.or_nil(document.mediaType) or image.manifest_type or media_types.OCI_MANIFEST
  return { text = text, digest = digest, media_type = media_type }
end

-- A push to where the save goes, of nothing yet.
local function new_push(self)
  local expect = self.opts.expect
  if expect == false then expect = "" end
  return {
    client = self.client, session = self.session, repository = self.ref.repository, blobs = {}, tags = self.tags,
    expect = expect, exists = self.opts.exists or "auto", known = push.known(self.session, self.ref.repository),
    is_home = false, limits = self.limits.json,
  }
end

-- Whether a store is the repository that the save goes to.
local function is_home(self, store)
  return store ~= nil and store.remote and store.session == self.session and store.repository == self.ref.repository
end

-- Whether the target's digest, if it has one, is that of what is pushed.
local function check_digest(self, what, manifest)
  if not self.ref.digest or self.ref.digest == manifest.digest then return true end
  return fail("EINVAL", "%s: the %s has the digest %s", self.path, what, manifest.digest)
end

-- What of an image is in the repository is known when it comes from there.
local function note_home(self, this, image)
  local at_home = is_home(self, image.source and image.source.store)
  if at_home then push.note_blobs(this.known, image.manifest_text or "", self.limits.json) end
  return at_home
end

-- Everything that a push needs to know.
local function push_of(self, image, blobs)
  local manifest, message, code = manifest_of(image)
  if not manifest then return nil, message, code end
  local ok
  ok, message, code = check_digest(self, "image", manifest)
  if not ok then return nil, message, code end
  local this = new_push(self)
  this.blobs, this.manifest, this.is_home = blobs, manifest, note_home(self, this, image)
  local store = image.source and image.source.store
  this.opened = this.is_home and store.path == self.path and store.root_digest or nil
  return this
end

-- What became of a blob, or would.
local function fate_of(blob)
  if blob.way == "skip" then return "skipped" end
  return (blob.result or blob.way) == (blob.result and "mounted" or "mount") and "mounted" or "sent"
end

-- What was moved, in bytes and in blobs.
local function counts_of(moved)
  local counts = { sent = 0, mounted = 0, skipped = 0, bytes = 0 }
  for _, blob in ipairs(moved) do
    local fate = fate_of(blob)
    counts[fate] = counts[fate] + 1
    if fate == "sent" then counts.bytes = counts.bytes + blob.size end
  end
  return counts
end

-- Tells what became of the layers of a row.
local function note_fates(row, moved)
  local fates = {}
  for _, blob in ipairs(moved) do fates[blob.digest] = fate_of(blob) end
  for _, one in ipairs(row.layers) do one.moved = fates[one.digest] end
end

local function describe(self, image, done)
  local row = result.image(image, "registry", image.manifest_text ~= nil)
  local counts = counts_of(done.moved)
  row.path, row.digest, row.requests = self.path, done.digest, self.count()
  row.uploaded, row.mounted, row.skipped = counts.sent, counts.mounted, counts.skipped
  note_fates(row, done.moved)
  row.size, row.warnings = counts.bytes, #self.session.warnings > 0 and self.session.warnings or nil
  return printed.by(row, printed.save)
end

-- The image with its edits carried out. What is in a registry stays there until it has to be sent.
local function make(self, request)
  local has_manifest = request.state.manifest ~= nil
  return save_image.make(request, {
    exact = true, digests = true, remote = true, compression = self.opts.compression, level = self.opts.level,
    reproducible = self.opts.reproducible, verify = self.opts.verify, threads = self.opts.threads,
    progress = self.opts.progress, packed = not has_manifest and "gzip" or nil,
    sha256 = not has_manifest and "all" or nil,
  })
end

-- What the image loses: what names the manifest that it was opened with does not name this one.
local function notes_of(image, manifest, is_alone)
  local source, notes = image.source, {}
  if is_alone and scrub.has_set(image.scrubs) then
    notes[1] = "the annotations of the descriptor: a tag of a registry leads to the manifest itself"
  end
  if not (source and source.catalog and source.manifest) then return notes end
  if manifest.digest == source.manifest.digest then return notes end
  for _, one in ipairs(source.catalog.manifests) do
    if oci_catalog.subject(one.annotations, one.kind ~= "image" and one.document) == source.manifest.digest then
      notes[#notes + 1] = ("attestation %s, which is about %s"):format(one.digest, source.manifest.digest)
    end
  end
  return notes
end

-- A function that tells how many requests were made since, by the client of the target and those of the sources.
local function counter(with, requests, listing)
  local clients, before = { [with] = true }, 0
  for _, request in ipairs(requests) do
    local source = request.state.source
    if source and source.store.client then clients[source.store.client] = true end
  end
  if listing and listing.store.client then clients[listing.store.client] = true end
  local function sum()
    local total = 0
    for one in pairs(clients) do total = total + one.requests end
    return total - before
  end
  before = sum()
  return sum
end

-- The save to a registry: where it goes, and by which client.
local function begin(what, opts, given, with, requests, listing)
  local ref, tags = target.of(what, opts, "save")
  local self = { opts = opts, ref = ref, tags = tags, path = "docker://" .. ref.text, limits = given, client = with }
  local message, code
  if not with then self.client, message, code = client.shared() end
  if not self.client then return fail(code, "%s: %s", self.path, message) end
  self.count = counter(self.client, requests, listing)
  self.session, message, code = self.client:session(ref.host)
  if not self.session then return fail(code, "%s: %s", self.path, message) end
  return self
end

-- The images that an edit has changed, as they are going to be written.
local function make_all(self, requests)
  local images = {}
  for i, request in ipairs(requests) do
    local message, code
    images[i], message, code = make(self, request)
    if not images[i] then return nil, message, code end
  end
  return images
end

-- What a save of an index, or of several images as one, tells.
local function index_result(self, this, done)
  local counts = counts_of(done.moved)
  return {
    path = self.path, format = "registry", digest = this.manifest.digest, size = counts.bytes, layers = {},
    uploaded = counts.sent, mounted = counts.mounted, skipped = counts.skipped, requests = self.count(),
    warnings = #self.session.warnings > 0 and self.session.warnings or nil,
  }
end

-- Fails for two images of one platform: nobody could tell which one the name means.
local function check_platforms(self, images)
  local seen = {}
  for i, image in ipairs(images) do
    local runs_on = image.new_platform or image.platform
    local key = platform.key(runs_on)
    if seen[key] then
      return fail("EAMBIGUOUS", "%s: images %d and %d are both for %s, and one name has one image for each platform: "
        .. "choose one by its ref or digest", self.path, seen[key], i, tostring(platform.of(runs_on)))
    end
    seen[key] = i
  end
  return true
end

-- What goes along with an image into a new index: descriptors, manifests, blobs, and notes about what does not.
local function add_companions(self, this, image, made, descriptors)
  local along, notes, code = companions.of(image, made.digest, self.opts.attestations)
  if not along then return nil, notes, code end
  for _, one in ipairs(along) do
    descriptors[#descriptors + 1] = one.text
    this.children[#this.children + 1] = { text = one.bytes, digest = one.digest, media_type = one.media_type,
                                          is_kept = true }
    for _, blob in ipairs(one.blobs) do
      local ok, message, how = registry_index.take_part(blob, blob.part)
      if not ok then return nil, message, how end
      self.own[#self.own + 1] = blob.own and blob.file or nil
      this.blobs[#this.blobs + 1] = blob
    end
  end
  for _, note in ipairs(notes) do this.notes[#this.notes + 1] = note end
  return true
end

--- Saves an artifact to a registry: under a tag when the target has one, else by its digest alone. Where the registry
-- has no list of what is about a manifest, the index is extended that clients keep.
---@param artifact strata.ArtifactToWrite
---@param what string
---@param opts strata.ArtifactSaveOptions
---@param with strata.RegistryClient?
---@return table? row  what the save tells, without digest
---@return string? message
---@return string? code
function save_registry.artifact(artifact, what, opts, with)
  local self, message, code = begin(what, opts, limits.resolve(), with, {})
  if not self then return nil, message, code end
  local _, tag = reference.split((what:gsub("@.*$", "")))
  if not tag then self.tags, self.path = {}, "docker://" .. self.ref.name .. "@" .. artifact.manifest.digest end
  local ok, done
  ok, message, code = check_digest(self, "artifact", artifact.manifest)
  if not ok then return nil, message, code end
  local this = new_push(self)
  this.blobs, this.manifest = artifact.blobs, artifact.manifest
  done, message, code = push.run(this, opts)
  if not done then return fail(code, "%s: %s", self.path, message) end
  return index_result(self, this, done)
end

-- The push of images for several platforms, as the index that one name has. It is one of Docker's when all of them are,
-- as `docker buildx imagetools create` makes it. Files that are opened for it get into self.own.
local function push_of_several(self, images)
  local this, descriptors, is_docker = new_push(self), {}, true
  this.children, this.notes = {}, {}
  for i, image in ipairs(images) do
    local made, message, code = manifest_of(image)
    if not made then return nil, message, code end
    note_home(self, this, image)
    local family = media_types.family(made.media_type)
    is_docker = is_docker and family == "docker"
    this.children[#this.children + 1] = made
    descriptors[#descriptors + 1] = new_layout.descriptors(made.digest, #made.text, {}, {
      text = image.descriptor_text, platform = image.platform, new_platform = image.new_platform, family = family,
    })[1]
    for _, blob in ipairs(blobs_of(image)) do
      blob.label = ("image %d: %s"):format(i, blob.label)
      this.blobs[#this.blobs + 1] = blob
    end
    local ok
    ok, message, code = add_companions(self, this, image, made, descriptors)
    if not ok then return nil, message, code end
  end
  local media_type = is_docker and media_types.DOCKER_LIST or media_types.OCI_INDEX
  local text = new_layout.index(descriptors, media_type)
  this.manifest = { text = text, digest = core.sha256(text), media_type = media_type }
  local ok, message, code = check_digest(self, "index", this.manifest)
  if not ok then return nil, message, code end
  return this
end

--- Saves images for several platforms to a registry, as an index that has its name and tags.
---@param requests strata.SaveRequest[]
---@param what string
---@param opts strata.PushOptions
---@param with strata.RegistryClient?
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function save_registry.several(requests, what, opts, with)
  local self, message, code = begin(what, opts, requests[1].state.hub.limits, with, requests)
  if not self then return nil, message, code end
  local images, this, done
  self.own = {}
  images, message, code = make_all(self, requests)
  local ok = images and true
  if ok then ok, message, code = check_platforms(self, images) end
  if ok then this, message, code = push_of_several(self, images) end
  if this then
    done, message, code = push.run(this, opts)
    message = message and ("%s: %s"):format(self.path, message)
  end
  for _, file in ipairs(self.own) do file:close() end
  if not done then return nil, message, code end
  local row = index_result(self, this, done)
  row.images, row.id = {}, core.sha256(images[1].config_text)
  for i, image in ipairs(images) do
    row.images[i] = result.image(image, "registry", image.manifest_text ~= nil, true)
    note_fates(row.images[i], done.moved)
  end
  return printed.by(row, printed.save), #this.notes > 0 and this.notes or nil
end

-- The push of an index, with all that is known before its documents are read: `root` is what it is going to be, when
-- nothing has changed.
local function push_of_index(self, listing, root)
  local this = new_push(self)
  this.children, this.manifest, this.is_home = {}, root, is_home(self, listing.store)
  return this
end

-- The root as it is, when it is known and stays so.
local function kept_root(requests, listing, opts)
  local store = listing.store
  if not store.remote or listing.edits or listing.index_changes or #requests > 0 then return nil end
  if opts.attestations == "drop" or opts.referrers then return nil end
  return { text = listing.catalog.root_text, digest = store.root_digest, is_kept = true,
           media_type = store.root_type or media_types.OCI_INDEX }
end

-- Fills in the documents and the blobs of a push, of some changed images of an index. Of one that stays in its
-- repository nothing else is read, unless an option is about it.
local function add_tree(self, this, images, listing)
  local opts = self.opts
  local is_about_more = listing.edits or listing.index_changes or opts.referrers or opts.exists == "check" or
    (opts.attestations or "keep") ~= "keep"
  local is_near = this.is_home and not is_about_more
  local ok, message, code = true, nil, nil
  if not is_near then ok, message, code = listing.catalog:complete_all(self.opts) end
  if not ok then return nil, message, code end
  for _, one in ipairs(listing.edits and listing.edits.added or {}) do
    local image
    image, message, code = make(self, one.request)
    if not image then return nil, message, code end
    note_home(self, this, image)
    one.addition, message, code = oci_edit.addition(one, image, listing.catalog, {
      attestations = self.opts.attestations,
    })
    if not one.addition then return nil, message, code end
  end
  local made
  made, message, code = registry_index.of(listing, images, self.opts, { whole = not self.alone, is_near = is_near })
  if not made then return nil, message, code end
  if this.is_home then registry_index.note_known(listing.catalog, this.known) end
  this.manifest = table.remove(made.documents)
  this.children, this.blobs = made.documents, made.blobs
  return made
end

-- What is pushed of a listing: the push, and what was opened for it, with notes; nil: nothing. `images` are those of
-- the requests, when they are made already.
local function prepare_index(self, requests, listing, images)
  local opts, root = self.opts, kept_root(requests, listing, self.opts)
  local this = push_of_index(self, listing, root)
  local is_done, made, message, code
  if root then -- a copy that changes nothing, and a new tag in the same repository, need no document below the root
    is_done, message, code = push.look(this, opts)
    if is_done == nil then return fail(code, "%s: %s", self.path, message) end
  end
  if not root or not is_done and not this.is_home or opts.exists == "check" then
    if not images then images, message, code = make_all(self, requests) end
    if images then made, message, code = add_tree(self, this, images, listing) end
    if not made then return nil, message, code end
  end
  local ok
  ok, message, code = check_digest(self, "index", this.manifest)
  if ok then return this, made end
  if made then made.close() end
  return nil, message, code
end

-- The push of an image, as what its name has alone or back into its index. nil, message, code; otherwise the push, the
-- image, and notes, with a function that ends it.
local function push_of_one(self, request, home)
  local image, message, code = make(self, request)
  if not image then return nil, message, code end
  local this
  if home then
    self.alone = true
    local made, how
    local has_changed = request.edited or self.opts.attestations == "drop"
    this, made, how = prepare_index(self, { has_changed and request or nil }, home, { has_changed and image or nil })
    if not this then return nil, made, how end
    return this, image, made and made.notes or {}, made and made.close or function() end
  end
  this, message, code = push_of(self, image, blobs_of(image))
  if not this then return nil, message, code end
  return this, image, notes_of(image, this.manifest, true), function() end
end

--- Saves an image to a registry.
---@param request strata.SaveRequest
---@param what string  "docker://host/team/app:1.4"
---@param opts strata.SaveOptions
---@param with strata.RegistryClient?
---@param home strata.Listing?  the index that it goes back into
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function save_registry.image(request, what, opts, with, home)
  local self, message, code = begin(what, opts, request.state.hub.limits, with, { request }, home)
  if not self then return nil, message, code end
  local this, image, notes, close = push_of_one(self, request, home)
  if not this then return nil, image, notes end
  local done
  done, message, code = push.run(this, opts)
  close()
  if not done then return fail(code, "%s: %s", self.path, message) end
  done.digest = this.manifest.digest
  return describe(self, image, done), #notes > 0 and notes or nil
end

--- What saving an image to a registry would move. Layers that have to be compressed first are, as for a save.
---@param request strata.SaveRequest
---@param what string
---@param opts strata.PlanOptions
---@param with strata.RegistryClient?
---@param home strata.Listing?
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save_registry.plan(request, what, opts, with, home)
  local self, message, code = begin(what, opts, request.state.hub.limits, with, { request }, home)
  if not self then return nil, message, code end
  local this, image, notes, close = push_of_one(self, request, home)
  if not this then return nil, image, notes end
  local list
  list, message, code = push.plan(this, opts)
  close()
  if not list then return fail(code, "%s: %s", self.path, message) end
  return describe(self, image, { moved = list, digest = this.manifest.digest })
end

--- Saves all that a listing has, with some images of it changed.
---@param requests strata.SaveRequest[]
---@param what string
---@param opts strata.SaveOptions
---@param listing strata.Listing
---@param with strata.RegistryClient?
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function save_registry.index(requests, what, opts, listing, with)
  local self, message, code = begin(what, opts, listing.limits, with, requests, listing)
  if not self then return nil, message, code end
  local this, made, how = prepare_index(self, requests, listing)
  if not this then return nil, made, how end
  local done
  done, message, code = push.run(this, opts)
  if made then made.close() end
  if not done then return fail(code, "%s: %s", self.path, message) end
  local row = printed.by(index_result(self, this, done), printed.save)
  if not made then row.skipped = registry_index.count_blobs(this.manifest.text, self.limits.json) end
  return row, made and #made.notes > 0 and made.notes or nil
end

--- What saving a listing to a registry would move. Layers that have to be compressed first are, as for a save.
---@param requests strata.SaveRequest[]
---@param what string
---@param opts strata.PlanOptions
---@param listing strata.Listing
---@param with strata.RegistryClient?
---@return strata.SaveResult?
---@return string? message
---@return string? code
function save_registry.plan_index(requests, what, opts, listing, with)
  local self, message, code = begin(what, opts, listing.limits, with, requests, listing)
  if not self then return nil, message, code end
  local this, made, how = prepare_index(self, requests, listing)
  if not this then return nil, made, how end
  local list
  list, message, code = push.plan(this, opts)
  if made then made.close() end
  if not list then return fail(code, "%s: %s", self.path, message) end
  return printed.by(index_result(self, this, { moved = list }), printed.save)
end

return save_registry

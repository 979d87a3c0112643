--- Where something that was taken out of an image still lies, in documents that an edit of one image leaves alone:
-- annotations of indexes, attestations, and other images of the same archive or layout.

local core = require "strata.core"
local docker = require "strata.dialect.docker.read"
local docker_edit = require "strata.dialect.docker.edit"
local job = require "strata.util.job"
local json = require "strata.util.json"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local settings = require "strata.document.scrub"

local PIECE = 1048576

local elsewhere = {}

--- What is looked for.
---@class strata.Sought
---@field patterns string[]  Lua patterns of texts, and of "name=value"
---@field secrets string[]  bytes
---@field layers table<string, {number: integer, path: string}>  by the diff_id that they were opened with: layers that
---  something was taken from

--- The catalog of the layout that an image was opened from. nil: index.json is missing, or cannot be read.
local function catalog_of(state)
  local source = state.source
  if not source or source.catalog then return source and source.catalog end
  local is_archive = source.kind == "docker" and source.store:has("index.json")
  return is_archive and oci_catalog.of(source.store, source.limits) or nil
end

--- The digest of the manifest that an image was opened with.
local function own_digest(state)
  return state.opened.manifest and state.opened.manifest.digest
end

--- The number of a secret that a document has, as it is or with the escapes of JSON.
---@param text string
---@param secrets string[]
---@return integer?
function elsewhere.find_secret(text, secrets)
  for i, secret in ipairs(secrets) do
    local quoted = core.json_quote(secret)
    if text:find(secret, 1, true) or quoted and text:find(quoted:sub(2, -2), 1, true) then return i end
  end
  return nil
end

--- The number of a secret that a file holds; where it begins does not matter.
---@param file userdata
---@param secrets string[]
---@param offset? integer
---@param size? integer
---@return integer? number  0: none
---@return string? message
---@return string? code
function elsewhere.find_bytes(file, secrets, offset, size)
  local longest = 0
  for _, secret in ipairs(secrets) do longest = math.max(longest, #secret) end
  local tail, first = "", offset or 0
  local stop = first + (size or file:size())
  for at = first, stop - 1, PIECE do
    local bytes, message, code = file:read(at, math.min(PIECE, stop - at))
    if not bytes then return nil, message, code end
    bytes = tail .. bytes
    for i, secret in ipairs(secrets) do
      if bytes:find(secret, 1, true) then return i end
    end
    tail = longest > 1 and bytes:sub(-(longest - 1)) or ""
  end
  return 0
end

-- Calls fn with the strings of a decoded document: the values, and "name=value", where buildkit calls the name of a
-- build argument build-arg:NAME.
local function each_text(value, fn, name)
  if type(value) == "table" then
    for _, key in ipairs(json.keys(value)) do each_text(value[key], fn, type(key) == "string" and key or name) end
  elseif type(value) == "string" then
    fn(value)
    if name then fn((name:match("^build%-arg:(.*)$") or name:match("^label:(.*)$") or name) .. "=" .. value) end
  end
end

-- What of the sought a document has, for a message; nil: nothing.
local function found_in(text, sought, limits)
  local number = elsewhere.find_secret(text, sought.secrets)
  if number then return ("secret %d"):format(number) end
  if not sought.patterns[1] then return nil end
  local found
  local function look(one)
    for _, pattern in ipairs(found and {} or sought.patterns) do
      if one:find(pattern) then found = "a text that matches " .. core.quote(pattern) break end
    end
  end
  local document = json.decode(text, limits.json)
  if document == nil then look(text) else each_text(document, look) end
  return found
end

--- The annotations in a manifest, or of a descriptor.
---@param document any  decoded
---@return table<string, string>[]
function elsewhere.annotated(document)
  local list = {}
  local function add(value)
    if type(value) == "table" then list[#list + 1] = oci_descriptor.annotations(value.annotations) end
  end
  add(document)
  if type(document) == "table" then
    add(document.config)
    for _, layer in ipairs(type(document.layers) == "table" and document.layers or {}) do add(layer) end
  end
  return list
end

-- A document that is edited, with its name.
local function edited(name, text, edit, scrubs)
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  edit(doc, "", scrubs or {})
  return { name = name, text = doc:text() }
end

-- Adds the descriptors in an index that lead to a manifest.
local function add_leading(list, state, catalog, index)
  local doc, message, code = core.json(catalog.indexes[index].text)
  if not doc then return nil, message, code end
  local name = "the descriptor in " .. (index == "" and "index.json" or "the index " .. index)
  local digest = own_digest(state)
  for i = 0, (doc:count("/manifests") or 0) - 1 do
    local pointer = ("/manifests/%d"):format(i)
    if doc:get(pointer .. "/digest") == digest then
      local one
      one, message, code = edited(name, doc:raw(pointer), settings.image_descriptor, state.scrubs)
      if not one then return nil, message, code end
      list[#list + 1] = one
    end
  end
  return true
end

--- The descriptors that lead to an image, as they are going to be saved. Where no index does yet, it is what is known
--- of the first one.
---@param state strata.ImageState
---@return { name: string, text: string }[]?
---@return string? message
---@return string? code
function elsewhere.leading(state)
  local catalog, list = catalog_of(state), {}
  local has_index = catalog and own_digest(state) and catalog.indexes[""] -- skopeo's directory may be a manifest alone
  local ok, message, code = true, nil, nil
  if has_index then ok, message, code = add_leading(list, state, catalog, "") end
  for _, index in ipairs(has_index and catalog.nested or {}) do
    if ok then ok, message, code = add_leading(list, state, catalog, index) end
  end
  if not ok then return nil, message, code end
  if not list[1] and state.descriptor_text then list[1] = { name = "the descriptor", text = state.descriptor_text } end
  return list
end

--- The same, and the descriptors of layers that were taken from other images.
---@param state strata.ImageState
---@return { name: string, text: string }[]?
---@return string? message
---@return string? code
function elsewhere.descriptors(state)
  local list = {}
  for i, one in ipairs(state.hub.layers) do
    if one.descriptor_text then
      local row, message, code = edited(("the descriptor of layer %d"):format(i), one.descriptor_text,
        settings.descriptor, state.scrubs)
      if not row then return nil, message, code end
      list[#list + 1] = row
    end
  end
  local leading, message, code = elsewhere.leading(state)
  if not leading then return nil, message, code end
  for _, one in ipairs(leading) do list[#list + 1] = one end
  return list
end

-- ---- the places ----------------------------------------------------------------------

---@class strata.Search
---@field state strata.ImageState
---@field sought strata.Sought
---@field limits strata.Limits
---@field lines string[]
---@field looked table<string, boolean>  by name: files of the store that were looked at
local Search = {}
Search.__index = Search

function Search:note(text, ...)
  self.lines[#self.lines + 1] = text:format(...)
end

-- Notes what could not be looked at. A search that was called off, or had no memory, has not taken place.
function Search:note_unseen(where, message, code)
  if code == "ENOMEM" or code == "ECANCELED" then self.failure = self.failure or { message, code } end
  self:note("%s not looked at: %s", where, message)
end

-- What was found: a line for each place.
function Search:found()
  if self.failure then return nil, self.failure[1], self.failure[2] end
  return self.lines
end

function Search:look(where, text, hint)
  local found = text and found_in(text, self.sought, self.limits)
  if found then self:note("%s has %s%s", where, found, hint or "") end
end

-- A blob that a document names. What is not there cannot tell anything.
function Search:look_at_blob(catalog, where, descriptor, hint)
  local digest, size = oci_descriptor.check(descriptor, where)
  if not digest then return end
  self.looked[catalog.store:blob_name(digest)] = true
  local text, message, code = oci_descriptor.read(catalog.store, digest, size, catalog.max)
  if text then
    self:look(where, text, hint)
  elseif message then
    self:note_unseen(where .. " was", message, code)
  end
end

local ATTESTED = '; a save with attestations = "drop" leaves it out'

-- What is said about the image: attestations, signatures, lists of what is in it.
function Search:look_at_statements(catalog)
  local own = own_digest(self.state)
  for _, one in ipairs(own and catalog.manifests or {}) do
    local is_about = one.kind ~= "image" and oci_catalog.subject(one.annotations, one.document) == own
    if is_about then
      local where = ("the %s %s"):format(one.kind, one.digest)
      self.looked[catalog.store:blob_name(one.digest)] = true
      self:look(where, one.text, ATTESTED)
      local layers = one.document and json.or_nil(one.document.layers)
      for _, descriptor in ipairs(type(layers) == "table" and layers or {}) do
        local digest = type(descriptor) == "table" and tostring(descriptor.digest) or "?"
        self:look_at_blob(catalog, ("%s: its blob %s"):format(where, json.printable(digest, 80)), descriptor, ATTESTED)
      end
    end
  end
end

-- Annotations of indexes are those of all images in them.
function Search:look_at_indexes(catalog)
  local function look(digest)
    local annotations = catalog.indexes[digest] and catalog.indexes[digest].annotations
    local where = digest == "" and "index.json" or "the index " .. digest
    if annotations and next(annotations) then self:look(where, json.encode(json.object(annotations))) end
  end
  look("")
  local own = catalog.by_digest[own_digest(self.state) or ""]
  for _, digest in ipairs(own and own.indexes or {}) do
    if digest ~= "" then look(digest) end
  end
end

-- Another image of the store: what is in its config, and layers that it shares.
function Search:look_at_image(where, text)
  if not text then return self:note("%s could not be looked at", where) end
  self:look(where, text)
  local config = json.decode(text, self.limits.json)
  local rootfs = type(config) == "table" and config.rootfs
  local diff_ids = type(rootfs) == "table" and json.or_nil(rootfs.diff_ids)
  for _, diff_id in ipairs(type(diff_ids) == "table" and diff_ids or {}) do
    local layer = self.sought.layers[diff_id]
    if layer then
      self:note("%s has layer %d as it was, with %s", where, layer.number, core.quote(layer.path))
    end
  end
end

-- The images of manifest.json, but for the own one. They are left out later, when index.json leads to them, too.
function Search:look_at_items(seen)
  local source = self.state.source
  local store = source.store
  for i, item in ipairs(docker.items(store, self.limits) or {}) do
    if i - 1 ~= source.number then
      local name, tags = docker.field(item, "Config"), docker.field(item, "RepoTags")
      local member = type(name) == "string" and store:resolve(name, "config")
      local text = member and store:read(member, self.limits.json.max_bytes)
      local shown = type(tags) == "table" and tags[1] or name
      self:look_at_image(("the image %s"):format(json.printable(tostring(shown), 200)), text)
      if text then seen[core.sha256(text)] = true end
    end
  end
  seen[core.sha256(self.state.opened.config_text)] = true
end

-- Documents of an old archive, of layers that other images have as well.
function Search:look_at_shared_documents()
  local state, max = self.state, self.limits.json.max_bytes
  local store = state.source.store
  local image = { source = state.source, opened = state.opened, config_text = state.config:text() }
  for _, member in ipairs(docker_edit.shared_documents(image)) do
    local where = json.printable(member.name, 200)
    if store:may_read(member, max) then self:look(where, store:read(member, max)) end
  end
end

-- The images of a layout, but for the own one.
function Search:look_at_manifests(catalog, seen)
  local own = own_digest(self.state)
  for _, one in ipairs(catalog.manifests) do
    local config = one.digest ~= own and one.kind == "image" and one.document and json.or_nil(one.document.config)
    local digest, size = nil, nil
    if config then digest, size = oci_descriptor.check(config, "config") end
    local text = digest and oci_descriptor.read(catalog.store, digest, size, catalog.max)
    local where = ("the image %s"):format(json.printable(one.tags[1] or one.digest, 200))
    if digest and not (text and seen[core.sha256(text)]) and (text or catalog.store:has_blob(digest)) then
      self:look_at_image(where, text)
    end
    if digest then
      self:look(where .. ": its manifest", one.text)
      self.looked[catalog.store:blob_name(digest)], self.looked[catalog.store:blob_name(one.digest)] = true, true
    end
  end
end

-- What the indexes name beside images, whatever it is.
function Search:look_at_strangers(catalog)
  for _, digest in ipairs(json.keys(catalog.strangers)) do
    self:look("the blob " .. digest, catalog:stranger(digest))
    self.looked[catalog.store:blob_name(digest)] = true
  end
end

-- The number of a secret in a blob, as it is or without its compression.
local function find_in_blob(file, offset, size, secrets, opts)
  local compression = file:sniff(offset, size)
  local plain, found, message, code
  if compression == "gzip" or compression == "zstd" then
    local blob = { file = file, offset = offset, size = size, compression = compression }
    plain, message, code = job.recode({ { label = "a blob", blob = blob, as = "none" } }, opts, "scanning")
    if not plain and code ~= "EFORMAT" then return nil, message, code end
  end
  if not plain then return elsewhere.find_bytes(file, secrets, offset, size) end
  found, message, code = elsewhere.find_bytes(plain[1].file, secrets)
  plain[1].file:close()
  return found, message, code
end

-- The blobs that the images of a layout name.
local function named_blobs(catalog)
  local named = {}
  for _, one in ipairs(catalog.manifests) do
    local document = type(one.document) == "table" and one.document or {}
    for _, list in ipairs { { document.config }, document.layers, document.blobs } do
      for _, descriptor in ipairs(type(list) == "table" and list or {}) do
        if type(descriptor) == "table" and descriptor.digest then named[descriptor.digest] = true end
      end
    end
  end
  return named
end

-- All other blobs of a layout: layers of its other images, and what an index led to once.
function Search:look_at_other_blobs(catalog, opts)
  local store, own, named = catalog.store, self.state.source:roles(), named_blobs(catalog)
  local list, message, code = store.list, nil, nil
  if store.dir then list, message, code = store:contents() end
  if not list then return self:note_unseen("the other blobs were", message, code) end
  for _, one in ipairs(list) do
    local is_other = one.type == "file" and not own[one.name] and not self.looked[one.name]
    local digest = is_other and store:stated_digest(store.dir and one.name or one)
    if digest and (store.dir or not store:is_hole(one)) then
      local blob, found
      blob, message, code = store:blob(digest)
      if blob then found, message, code = find_in_blob(blob.file, blob.offset, blob.size, self.sought.secrets, opts) end
      if blob and blob.own then blob.file:close() end
      local where = "the blob " .. digest .. (named[digest] and "" or ", which no index leads to,")
      if not found then
        self:note_unseen(where .. " was", message, code)
      elseif found > 0 then
        local hint = store.dir and not named[digest] and "; strata.gc finds and removes such blobs" or ""
        self:note("%s has secret %d%s", where, found, hint)
      end
    end
  end
end

local function new_search(state, sought)
  return setmetatable({ state = state, sought = sought, limits = state.hub.limits, lines = {}, looked = {} },
    Search)
end

local function look_around(self, catalog)
  if not catalog then return end
  self:look_at_indexes(catalog)
  self:look_at_statements(catalog)
end

--- Looks at what is said about an image beside its own documents: annotations of indexes, attestations.
---@param state strata.ImageState
---@param sought strata.Sought
---@return string[]? lines  one for each place
---@return string? message
---@return string? code
function elsewhere.around(state, sought)
  local self = new_search(state, sought)
  look_around(self, catalog_of(state))
  return self:found()
end

--- The same, and other images of the archive or layout; secrets are looked for in all blobs of a layout.
---@param state strata.ImageState
---@param sought strata.Sought
---@param opts {threads: integer?, progress: function?}
---@return string[]? lines
---@return string? message
---@return string? code
function elsewhere.find(state, sought, opts)
  local self, catalog, seen = new_search(state, sought), catalog_of(state), {}
  look_around(self, catalog)
  if state.source and state.source.kind == "docker" then
    self:look_at_items(seen)
    self:look_at_shared_documents()
  end
  if catalog then
    self:look_at_manifests(catalog, seen)
    self:look_at_strangers(catalog)
    if sought.secrets[1] and not catalog.store.remote then
      self:look_at_other_blobs(catalog, {
        limits = self.limits, temp_dir = opts.temp_dir, threads = opts.threads, progress = opts.progress,
      })
    end
  end
  return self:found()
end

return elsewhere

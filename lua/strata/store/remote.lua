--- An image of a registry as a store: the document that a reference leads to, and blobs by their digests.
--
-- Opening fetches that document. Other documents come when they are asked for, and layers when their bytes are
-- needed, into unnamed temporary files. All but the first request go by digest, so a tag that moves meanwhile changes
-- nothing.

local base64 = require "strata.util.base64"
local blobs = require "strata.registry.blobs"
local client = require "strata.registry.client"
local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"
local manifests = require "strata.registry.manifests"
local media_types = require "strata.document.media_types"
local places = require "strata.registry.places"
local reference = require "strata.document.reference"
local referrers = require "strata.registry.referrers"
local registry = require "strata.registry"

local remote = {}

---@class strata.RemoteStore
---@field path string  "docker://host/team/app:1.4"
---@field remote true
---@field flat true  the document that everything hangs on may be a manifest
---@field root string  what messages call that document
---@field root_digest string
---@field root_type string?
---@field names string[]  of the image that it is, or the images that it leads to
---@field host string
---@field repository string
---@field client strata.RegistryClient
---@field session strata.RegistrySession
---@field places strata.RegistryPlace[]  where it is read, the registry itself last
---@field limits strata.Limits
---@field temp_dir string?
---@field texts table<string, string>  documents that were fetched, by digest
---@field gone table<string, boolean>  documents that the registry has not, by digest
---@field files table<string, userdata>  blobs that gather() has fetched, by digest
---@field failure string[]?  message and code
local Remote = {}
Remote.__index = Remote

-- A text as a file that is read.
local Text = {}
Text.__index = Text

function Text:read(offset, size)
  return self.text:sub(offset + 1, offset + size)
end

function Text.close() end

-- Gets a manifest, in a task, from where there is one.
local function get_manifest(list, wanted, limits, media_type, size)
  return places.read(list, core.digest_valid(wanted), function(place)
    return manifests.get(place.session, place.repository, wanted, limits, media_type, size)
  end)
end

-- Takes the documents that are inside the descriptors of another one, as far as they are what those say: MAN14.
local function take_inline(self, text)
  local document = json.decode(text, self.limits.json)
  if type(document) ~= "table" then return end
  local list = json.is_array(document.manifests) and document.manifests or { document.config }
  for _, descriptor in ipairs(list) do
    local data = type(descriptor) == "table" and descriptor.data
    local bytes = type(data) == "string" and base64.decode(data)
    local right = bytes and #bytes == descriptor.size and core.digest_valid(descriptor.digest)
    if right and digests.matches(bytes, descriptor.digest) then self.texts[descriptor.digest] = bytes end
  end
end

--- Opens what a reference leads to.
---@param what string  "docker://host/team/app:1.4"
---@param opts strata.OpenOptions  complete
---@return strata.RemoteStore?
---@return string? message
---@return string? code
function remote.open(what, opts)
  local ref, problem = reference.of_registry(what)
  if not ref then return fail("EINVAL", "%s: %s", reference.shown(what), problem) end
  local path = "docker://" .. ref.text
  local with, list, message, code
  if opts.registry then
    with = registry.client_of(opts.registry)
  else
    with, message, code = client.shared()
  end
  if not with then return nil, ("%s: %s"):format(path, message), code end
  list, message, code = places.of(with, ref.host, ref.repository)
  if not list then return nil, message, code end
  local got
  if opts.manifest then
    got, message, code = manifests.of_text(opts.manifest, ref.wanted, opts.limits.json)
  else
    got, message, code = with:call(function()
      return get_manifest(list, ref.wanted, opts.limits.json)
    end, opts, "asking")
  end
  if not got then return nil, ("%s: %s"):format(path, message), code end
  local self = setmetatable({
    path = path, remote = true, flat = true, root = "manifest",
    root_digest = got.digest, root_type = got.media_type,
    names = { ref.tag and reference.familiar(ref.name .. ":" .. ref.tag) or nil }, files = {},
    host = ref.host, repository = ref.repository, client = with, session = list[#list].session, places = list,
    limits = opts.limits, temp_dir = opts.temp_dir, texts = { [got.digest] = got.text }, gone = {},
  }, Remote)
  take_inline(self, got.text)
  return self
end

--- Why something could not be read since this was asked last; see DirectoryStore.
---@return string? message
---@return string? code
function Remote:take_failure()
  local failure = self.failure or {}
  self.failure = nil
  return failure[1], failure[2]
end

--- Whether there is a file of that name: a registry has none.
---@return boolean
function Remote.has()
  return false
end

--- The document that everything hangs on.
---@param _ string
---@param max integer
---@return string?
---@return string? message
---@return string? code
function Remote:document(_, max)
  local text = self.texts[self.root_digest]
  if #text > max then
    return fail("ELIMIT", "%s: %s has %d bytes; limits.json.max_bytes is %d", self.path, self.root, #text, max)
  end
  return text
end

--- What a blob is called where names are told.
---@param digest string
---@return string
function Remote.blob_name(_, digest)
  return digest
end

--- A registry has what it names, until an answer says otherwise; asking for each blob would be a request for each.
---@param digest string
---@return boolean
function Remote:has_blob(digest)
  return not self.gone[digest]
end

-- Fetches a document: a manifest where those are, anything else as a blob.
local function fetch_document(self, digest, media_type, size, max)
  local kind = media_types.kind(media_type)
  if kind == "manifest" or kind == "index" then
    local limits = { max_bytes = max, max_depth = self.limits.json.max_depth }
    local got, message, code = get_manifest(self.places, digest, limits, media_type, size)
    if got then take_inline(self, got.text) end
    return got and got.text, message, code
  end
  return places.read(self.places, true, function(place)
    return blobs.read(place.session, place.repository, digest, size)
  end)
end

--- A small blob, or a manifest.
---@param digest string
---@param media_type string?
---@param size integer?  of its descriptor; nil: whatever it is, it is not asked for
---@param max integer?
---@return {file: table, offset: integer, size: integer}?
---@return string? message
---@return string? code
function Remote:blob(digest, media_type, size, max)
  local text = self.texts[digest]
  if not text then
    if not size or not core.digest_valid(digest) then return fail("ENOENT", "%s: %s", self.path, digest) end
    if size > max then
      return fail("ELIMIT", "%s: blob %s has %d bytes; limits.json.max_bytes is %d", self.path, digest, size, max)
    end
    local message, code
    text, message, code = self.client:call(function()
      return fetch_document(self, digest, media_type, size, max)
    end, nil, "asking")
    if not text then
      self.gone[digest] = code == "ENOENT"
      return nil, ("%s: %s"):format(self.path, message), code
    end
    self.texts[digest] = text
  end
  return { file = setmetatable({ text = text }, Text), offset = 0, size = #text, name = digest }
end

--- Fetches manifests, several at a time, so that reading them is no request any more.
---@param list {digest: string, media_type: string?}[]
---@param opts? {progress: function?}
---@return boolean? ok
---@return string? message
---@return string? code
function Remote:fetch_manifests(list, opts)
  local tasks = {}
  for i, one in ipairs(list) do
    tasks[i] = function()
      local got, message, code = get_manifest(self.places, one.digest, self.limits.json, one.media_type)
      if not got then return nil, ("%s: %s"):format(self.path, message), code end
      self.texts[one.digest] = got.text
      return true
    end
  end
  local done, message, code = self.client:run(tasks, opts, "asking")
  return done ~= nil or nil, message, code
end

--- The descriptors of the manifests that are about a digest.
---@param digest string
---@return table[]?
---@return string? message
---@return string? code
function Remote:referrer_descriptors(digest)
  local list, message, code = self.client:call(function()
    return referrers.list(self.session, self.repository, digest, self.limits.json)
  end, nil, "asking")
  if not list then return nil, ("%s: %s"):format(self.path, message), code end
  return list
end

--- The manifests that are about a digest, with their texts.
---@param digest string
---@return {digest: string, text: string, mediaType: string?}[]?
---@return string? message
---@return string? code
function Remote:referrers(digest)
  local list, message, code = self.client:call(function()
    local found, why, how = referrers.list(self.session, self.repository, digest, self.limits.json)
    for _, one in ipairs(found or {}) do
      local got
      got, why, how = get_manifest(self.places, one.digest, self.limits.json, one.mediaType)
      if not got then return nil, why, how end
      one.text, one.mediaType = got.text, got.media_type or one.mediaType
    end
    return found, why, how
  end, nil, "asking")
  if not list then return nil, ("%s: %s"):format(self.path, message), code end
  return list
end

-- Compares the digests of blobs that came in parts.
local function compare(self, list, files, values, opts)
  local hashing, count = core.job(), 0
  for i, one in ipairs(list) do
    if one.size > 0 and values[i][2] == false then
      hashing:hash { label = ("%s: %s"):format(self.path, one.label), file = files[i], offset = 0, size = one.size,
                     digest = one.digest }
      count = count + 1
    end
  end
  local ok, message, code = true, nil, nil
  if count > 0 then ok, message, code = job.run(hashing, opts, "hashing") end
  hashing:close()
  return ok, message, code
end

-- The task that fetches one blob.
local function fetch_task(self, one, file)
  return function(flow)
    local ok, why, how = blobs.fetch(flow, {
      places = self.places, digest = one.digest, size = one.size, file = file, urls = one.urls,
    })
    if not ok then return nil, ("%s: %s: %s"):format(self.path, one.label, why), how end
    return true, why
  end
end

--- Fetches blobs, several at a time, into unnamed temporary files, and compares their digests.
---@param list {digest: string, size: integer, label: string}[]
---@param opts? {temp_dir: string?, progress: function?, wait: function?}
---@return userdata[]? files
---@return string? message
---@return string? code
function Remote:fetch(list, opts)
  local files, tasks, total = {}, {}, 0
  local function give_up(message, code)
    for _, file in ipairs(files) do file:close() end
    return nil, message, code
  end
  for i, one in ipairs(list) do
    local file, message, code = core.temp_file(opts and opts.temp_dir or self.temp_dir)
    if not file then return give_up(message, code) end
    files[i], tasks[i], total = file, fetch_task(self, one, file), total + one.size
  end
  local values, message, code = self.client:run(tasks, opts, "fetching", total)
  if not values then return give_up(message, code) end
  local ok
  ok, message, code = compare(self, list, files, values, opts)
  if not ok then return give_up(message, code) end
  return files
end

-- The blobs that manifests name, each once, in the order of their digests, but for those that are not wanted.
local function blobs_in(catalog, unwanted)
  local list, seen = {}, {}
  local function add(descriptor, label)
    local digest = type(descriptor) == "table" and descriptor.digest
    if type(digest) ~= "string" or seen[digest] or media_types.is_foreign(descriptor.mediaType) then return end
    seen[digest] = true
    if unwanted and unwanted[digest] then return end
    list[#list + 1] = { digest = digest, size = descriptor.size, label = label }
  end
  for _, manifest in ipairs(catalog.manifests) do
    local document = manifest.document or {}
    add(document.config, "config")
    for _, descriptor in ipairs(json.or_nil(document.layers) or {}) do add(descriptor, "blob " .. descriptor.digest) end
  end
  table.sort(list, function(a, b) return json.before(a.digest, b.digest) end)
  return list
end

--- Fetches everything that a catalog leads to, for those who copy all of it.
---@param catalog strata.Catalog
---@param opts? {temp_dir: string?, progress: function?}
---@param unwanted? table<string, boolean>  digests of what is not fetched
---@return boolean? ok
---@return string? message
---@return string? code
function Remote:gather(catalog, opts, unwanted)
  local ok, message, code = catalog:complete_all(opts)
  if not ok then return nil, message, code end
  local wanted = {}
  for _, one in ipairs(blobs_in(catalog, unwanted)) do
    if not self.files[one.digest] and not self.texts[one.digest] then wanted[#wanted + 1] = one end
  end
  local files
  files, message, code = self:fetch(wanted, opts)
  if not files then return nil, message, code end
  for i, one in ipairs(wanted) do self.files[one.digest] = files[i] end
  return true
end

--- What was gathered: blobs, and the documents that lead to them. The root is not among them.
---@return {name: string, type: string, size: integer, file: userdata?, bytes: string?}[]
function Remote:contents()
  local list, names = {}, {}
  for digest in pairs(self.files) do names[#names + 1] = digest end
  for digest in pairs(self.texts) do
    if digest ~= self.root_digest and not self.files[digest] then names[#names + 1] = digest end
  end
  for i, digest in ipairs(json.sort(names)) do
    local file, text = self.files[digest], self.texts[digest]
    list[i] = { name = digest, type = "file", file = file, bytes = not file and text or nil,
                size = file and file:size() or #text }
  end
  return list
end

--- The digest that the name of a blob states: it is its name.
---@param name string
---@return string?
function Remote.stated_digest(_, name)
  return core.digest_valid(name) and name or nil
end

--- One more image uses the store.
---@return strata.RemoteStore
function Remote:use()
  self.users = (self.users or 0) + 1
  return self
end

--- One uses it no more. The client stays.
function Remote:release()
  self.users = self.users - 1
  if self.users > 0 then return end
  for _, digest in ipairs(json.keys(self.files)) do self.files[digest]:close() end
  self.files = {}
end

return remote

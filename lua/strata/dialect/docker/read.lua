--- Archives with a manifest.json, as `docker save` writes them: reading.
--
-- One archive can hold several images; they share the indexed members. What an
-- image is made of follows from manifest.json and the config alone, never from
-- names or their order.

local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local platform = require "strata.document.platform"

local docker = {}

local CONTROL_FILES = { "manifest.json", "repositories", "index.json", "oci-layout" }

--- Where manifest.json says that a layer is.
---@class strata.LayerPlace
---@field name string  as manifest.json spells it
---@field named strata.Member  the member of that name, which may be a link
---@field member strata.Member  the file with the bytes

--- The image's part of an archive with a manifest.json. Written by read_image, and not changed afterwards.
---@class strata.DockerSource: strata.Source
---@field kind "docker"
---@field store strata.ArchiveStore
---@field limits strata.Limits
---@field number integer  place in manifest.json, from 0
---@field pointer string  of its item in manifest.json
---@field item table  decoded
---@field items table[]  all of the archive
---@field config_name string
---@field config_digest string?  that its name states, which need not be the one that it has
---@field config_member strata.Member
---@field layers strata.LayerPlace[]  of the layers that the image was opened with
local Source = {}
Source.__index = Source

-- Go matches keys without regard to case, and jib writes lower-case ones.
local function field(item, name)
  if item[name] ~= nil then return item[name], name end
  for _, key in ipairs(json.keys(item)) do
    if type(key) == "string" and key:lower() == name:lower() then return item[key], key end
  end
  return nil, name
end

local function is_null(value)
  return value == nil or value == json.null
end

-- A list of strings; null and absent are empty.
local function strings(path, item, name)
  local list = field(item, name)
  if is_null(list) then return {} end
  if type(list) ~= "table" then
    return fail("EFORMAT", "%s: manifest.json: %s is not an array", path, name)
  end
  local n = 0
  for key, value in pairs(list) do
    if type(key) ~= "number" or type(value) ~= "string" then
      return fail("EFORMAT", "%s: manifest.json: %s is not an array of strings", path, name)
    end
    n = n + 1
  end
  if n ~= #list then
    return fail("EFORMAT", "%s: manifest.json: %s is not an array of strings", path, name)
  end
  return list
end

-- A control file may be there twice only when both are the same.
local function control_file(store, name, limits)
  if not store.by_name[name] then return nil end
  local member, message, code = store:resolve(name, "control file")
  if not member then return nil, message, code end
  return store:read(member, limits.json.max_bytes)
end

local function read_manifest(store, limits)
  local path = store.path
  for _, name in ipairs(CONTROL_FILES) do
    local _, message, code = control_file(store, name, limits)
    if message then return nil, message, code end
  end
  local text, why, how = control_file(store, "manifest.json", limits)
  if not text then
    if why then return nil, why, how end
    return fail("EFORMAT", "%s: no manifest.json: not an image archive", path)
  end
  local items, message, code = json.decode(text, limits.json)
  if items == nil then
    return fail(code == "ELIMIT" and code or "EFORMAT", "%s: manifest.json: %s", path, message)
  end
  if type(items) ~= "table" or type(items[1]) ~= "table" then
    return fail("EFORMAT", "%s: manifest.json lists no images", path)
  end
  for i, item in ipairs(items) do
    if type(item) ~= "table" or #item > 0 then
      return fail("EFORMAT", "%s: manifest.json: item %d is not an object", path, i)
    end
    local clash = json.case_clash(item)
    if clash then
      return fail("EFORMAT", "%s: manifest.json: image %d has keys that differ in their case only: %s",
        path, i, core.quote(clash))
    end
  end
  return items
end

-- A digest that the name of a config states: "<hex>.json", "sha256:<hex>", "blobs/sha256/<hex>",
-- "blobs/sha512/<hex>".
local function stated_digest(name)
  local base = name:match("([^/]*)$")
  local hex = base:match("^(%x+)%.json$") or base:match("^sha256:(%x+)$") or
    (name:find("blobs/sha256/", 1, true) and base)
  if hex and #hex == 64 and hex:find("^%x+$") then return "sha256:" .. hex end
  return digests.in_path(name:match("blobs/sha512/%x+$") or "")
end

-- Whether a name is the address of a blob: readers of index.json find the config by it, and compare.
local function is_address(name)
  return digests.in_path(name:match("blobs/sha%d+/%x+$") or "") ~= nil
end

-- The digest that the name of a config states when its content has another one.
local function misnamed(name, text)
  local stated = stated_digest(name)
  if not stated or digests.matches(text, stated) then return nil end
  return stated, (select(2, digests.matches(text, stated)))
end

-- A file whose name states another digest is taken as docker load takes it: the ID is the hash of the content.
local function read_config(source)
  local store, path = source.store, source.store.path
  local name = field(source.item, "Config")
  if type(name) ~= "string" or name == "" then
    return fail("EFORMAT", "%s: manifest.json: image %d names no config", path, source.number + 1)
  end
  source.config_name = name
  local member, message, code = store:resolve(name, "config")
  if not member then return nil, message, code end
  source.config_member = member
  local text
  text, message, code = source:read(member)
  if not text then return nil, message, code end
  local stated, found = misnamed(name, text)
  if stated and is_address(name) then
    return fail("EDIGEST", "%s: config %s hashes to %s", path, core.quote(name), found)
  end
  source.config_digest = stated_digest(name)
  return text
end

-- A layer as it is stored, and its place. The name of its file may state the digest.
local function read_layer(store, name, number)
  local member, named, code = store:resolve(name, "layer " .. number)
  if not member then return nil, named, code end
  local compression, message
  compression, message, code = store.file:sniff(member.offset, member.size)
  if not compression then return nil, message, code end
  local hex = member.name:match("^blobs/sha256/(%x+)$")
  return {
    blob = { file = store.file, offset = member.offset, size = member.size, compression = compression },
    digest = hex and #hex == 64 and "sha256:" .. hex or digests.in_path(member.name),
  }, { name = name, named = named, member = member }
end

-- Media types that Docker 25 and later give, keyed by diff_id.
local function take_media_types(source, layers, config_text)
  local sources = field(source.item, "LayerSources")
  if type(sources) ~= "table" then return end
  local config = json.decode(config_text)
  local diff_ids = type(config) == "table" and type(config.rootfs) == "table" and
    config.rootfs.diff_ids
  for i, one in ipairs(layers) do
    local given = type(diff_ids) == "table" and sources[diff_ids[i]]
    if type(given) == "table" and type(given.mediaType) == "string" then
      one.media_type = given.mediaType
    end
  end
end

--- Reads image `number` (from 0) of an archive.
---@return strata.ImageModel?
---@return string? message
---@return string? code
local function read_image(store, items, number, limits)
  local item, path = items[number + 1], store.path
  local source = setmetatable({
    kind = "docker", store = store, limits = limits, number = number, item = item, items = items,
    pointer = "/" .. number, layers = {},
  }, Source)
  local config_text, message, code = read_config(source)
  if not config_text then return nil, message, code end
  local names
  names, message, code = strings(path, item, "Layers")
  if not names then return nil, message, code end
  if #names > limits.layers then
    return fail("ELIMIT", "%s: %d layers; limits.layers is %d", path, #names, limits.layers)
  end
  local layers = {}
  for i, name in ipairs(names) do
    local place
    layers[i], place, code = read_layer(store, name, i)
    if not layers[i] then return nil, place, code end
    source.layers[i] = place
  end
  take_media_types(source, layers, config_text)
  local refs
  refs, message, code = strings(path, item, "RepoTags")
  if not refs then return nil, message, code end
  return { config_text = config_text, layers = layers, tags = refs, source = source, limits = limits }
end

-- The image ID: the hash of the config. nil or what its name states when it cannot be read: reading it says why.
local function id_of(store, item, limits)
  local name = field(item, "Config")
  if type(name) ~= "string" then return nil end
  local member = store:resolve(name, "config")
  local text = member and store:read(member, limits.json.max_bytes)
  if not text or (is_address(name) and misnamed(name, text)) then return stated_digest(name) end
  return core.sha256(text)
end

-- The platform that the config names.
local function platform_of(store, item, limits)
  local name = field(item, "Config")
  local member = type(name) == "string" and store:resolve(name, "config")
  local text = member and store:read(member, limits.json.max_bytes)
  return text and platform.in_document(json.decode(text, limits.json)) or nil
end

--- The images that an archive holds, to choose from.
---@param store strata.ArchiveStore
---@param opts {limits: strata.Limits}
---@return strata.Candidate[]?
---@return string? message
---@return string? code
function docker.candidates(store, opts)
  local limits = opts.limits
  local items, message, code = read_manifest(store, limits)
  if not items then return nil, message, code end
  local list = {}
  for i, item in ipairs(items) do
    list[i] = {
      kind = "image", tags = strings(store.path, item, "RepoTags") or {},
      id = function() return id_of(store, item, limits) end,
      platform = function() return platform_of(store, item, limits) end,
      layer_names = function() return strings(store.path, item, "Layers") or {} end,
      read = function() return read_image(store, items, i - 1, limits) end,
    }
  end
  return list
end

--- What the layers of an image have to hash to, which may be another one than the image that is opened. None when the
-- image cannot be read.
---@param store strata.ArchiveStore
---@param items table[]
---@param number integer  of the image, from 0
---@param limits strata.Limits
---@return {label: string, member: strata.Member, compression: string, digest: string?, diff_id: string}[]
function docker.stated_layers(store, items, number, limits)
  local model, list = read_image(store, items, number, limits), {}
  local config = model and json.decode(model.config_text, limits.json)
  local rootfs = type(config) == "table" and config.rootfs
  local diff_ids = type(rootfs) == "table" and rootfs.diff_ids
  for i, one in ipairs(type(diff_ids) == "table" and model.layers or {}) do
    local diff_id, compression = diff_ids[i], one.blob.compression
    if type(diff_id) == "string" and core.digest_valid(diff_id) then
      list[#list + 1] = {
        label = ("image %d, layer %d (%s)"):format(number + 1, i, one.digest or diff_id),
        member = model.source.layers[i].member, compression = compression, diff_id = diff_id,
        digest = one.digest or compression == "none" and diff_id or nil,
      }
    end
  end
  return list
end

docker.field = field

--- The items of manifest.json, decoded.
---@param store strata.ArchiveStore
---@param limits strata.Limits
---@return table[]?
---@return string? message
---@return string? code
docker.items = read_manifest

-- ---- of an opened image ------------------------------------------------------

--- The content of a small member.
---@param member strata.Member
---@return string? text
---@return string? message
---@return string? code
function Source:read(member)
  return self.store:read(member, self.limits.json.max_bytes)
end

--- The digest that the name of the config states, and the one that its content has, when they differ.
---@return string? stated
---@return string? found
function Source:misnamed_config()
  local text = self:read(self.config_member)
  if text then return misnamed(self.config_name, text) end
end

--- The name of the config, as what a save does not keep: it states a digest that is not that of the content.
---@return string?  nil: it does not
function Source:misnaming()
  local stated, found = self:misnamed_config()
  return stated and ("the name %s of the config, whose content hashes to %s"):format(
    core.quote(self.config_name), found)
end

--- Reads the config again and compares it with the digest that its name states.
---@return boolean? ok
---@return string? message
---@return string? code
function Source:verify_documents()
  local text, message, code = read_config(self)
  if not text then return nil, message, code end
  local stated, found = misnamed(self.config_name, text)
  if stated then
    return fail("EDIGEST", "%s: config %s hashes to %s", self.store.path, core.quote(self.config_name), found)
  end
  return true
end

-- The names of the blobs that are manifests of the image. Docker 25 has one also of an image without a name, which no
-- descriptor leads to.
local function manifest_blobs(self)
  local store, max, names = self.store, self.limits.json.max_bytes, {}
  if self.manifest then return { store:blob_name(self.manifest.digest) } end
  local text = store:has("index.json") and self:read(self.config_member)
  local id = text and core.sha256(text)
  for _, member in ipairs(id and store.list or {}) do
    local blob = store:stated_digest(member) and store:may_read(member, max) and self:read(member)
    local document = blob and blob:find("^%s*{") and blob:find(id, 1, true) and json.decode(blob, self.limits.json)
    local config = type(document) == "table" and document.config
    if type(config) == "table" and config.digest == id then names[#names + 1] = member.name end
  end
  return names
end

--- What each member is in the image.
---@return table<string, string>  by name
function Source:roles()
  local found = { ["manifest.json"] = "manifest", ["repositories"] = "repositories",
                  ["index.json"] = "index", ["oci-layout"] = "layout" }
  for _, digest in ipairs(self.catalog and self.catalog.nested or {}) do
    found[self.store:blob_name(digest)] = "index"
  end
  for _, name in ipairs(manifest_blobs(self)) do found[name] = "manifest" end
  found[self.config_member.name] = "config"
  for i, one in ipairs(self.layers) do
    for _, member in ipairs { one.member, one.named } do
      local before = found[member.name]
      if not before then
        found[member.name] = "layer " .. i
      elseif before:find("^layer") and not (", " .. before:sub(7) .. ","):find(", " .. i .. ",", 1, true) then
        found[member.name] = before .. ", " .. i
      end
    end
  end
  return found
end

return docker

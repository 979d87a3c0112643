--- A new archive, as Docker Engine 1.10 to 24 saves: a directory per layer, named
-- by an id of the time before content addresses, a config by its digest,
-- manifest.json, and `repositories` when there are tags.
--
-- All is as Docker Engine 20.10 writes it, with UTC for its time zone, except
-- for times: a directory whose layer is a link to another one's has the time of
-- the image, too, where the engine leaves that of the moment.

local core = require "strata.core"
local gojson = require "strata.dialect.docker_v1.gojson"
local json = require "strata.util.json"
local new_layout = require "strata.dialect.new_layout"
local reference = require "strata.document.reference"
local times = require "strata.document.time"
local v1_document = require "strata.dialect.docker_v1.document"

local write_legacy = {}

-- The engine writes the bits of the type into the mode, too.
local FILE, DIR, LINK = 33188, 16877, 41471 -- 0100644, 040755, 0120777
local MAX_TIME = 9223372036 -- what fits nanoseconds in 64 bits; the engine puts 0 for later ones

local function member(name, kind, mode, mtime, content)
  content = content or {}
  return {
    name = name, type = kind, mode = mode, mtime = mtime, uname = "root", gname = "root",
    bytes = content.bytes, part = content.part, linkpath = content.linkpath,
  }
end

local function seconds_of(image)
  local _, seconds = times.read((core.json(image.created):get("")))
  if not seconds or seconds < 0 or seconds >= MAX_TIME then return 0 end
  return seconds
end

-- The directory of a layer. `archive.paths` knows where the bytes of each
-- diff_id are: they are there once.
local function put_layer(archive, id, text, one, mtime)
  if archive.tops[id] then return end
  local content = { part = new_layout.part_of(one) }
  local kind, mode = "file", FILE
  local other = archive.paths[one.diff_id]
  if other then
    content = { linkpath = "../" .. other .. "/layer.tar" }
    kind, mode = "symlink", LINK
  end
  archive.paths[one.diff_id] = other or id
  archive.tops[id] = {
    member(id, "dir", DIR, mtime),
    member(id .. "/VERSION", "file", FILE, mtime, { bytes = "1.0" }),
    member(id .. "/json", "file", FILE, mtime, { bytes = text }),
    member(id .. "/layer.tar", kind, mode, mtime, content),
  }
end

-- Puts the layers of an image; returns their ids.
local function put_layers(archive, image, top)
  local ids, chain, parent = {}, nil, nil
  for i, one in ipairs(image.layers) do
    local v1 = i == #image.layers and top or v1_document.placeholder()
    chain = chain and core.sha256(chain .. " " .. one.diff_id) or one.diff_id
    ids[i] = v1_document.id(v1, chain, parent)
    v1.id = gojson.quote(ids[i])
    v1.parent = parent and gojson.quote(parent)
    v1.os = top.os
    put_layer(archive, ids[i], v1_document.text(v1), one, archive.mtime)
    parent = ids[i]
  end
  return ids
end

-- The short form, which is what Docker shows: "app:1".
local function put_tags(archive, item, refs, top_id)
  for _, ref in ipairs(refs) do
    local short = reference.familiar(ref)
    local repository, tag = reference.split(short)
    if not reference.find(item.tags or {}, short) then
      item.tags = item.tags or {}
      item.tags[#item.tags + 1] = short
    end
    archive.repositories[repository] = archive.repositories[repository] or {}
    archive.repositories[repository][tag] = gojson.quote(top_id)
    archive.tagged = true
  end
end

local function put_image(archive, image)
  local hex = core.sha256(image.config_text):sub(#"sha256:" + 1)
  local top, message, code = v1_document.read(image.config_text)
  if not top then return nil, "config: " .. message, code end
  if #image.layers == 0 then
    return nil, "an image without layers cannot be saved in the docker-legacy format", "EUNSUPPORTED"
  end
  -- the parent that a config names is no id of this kind
  top.id, top.parent = nil, nil
  archive.mtime = seconds_of(top)
  local ids = put_layers(archive, image, top)
  local item = archive.items[hex]
  if not item then
    item = { config = hex .. ".json", layers = ids }
    archive.items[hex] = item
    archive.items[#archive.items + 1] = item
  end
  archive.tops[item.config] = {
    member(item.config, "file", FILE, archive.mtime, { bytes = image.config_text }),
  }
  put_tags(archive, item, (reference.for_docker(image.tags)), ids[#ids])
  return true
end

local function manifest_text(items)
  local list = {}
  for i, item in ipairs(items) do
    local names = {}
    for k, id in ipairs(item.layers) do names[k] = id .. "/layer.tar" end
    list[i] = gojson.object({ "Config", "RepoTags", "Layers" }, {
      Config = gojson.quote(item.config), RepoTags = gojson.strings(item.tags),
      Layers = gojson.strings(names),
    })
  end
  return "[" .. table.concat(list, ",") .. "]\n"
end

local function repositories_text(repositories)
  local texts = {}
  for name, ids in pairs(repositories) do texts[name] = gojson.map(ids) end
  return gojson.map(texts) .. "\n"
end

--- The members of the archive, in order.
---@param images strata.ImageToWrite[]  with plain layers
---@return strata.TarMember[]?
---@return string? message
---@return string? code
function write_legacy.members(images)
  local archive = { tops = {}, paths = {}, items = {}, repositories = {} }
  for _, image in ipairs(images) do
    local ok, message, code = put_image(archive, image)
    if not ok then return nil, message, code end
  end
  archive.tops["manifest.json"] = {
    member("manifest.json", "file", FILE, 0, { bytes = manifest_text(archive.items) }),
  }
  if archive.tagged then
    archive.tops["repositories"] = {
      member("repositories", "file", FILE, 0, { bytes = repositories_text(archive.repositories) }),
    }
  end
  local members = {}
  for _, name in ipairs(json.keys(archive.tops)) do
    for _, one in ipairs(archive.tops[name]) do members[#members + 1] = one end
  end
  return members
end

return write_legacy

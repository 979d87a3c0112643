--- Saving an edited image back into its archive: members that do not change keep
-- their bytes, names that state a digest get the new one, and the spans of documents
-- that name what has changed are edited.

local archive_edits = require "strata.dialect.archive_edits"
local core = require "strata.core"
local digests = require "strata.util.digests"
local docker = require "strata.dialect.docker.read"
local edit_index = require "strata.dialect.docker.edit_index"
local edit_v1_json = require "strata.dialect.docker.edit_v1_json"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local new_layout = require "strata.dialect.new_layout"
local parents = require "strata.dialect.docker.parents"
local reference = require "strata.document.reference"
local run_job = require("strata.util.job").run

local docker_edit = {}

local function hex_of(digest)
  return digest and digest:match("^sha256:(%x+)$")
end

-- Replaces a digest in a name; a name without it stays.
local function renamed(name, old, new)
  return old and digests.rename(name, old, new) or name
end

--- The name for the member of a changed layer: its diff_id or digest in the old name is
-- replaced by the new digest.
---@param stored_name string
---@param before {diff_id: string, digest: string}
---@param digest string  of the new bytes
---@return string stored_name
function docker_edit.new_name(stored_name, before, digest)
  local old = stored_name:find(hex_of(before.diff_id), 1, true) and before.diff_id or before.digest
  return renamed(stored_name, old, digest)
end

-- The ids that `repositories` gives to the tags of an image.
local function ids_of(source, refs)
  local member, ids = source.store.by_name["repositories"], {}
  local text = member and member.type == "file" and source:read(member)
  local doc = text and core.json(text, source.limits.json)
  for _, ref in ipairs(doc and type(refs) == "table" and refs or {}) do
    local repository, tag = reference.split(tostring(ref))
    local id = doc:get(json.part(repository) .. json.part(tag or "latest"))
    if type(id) == "string" then ids[#ids + 1] = id end
  end
  return ids
end

-- The members that other images of the archive need unchanged.
local function shared_members(source)
  local shared = {}
  local function note(name)
    if type(name) ~= "string" then return end
    local member, named = source.store:resolve(name, "member")
    if member then
      shared[member.position] = true
      shared[named.position] = true
    end
  end
  for i, item in ipairs(source.items) do
    if i ~= source.number + 1 then
      note((docker.field(item, "Config")))
      local names = docker.field(item, "Layers")
      for _, name in ipairs(type(names) == "table" and names or {}) do
        note(name)
        note(tostring(name):gsub("layer%.tar$", "json"))
      end
      for _, id in ipairs(ids_of(source, (docker.field(item, "RepoTags")))) do note(id .. "/json") end
    end
  end
  return shared
end

-- ---- layers -------------------------------------------------------------------

-- A name for a layer that has no member yet, like those that the archive has.
local function new_layer_name(source, one)
  local example = source.layers[1] and source.layers[1].member.stored_name or "blobs/sha256/x"
  local hex = digests.hex(one.digest)
  if example:find("blobs/sha512/", 1, true) then return digests.path(one.digest) end
  if example:find("blobs/sha256/", 1, true) then return "blobs/sha256/" .. hex end
  if example:find("/layer%.tar$") then return hex .. "/layer.tar" end
  return hex .. (example:find("%.gz$") and one.compression == "gzip" and ".tar.gz" or ".tar")
end

-- The digest in the name of the file that an opened layer was stored in: its diff_id,
-- or the digest of the stored bytes. The file is hashed when that digest is not known.
local function digest_in_name(plan, one, member)
  local name, before = member.stored_name, one.before
  if name:find(hex_of(before.diff_id), 1, true) then return before.diff_id end
  if before.digest or not name:find(("%x"):rep(64)) then return before.digest end
  local job = core.job()
  job:hash { label = one.label, file = plan.store.file, offset = member.offset, size = member.size }
  local ok, message, code = run_job(job)
  local digest = ok and job:task(1).digest
  job:close()
  return digest, message, code
end

-- True when the saved archive has a member of that name besides the layers that change
-- or are removed.
local function is_taken(plan, name)
  local there = plan.store.by_name[name]
  return plan.made[name] or there ~= nil and (plan.used[there.position] or
    plan.shared[there.position] or not plan.of_layers[there.position])
end

-- An untouched layer keeps its name; its bytes are hashed while they are copied.
local function keep_layer(plan, one)
  local place = plan.source.layers[one.origin]
  plan.used[place.member.position] = true
  plan.used[place.named.position] = true
  if one.before.digest then
    plan.edits.verify[place.member.position] = { digest = one.before.digest, label = one.label }
  end
  return place.name
end

local function add_layer(plan, one)
  local name = new_layer_name(plan.source, one)
  if not is_taken(plan, name) then
    plan.edits:add { name = name, part = new_layout.part_of(one) }
    plan.made[name] = true
  end
  return name
end

-- A changed layer takes the place of its old member, unless an unchanged layer or
-- another image needs the old bytes.
local function change_layer(plan, one)
  local place = plan.source.layers[one.origin]
  local member, named = place.member, place.named
  local claimed = plan.claimed[member.position]
  if claimed and claimed.digest == one.digest then
    return named == member and claimed.name or place.name
  end
  if claimed or plan.used[member.position] or plan.shared[member.position] then
    if named ~= member and not plan.shared[named.position] and not plan.used[named.position] then
      plan.edits:set(named, { fresh = true, part = new_layout.part_of(one) })
      plan.used[named.position] = true
      return place.name
    end
    return add_layer(plan, one)
  end
  local old, message, code = digest_in_name(plan, one, member)
  if message then return nil, message, code end
  local stored = renamed(member.stored_name, old, one.digest)
  local name = core.normalise(stored)
  if name ~= member.name and is_taken(plan, name) then
    plan.edits:set(member, { drop = true }) -- the same blob is there already
  else
    plan.edits:set(member, { name = stored ~= member.stored_name and stored or nil, part = new_layout.part_of(one) })
    plan.made[name] = true
  end
  plan.claimed[member.position] = {
    digest = one.digest, old = old, name = named == member and renamed(place.name, old, one.digest) or name,
  }
  return named == member and plan.claimed[member.position].name or place.name
end

-- Drops the members of a removed layer: its tar, and in old archives its directory.
local function drop_layer(plan, gone)
  for _, member in ipairs { gone.member, gone.named } do
    if not plan.used[member.position] and not plan.shared[member.position] and
      not plan.claimed[member.position] then
      plan.edits:set(member, { drop = true })
    end
    local dir = member.name:match("^(.+)/layer%.tar$")
    local edit = plan.edits:of(member)
    if dir and edit and edit.drop then
      for _, name in ipairs { dir, dir .. "/json", dir .. "/VERSION" } do
        local sibling = plan.store.by_name[name]
        if sibling then plan.edits:set(sibling, { drop = true }) end
      end
    end
  end
end

-- Links to a renamed member get its new name; links to a dropped one are dropped.
local function follow_links(plan)
  for _, link in ipairs(plan.store.list) do
    if (link.type == "symlink" or link.type == "hardlink") and not plan.edits:of(link) then
      local target = plan.store:resolve(link.name, "link")
      local claimed = target and plan.claimed[target.position]
      local edit = target and plan.edits:of(target)
      if claimed then
        local linkpath = renamed(link.linkpath, claimed.old, claimed.digest)
        if linkpath ~= link.linkpath then plan.edits:set(link, { linkpath = linkpath }) end
      elseif edit and edit.drop then
        plan.edits:set(link, { drop = true })
      end
    end
  end
end

-- Places all layers; returns their names for manifest.json.
local function edit_layers(plan)
  local names, present = {}, {}
  for i, one in ipairs(plan.image.layers) do
    if one.origin then present[one.origin] = true end
    if one.action == "copied" then names[i] = keep_layer(plan, one) end
  end
  for i, one in ipairs(plan.image.layers) do
    if not names[i] then
      local place = one.origin and change_layer or add_layer
      local name, message, code = place(plan, one)
      if not name then return nil, message, code end
      names[i] = name
    end
  end
  for origin, gone in ipairs(plan.source.layers) do
    if not present[origin] then drop_layer(plan, gone) end
  end
  follow_links(plan)
  return names
end

-- ---- documents ------------------------------------------------------------------

-- Gives the config its name in the new archive, unless a file of that name and content is there.
local function place_config(plan, stored)
  local member, text = plan.source.config_member, plan.image.config_text
  local there, is_shared = plan.store.by_name[core.normalise(stored)], plan.shared[member.position]
  if there == nil and is_shared then
    plan.edits:add { name = stored, bytes = text }
  elseif there == nil or there == member then
    plan.edits:set(member, { name = stored ~= member.stored_name and stored or nil, bytes = text })
  elseif plan.source:read(there) ~= text then
    return fail("EFORMAT", "%s: another file has the name %s, which the config has to get", plan.store.path,
      core.quote(stored))
  elseif not is_shared then
    plan.edits:set(member, { drop = true })
  end
  return stored
end

-- Writes the config; its name for manifest.json. A digest in the name becomes that of the content, which it need not
-- have been.
local function edit_config(plan)
  local source, member = plan.source, plan.source.config_member
  local note = source:misnaming()
  if plan.old_id == plan.new_id and not note then return source.config_name end
  plan.notes[#plan.notes + 1] = note
  local old, new = source.config_digest or plan.old_id, plan.new_id
  local stored = renamed(member.stored_name, old, new)
  if plan.shared[member.position] and stored == member.stored_name then stored = hex_of(new) .. ".json" end
  local name, message, code = place_config(plan, stored)
  if not name then return nil, message, code end
  local link = plan.store.by_name[core.normalise(source.config_name)]
  if link == member then return renamed(source.config_name, old, new) end
  if not plan.shared[link.position] then plan.edits:set(link, { drop = true }) end
  return name
end

-- Edits an array of strings in a document to be `values`. Of its old elements those stay
-- whose place is in `kept`.
local function sync_array(doc, pointer, kept, values)
  for i = doc:count(pointer) - 1, 0, -1 do
    if not kept[i + 1] then doc:remove(pointer .. "/" .. i) end
  end
  for i, value in ipairs(values) do
    local ok, message, code = doc:set(pointer .. "/" .. (i - 1), value)
    if ok == nil then return nil, message, code end
  end
  return true
end

-- Moves one entry of LayerSources to its new key; another layer may still need
-- the old one, or have the new one already.
local function move_layer_source(doc, pointer, wanted, sources, one, key)
  local old, new = one.before[key], one[key]
  local raw = old and sources[old]
  if not raw or old == new then return end
  local at = pointer .. json.part(new)
  if not doc:type(at) then
    if wanted[old] or not doc:type(pointer .. json.part(old)) then
      doc:set(at, raw)
    else
      doc:rename(pointer .. json.part(old), new)
    end
  end
  if doc:type(at .. "/digest") then doc:set(at .. "/digest", core.json_quote(one.digest)) end
  if doc:type(at .. "/size") then doc:set(at .. "/size", ("%d"):format(one.size)) end
  local stated = doc:get(at .. "/mediaType")
  if type(stated) == "string" then
    local fitting = media_types.changed_layer(stated, media_types.family(stated), one.compression)
    if fitting ~= stated then doc:set(at .. "/mediaType", core.json_quote(fitting)) end
  end
end

-- LayerSources repeats the descriptors of the layers. Docker keys it by diff_id,
-- regctl by the digest of the layer as it is stored.
local function edit_layer_sources(plan, doc, pointer)
  if doc:type(pointer) ~= "object" then return end
  local wanted, sources = {}, {}
  for _, key in ipairs(doc:keys(pointer)) do sources[key] = doc:raw(pointer .. json.part(key)) end
  for _, one in ipairs(plan.image.layers) do
    wanted[one.diff_id] = true
    if one.digest then wanted[one.digest] = true end
  end
  for _, one in ipairs(plan.image.layers) do
    if one.origin then
      move_layer_source(doc, pointer, wanted, sources, one, "diff_id")
      move_layer_source(doc, pointer, wanted, sources, one, "digest")
    else
      local at = pointer .. json.part(one.diff_id)
      if not doc:type(at) then
        doc:set(at, json.encode { mediaType = media_types.layer("oci", one.compression),
                                  digest = one.digest, size = one.size })
      end
    end
  end
  for _, gone in ipairs(plan.image.opened.layers) do
    for _, key in ipairs { gone.diff_id, gone.digest } do
      if not wanted[key] then doc:remove(pointer .. json.part(key)) end
    end
  end
end

local function edit_manifest(plan, config_name, names)
  local source = plan.source
  local member, before, message, code, doc
  member, message, code = plan.store:resolve("manifest.json", "manifest")
  if not member then return nil, message, code end
  before, message, code = source:read(member)
  if not before then return nil, message, code end
  doc, message, code = core.json(before, source.limits.json)
  if not doc then return nil, message, code end
  local function pointer_to(name)
    local _, key = docker.field(source.item, name)
    return source.pointer .. json.part(key)
  end
  local kept, quoted = {}, {}
  for _, one in ipairs(plan.image.layers) do
    if one.origin then kept[one.origin] = true end
  end
  for i, name in ipairs(names) do quoted[i] = core.json_quote(name) end
  local layers = pointer_to("Layers")
  if doc:type(layers) ~= "array" then doc:set(layers, "[]") end
  local ok
  ok, message, code = sync_array(doc, layers, kept, quoted)
  if not ok then return nil, message, code end
  doc:set(pointer_to("Config"), core.json_quote(config_name))
  edit_layer_sources(plan, doc, pointer_to("LayerSources"))
  if plan.image.new_tags then
    doc:set(pointer_to("RepoTags"), json.encode(json.array(plan.image.new_tags)))
  end
  parents.edit(plan, doc)
  local text = doc:text()
  if text ~= before then plan.edits:set(member, { bytes = text }) end
  return true
end

-- The id by which `repositories` names an image: the directory of its top layer, or the
-- diff_id of that. nil when the image has no layers.
local function top_id(plan, names, doc)
  local opened, top, id = plan.image.opened, plan.image.layers[#plan.image.layers], nil
  if not top then return nil end
  for _, ref in ipairs(opened.tags) do
    local repository, tag = reference.split(ref)
    id = id or doc:get(json.part(repository) .. json.part(tag or "latest"))
  end
  local before = opened.layers[#opened.layers]
  if id and before and id == hex_of(before.diff_id) then return hex_of(top.diff_id) end
  if id and (not top.origin or top.origin == #opened.layers) then return id end
  local dir = names[#names]:match("([^/]+)/layer%.tar$")
  if dir then return dir end
  local place = plan.source.layers[top.origin]
  for _, link in ipairs(place and plan.store.list or {}) do
    dir = link.type == "symlink" and link.name:match("([^/]+)/layer%.tar$")
    if dir and plan.store:resolve(link.name, "link") == place.member then return dir end
  end
  return hex_of(top.diff_id)
end

-- Edits {"repository": {"tag": "id of the top layer"}}, which old readers use.
local function edit_repositories(plan, names)
  local member = plan.store.by_name["repositories"]
  if not member or member.type ~= "file" then return true end
  local text = plan.source:read(member)
  local doc = text and core.json(text, plan.source.limits.json)
  if not doc or doc:type("") ~= "object" then return true end
  local id, wanted = top_id(plan, names, doc), {}
  for _, ref in ipairs(id and plan.image.tags or {}) do wanted[ref] = true end
  for _, ref in ipairs(plan.image.opened.tags) do
    local repository, tag = reference.split(ref)
    local at = json.part(repository)
    if not wanted[ref] and doc:remove(at .. json.part(tag or "latest")) and doc:count(at) == 0 then
      doc:remove(at)
    end
  end
  for _, ref in ipairs(id and plan.image.tags or {}) do
    local repository, tag = reference.split(ref)
    local at = json.part(repository) .. json.part(tag or "latest")
    if plan.image.new_tags or doc:type(at) then doc:set(at, core.json_quote(id)) end
  end
  if doc:text() ~= text then plan.edits:set(member, { bytes = doc:text() }) end
  return true
end

--- A save into the archive that the image came from, while it is worked out.
---@class strata.DockerEdit
---@field image strata.ImageToWrite
---@field source strata.DockerSource
---@field store strata.ArchiveStore
---@field edits strata.Edits  the result
---@field old_id string  digest of the config that was opened, by SHA-256
---@field old_sha512 string  the same by SHA-512
---@field new_id string  digest of the config now
---@field used table<integer, boolean>  by position: members whose bytes stay, because a layer needs them
---@field shared table<integer, boolean>  by position: members that other images need as they are
---@field of_layers table<integer, boolean>  by position: members that layers of the image were opened from
---@field claimed table<integer, table>  by position: members that a changed layer has got
---@field made table<string, boolean>  names of members that changed or added layers have
---@field attestations "keep"|"drop"|"refuse"
---@field notes string[]  gets what could not be kept

--- The edits of the archive that an image came from.
---@param image strata.ImageToWrite
---@param opts {attestations?: "keep"|"drop"|"refuse"}
---@param notes string[]  gets what could not be kept
---@return strata.Edits?
---@return string? message
---@return string? code
function docker_edit.edits(image, opts, notes)
  local source, before = image.source, image.opened.config_text
  local plan = {
    image = image, source = source, store = source.store, edits = archive_edits.new(source.store),
    old_id = core.sha256(before), old_sha512 = core.sha512(before), new_id = core.sha256(image.config_text),
    used = {}, shared = shared_members(source), of_layers = {}, claimed = {}, made = {},
    attestations = opts.attestations or "keep", notes = notes,
  }
  for _, place in ipairs(source.layers) do plan.of_layers[place.member.position] = true end
  local ok
  local names, message, code = edit_layers(plan)
  if not names then return nil, message, code end
  local config_name
  config_name, message, code = edit_config(plan)
  if not config_name then return nil, message, code end
  ok, message, code = edit_v1_json.edit(plan)
  if ok then ok, message, code = edit_index.edit(plan) end
  if ok then ok, message, code = edit_manifest(plan, config_name, names) end
  if ok then ok, message, code = edit_repositories(plan, names) end
  if not ok then return nil, message, code end
  return plan.edits
end

return docker_edit

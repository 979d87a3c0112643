--- Saving an edited image back into its archive: every member that is not
-- concerned keeps its bytes, names that state a digest state the new one, and
-- the documents follow by edits of their spans.

local archive_edits = require "strata.dialect.archive_edits"
local config = require "strata.config"
local core = require "strata.core"
local digests = require "strata.util.digests"
local docker = require "strata.dialect.docker.read"
local edit_index = require "strata.dialect.docker.edit_index"
local edit_v1_json = require "strata.dialect.docker.edit_v1_json"
local json = require "strata.util.json"
local layer = require "strata.layer"
local media_types = require "strata.document.media_types"
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

--- What a changed layer's member is called: a name that states its digest, of the
-- plain tar or as it is stored, states the new one.
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
  local members, ids = source.members, {}
  local member = members.by_name["repositories"]
  local text = member and member.type == "file" and members:read(member, source.max_json)
  local doc = text and core.json(text, source.json_limits)
  for _, ref in ipairs(doc and type(refs) == "table" and refs or {}) do
    local repository, tag = reference.split(tostring(ref))
    local id = doc:get(json.part(repository) .. json.part(tag or "latest"))
    if type(id) == "string" then ids[#ids + 1] = id end
  end
  return ids
end

-- Members that other images of the archive need as they are.
local function shared_members(source)
  local shared, members = {}, source.members
  local function note(name)
    if type(name) ~= "string" then return end
    local member, named = members:resolve(name, "member")
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

local function part_of(one, now)
  return { file = now.file, offset = now.offset, size = now.size, digest = now.digest,
           label = layer.label(one) }
end

-- A name for a layer that has no member yet, in the manner of the archive.
local function new_layer_name(source, now)
  local example = source.layers[1] and source.layers[1].member.stored_name or "blobs/sha256/x"
  local hex = digests.hex(now.digest)
  if example:find("blobs/sha512/", 1, true) then return digests.path(now.digest) end
  if example:find("blobs/sha256/", 1, true) then return "blobs/sha256/" .. hex end
  if example:find("/layer%.tar$") then return hex .. "/layer.tar" end
  return hex .. (example:find("%.gz$") and now.compression == "gzip" and ".tar.gz" or ".tar")
end

-- The digest that the name of a layer's member states: that of the plain tar or
-- that of the layer as it is stored, which may have to be hashed to know it.
local function stated_digest(one)
  local name = one.member.stored_name
  if name:find(hex_of(one.diff_id), 1, true) then return one.diff_id end
  if one.digest or not name:find(("%x"):rep(64)) then return one.digest end
  local job = core.job()
  job:hash { label = layer.label(one), file = one.blob.file, offset = one.blob.offset,
             size = one.blob.size }
  local ok, message, code = run_job(job)
  local digest = ok and job:task(1).digest
  job:close()
  return digest, message, code
end

-- True when the result has a member of that name that is not one of the layers
-- that change or go.
local function is_taken(plan, name)
  local there = plan.source.members.by_name[name]
  return plan.made[name] or there ~= nil and (plan.used[there.position] or
    plan.shared[there.position] or not plan.of_layers[there.position])
end

-- An untouched layer keeps its name; its bytes are hashed on the way.
local function keep_layer(plan, one)
  plan.used[one.member.position] = true
  plan.used[one.named.position] = true
  if one.digest then
    plan.edits.verify[one.member.position] = { digest = one.digest, label = layer.label(one) }
  end
  return one.name
end

local function add_layer(plan, one, now)
  local name = new_layer_name(plan.source, now)
  if not is_taken(plan, name) then
    plan.edits:add { name = name, part = part_of(one, now) }
    plan.made[name] = true
  end
  return name
end

-- A changed layer takes the place of its old member, unless somebody else needs
-- that one as it is.
local function change_layer(plan, one, now)
  local member = one.member
  local claimed = plan.claimed[member.position]
  if claimed and claimed.digest == now.digest then
    return one.named == member and claimed.name or one.name
  end
  if claimed or plan.used[member.position] or plan.shared[member.position] then
    if one.named ~= member and not plan.shared[one.named.position] and
      not plan.used[one.named.position] then
      plan.edits:set(one.named, { fresh = true, part = part_of(one, now) })
      plan.used[one.named.position] = true
      return one.name
    end
    return add_layer(plan, one, now)
  end
  local old, message, code = stated_digest(one)
  if message then return nil, message, code end
  local stored = renamed(member.stored_name, old, now.digest)
  local name = core.normalise(stored)
  if name ~= member.name and is_taken(plan, name) then
    plan.edits:set(member, { drop = true }) -- the same blob is there already
  else
    plan.edits:set(member, { name = stored ~= member.stored_name and stored or nil,
                             part = part_of(one, now) })
    plan.made[name] = true
  end
  plan.claimed[member.position] = {
    digest = now.digest, old = old,
    name = one.named == member and renamed(one.name, old, now.digest) or name,
  }
  return one.named == member and plan.claimed[member.position].name or one.name
end

-- Members of a removed layer: its tar, and in old archives its directory.
local function drop_layer(plan, gone)
  local members = plan.source.members
  for _, member in ipairs { gone.member, gone.named } do
    if not plan.used[member.position] and not plan.shared[member.position] and
      not plan.claimed[member.position] then
      plan.edits:set(member, { drop = true })
    end
    local dir = member.name:match("^(.+)/layer%.tar$")
    local edit = plan.edits:of(member)
    if dir and edit and edit.drop then
      for _, name in ipairs { dir, dir .. "/json", dir .. "/VERSION" } do
        local sibling = members.by_name[name]
        if sibling then plan.edits:set(sibling, { drop = true }) end
      end
    end
  end
end

-- Links follow a member that got another name, and go with one that went.
local function follow_links(plan)
  local members = plan.source.members
  for _, link in ipairs(members.list) do
    if (link.type == "symlink" or link.type == "hardlink") and not plan.edits:of(link) then
      local target = members:resolve(link.name, "link")
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

-- Returns the names of the layers for manifest.json.
local function edit_layers(plan, states)
  local names, present = {}, {}
  for i, one in ipairs(states) do
    if one.origin then present[one.origin] = true end
    if plan.now[one].action == "copied" then
      names[i] = keep_layer(plan, one)
    end
  end
  for i, one in ipairs(states) do
    if not names[i] then
      local place = one.added and add_layer or change_layer
      local name, message, code = place(plan, one, plan.now[one])
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

local function edit_config(plan, text)
  local member, source = plan.source.config_member, plan.source
  if plan.old_id == plan.new_id then return source.config_name end
  local old, new = source.config_digest or plan.old_id, plan.new_id
  local name = renamed(source.config_name, old, new)
  local stored = renamed(member.stored_name, old, new)
  if plan.shared[member.position] then
    if stored == member.stored_name then stored, name = hex_of(new) .. ".json", hex_of(new) .. ".json" end
    plan.edits:add { name = stored, bytes = text }
  else
    plan.edits:set(member, { name = stored ~= member.stored_name and stored or nil, bytes = text })
  end
  return name
end

-- Brings an array of strings in a document to what it should be: removes what
-- went, sets what changed, appends what came. `kept` says which elements stay.
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
local function move_layer_source(doc, pointer, wanted, before, now, key)
  local old, new = before[key], now[key]
  local raw = old and before.sources[old]
  if not raw or old == new then return end
  local at = pointer .. json.part(new)
  if not doc:type(at) then
    if wanted[old] or not doc:type(pointer .. json.part(old)) then
      doc:set(at, raw)
    else
      doc:rename(pointer .. json.part(old), new)
    end
  end
  if doc:type(at .. "/digest") then doc:set(at .. "/digest", core.json_quote(now.digest)) end
  if doc:type(at .. "/size") then doc:set(at .. "/size", ("%d"):format(now.size)) end
  local stated = doc:get(at .. "/mediaType")
  if type(stated) == "string" then
    local fitting = media_types.changed_layer(stated, media_types.family(stated), now.compression)
    if fitting ~= stated then doc:set(at .. "/mediaType", core.json_quote(fitting)) end
  end
end

-- LayerSources repeats the descriptors of the layers. Docker keys it by diff_id,
-- regctl by the digest of the layer as it is stored.
local function edit_layer_sources(plan, doc, pointer, states)
  if doc:type(pointer) ~= "object" then return end
  local wanted, sources = {}, {}
  for _, key in ipairs(doc:keys(pointer)) do sources[key] = doc:raw(pointer .. json.part(key)) end
  for _, one in ipairs(states) do
    local now = plan.now[one]
    wanted[now.diff_id] = true
    if now.digest then wanted[now.digest] = true end
  end
  for _, one in ipairs(states) do
    if one.added then
      local now = plan.now[one]
      local at = pointer .. json.part(now.diff_id)
      if not doc:type(at) then
        doc:set(at, json.encode { mediaType = media_types.layer("oci", now.compression),
                                  digest = now.digest, size = now.size })
      end
    else
      local before = { diff_id = one.diff_id, digest = one.digest, sources = sources }
      move_layer_source(doc, pointer, wanted, before, plan.now[one], "diff_id")
      move_layer_source(doc, pointer, wanted, before, plan.now[one], "digest")
    end
  end
  for _, gone in ipairs(plan.source.layers) do
    for _, key in ipairs { gone.diff_id, gone.digest } do
      if not wanted[key] then doc:remove(pointer .. json.part(key)) end
    end
  end
end

local function edit_manifest(plan, state, states, config_name, names)
  local source = plan.source
  local members = source.members
  local member, before, message, code, doc
  member, message, code = members:resolve("manifest.json", "manifest")
  if not member then return nil, message, code end
  before, message, code = members:read(member, source.max_json)
  if not before then return nil, message, code end
  doc, message, code = core.json(before, source.json_limits)
  if not doc then return nil, message, code end
  local function pointer_to(name)
    local _, key = docker.field(source.item, name)
    return source.pointer .. json.part(key)
  end
  local kept, quoted = {}, {}
  for _, one in ipairs(states) do
    if one.origin then kept[one.origin] = true end
  end
  for i, name in ipairs(names) do quoted[i] = core.json_quote(name) end
  local layers = pointer_to("Layers")
  if doc:type(layers) ~= "array" then doc:set(layers, "[]") end
  local ok
  ok, message, code = sync_array(doc, layers, kept, quoted)
  if not ok then return nil, message, code end
  doc:set(pointer_to("Config"), core.json_quote(config_name))
  edit_layer_sources(plan, doc, pointer_to("LayerSources"), states)
  if plan.tags_changed then
    doc:set(pointer_to("RepoTags"), json.encode(json.array(state.tags)))
  end
  local text = doc:text()
  if text ~= before then plan.edits:set(member, { bytes = text }) end
  return true
end

-- What `repositories` calls an image: its top layer, by the directory that it has
-- or by its diff_id. nil when the image has no layers.
local function top_id(plan, state, states, names, doc)
  local source, top = plan.source, states[#states]
  if not top then return nil end
  local now, id = plan.now[top], nil
  for _, ref in ipairs(state.opened_tags) do
    local repository, tag = reference.split(ref)
    id = id or doc:get(json.part(repository) .. json.part(tag or "latest"))
  end
  local before = source.layers[#source.layers]
  if id and before and id == hex_of(before.diff_id) then return hex_of(now.diff_id) end
  if id and (top.added or top.origin == #source.layers) then return id end
  local dir = names[#names]:match("([^/]+)/layer%.tar$")
  if dir then return dir end
  for _, link in ipairs(not top.added and source.members.list or {}) do
    dir = link.type == "symlink" and link.name:match("([^/]+)/layer%.tar$")
    if dir and source.members:resolve(link.name, "link") == top.member then return dir end
  end
  return hex_of(now.diff_id)
end

-- {"repository": {"tag": "id of the top layer"}}: old readers go by it.
local function edit_repositories(plan, state, states, names)
  local members = plan.source.members
  local member = members.by_name["repositories"]
  if not member or member.type ~= "file" then return true end
  local text = members:read(member, plan.source.max_json)
  local doc = text and core.json(text, plan.source.json_limits)
  if not doc or doc:type("") ~= "object" then return true end
  local id, wanted = top_id(plan, state, states, names, doc), {}
  for _, ref in ipairs(id and state.tags or {}) do wanted[ref] = true end
  for _, ref in ipairs(state.opened_tags) do
    local repository, tag = reference.split(ref)
    local at = json.part(repository)
    if not wanted[ref] and doc:remove(at .. json.part(tag or "latest")) and doc:count(at) == 0 then
      doc:remove(at)
    end
  end
  for _, ref in ipairs(id and state.tags or {}) do
    local repository, tag = reference.split(ref)
    local at = json.part(repository) .. json.part(tag or "latest")
    if plan.tags_changed or doc:type(at) then doc:set(at, core.json_quote(id)) end
  end
  if doc:text() ~= text then plan.edits:set(member, { bytes = doc:text() }) end
  return true
end

local function same_list(a, b)
  return table.concat(a, "\0") == table.concat(b, "\0")
end

--- What changes in the archive with the image as it is now.
---@param state table  of the image
---@param image strata.ImageToWrite
---@param opts {attestations?: "keep"|"drop"|"refuse"}
---@param notes string[]  gets what could not be kept
---@return strata.Edits?
---@return string? message
---@return string? code
function docker_edit.edits(state, image, opts, notes)
  local states, now = {}, {}
  for i, one in ipairs(image.layers) do states[i], now[one.state] = one.state, one end
  local source, text = state.source, state.config:text()
  local plan = {
    now = now, image = image, notes = notes, attestations = opts.attestations or "keep",
    source = source, edits = archive_edits.new(source.members), used = {}, claimed = {},
    shared = shared_members(source), made = {}, of_layers = {},
    old_id = core.sha256(state.opened_config), old_sha512 = core.sha512(state.opened_config),
    new_id = core.sha256(text),
    old_config = state.opened_config, new_config = text,
    tags_changed = not same_list(state.tags, state.opened_tags),
  }
  for _, one in ipairs(source.layers) do plan.of_layers[one.member.position] = true end
  local ok
  local names, message, code = edit_layers(plan, states)
  if not names then return nil, message, code end
  local config_name = edit_config(plan, text)
  ok, message, code = edit_v1_json.edit(plan, config.document(state.config))
  if not ok then return nil, message, code end
  ok, message, code = edit_index.edit(plan, state)
  if not ok then return nil, message, code end
  ok, message, code = edit_manifest(plan, state, states, config_name, names)
  if not ok then return nil, message, code end
  ok, message, code = edit_repositories(plan, state, states, names)
  if not ok then return nil, message, code end
  return plan.edits
end

--- The parts of the archive with the image as it is now.
---@param state table
---@param image strata.ImageToWrite
---@param opts table
---@param notes string[]
---@return strata.Segment[]?
---@return string? message
---@return string? code
function docker_edit.segments(state, image, opts, notes)
  local change, message, code = docker_edit.edits(state, image, opts, notes)
  if not change then return nil, message, code end
  return change:segments()
end

return docker_edit

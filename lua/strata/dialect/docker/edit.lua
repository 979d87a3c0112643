--- Saving an edited image back into its archive: members that do not change keep
-- their bytes, names that state a digest get the new one, and the spans of documents
-- that name what has changed are edited.

local archive_edits = require "strata.dialect.archive_edits"
local core = require "strata.core"
local digests = require "strata.util.digests"
local docker = require "strata.dialect.docker.read"
local edit_index = require "strata.dialect.docker.edit_index"
local edit_layers = require "strata.dialect.docker.edit_layers"
local edit_v1_json = require "strata.dialect.docker.edit_v1_json"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_image = require "strata.dialect.oci.image"
local oci_names = require "strata.dialect.oci.names"
local parents = require "strata.dialect.docker.parents"
local reference = require "strata.document.reference"
local run_job = require("strata.util.job").run

local docker_edit = {}

docker_edit.new_name = edit_layers.new_name

-- Where `repositories` has the id for a name.
local function id_pointer(ref)
  local repository, tag = reference.split(ref)
  local at = json.part(repository)
  return at .. json.part(tag or "latest"), at
end

-- The ids that `repositories` gives to the tags of an image.
local function ids_of(plan, refs)
  local member, ids = plan.store.by_name["repositories"], {}
  local text = member and member.type == "file" and plan.store:read(member, plan.limits.json.max_bytes)
  local doc = text and core.json(text, plan.limits.json)
  for _, ref in ipairs(doc and type(refs) == "table" and refs or {}) do
    local id = doc:get((id_pointer(tostring(ref))))
    if type(id) == "string" then ids[#ids + 1] = id end
  end
  return ids
end

-- The members that images of manifest.json which are not edited need as they are.
local function note_items(plan, note)
  for i, item in ipairs(plan.items) do
    if not plan.by_item[i] then
      note((docker.field(item, "Config")))
      local names = docker.field(item, "Layers")
      for _, name in ipairs(type(names) == "table" and names or {}) do
        note(name)
        note((tostring(name):gsub("layer%.tar$", "json")))
      end
      for _, id in ipairs(ids_of(plan, (docker.field(item, "RepoTags")))) do note(id .. "/json") end
    end
  end
end

-- Whether a manifest is that of an edited image.
local function is_edited(plan, document)
  for _, edited in ipairs(plan.images) do
    local config = type(document.config) == "table" and document.config.digest
    if (config == edited.old_id or config == edited.old_sha512) and
      #oci_image.layers(document) == #edited.source.layers then
      return true
    end
  end
end

-- The same for what index.json leads to. One that cannot be read leads nowhere.
local function note_manifests(plan, note)
  local catalog = plan.store:has("index.json") and oci_catalog.of(plan.store, plan.limits)
  for _, one in ipairs(catalog and catalog.manifests or {}) do
    local document = one.document
    if document and not is_edited(plan, document) then
      local descriptors = { document.config }
      for _, descriptor in ipairs(oci_image.layers(document)) do descriptors[#descriptors + 1] = descriptor end
      for _, descriptor in ipairs(descriptors) do
        local digest = type(descriptor) == "table" and descriptor.digest
        if type(digest) == "string" then note(digests.path(digest)) end
      end
    end
  end
end

-- The members that images which are not edited need as they are, by position.
local function shared_members(plan)
  local shared = {}
  local function note(name)
    local member, named
    if type(name) == "string" then member, named = plan.store:resolve(name, "member") end
    if member then
      shared[member.position] = true
      shared[named.position] = true
    end
  end
  note_items(plan, note)
  note_manifests(plan, note)
  for _, edited in ipairs(plan.images) do
    if edited.stays then shared[edited.source.config_member.position] = true end
  end
  return shared
end

-- A name that two edited images would have, of which one gets it. nil: there is none.
local function double_name(plan)
  for _, edited in ipairs(plan.images) do
    for _, ref in ipairs(edited.item and edited.image.new_tags or {}) do
      local is_new = not reference.find(edited.image.opened.tags, ref)
      for _, other in ipairs(is_new and plan.images or {}) do
        if other ~= edited and other.item and reference.find(other.image.tags, ref) then return ref end
      end
    end
  end
end

-- ---- documents ------------------------------------------------------------------

-- Images that were opened one by one have stores, and members, of their own for the same archive.
local function is_same(a, b)
  return a ~= nil and a.position == b.position
end

-- Gives the config its name in the new archive, unless a file of that name and content is there.
local function place_config(plan, edited, stored)
  local member, text = edited.source.config_member, edited.image.config_text
  local there, before = plan.store.by_name[core.normalise(stored)], plan.edits:of(member)
  local is_shared = plan.shared[member.position] or before and before.bytes ~= text
  if there == nil and is_shared then
    plan.edits:add { name = stored, bytes = text }
  elseif there == nil or is_same(there, member) then
    plan.edits:set(member, { name = stored ~= member.stored_name and stored or nil, bytes = text })
  elseif plan.store:read(there, plan.limits.json.max_bytes) ~= text then
    return fail("EFORMAT", "%s: another file has the name %s, which the config has to get", plan.store.path,
      core.quote(stored))
  elseif not is_shared then
    plan.edits:set(member, { drop = true })
  end
  return stored
end

-- Writes the config; its name for manifest.json. It takes the place of the old one, unless another image needs that. A
-- digest in the name becomes that of the content, which it need not have been.
local function edit_config(plan, edited)
  local source, text = edited.source, edited.image.config_text
  local member = source.config_member
  if edited.stays then return source.config_name end
  plan.notes[#plan.notes + 1] = edited.note
  local old, new = source.config_digest or edited.old_id, edited.new_id
  local stored, before = digests.rename(member.stored_name, old, new), plan.edits:of(member)
  local is_shared = plan.shared[member.position] or before and before.bytes ~= text
  if is_shared and stored == member.stored_name then stored = digests.hex(new) .. ".json" end
  local name, message, code = place_config(plan, edited, stored)
  if not name then return nil, message, code end
  local link = plan.store.by_name[core.normalise(source.config_name)]
  if is_same(link, member) and stored ~= digests.hex(new) .. ".json" then
    return digests.rename(source.config_name, old, new)
  end
  local is_needless = link and not is_same(link, member) and not plan.shared[link.position]
  if is_needless then plan.edits:set(link, { drop = true }) end
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
local function edit_layer_sources(image, doc, pointer)
  if doc:type(pointer) ~= "object" then return end
  local wanted, sources = {}, {}
  for _, key in ipairs(doc:keys(pointer)) do sources[key] = doc:raw(pointer .. json.part(key)) end
  for _, one in ipairs(image.layers) do
    wanted[one.diff_id] = true
    if one.digest then wanted[one.digest] = true end
  end
  for _, one in ipairs(image.layers) do
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
  for _, gone in ipairs(image.opened.layers) do
    for _, key in ipairs { gone.diff_id, gone.digest } do
      if not wanted[key] then doc:remove(pointer .. json.part(key)) end
    end
  end
end

-- Edits the item of one image in manifest.json.
local function edit_item(doc, edited)
  local source, image, kept, quoted = edited.source, edited.image, {}, {}
  local function pointer_to(name)
    local _, key = docker.field(source.item, name)
    return source.pointer .. json.part(key)
  end
  for _, one in ipairs(image.layers) do
    if one.origin then kept[one.origin] = true end
  end
  for i, name in ipairs(edited.names) do quoted[i] = core.json_quote(name) end
  local layers = pointer_to("Layers")
  if doc:type(layers) ~= "array" then doc:set(layers, "[]") end
  local ok, message, code = sync_array(doc, layers, kept, quoted)
  if not ok then return nil, message, code end
  doc:set(pointer_to("Config"), core.json_quote(edited.config_name))
  edit_layer_sources(image, doc, pointer_to("LayerSources"))
  if image.new_tags then doc:set(pointer_to("RepoTags"), json.encode(json.array(image.new_tags))) end
  return true
end

-- Takes a name that an edited image gets from the images that are not edited.
local function take_name(plan, doc, ref)
  for i, item in ipairs(plan.items) do
    local tags, key = docker.field(item, "RepoTags")
    local pointer = ("/%d"):format(i - 1) .. json.part(key)
    for k = not plan.by_item[i] and type(tags) == "table" and #tags or 0, 1, -1 do
      if type(tags[k]) == "string" and reference.find({ tags[k] }, ref) then
        doc:remove(pointer .. "/" .. (k - 1))
        plan.notes[#plan.notes + 1] = oci_names.moved(ref)
      end
    end
  end
end

local function edit_manifest(plan)
  if next(plan.by_item) == nil then return true end
  local member, before, message, code, doc
  member, message, code = plan.store:resolve("manifest.json", "manifest")
  if not member then return nil, message, code end
  before, message, code = plan.store:read(member, plan.limits.json.max_bytes)
  if not before then return nil, message, code end
  doc, message, code = core.json(before, plan.limits.json)
  if not doc then return nil, message, code end
  for _, edited in ipairs(plan.images) do
    local ok = true
    if edited.item then ok, message, code = edit_item(doc, edited) end
    if not ok then return nil, message, code end
    for _, ref in ipairs(edited.image.new_tags or {}) do
      if not reference.find(edited.image.opened.tags, ref) then take_name(plan, doc, ref) end
    end
  end
  parents.edit(plan, doc)
  local text = doc:text()
  if text ~= before then plan.edits:set(member, { bytes = text }) end
  return true
end

-- The id by which `repositories` names an image: the directory of its top layer, or the
-- diff_id of that. nil when the image has no layers.
local function top_id(plan, edited, doc)
  local opened, layers, names, id = edited.image.opened, edited.image.layers, edited.names, nil
  local top = layers[#layers]
  if not top then return nil end
  for _, ref in ipairs(opened.tags) do id = id or doc:get((id_pointer(ref))) end
  local before = opened.layers[#opened.layers]
  if id and before and id == digests.hex(before.diff_id) then return digests.hex(top.diff_id) end
  if id and (not top.origin or top.origin == #opened.layers) then return id end
  local dir = names[#names]:match("([^/]+)/layer%.tar$")
  if dir then return dir end
  local place = edited.source.layers[top.origin]
  for _, link in ipairs(place and plan.store.list or {}) do
    dir = link.type == "symlink" and link.name:match("([^/]+)/layer%.tar$")
    if dir and plan.store:resolve(link.name, "link") == place.member then return dir end
  end
  return digests.hex(top.diff_id)
end

-- Edits {"repository": {"tag": "id of the top layer"}}, which old readers use. A name can go from one image to
-- another, so all ids are read first, then names are taken away, then they are given.
local function edit_repositories(plan)
  local member = plan.store.by_name["repositories"]
  if not member or member.type ~= "file" then return true end
  local text = plan.store:read(member, plan.limits.json.max_bytes)
  local doc = text and core.json(text, plan.limits.json)
  if not doc or doc:type("") ~= "object" then return true end
  local ids = {}
  for i, edited in ipairs(plan.images) do ids[i] = edited.item and top_id(plan, edited, doc) or false end
  for i, edited in ipairs(plan.images) do
    local wanted = {}
    for _, ref in ipairs(ids[i] and edited.image.tags or {}) do wanted[ref] = true end
    for _, ref in ipairs(edited.item and edited.image.opened.tags or {}) do
      local pointer, repository = id_pointer(ref)
      if not wanted[ref] and doc:remove(pointer) and doc:count(repository) == 0 then doc:remove(repository) end
    end
  end
  for i, edited in ipairs(plan.images) do
    for _, ref in ipairs(ids[i] and edited.image.tags or {}) do
      local pointer = id_pointer(ref)
      if edited.image.new_tags or doc:type(pointer) then doc:set(pointer, core.json_quote(ids[i])) end
    end
  end
  if doc:text() ~= text then plan.edits:set(member, { bytes = doc:text() }) end
  return true
end

--- One image of a save into the archive that it came from.
---@class strata.EditedImage
---@field image strata.ImageToWrite
---@field source strata.DockerSource  of one that only index.json lists: a table that says where its parts are
---@field item integer?  its place in manifest.json, from 1
---@field old_id string  digest of the config that was opened, by SHA-256
---@field old_sha512 string  the same by SHA-512
---@field new_id string  digest of the config now
---@field note string?  what is told of a config that was named by another hash
---@field stays boolean  its config keeps its bytes and its name
---@field names string[]  of its layers in manifest.json. Written by edit_layers
---@field config_name string  of its config in manifest.json
---@field manifest {digest: string, size: integer}?  its new manifest. Written by edit_index

--- A save of images into the archive that they came from, while it is worked out.
---@class strata.DockerEdit
---@field images strata.EditedImage[]
---@field by_item table<integer, strata.EditedImage>  by their places in manifest.json, from 1
---@field items table[]  all of manifest.json, as it was opened
---@field store strata.ArchiveStore
---@field limits strata.Limits
---@field edits strata.Edits  the result
---@field used table<integer, boolean>  by position: members whose bytes stay, because a layer needs them
---@field shared table<integer, boolean>  by position: members that images which are not edited need as they are
---@field of_layers table<integer, boolean>  by position: members that layers of edited images were opened from
---@field claimed table<integer, table>  by position: members that a changed layer has got
---@field made table<string, boolean>  names of members that changed or added layers have
---@field attestations "keep"|"drop"|"refuse"
---@field index_changes table<string, strata.AnnotationChange[]>  by digest of an index; "" is index.json
---@field notes string[]  gets what could not be kept

-- Where the parts of an image are. One that only index.json lists has no item in manifest.json.
local function place_of(source)
  if source.kind == "docker" then return source, source.number + 1 end
  local store, document = source.store, source.manifest.document
  local config = store:blob_name(document.config.digest)
  local place = { layers = {}, config_name = config, config_digest = document.config.digest,
                  config_member = store:resolve(config, "config") }
  for i, descriptor in ipairs(oci_image.layers(document)) do
    local name = store:blob_name(descriptor.digest)
    local member, named = store:resolve(name, "layer")
    place.layers[i] = member and { name = name, named = named, member = member } or false
  end
  return place
end

local function new_plan(images, opts, notes, whole)
  local source = images[1].source
  local store, given = source.store, source.limits or source.catalog.limits
  local plan = {
    images = {}, by_item = {}, items = docker.items(store, given) or {}, store = store, limits = given,
    edits = archive_edits.new(store), used = {}, of_layers = {}, claimed = {}, made = {},
    attestations = opts.attestations or "keep", index_changes = whole and whole.index_changes or {}, notes = notes,
  }
  for i, image in ipairs(images) do
    local before = image.opened.config_text
    local edited = { image = image, names = {}, old_id = core.sha256(before), old_sha512 = core.sha512(before),
                     new_id = core.sha256(image.config_text) }
    edited.source, edited.item = place_of(image.source)
    edited.note = edited.source.misnaming and edited.source:misnaming()
    edited.stays = edited.old_id == edited.new_id and not edited.note
    plan.images[i] = edited
    if edited.item then plan.by_item[edited.item] = edited end
  end
  plan.shared = shared_members(plan)
  return plan
end

--- The documents that repeat the config of an image. Those of layers that were removed, and those that other images
--- of the archive need as they are, are not among them.
---@param image strata.ImageToWrite  of which layers may be states of layers
---@return strata.RepeatedConfig[]?
---@return string? message
---@return string? code
function docker_edit.repeated(image)
  local plan = new_plan({ image }, {}, {})
  edit_layers.drop_removed(plan)
  return edit_v1_json.documents(plan, image)
end

--- The documents of layers that stay as they are, since other images of the archive need them.
---@param image strata.ImageToWrite  source and opened are enough
---@return strata.Member[]
function docker_edit.shared_documents(image)
  local plan, list = new_plan({ image }, {}, {}), {}
  for _, member in ipairs(plan.store.list) do
    if plan.shared[member.position] and member.name:find("^[^/]+/json$") then list[#list + 1] = member end
  end
  return list
end

-- Has what other images need compared with its digest: while it is copied, or before, where only the digest of the
-- inflated bytes is known.
local function verify_shared(plan, opts)
  local edits, store, job, any = plan.edits, plan.store, core.job(), false
  local function is_open(member)
    return not edits:of(member) and not edits.verify[member.position] and not store:is_hole(member)
  end
  for _, member in ipairs(store.list) do
    local digest = plan.shared[member.position] and store:stated_digest(member)
    if digest and is_open(member) then edits.verify[member.position] = { digest = digest, label = member.name } end
  end
  for i = 1, #plan.items do
    for _, one in ipairs(plan.by_item[i] and {} or docker.stated_layers(store, plan.items, i - 1, plan.limits)) do
      local member = one.member
      if is_open(member) and one.digest then
        edits.verify[member.position] = { digest = one.digest, label = one.label }
      elseif is_open(member) then
        any = true
        job:hash(limits.add(plan.limits, {
          label = one.label, file = store.file, offset = member.offset, size = member.size,
          compression = one.compression, plain = true, diff_id = one.diff_id,
        }))
      end
    end
  end
  local ok, message, code = true, nil, nil
  if any then ok, message, code = run_job(job, opts, "hashing") end
  job:close()
  return ok, message, code
end

-- Whether every image that was edited is led to, by manifest.json or by index.json. Where manifest.json has an image
-- with the same config and the same names, index.json is taken to be about that one.
local function check_led_to(plan)
  for _, edited in ipairs(plan.images) do
    local digest = edited.image.config_digest
    local has_changed = digest ~= edited.old_id and digest ~= edited.old_sha512
    if has_changed and not edited.item and not edited.manifest then
      return fail("EFORMAT",
        "%s: nothing would lead to the edited image: manifest.json and index.json disagree about it", plan.store.path)
    end
  end
  return true
end

--- The edits of the archive that images came from. Its other images stay as they are.
---@param images strata.ImageToWrite[]
---@param opts {attestations: "keep"|"drop"|"refuse"|nil, verify: boolean?, threads: integer?, progress: function?}
---@param notes string[]  gets what could not be kept
---@param whole strata.Listing?  all that it has is saved
---@return strata.Edits?
---@return string? message
---@return string? code
function docker_edit.edits(images, opts, notes, whole)
  local plan = new_plan(images, opts, notes, whole)
  local double = double_name(plan)
  if double then return fail("EINVAL", "%s: two images cannot both have the name %s", plan.store.path, double) end
  local ok, message, code = edit_layers.edit(plan)
  if not ok then return nil, message, code end
  for _, edited in ipairs(plan.images) do
    edited.config_name, message, code = edit_config(plan, edited)
    if not edited.config_name then return nil, message, code end
  end
  for _, edit in ipairs { edit_v1_json.edit, edit_index.edit, edit_manifest, edit_repositories, check_led_to } do
    ok, message, code = edit(plan)
    if not ok then return nil, message, code end
  end
  if opts.verify ~= false then ok, message, code = verify_shared(plan, opts) end
  if not ok then return nil, message, code end
  return plan.edits
end

return docker_edit

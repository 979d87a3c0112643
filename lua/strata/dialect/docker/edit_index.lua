--- Edits index.json, and the indexes and manifests below it that lead to edited
-- images, in an archive that has both manifest.json and index.json.

local annotations = require "strata.document.annotations"
local core = require "strata.core"
local digests = require "strata.util.digests"
local docker = require "strata.dialect.docker.read"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local manifest = require "strata.document.manifest"
local media_types = require "strata.document.media_types"
local new_layout = require "strata.dialect.new_layout"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_changes = require "strata.dialect.oci.changes"
local oci_names = require "strata.dialect.oci.names"
local reference = require "strata.document.reference"
local scrub = require "strata.document.scrub"

local edit_index = {}

--- The edit of the documents below index.json, while it is worked out.
---@class strata.IndexEdit: strata.Attestations
---@field plan strata.DockerEdit
---@field visited table<string, strata.EditedDocument|false>  by a member's position and the image that has its names
---@field seen table<integer, boolean>  by position
---@field edited strata.EditedDocument[]
---@field kept table<integer, boolean>  by position: members whose old bytes stay
---@field failure {[1]: string, [2]: string}?

--- An index or a manifest that leads to edited images.
---@class strata.EditedDocument
---@field member strata.Member
---@field text string
---@field before string  its digest
---@field digest string
---@field size integer
---@field platform strata.PlatformFields?  of a manifest, when it changed
---@field scrubs strata.Scrub[]?  of a manifest's descriptors
---@field images table<strata.EditedImage, boolean>  that it leads to

local function read(self, member)
  return self.plan.store:read(member, self.plan.limits.json.max_bytes)
end

local function may_read(self, member)
  return self.plan.store:may_read(member, self.plan.limits.json.max_bytes)
end

local function blob_of(self, digest)
  local known = type(digest) == "string" and core.digest_valid(digest)
  local member = known and self.plan.store.by_name[digests.path(digest)]
  return member and may_read(self, member) and member or nil
end

local function put(self, member, text, images)
  local before = digests.in_path(member.name)
  local one = { member = member, text = text, before = before, digest = digests.of(text, before), size = #text,
                images = images }
  self.edited[#self.edited + 1] = one
  if one.digest == before then self.kept[member.position] = true end
  return one
end

local function is_index(doc)
  return doc:type("/manifests") == "array"
end

-- Keeps, drops or refuses the attestations about saved images in an index. `rows` has an element for each descriptor,
-- which goes with it.
local function edit_attestations(self, doc, rows)
  for i = doc:count("/manifests") - 1, 0, -1 do
    local pointer = "/manifests/" .. i
    local count = doc:count("/manifests")
    local ok, message, code = oci_changes.edit_attestation(self, doc, pointer, doc:get(pointer .. "/digest"))
    if not ok then self.failure = self.failure or { message, code } end
    if rows and doc:count("/manifests") < count then table.remove(rows, i + 1) end
  end
end

-- ---- which image is meant ---------------------------------------------------------------

-- The place in manifest.json of the image that has the name of a descriptor.
local function owner_of(self, doc, pointer)
  local names = oci_names.at(doc, pointer)
  for i, item in ipairs(#names > 0 and self.plan.items or {}) do
    local tags = docker.field(item, "RepoTags")
    for _, tag in ipairs(type(tags) == "table" and tags or {}) do
      if type(tag) == "string" and reference.find(names, tag) then return i end
    end
  end
end

-- Whether an image that is not edited has this config and as many layers.
local function is_twin(self, owner, edited)
  local item = self.plan.items[owner]
  local names, config = docker.field(item, "Layers"), docker.field(item, "Config")
  local member = type(config) == "string" and self.plan.store:resolve(config, "config")
  local text = member and read(self, member)
  return text and type(names) == "table" and #names == #edited.source.layers and core.sha256(text) == edited.old_id
end

-- The edited image that a manifest is of. Of several with the same config it is the one that the names belong to.
local function image_of(self, doc, owner)
  local config, first = doc:get("/config/digest"), nil
  for _, edited in ipairs(self.plan.images) do
    local is_its_config = config == edited.old_id or config == edited.old_sha512
    if is_its_config and doc:type("/layers") == "array" and doc:count("/layers") == #edited.source.layers then
      if owner and edited.item == owner then return edited end
      first = first or edited
    end
  end
  if first and owner and not self.plan.by_item[owner] and is_twin(self, owner, first) then return nil end
  return first
end

-- ---- indexes and manifests --------------------------------------------------------------

local visit

-- Points a descriptor at an edited document. That of a manifest also says something of its image.
local function point(doc, pointer, one)
  manifest.point(doc, pointer, one.digest, one.size)
  if one.platform then manifest.set_platform(doc, pointer, one.platform) end
  scrub.image_descriptor(doc, pointer, one.scrubs or {})
end

-- Carries out what is asked of the annotations of an index: whether that changed anything.
local function annotate(self, doc, digest)
  local any = false
  for _, change in ipairs(self.plan.index_changes[digest] or {}) do
    any = annotations.change(doc, "", change) or any
  end
  return any
end

-- Points the descriptors of an index at what became of its manifests. nil: it leads to no edited image.
local function visit_index(self, member, doc, owner, depth)
  local images = {}
  for i = 0, doc:count("/manifests") - 1 do
    local pointer = "/manifests/" .. i
    local child = blob_of(self, doc:get(pointer .. "/digest"))
    local one = child and visit(self, child, owner, depth + 1)
    if one then
      point(doc, pointer, one)
      for edited in pairs(one.images) do images[edited] = true end
    end
  end
  if not annotate(self, doc, digests.in_path(member.name)) and next(images) == nil then return nil end
  edit_attestations(self, doc)
  return put(self, member, doc:text(), images)
end

local function visit_manifest(self, member, doc, owner)
  local edited = image_of(self, doc, owner)
  if not edited then return nil end
  local image = edited.image
  local is_own = image.manifest_text and digests.in_path(member.name) == image.manifest_digest
  local text, message, code = manifest.edit(is_own and image.manifest_text or doc:text(), image)
  if not text then
    self.failure = self.failure or { message, code }
    return nil
  end
  local one = put(self, member, text, { [edited] = true })
  one.platform, one.scrubs = image.new_platform, image.scrubs
  edited.manifest = edited.manifest or one
  self.saved[one.before] = true
  if one.digest ~= one.before then self.new_of[one.before] = one end
  return one
end

-- Edits the manifest or index in a member; nil when it leads to no edited image. Its names, those of the descriptor in
-- index.json, belong to the image `owner`.
function visit(self, member, owner, depth)
  local key = member.position .. "/" .. (owner or "")
  local known = self.visited[key]
  if known ~= nil or depth > self.plan.limits.index_depth then return known or nil end
  self.visited[key], self.seen[member.position] = false, true
  local text = read(self, member)
  local doc = text and core.json(text, self.plan.limits.json)
  if not doc or doc:type("") ~= "object" then return nil end
  local one
  if is_index(doc) then
    one = visit_index(self, member, doc, owner, depth)
  else
    one = visit_manifest(self, member, doc, owner)
  end
  if not one then self.kept[member.position] = true end
  self.visited[key] = one or false
  return one
end

-- Edits what index.json leads to. For each of its descriptors: the document that leads to edited images, or false.
local function visit_root(self, doc)
  local rows, any = {}, false
  for i = 0, (is_index(doc) and doc:count("/manifests") or 0) - 1 do
    local pointer = "/manifests/" .. i
    local child = blob_of(self, doc:get(pointer .. "/digest"))
    local one = child and visit(self, child, owner_of(self, doc, pointer), 1)
    if one then
      point(doc, pointer, one)
      any = true
    end
    rows[i + 1] = one or false
  end
  if any then edit_attestations(self, doc, rows) end
  return rows
end

-- Edits manifests that no descriptor names: Docker 25 saves those of untagged images so.
local function visit_the_rest(self)
  for _, member in ipairs(self.plan.store.list) do
    local is_blob = digests.in_path(member.name) and may_read(self, member)
    if is_blob and not self.plan.edits:of(member) and not self.seen[member.position] then
      local text = read(self, member)
      for _, edited in ipairs(text and text:find("^%s*{") and self.plan.images or {}) do
        if text:find(edited.old_id, 1, true) or text:find(edited.old_sha512, 1, true) then
          visit(self, member, edited.item, 1)
        end
      end
    end
  end
end

-- ---- the result -------------------------------------------------------------------------

-- Gives the edited documents the place of the old ones, or one of their own where the old ones stay.
local function place_documents(self)
  local edits, store, moved = self.plan.edits, self.plan.store, {}
  for _, one in ipairs(self.edited) do
    moved[one.member.position] = one.digest ~= one.before and not self.kept[one.member.position] or nil
  end
  for _, one in ipairs(self.edited) do
    local member, path = one.member, digests.path(one.digest)
    local there, before = store.by_name[path], edits:of(member)
    if there and not moved[there.position] then -- it has its place
      if moved[member.position] then edits:set(member, { drop = true }) end
    elseif not moved[member.position] or (before and before.bytes ~= one.text) then
      edits:add { name = path, bytes = one.text }
    else
      edits:set(member, { bytes = one.text, name = digests.rename(member.stored_name, one.before, one.digest) })
    end
  end
end

-- A descriptor without a name for a manifest that none leads to.
local function add_descriptor(doc, one)
  if not is_index(doc) then doc:set("/manifests", "[]") end
  local family = media_types.family(core.json(one.text):get("/mediaType"))
  doc:set("/manifests/-", new_layout.descriptors(one.digest, one.size, {}, { family = family })[1])
  return doc:count("/manifests") - 1
end

-- Gives the images their names. `rows` has what the descriptors of index.json lead to.
local function give_names(self, doc, rows)
  local namings = {}
  for _, edited in ipairs(self.plan.images) do
    local refs, ours = edited.image.new_tags, {}
    for i, one in ipairs(refs and rows or {}) do
      if one and one.images[edited] then ours[#ours + 1] = i - 1 end
    end
    if refs and #ours == 0 and #refs > 0 and edited.manifest then ours[1] = add_descriptor(doc, edited.manifest) end
    if #ours > 0 then namings[#namings + 1] = { ours = ours, refs = refs } end
  end
  if #namings == 0 then return true end
  local ok, message, code = oci_names.give(doc, namings, self.notes)
  if not ok then return fail(code, "%s: index.json: %s", self.plan.store.path, message) end
  return true
end

-- Drops removed attestations, and of the blobs that they name those that no other document names.
local function drop_removed(self, root)
  local texts, going, removed = { root }, {}, {}
  for _, one in ipairs(self.plan.edits.added) do texts[#texts + 1] = one.bytes end
  for _, member in ipairs(self.plan.store.list) do
    local digest = self.plan.store:stated_digest(member)
    local text = digest and may_read(self, member) and
      self.plan.edits:text(member, self.plan.limits.json.max_bytes) or ""
    if digest and self.removed[digest] then
      removed[#removed + 1] = { member = member, digest = digest, text = text }
    elseif text:find("^%s*{") then
      texts[#texts + 1] = text
    end
  end
  local all = table.concat(texts, "\n")
  for _, one in ipairs(removed) do
    if not all:find(digests.hex(one.digest), 1, true) then
      self.plan.edits:set(one.member, { drop = true })
      for name in one.text:gmatch('"(%w+:%x+)"') do going[name] = true end
    end
  end
  for name in pairs(going) do
    local member = self.plan.store.by_name[digests.path(name)]
    if member and not self.plan.edits:of(member) and not all:find(digests.hex(name), 1, true) then
      self.plan.edits:set(member, { drop = true })
    end
  end
end

-- The image that a manifest in the archive is about. An image is about none.
local function subject_of(self, digest)
  local member = blob_of(self, digest)
  local text = member and read(self, member)
  local document = text and json.decode(text, self.plan.limits.json)
  local config = type(document) == "table" and document.config
  local is_image = type(config) == "table" and media_types.is_image_config(json.or_nil(config.mediaType),
    media_types.family(json.or_nil(document.mediaType)))
  return oci_catalog.subject({}, not is_image and document)
end

--- Edits index.json and the documents below it.
---@param plan strata.DockerEdit
---@return boolean? ok
---@return string? message
---@return string? code
function edit_index.edit(plan)
  local member = plan.store.by_name["index.json"]
  if not member then return true end
  local self = {
    plan = plan, visited = {}, seen = {}, edited = {}, kept = {}, how = plan.attestations, saved = {}, new_of = {},
    removed = {}, notes = plan.notes,
  }
  self.subject = function(digest) return subject_of(self, digest) end
  local text, message, code = read(self, member)
  if not text then return nil, message, code end
  local doc
  doc, message, code = core.json(text, plan.limits.json)
  if not doc then return nil, ("%s: index.json: %s"):format(plan.store.path, message), code end
  local rows = visit_root(self, doc)
  annotate(self, doc, "")
  visit_the_rest(self)
  if self.failure then return nil, self.failure[1], self.failure[2] end
  place_documents(self)
  local ok
  ok, message, code = give_names(self, doc, rows)
  if not ok then return nil, message, code end
  if next(self.removed) then drop_removed(self, doc:text()) end
  if doc:text() ~= text then plan.edits:set(member, { bytes = doc:text() }) end
  return true
end

return edit_index

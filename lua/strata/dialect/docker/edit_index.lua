--- Edits index.json, and the indexes and manifests below it that lead to an edited
-- image, in an archive that has both manifest.json and index.json.

local core = require "strata.core"
local digests = require "strata.util.digests"
local manifest = require "strata.document.manifest"
local new_layout = require "strata.dialect.new_layout"
local oci_changes = require "strata.dialect.oci.changes"
local oci_names = require "strata.dialect.oci.names"

local edit_index = {}

local function blob_of(plan, digest)
  local known = type(digest) == "string" and core.digest_valid(digest)
  local member = known and plan.store.by_name[digests.path(digest)]
  return member and plan.source:may_read(member) and member or nil
end

-- Replaces the text and the name of a blob; returns its new digest and size.
local function replace_blob(plan, member, text)
  local before = digests.in_path(member.name)
  local digest = digests.of(text, before)
  plan.edits:set(member, { bytes = text, name = digests.rename(member.stored_name, before, digest) })
  return digest, #text
end

-- Whether a digest names the config that the image was opened with.
local function is_config(plan, digest)
  return digest == plan.old_id or digest == plan.old_sha512
end

local function is_index(doc)
  return doc:type("/manifests") == "array"
end

-- Keeps, drops or refuses the attestations about the image in an index.
local function edit_attestations(plan, doc)
  for i = doc:count("/manifests") - 1, 0, -1 do
    local pointer = "/manifests/" .. i
    local ok, message, code = oci_changes.edit_attestation(plan.following, doc, pointer,
      doc:get(pointer .. "/digest"))
    if not ok then plan.failure = plan.failure or { message, code } end
  end
end

-- Edits the manifest or index in a member. Returns its new digest and size, or nil when
-- it does not lead to the image.
local function visit(plan, member, depth)
  if depth > plan.source.limits.index_depth or plan.visited[member.position] then
    local before = plan.visited[member.position]
    if before then return before.digest, before.size end
    return nil
  end
  local text = plan.source:read(member)
  local doc = text and core.json(text, plan.source.limits.json)
  plan.visited[member.position] = {}
  if not doc or doc:type("") ~= "object" then return nil end
  local digest, size
  if is_index(doc) then
    local changed = false
    for i = 0, doc:count("/manifests") - 1 do
      local pointer = "/manifests/" .. i
      local child = blob_of(plan, doc:get(pointer .. "/digest"))
      local child_digest, child_size
      if child then child_digest, child_size = visit(plan, child, depth + 1) end
      if child_digest then
        manifest.point(doc, pointer, child_digest, child_size)
        changed = true
      end
    end
    if changed then
      edit_attestations(plan, doc)
      digest, size = replace_blob(plan, member, doc:text())
    end
  elseif is_config(plan, doc:get("/config/digest")) and doc:type("/layers") == "array" and
    doc:count("/layers") == #plan.source.layers then
    local now, message, code = manifest.edit(text, plan.image)
    if not now then return nil, message, code end
    digest, size = replace_blob(plan, member, now)
    plan.manifest = { digest = digest, size = size }
    local before = digests.in_path(member.name)
    if digest ~= before then plan.following.new_of[before] = plan.manifest end
  end
  plan.visited[member.position] = { digest = digest, size = size }
  return digest, size
end

local function edit_index_json(plan, member)
  local text, message, code = plan.source:read(member)
  if not text then return nil, message, code end
  local doc
  doc, message, code = core.json(text, plan.source.limits.json)
  if not doc then return nil, ("%s: index.json: %s"):format(plan.store.path, message), code end
  local ours = {}
  for i = 0, (is_index(doc) and doc:count("/manifests") or 0) - 1 do
    local pointer = "/manifests/" .. i
    local child = blob_of(plan, doc:get(pointer .. "/digest"))
    if child then
      local digest, size = visit(plan, child, 1)
      if digest then
        manifest.point(doc, pointer, digest, size)
        if plan.image.new_platform and plan.manifest and plan.manifest.digest == digest then
          manifest.set_platform(doc, pointer, plan.image.new_platform)
        end
        ours[#ours + 1] = i
      end
    end
  end
  if #ours > 0 then edit_attestations(plan, doc) end
  if plan.image.new_tags and #ours > 0 then oci_names.sync(doc, ours, plan.image.new_tags) end
  return doc, text
end

-- Edits manifests that no descriptor names: Docker 25 saves those of untagged images so.
local function visit_the_rest(plan)
  for _, member in ipairs(plan.store.list) do
    if plan.source:may_read(member) and not plan.edits:of(member) and
      digests.in_path(member.name) and not plan.visited[member.position] then
      local text = plan.source:read(member)
      if text and text:find("^%s*{") and (text:find(plan.old_id, 1, true) or text:find(plan.old_sha512, 1, true)) then
        visit(plan, member, 1)
      end
    end
  end
end

-- Drops removed attestations, and of the blobs that they name those that no other document names.
local function drop_removed(plan, root)
  local texts, going = { root }, {}
  for _, member in ipairs(plan.store.list) do
    local digest = plan.store:stated_digest(member)
    if digest and plan.source:may_read(member) then
      local text = plan.edits:text(member, plan.source.limits.json.max_bytes) or ""
      if plan.following.removed[digest] then
        plan.edits:set(member, { drop = true })
        for name in text:gmatch('"(%w+:%x+)"') do going[name] = true end
      elseif text:find("^%s*{") then
        texts[#texts + 1] = text
      end
    end
  end
  local all = table.concat(texts, "\n")
  for name in pairs(going) do
    local member = plan.store.by_name[digests.path(name)]
    if member and not plan.edits:of(member) and not all:find(digests.hex(name), 1, true) then
      plan.edits:set(member, { drop = true })
    end
  end
end

--- Edits index.json and the documents below it.
---@return boolean? ok
---@return string? message
---@return string? code
function edit_index.edit(plan)
  local member = plan.store.by_name["index.json"]
  if not member then return true end
  plan.visited = {}
  plan.following = { new_of = {}, removed = {}, notes = plan.notes, attestations = plan.attestations }
  local doc, text, code = edit_index_json(plan, member)
  if not doc then return nil, text, code end
  visit_the_rest(plan)
  if plan.failure then return nil, plan.failure[1], plan.failure[2] end
  if next(plan.following.removed) then drop_removed(plan, doc:text()) end
  local tags = plan.image.new_tags
  if tags and plan.manifest and #tags > 0 and
    (not is_index(doc) or doc:count("/manifests") == 0) then
    local list = new_layout.descriptors(plan.manifest.digest, plan.manifest.size, tags)
    doc:set("/manifests", "[" .. table.concat(list, ",") .. "]")
  end
  if doc:text() ~= text then plan.edits:set(member, { bytes = doc:text() }) end
  return true
end

return edit_index

--- The layers of edited images, placed among the members of the archive that the images came from.
--
-- An image can share members with others of the archive. A member that an image needs as it is stays; a changed layer
-- takes the place of its old member where no image needs the old bytes.

local core = require "strata.core"
local digests = require "strata.util.digests"
local new_layout = require "strata.dialect.new_layout"
local run_job = require("strata.util.job").run

local edit_layers = {}

--- The name for the member of a changed layer: its diff_id or digest in the old name is
-- replaced by the new digest.
---@param stored_name string
---@param before {diff_id: string, digest: string}
---@param digest string  of the new bytes
---@return string stored_name
function edit_layers.new_name(stored_name, before, digest)
  local old = stored_name:find(digests.hex(before.diff_id), 1, true) and before.diff_id or before.digest
  return digests.rename(stored_name, old, digest)
end

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
  if name:find(digests.hex(before.diff_id), 1, true) then return before.diff_id end
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
local function keep_layer(plan, edited, one)
  local place = edited.source.layers[one.origin]
  if not place then return "" end -- its blob is not in the archive
  plan.used[place.member.position] = true
  plan.used[place.named.position] = true
  if one.before.digest then
    plan.edits.verify[place.member.position] = { digest = one.before.digest, label = one.label }
  end
  return place.name
end

local function add_layer(plan, edited, one)
  local name = new_layer_name(edited.source, one)
  if not is_taken(plan, name) then
    plan.edits:add { name = name, part = new_layout.part_of(one) }
    plan.made[name] = true
  end
  return name
end

-- A changed layer takes the place of its old member, unless an unchanged layer or
-- another image needs the old bytes.
local function change_layer(plan, edited, one)
  local place = edited.source.layers[one.origin]
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
    return add_layer(plan, edited, one)
  end
  local old, message, code = digest_in_name(plan, one, member)
  if message then return nil, message, code end
  local stored = digests.rename(member.stored_name, old, one.digest)
  local name = core.normalise(stored)
  if name ~= member.name and is_taken(plan, name) then
    plan.edits:set(member, { drop = true }) -- the same blob is there already
  else
    plan.edits:set(member, { name = stored ~= member.stored_name and stored or nil, part = new_layout.part_of(one) })
    plan.made[name] = true
  end
  plan.claimed[member.position] = {
    digest = one.digest, old = old, name = named == member and digests.rename(place.name, old, one.digest) or name,
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
        local linkpath = digests.rename(link.linkpath, claimed.old, claimed.digest)
        if linkpath ~= link.linkpath then plan.edits:set(link, { linkpath = linkpath }) end
      elseif edit and edit.drop then
        plan.edits:set(link, { drop = true })
      end
    end
  end
end

-- Places the layers of an image that are not copied.
local function place_layers(plan, edited)
  for i, one in ipairs(edited.image.layers) do
    if not edited.names[i] then
      local place = one.origin and change_layer or add_layer
      local name, message, code = place(plan, edited, one)
      if not name then return nil, message, code end
      edited.names[i] = name
    end
  end
  return true
end

local function drop_layers(plan, edited)
  local present = {}
  for _, one in ipairs(edited.image.layers) do present[one.origin or 0] = true end
  for origin, gone in ipairs(edited.source.layers) do
    if gone and not present[origin] then drop_layer(plan, gone) end
  end
end

--- Drops the members of removed layers alone, where the others need not be placed.
---@param plan strata.DockerEdit
function edit_layers.drop_removed(plan)
  for _, edited in ipairs(plan.images) do
    for _, one in ipairs(edited.image.layers) do
      local place = one.origin and edited.source.layers[one.origin]
      if place then plan.used[place.member.position], plan.used[place.named.position] = true, true end
    end
  end
  for _, edited in ipairs(plan.images) do drop_layers(plan, edited) end
end

--- Places the layers of all images; their names for manifest.json go into the `names` of each.
---@param plan strata.DockerEdit
---@return boolean? ok
---@return string? message
---@return string? code
function edit_layers.edit(plan)
  for _, edited in ipairs(plan.images) do
    for _, place in ipairs(edited.source.layers) do
      if place then plan.of_layers[place.member.position] = true end
    end
    for i, one in ipairs(edited.image.layers) do
      if one.action == "copied" then edited.names[i] = keep_layer(plan, edited, one) end
    end
  end
  for _, edited in ipairs(plan.images) do
    local ok, message, code = place_layers(plan, edited)
    if not ok then return nil, message, code end
  end
  for _, edited in ipairs(plan.images) do drop_layers(plan, edited) end
  follow_links(plan)
  return true
end

return edit_layers

--- `Parent` of manifest.json: the image that an image was built from, by its ID.
--
-- docker load links an image with its parent when the archive has both, and fails where the history of the parent
-- is not the history of the image without its last row. Source: moby, image/tarexport/load.go, checkValidParent.

local core = require "strata.core"
local docker = require "strata.dialect.docker.read"
local json = require "strata.util.json"

local parents = {}

local ROW = { "created", "author", "created_by", "comment", "empty_layer" }

-- A row of a history for comparison: what Docker knows of it, where an absent value is an empty one.
local function row_text(row)
  local parts = {}
  for i, name in ipairs(type(row) == "table" and ROW or {}) do
    local value = json.or_nil((docker.field(row, name)))
    parts[i] = (value == nil or value == false) and "" or tostring(value)
  end
  return table.concat(parts, "\0")
end

local function array(value)
  return type(value) == "table" and json.is_array(value) and value or {}
end

-- What a parent is compared by. A config that cannot be read counts as one that has nothing.
local function shape(config)
  local shaped = { history = {}, diff_ids = {} }
  if type(config) ~= "table" then return shaped end
  for i, row in ipairs(array(config.history)) do shaped.history[i] = row_text(row) end
  local rootfs = type(config.rootfs) == "table" and config.rootfs or {}
  for i, diff_id in ipairs(array(rootfs.diff_ids)) do shaped.diff_ids[i] = tostring(diff_id) end
  return shaped
end

local function begins_with(list, beginning)
  for i, value in ipairs(beginning) do
    if list[i] ~= value then return false end
  end
  return true
end

local function is_parent(parent, child)
  local rows = #child.history - #parent.history
  local is_next = rows == 1 or (rows == 0 and #child.history == 0)
  return is_next and begins_with(child.history, parent.history) and begins_with(child.diff_ids, parent.diff_ids)
end

-- The parent of an image when the archive does not have it: the image without its last row.
local function presumed_parent(config)
  local shaped = shape(config)
  local last = type(config) == "table" and array(config.history)[#shaped.history]
  table.remove(shaped.history)
  if type(last) == "table" and not json.or_nil((docker.field(last, "empty_layer"))) then
    table.remove(shaped.diff_ids)
  end
  return shaped
end

-- The images of the archive as they will be: ID and config, by their place in manifest.json.
local function images_of(plan)
  local source, list = plan.images[1].source, {}
  for i, item in ipairs(plan.items) do
    local edited = plan.by_item[i]
    local text = edited and edited.image.config_text
    if not edited then
      local name = docker.field(item, "Config")
      local member = type(name) == "string" and plan.store:resolve(name, "config")
      text = member and source:read(member)
    end
    list[i] = { id = text and core.sha256(text), config = text and json.decode(text, plan.limits.json) }
  end
  return list
end

-- The parent as it will be: its ID, and what it is compared by. An image that the archive does not have is taken for
-- the image without its last row, as that was opened.
local function find_parent(plan, by_id, parent, child)
  if by_id[parent] then return parent, by_id[parent] end
  for _, edited in ipairs(plan.images) do
    if edited.old_id == parent then return edited.new_id, by_id[edited.new_id] end
  end
  return parent, presumed_parent(json.decode(child.image.opened.config_text, plan.limits.json))
end

--- Keeps every Parent that is still one, and gives it the new ID of an edited image; drops the others. Only the
-- Parent of edited images, and those that name them, are looked at.
---@param plan strata.DockerEdit
---@param doc strata.JSON  manifest.json
function parents.edit(plan, doc)
  local named, images, by_id = {}, nil, {}
  for _, edited in ipairs(plan.images) do named[edited.old_id], named[edited.new_id] = true, true end
  for i, item in ipairs(plan.items) do
    local parent, key = docker.field(item, "Parent")
    if type(parent) == "string" and parent ~= "" and (plan.by_item[i] or named[parent]) then
      if not images then
        images = images_of(plan)
        for _, one in ipairs(images) do
          if one.id then by_id[one.id] = shape(one.config) end
        end
      end
      local id, there = find_parent(plan, by_id, parent, plan.by_item[i])
      local pointer = ("/%d"):format(i - 1) .. json.part(key)
      if id == images[i].id or not is_parent(there, shape(images[i].config)) then
        doc:remove(pointer)
        plan.notes[#plan.notes + 1] = ("Parent of the image %s in manifest.json: it does not begin with the image %s"):
          format(json.printable(tostring(images[i].id), 80), json.printable(parent, 80))
      elseif id ~= parent then
        doc:set(pointer, core.json_quote(id))
      end
    end
  end
end

return parents

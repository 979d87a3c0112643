--- The per-layer JSON of Docker before 1.10, which later versions still write as
-- `<id>/json` or as a blob that no document names. The one of the top layer repeats the
-- image's config. Edits of the config are repeated there, and a purge is carried out in
-- all of them, so that nothing that was removed from the config stays in it.

local core = require "strata.core"
local json = require "strata.util.json"
local scrub = require "strata.document.scrub"
local times = require "strata.document.time"

local edit_v1_json = {}

-- Text of a value for comparison; null and absent are the same.
local function canonical(doc, pointer)
  local raw = doc:raw(pointer)
  if raw == nil or raw == "null" then return nil end
  return json.try_encode((json.decode(raw))) or raw
end

local function keys_of(doc, pointer)
  return doc:keys(pointer) or {}
end

-- Seconds since 1970, nil for what is no time.
local function seconds_of(doc)
  local created = doc:get("/created")
  return type(created) == "string" and select(2, times.read(created)) or nil
end

-- True when a v1 document repeats the config that the image was opened with. Images that were built alike have the same
-- settings; they differ in the time.
local function repeats_config(doc, old)
  if doc:type("/config") ~= "object" then return false end
  local created = seconds_of(doc)
  if created and created ~= seconds_of(old) then return false end
  local any = false
  for _, key in ipairs(keys_of(old, "/config")) do
    local pointer = "/config" .. json.part(key)
    local value = canonical(old, pointer)
    if value ~= nil then
      if canonical(doc, pointer) ~= value then return false end
      any = true
    end
  end
  return any
end

-- Sets or removes the value of a pointer when it differs between the old and the new config.
local function repeat_change(doc, old, new, at)
  local before, after = old:raw(at), new:raw(at)
  if before == after then return end
  if after then doc:set(at, after) else doc:remove(at) end
end

local TOP_LEVEL = { "architecture", "os", "created", "author", "comment", "variant",
                    "container", "container_config", "docker_version" }

-- Removes what was purged, also from a document of a lower layer, whose settings the config never had.
local function scrub_settings(doc, scrubs)
  for _, patterns in ipairs(scrubs) do
    scrub.settings(doc, "/config", patterns, false)
    scrub.settings(doc, "/container_config", patterns, true)
  end
end

-- The document with the edits of an image's config. nil: it is none of these documents.
local function edited_text(text, edited, limits)
  local doc, config = core.json(text, limits), edited.config
  if not doc or doc:type("") ~= "object" or doc:type("/id") ~= "string" or doc:type("/rootfs") then return nil end
  local is_repeated = repeats_config(doc, config.old)
  scrub_settings(doc, edited.image.scrubs)
  if not is_repeated then return doc:text() end
  for _, one in ipairs { config.old, config.new } do -- a change that was repeated already is repeated without effect
    for _, key in ipairs(keys_of(one, "/config")) do
      repeat_change(doc, config.old, config.new, "/config" .. json.part(key))
    end
  end
  for _, key in ipairs(TOP_LEVEL) do repeat_change(doc, config.old, config.new, "/" .. key) end
  return doc:text()
end

local function is_candidate(plan, member)
  return plan.store:may_read(member, plan.limits.json.max_bytes) and not plan.edits:of(member) and
    not plan.shared[member.position] and
    (member.name:find("^[^/]+/json$") or member.name:find("^blobs/sha256/%x+$"))
end

-- An image with its config before and after.
local function with_config(plan, image)
  local old, message, code = core.json(image.opened.config_text, plan.limits.json)
  local new
  if old then new, message, code = core.json(image.config_text, plan.limits.json) end
  if not new then return nil, message, code end
  return { image = image, config = { old = old, new = new } }
end

--- A document that repeats the config, or has settings of its own for a layer.
---@class strata.RepeatedConfig
---@field member strata.Member
---@field text string  as it is
---@field edited string  as it is going to be

--- All of them, with the edits of an image's config.
---@param plan strata.DockerEdit  its shared members are not looked at
---@param image strata.ImageToWrite  what there is of it before layers are stored is enough
---@return strata.RepeatedConfig[]?
---@return string? message
---@return string? code
function edit_v1_json.documents(plan, image)
  local list = {}
  local edited, message, code = with_config(plan, image)
  if not edited then return nil, message, code end
  for _, member in ipairs(plan.store.list) do
    if is_candidate(plan, member) then
      local text
      text, message, code = plan.store:read(member, plan.limits.json.max_bytes)
      if not text then return nil, message, code end
      local changed = text:find("^%s*{") and edited_text(text, edited, plan.limits.json)
      if changed or member.name:find("/json$") then
        list[#list + 1] = { member = member, text = text, edited = changed or text }
      end
    end
  end
  return list
end

-- The images with an edit to repeat, each with its config before and after.
local function with_edits(plan)
  local list = {}
  for _, edited in ipairs(plan.images) do
    if edited.old_id ~= edited.new_id or #edited.image.scrubs > 0 then
      local one, message, code = with_config(plan, edited.image)
      if not one then return nil, message, code end
      list[#list + 1] = one
    end
  end
  return list
end

--- Repeats the edits of the configs in the documents that repeat them.
---@param plan strata.DockerEdit
---@return boolean? ok
---@return string? message
---@return string? code
function edit_v1_json.edit(plan)
  local images, message, code = with_edits(plan)
  if not images then return nil, message, code end
  for _, member in ipairs(#images > 0 and plan.store.list or {}) do
    if is_candidate(plan, member) then
      local text
      text, message, code = plan.store:read(member, plan.limits.json.max_bytes)
      if not text then return nil, message, code end
      local changed = text
      for _, edited in ipairs(text:find("^%s*{") and images or {}) do
        changed = edited_text(changed, edited, plan.limits.json) or changed
      end
      if changed ~= text then
        local hex, new_hex = core.sha256(text):sub(8), core.sha256(changed):sub(8)
        plan.edits:set(member, { bytes = changed, name = member.stored_name:find(hex, 1, true) and
          (member.stored_name:gsub(hex, new_hex)) or nil })
      end
    end
  end
  return true
end

return edit_v1_json

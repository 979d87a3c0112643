--- The per-layer JSON of Docker before 1.10, which later versions still write as
-- `<id>/json` or as a blob that no document names. The one of the top layer repeats the
-- image's config. Edits of the config are repeated there, and a purge is carried out in
-- all of them, so that nothing that was removed from the config stays in it.

local core = require "strata.core"
local json = require "strata.util.json"
local scrub = require "strata.document.scrub"

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

-- True when a v1 document repeats the config that the image was opened with.
local function repeats_config(doc, old)
  if doc:type("/config") ~= "object" then return false end
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
                    "container_config", "docker_version" }

-- Removes what was purged, also from a document of a lower layer, whose settings the config never had.
local function scrub_settings(doc, scrubs)
  for _, patterns in ipairs(scrubs) do
    scrub.settings(doc, "/config", patterns, false)
    scrub.settings(doc, "/container_config", patterns, true)
  end
end

local function edited_text(text, old, new, image)
  local doc = core.json(text, image.source.limits.json)
  if not doc or doc:type("") ~= "object" or doc:type("/id") ~= "string" or doc:type("/rootfs") then return nil end
  local is_repeated = repeats_config(doc, old)
  scrub_settings(doc, image.scrubs)
  if not is_repeated then return doc:text() end
  for _, config in ipairs { old, new } do -- a change that was repeated already is repeated without effect
    for _, key in ipairs(keys_of(config, "/config")) do
      repeat_change(doc, old, new, "/config" .. json.part(key))
    end
  end
  for _, key in ipairs(TOP_LEVEL) do repeat_change(doc, old, new, "/" .. key) end
  return doc:text()
end

local function is_candidate(source, member)
  return source:may_read(member) and (member.name:find("^[^/]+/json$") or member.name:find("^blobs/sha256/%x+$"))
end

--- A document that repeats the config, or has settings of its own for a layer.
---@class strata.RepeatedConfig
---@field member strata.Member
---@field text string  as it is
---@field edited string  as it is going to be

--- All of them, with the edits of the config.
---@param image strata.ImageToWrite  what there is of it before layers are stored is enough
---@param kept table<integer, boolean>  by position: members that are not to be looked at
---@return strata.RepeatedConfig[]?
---@return string? message
---@return string? code
function edit_v1_json.documents(image, kept)
  local source, limits, new, list = image.source, image.source.limits.json, nil, {}
  local old, message, code = core.json(image.opened.config_text, limits)
  if old then new, message, code = core.json(image.config_text, limits) end
  if not new then return nil, message, code end
  for _, member in ipairs(source.store.list) do
    if is_candidate(source, member) and not kept[member.position] then
      local text
      text, message, code = source:read(member)
      if not text then return nil, message, code end
      local edited = text:find("^%s*{") and edited_text(text, old, new, image)
      if edited or member.name:find("/json$") then
        list[#list + 1] = { member = member, text = text, edited = edited or text }
      end
    end
  end
  return list
end

--- Repeats the edits of the config in the documents that repeat it.
---@param plan strata.DockerEdit
---@return boolean? ok
---@return string? message
---@return string? code
function edit_v1_json.edit(plan)
  if plan.old_id == plan.new_id and #plan.image.scrubs == 0 then return true end
  local list, message, code = edit_v1_json.documents(plan.image, plan.shared)
  if not list then return nil, message, code end
  for _, one in ipairs(list) do
    local member = one.member
    if one.edited ~= one.text and not plan.edits:of(member) then
      local hex, new_hex = core.sha256(one.text):sub(8), core.sha256(one.edited):sub(8)
      plan.edits:set(member, { bytes = one.edited, name = member.stored_name:find(hex, 1, true) and
        (member.stored_name:gsub(hex, new_hex)) or nil })
    end
  end
  return true
end

return edit_v1_json

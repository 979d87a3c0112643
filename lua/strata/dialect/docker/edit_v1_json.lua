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

local function edited_text(text, old, new, plan)
  local doc = core.json(text, plan.source.limits.json)
  if not doc or doc:type("") ~= "object" or doc:type("/id") ~= "string" or doc:type("/rootfs") then return nil end
  local is_repeated = repeats_config(doc, old)
  scrub_settings(doc, plan.image.scrubs)
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

--- Repeats the edits of the config in the documents that repeat it.
---@param plan strata.DockerEdit
---@return boolean? ok
---@return string? message
---@return string? code
function edit_v1_json.edit(plan)
  if plan.old_id == plan.new_id and #plan.image.scrubs == 0 then return true end
  local source, limits, new = plan.source, plan.source.limits.json, nil
  local old, message, code = core.json(plan.image.opened.config_text, limits)
  if old then new, message, code = core.json(plan.image.config_text, limits) end
  if not new then return nil, message, code end
  for _, member in ipairs(plan.store.list) do
    if is_candidate(source, member) and not plan.edits:of(member) and not plan.shared[member.position] then
      local text
      text, message, code = source:read(member)
      if not text then return nil, message, code end
      local changed = text:find("^%s*{") and edited_text(text, old, new, plan)
      if changed and changed ~= text then
        local hex, new_hex = core.sha256(text):sub(8), core.sha256(changed):sub(8)
        plan.edits:set(member, { bytes = changed, name = member.stored_name:find(hex, 1, true) and
          (member.stored_name:gsub(hex, new_hex)) or nil })
      end
    end
  end
  return true
end

return edit_v1_json

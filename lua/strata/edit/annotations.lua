--- Annotations of an image's manifest, of the descriptors that lead to it, and of a layer's descriptor.
--
-- They are edited in the texts that have them. An image, a descriptor or a layer without such a text gets a new one,
-- which begins with what is set here.

local annotations = require "strata.document.annotations"
local core = require "strata.core"
local elsewhere = require "strata.save.elsewhere"
local fail = require "strata.util.fail"
local frozen = require "strata.util.frozen"
local image = require "strata.image"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local transaction = require "strata.layer.transaction"

local TAGS = annotations.TAGS

local function frozen_copy(state, key, name, found, advice)
  return frozen.copy(state, key, found, name, "assign the whole table, or use " .. advice)
end

-- What setting gives, when a change has given `changed`.
local function chain(self, changed, message, code)
  if changed == nil then return nil, message, code end
  return self
end

-- What removing gives.
local function chain_removed(self, call, name, changed, message, code)
  if changed == false then return fail("ENOENT", "%s: there is no annotation %s", call, core.quote(name)) end
  return chain(self, changed, message, code)
end

-- What assigning does.
local function assigned(changed, message)
  if changed == nil then misuse(message) end
end

-- ---- the manifest --------------------------------------------------------------------

local function read_manifest(state)
  local doc = state.manifest and core.json(state.manifest.text)
  if doc then return annotations.read(doc, "") end
  local copy = {}
  for name, value in pairs(state.annotations or {}) do copy[name] = value end
  return copy
end

local function change_manifest(state, change)
  if not state.manifest then
    local names = state.annotations or {}
    if state.kept then names = read_manifest(state) end -- an edit may have to go back to the table
    local changed = annotations.change_table(names, change)
    state.annotations = next(names) and names
    return changed
  end
  return image.edit_manifest(state, function(doc) return annotations.change(doc, "", change) end)
end

function image.fields.annotations(state)
  return frozen_copy(state, "annotations", "img.annotations", read_manifest(state),
    "img:set_annotation and img:remove_annotation")
end

function image.set.annotations(state, value)
  assigned(change_manifest(state, annotations.all(value, "img.annotations")))
end

--- Sets an annotation of the manifest, in its place or behind the others.
---@param name string
---@param value string
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:set_annotation(name, value)
  local state = image.state_of(self)
  local change = annotations.setting(name, value, "set_annotation")
  return chain(self, change_manifest(state, change))
end

--- Removes an annotation of the manifest.
---@param name string
---@return strata.Image? self
---@return string? message
---@return string? code  "ENOENT": there is no such annotation
function image.methods:remove_annotation(name)
  local state = image.state_of(self)
  local change = annotations.removing(name, "remove_annotation")
  return chain_removed(self, "remove_annotation", name, change_manifest(state, change))
end

-- ---- descriptors that lead to the image ----------------------------------------------

-- Changes a text: false when nothing changes.
local function changed(text, change)
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  return annotations.change(doc, "", change) and doc:text()
end

-- Changes all of them: what is there by save, what is known of the first one now.
local function change_descriptors(state, change)
  local list, message, code = elsewhere.leading(state)
  if not list then return nil, message, code end
  if not list[1] then list[1] = { text = state.descriptor_text or "{}" } end
  local any = false
  for _, one in ipairs(list) do any = changed(one.text, change) or any end
  if not any then return false end
  state.descriptor_text = changed(state.descriptor_text or "{}", change) or state.descriptor_text
  local scrubs = {}
  for i, one in ipairs(state.scrubs or {}) do scrubs[i] = one end
  scrubs[#scrubs + 1] = { annotations = change }
  state.scrubs = scrubs
  return true
end

function image.fields.descriptor_annotations(state)
  local doc = state.descriptor_text and core.json(state.descriptor_text)
  return frozen_copy(state, "descriptor_annotations", "img.descriptor_annotations",
    doc and annotations.read(doc, "", TAGS) or {},
    "img:set_descriptor_annotation and img:remove_descriptor_annotation")
end

function image.set.descriptor_annotations(state, value)
  assigned(change_descriptors(state, annotations.all(value, "img.descriptor_annotations", TAGS)))
end

--- Sets an annotation of the descriptors that lead to the image.
---@param name string
---@param value string
---@return strata.Image? self
---@return string? message
---@return string? code
function image.methods:set_descriptor_annotation(name, value)
  local state = image.state_of(self)
  local change = annotations.setting(name, value, "set_descriptor_annotation", TAGS)
  return chain(self, change_descriptors(state, change))
end

--- Removes an annotation of the descriptors that lead to the image.
---@param name string
---@return strata.Image? self
---@return string? message
---@return string? code  "ENOENT": none of them has it
function image.methods:remove_descriptor_annotation(name)
  local state = image.state_of(self)
  local change = annotations.removing(name, "remove_descriptor_annotation", TAGS)
  return chain_removed(self, "remove_descriptor_annotation", name, change_descriptors(state, change))
end

-- ---- layers --------------------------------------------------------------------------

-- Changes the descriptor of a layer: in the manifest that has it, else the one that it brings along.
local function change_layer(state, change)
  local owner = state.hub.image
  if state.origin and owner and owner.manifest then
    local pointer = ("/layers/%d"):format(state.origin - 1)
    return image.edit_manifest(owner, function(doc) return annotations.change(doc, pointer, change) end)
  end
  local text, message, code = changed(state.descriptor_text or "{}", change)
  if text == nil then return nil, message, code end
  if text then
    local before, annotated = state.descriptor_text, state.annotated
    if owner then image.undo(owner, function() state.descriptor_text, state.annotated = before, annotated end) end
    state.descriptor_text, state.annotated = text, true
  end
  return text ~= false
end

function layer.fields.annotations(state)
  local text = layer.descriptor(state)
  local doc = text and core.json(text)
  return frozen_copy(state, "annotations", "layer.annotations", doc and annotations.read(doc, "") or {},
    "layer:set_annotation and layer:remove_annotation")
end

function layer.set.annotations(state, value)
  transaction.check_layer(state, "layer.annotations")
  assigned(change_layer(state, annotations.all(value, "layer.annotations")))
end

--- Sets an annotation of the layer's descriptor, in its place or behind the others.
---@param name string
---@param value string
---@return strata.Layer? self
---@return string? message
---@return string? code
function layer.methods:set_annotation(name, value)
  local state = transaction.state_of(self, "set_annotation")
  local change = annotations.setting(name, value, "set_annotation")
  return chain(self, change_layer(state, change))
end

--- Removes an annotation of the layer's descriptor.
---@param name string
---@return strata.Layer? self
---@return string? message
---@return string? code  "ENOENT": there is no such annotation
function layer.methods:remove_annotation(name)
  local state = transaction.state_of(self, "remove_annotation")
  local change = annotations.removing(name, "remove_annotation")
  return chain_removed(self, "remove_annotation", name, change_layer(state, change))
end

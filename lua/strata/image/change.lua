--- Changing the state of an image: whole or not at all.

local annotations = require "strata.document.annotations"
local config = require "strata.config"
local core = require "strata.core"
local json = require "strata.util.json"
local layer = require "strata.layer"
local scan = require "strata.layer.scan"
local transaction = require "strata.layer.transaction"

local change = {}

---@generic T: any[]
---@param list T?
---@return T?
function change.copy_of(list)
  if not list then return nil end
  local copy = {}
  for i, item in ipairs(list) do copy[i] = item end
  return copy
end

-- ---- the list of layers -----------------------------------------------------

-- What is known of layers that were moved, or some of which went, stays as far as it is not about their places.
local function keep_findings(state, before, is_scanned)
  local hub, last = state.hub, state.settled
  if is_scanned and hub.scanned == before then hub.scanned = hub.layers end
  if hub.holders and hub.holders.layers == before then
    hub.holders = { layers = hub.layers, loads = hub.holders.loads, links = hub.holders.links }
  end
  if last and last.layers == before then
    state.settled = { layers = hub.layers, edits = last.edits, chains = {} }
  end
end

--- Gives the layers their positions, after a change to their list.
---@param state strata.ImageState
function change.renumber(state)
  local hub, positions, added = state.hub, {}, false
  local before, is_scanned = hub.layers or {}, true
  for i, item in ipairs(state.layers) do
    local one = layer.state_of(item)
    if before[one.position] ~= one then
      added = true
      if one.loaded then scan.count_edits(one, one.index) end
    end
    positions[i] = one
    is_scanned = is_scanned and one.loaded
  end
  for i, one in ipairs(positions) do one.position = i end
  hub.layers = positions
  if not added then keep_findings(state, before, is_scanned) end
end

-- ---- whole or not at all ----------------------------------------------------

--- A list of the state that is going to be changed: a copy, when an edit may have to go back to the one that it has.
---@param state strata.ImageState
---@param field "layers"|"tags"|"scrubs"
---@return table
function change.own(state, field)
  if state.kept and state.kept[field] == state[field] then state[field] = change.copy_of(state[field]) end
  return state[field]
end

--- Has a function called when the edit that goes on, if there is one, is taken back.
---@param state strata.ImageState
---@param fn fun()
function change.undo(state, fn)
  if state.kept then table.insert(state.kept.undo, fn) end
end

-- A function that brings an image back to what it is now, but for the entries of its layers. An edit of one layer of
-- thousands has to cost no more than that layer: lists are copied by those who change them.
local function keep(state, name)
  local restore_config, message, code = config.keep(state.config)
  if not restore_config then return nil, message, code end
  local kept = { layers = state.layers, tags = state.tags, scrubs = state.scrubs, undo = {} }
  local manifest, described, annotated = state.manifest, state.descriptor_text, state.annotations
  state.kept = kept
  return function(failed, why)
    if state.closed then return end
    restore_config()
    state.layers, state.tags, state.scrubs = kept.layers, kept.tags, kept.scrubs
    state.manifest, state.descriptor_text, state.annotations = manifest, described, annotated
    for i = #kept.undo, 1, -1 do kept.undo[i]() end
    state.settled = nil -- the config is another one
    change.renumber(state)
    if failed then
      state.failure = { ("%s has failed (%s) and cannot be taken back in %s: img:revert() goes back to what was opened")
        :format(name, tostring(why), failed), "EINVAL" }
    end
  end
end

local function ended(state, mark, ...)
  if state.failure == mark then state.failure, state.kept = nil, nil end
  return ...
end

--- Carries out an edit, whole or not at all: after a failure the image is as it was before. Meanwhile the functions of
--- the caller, and other coroutines, can neither edit nor save the image.
---@param state strata.ImageState
---@param name string  of the method
---@param fn fun(edit: strata.Transaction): any, ...  returns a true value when it is done, or nil, message, code
---@return any ...  as fn does
function change.edit(state, name, fn)
  if state.failure then return nil, state.failure[1], state.failure[2] end
  local restore, message, code = keep(state, name)
  if not restore then return nil, message, code end
  local mark = { ("%s has not ended: img:revert() goes back to what was opened"):format(name), "EINVAL", name = name }
  state.failure = mark
  return ended(state, mark, transaction.run(function(...)
    ended(state, mark)
    restore(...)
  end, function(edit)
    mark.thread, mark.is_within = coroutine.running(), true
    return fn(edit)
  end))
end

-- ---- the manifest -----------------------------------------------------------

--- Edits the manifest of an image, or what its first manifest is going to have.
---@param state strata.ImageState
---@param fn fun(doc: strata.JSON): any  gives what edit_manifest gives
---@return any
---@return string? message
---@return string? code
function change.edit_manifest(state, fn)
  local before, last = state.manifest, state.manifest_document
  local doc, message, code
  state.manifest_document = nil -- fn may throw
  if before and last and last.of == before then
    doc = last.doc
  else
    doc, message, code = core.json(before and before.text or
      json.encode { annotations = json.object(state.annotations or {}) })
  end
  if not doc then return nil, message, code end
  local revision = doc:revision()
  local given = fn(doc)
  if not before then
    local left = annotations.read(doc, "")
    state.annotations = next(left) and left
    return given
  end
  if doc:revision() ~= revision and doc:text() ~= before.text then
    state.manifest = { text = doc:text(), digest = before.digest, media_type = before.media_type,
                       config_digest = before.config_digest }
  end
  state.manifest_document = { of = state.manifest, doc = doc }
  return given
end

return change

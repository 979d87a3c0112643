--- The tags of an image: its names in archives and layouts.

local core = require "strata.core"
local fail = require "strata.util.fail"
local frozen = require "strata.util.frozen"
local image = require "strata.image"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local reference = require "strata.document.reference"

function image.fields.tags(state)
  local copy = {}
  for i, tag in ipairs(state.tags) do copy[i] = tag end
  return frozen.copy(state, "tags", copy, "img.tags", "assign the whole list, or use img:tag and img:untag")
end

function image.set.tags(state, value)
  if type(value) ~= "table" then misuse("tags should be an array of strings") end
  local list = {}
  for i, ref in ipairs(value) do
    local known = false
    for _, opened in ipairs(state.opened.tags) do known = known or opened == ref end
    list[i] = known and ref or reference.complete(ref)
  end
  if #list ~= #json.keys(value) then misuse("tags should be an array of strings") end
  state.tags = list
end

--- Adds a tag, like `docker tag`.
---@param ref string  "app:2", "registry/app:2"; without a tag: ":latest"
---@return strata.Image self
function image.methods:tag(ref)
  local state = image.state_of(self)
  local full = reference.complete(ref)
  local known = state.known_tags
  if not known or known.list ~= state.tags then
    known = { list = state.tags }
    for _, tag in ipairs(state.tags) do known[reference.comparable(tag)] = true end
  end
  local name = reference.comparable(full)
  if not known[name] then table.insert(image.own(state, "tags"), full) end
  known[name], known.list, state.known_tags = true, state.tags, known
  return self
end

--- Takes a tag away.
---@param ref string
---@return strata.Image? self
---@return string? message
---@return string? code  "ENOENT": the image has no such tag
function image.methods:untag(ref)
  local state = image.state_of(self)
  local i = type(ref) == "string" and reference.find(state.tags, ref)
  if not i then return fail("ENOENT", "untag: the image has no tag %s", core.quote(reference.complete(ref))) end
  table.remove(image.own(state, "tags"), i)
  state.known_tags = nil
  return self
end

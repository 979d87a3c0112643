--- Annotations: names and texts in a manifest, an index, or a descriptor. A change edits its own span of the document,
-- and nothing else.

local core = require "strata.core"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local reference = require "strata.document.reference"

local annotations = {}

--- A change of annotations.
---@class strata.AnnotationChange
---@field set table<string, string|false>  by name; false takes the annotation away
---@field whole boolean?  all that `set` does not name go as well
---@field except table<string, boolean>?  names that the change leaves alone

--- The annotations of a descriptor that name its image: img.tags has them.
annotations.TAGS = { [reference.NAME] = true, [reference.REF_NAME] = true }

local function names_at(doc, at)
  return doc:type(at) == "object" and doc:keys(at) or {}
end

--- The annotations in a document: those that are strings.
---@param doc strata.JSON
---@param pointer string  of what has them: "" or a descriptor
---@param except? table<string, boolean>  names to leave out
---@return table<string, string>
function annotations.read(doc, pointer, except)
  local at, found = pointer .. "/annotations", {}
  for _, name in ipairs(names_at(doc, at)) do
    local value = doc:get(at .. json.part(name))
    if type(value) == "string" and not (except and except[name]) then found[name] = value end
  end
  return found
end

--- Carries a change out.
---@param doc strata.JSON
---@param pointer string
---@param change strata.AnnotationChange
---@return boolean changed
function annotations.change(doc, pointer, change)
  local at, revision = pointer .. "/annotations", doc:revision()
  local except = change.except or {}
  for _, name in ipairs(change.whole and names_at(doc, at) or {}) do
    if change.set[name] == nil and not except[name] then doc:remove(at .. json.part(name)) end
  end
  for _, name in ipairs(json.keys(change.set)) do
    local value, place = change.set[name], at .. json.part(name)
    if value and doc:type(at) ~= "object" then -- none, or a null
      doc:set(at, json.encode { [name] = value })
    elseif value and doc:get(place) ~= value then
      doc:set(place, core.json_quote(value))
    elseif not value and doc:type(at) == "object" and doc:type(place) then
      doc:remove(place)
    end
  end
  local changed = doc:revision() ~= revision
  if changed and doc:type(at) == "object" and doc:count(at) == 0 then doc:remove(at) end
  return changed
end

--- The same for annotations that no document has yet: in the table itself.
---@param names table<string, string>
---@param change strata.AnnotationChange
---@return boolean changed
function annotations.change_table(names, change)
  local changed, except = false, change.except or {}
  for _, name in ipairs(change.whole and json.keys(names) or {}) do
    if change.set[name] == nil and not except[name] then names[name], changed = nil, true end
  end
  for name, value in pairs(change.set) do
    local new = value or nil
    changed = changed or names[name] ~= new
    names[name] = new
  end
  return changed
end

-- What is wrong with a name or a value; nil for nothing.
local function problem_of(name, value)
  if type(name) ~= "string" or name == "" then return "the name of an annotation is a string that is not empty" end
  if type(value) ~= "string" then
    return ("the annotation %s should be a string, not %s"):format(core.quote(name), type(value))
  end
  if not (core.json_quote(name) and core.json_quote(value)) then
    return ("the annotation %s is no valid UTF-8"):format(core.quote(name))
  end
end

local function check_except(name, except, call)
  if except and except[name] then
    misuse("%s: %s names the image: assign img.tags, or use img:tag and img:untag", call, core.quote(name))
  end
end

--- The change that sets one annotation. Throws what is none.
---@param name any
---@param value any
---@param call string  the method
---@param except? table<string, boolean>
---@return strata.AnnotationChange
function annotations.setting(name, value, call, except)
  local problem = problem_of(name, value)
  if problem then misuse("%s: %s", call, problem) end
  check_except(name, except, call)
  return { set = { [name] = value }, except = except }
end

--- The change that takes one away. Throws what is no name.
---@param name any
---@param call string
---@param except? table<string, boolean>
---@return strata.AnnotationChange
function annotations.removing(name, call, except)
  local problem = problem_of(name, "")
  if problem then misuse("%s: %s", call, problem) end
  check_except(name, except, call)
  return { set = { [name] = false }, except = except }
end

--- The change that sets all of them: nil for none. Throws what is none.
---@param value any
---@param field string  how it is called
---@param except? table<string, boolean>
---@return strata.AnnotationChange
function annotations.all(value, field, except)
  if value ~= nil and type(value) ~= "table" then
    misuse("%s should be a table of names and strings, not %s", field, type(value))
  end
  local set = {}
  for _, name in ipairs(json.keys(value or {})) do
    local problem = problem_of(name, value[name])
    if problem then misuse("%s: %s", field, problem) end
    check_except(name, except, field)
    set[name] = value[name]
  end
  return { set = set, whole = true, except = except }
end

return annotations

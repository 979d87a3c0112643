--- Removing variables, labels and texts from the settings of a container in a document: `config`, and the
-- `container_config` that repeats it in images of Docker's classic builder. Annotations are the labels of manifests and
-- descriptors.

local annotations = require "strata.document.annotations"
local core = require "strata.core"
local json = require "strata.util.json"

local scrub = {}

---@class strata.Scrub
---@field env string?  Lua pattern of "NAME=value"
---@field labels string?  Lua pattern of "name=value", of annotations as well
---@field history string?  Lua pattern of texts
---@field replacement string|table|function|nil  for what that matches, as for string.gsub. Default "***"
---@field annotations strata.AnnotationChange?  instead of patterns: of the descriptors that lead to an image

--- What stands in the place of what was removed.
scrub.HIDDEN = "***"

local function strings(doc, pointer)
  local list = {}
  for i = 1, doc:type(pointer) == "array" and doc:count(pointer) or 0 do
    local value = doc:get(pointer .. "/" .. (i - 1))
    list[i] = type(value) == "string" and value or false
  end
  return list
end

local function scrub_env(doc, pointer, pattern)
  local list, names = strings(doc, pointer), {}
  for i, text in ipairs(list) do
    if text and text:find(pattern) then names[#names + 1] = text:match("^[^=]*") else list[i] = false end
  end
  if #names > 0 then json.edit_elements(doc, pointer, function(_, i) if list[i] then return false end end) end
  return names
end

local function scrub_labels(doc, pointer, pattern, except)
  local names = {}
  for _, name in ipairs(doc:type(pointer) == "object" and doc:keys(pointer) or {}) do
    local value = doc:get(pointer .. json.part(name))
    local fits = (name .. "=" .. tostring(value)):find(pattern)
    if fits and not (except and except[name]) then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do doc:remove(pointer .. json.part(name)) end
  return names
end

--- Removes annotations.
---@param doc strata.JSON
---@param pointer string  of what has them: a manifest, a descriptor
---@param patterns strata.Scrub
---@return string[] names
function scrub.annotations(doc, pointer, patterns)
  local at = pointer .. "/annotations"
  local names = patterns.labels and scrub_labels(doc, at, patterns.labels, annotations.TAGS) or {}
  if #names > 0 and doc:count(at) == 0 then doc:remove(at) end
  return names
end

--- Removes annotations of a manifest, its config and its layers.
---@param doc strata.JSON
---@param patterns strata.Scrub
---@return string[] names
function scrub.manifest(doc, patterns)
  local names = {}
  local function add(pointer)
    for _, name in ipairs(scrub.annotations(doc, pointer, patterns)) do names[#names + 1] = name end
  end
  add("")
  add("/config")
  for i = 0, (doc:type("/layers") == "array" and doc:count("/layers") or 0) - 1 do add("/layers/" .. i) end
  return names
end

--- Removes annotations of a layer's descriptor, as all of several patterns say.
---@param doc strata.JSON
---@param pointer string
---@param scrubs strata.Scrub[]
function scrub.descriptor(doc, pointer, scrubs)
  for _, patterns in ipairs(scrubs) do scrub.annotations(doc, pointer, patterns) end
end

--- The same for a descriptor that leads to an image, whose annotations can be set as well.
---@param doc strata.JSON
---@param pointer string
---@param scrubs strata.Scrub[]
function scrub.image_descriptor(doc, pointer, scrubs)
  for _, one in ipairs(scrubs) do
    scrub.annotations(doc, pointer, one)
    if one.annotations then annotations.change(doc, pointer, one.annotations) end
  end
end

--- Whether annotations were set in descriptors that lead to an image.
---@param scrubs strata.Scrub[]
---@return boolean
function scrub.has_set(scrubs)
  for _, one in ipairs(scrubs) do
    for _, value in pairs(one.annotations and one.annotations.set or {}) do
      if value then return true end
    end
  end
  return false
end

-- JSON text of a string; of nothing of it when a pattern cut a character in two.
local function quote(text)
  return core.json_quote(text) or core.json_quote(scrub.HIDDEN)
end

-- The command of the last step, with its build arguments as variables. The row of the history has its words with blanks
-- between them, so a pattern of texts can fit several of them: then all become one word.
local function scrub_command(doc, pointer, patterns, removed)
  local words, edited = strings(doc, pointer), {}
  local function put(i, text)
    words[i], edited[i] = text, quote(text)
  end
  for i, word in ipairs(words) do
    local name = word and patterns.env and word:find(patterns.env) and word:match("^([^=]+)=")
    if name then
      removed.env[#removed.env + 1] = name
      if patterns.history then removed.history = removed.history + select(2, word:gsub(patterns.history, "")) end
      put(i, scrub.HIDDEN)
    elseif not word then
      words[i] = ""
    end
  end
  local pattern, replacement = patterns.history, patterns.replacement or scrub.HIDDEN
  if pattern and table.concat(words, " "):find(pattern) then
    for i, word in ipairs(words) do
      local text, count = word:gsub(pattern, replacement)
      if text ~= word then
        put(i, text)
        removed.history = removed.history + count
      end
    end
    local line = table.concat(words, " ")
    local text, count = line:gsub(pattern, replacement)
    if text ~= line then
      removed.history = removed.history + count
      doc:set(pointer, "[" .. quote(text) .. "]")
      return
    end
  end
  if next(edited) then json.edit_elements(doc, pointer, function(_, i) return edited[i] end) end
end

--- Removes what the patterns fit from the settings at a pointer.
---@param doc strata.JSON
---@param pointer string
---@param patterns strata.Scrub
---@param with_command boolean  also from the command
---@return {env: string[], labels: string[], history: integer} removed
function scrub.settings(doc, pointer, patterns, with_command)
  local removed = { env = {}, labels = {}, history = 0 }
  if doc:type(pointer) ~= "object" then return removed end
  if patterns.env then removed.env = scrub_env(doc, pointer .. "/Env", patterns.env) end
  if patterns.labels then removed.labels = scrub_labels(doc, pointer .. "/Labels", patterns.labels) end
  if with_command then scrub_command(doc, pointer .. "/Cmd", patterns, removed) end
  return removed
end

return scrub

--- Removing texts, variables and labels from the documents of an image: the config, with the settings of the container
-- that the classic builder of Docker left in it, the annotations of its manifest and descriptors, and the documents of
-- an old archive that repeat the config. Descriptors and those documents are changed when the image is saved.

local choice = require "strata.util.choice"
local config = require "strata.config"
local core = require "strata.core"
local docker_edit = require "strata.dialect.docker.edit"
local elsewhere = require "strata.save.elsewhere"
local fail = require "strata.util.fail"
local history = require "strata.history"
local image = require "strata.image"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local settings = require "strata.document.scrub"

local scrub = {}

---@class strata.Scrubbed
---@field history integer  replacements; in documents that repeat the config when it has none itself
---@field env string[]  names of variables
---@field labels string[]  names of labels
---@field annotations string[]  names of annotations

local function nothing()
  return { history = 0, env = {}, labels = {}, annotations = {} }
end

local function scrub_env(cfg, pattern)
  local names = {}
  for _, text in ipairs(cfg.Env or {}) do
    local name = type(text) == "string" and text:find(pattern) and text:match("^[^=]+")
    if name then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do cfg:remove_env(name) end
  return names
end

local function scrub_labels(cfg, pattern)
  local labels, names = cfg.Labels or {}, {}
  for _, name in ipairs(json.keys(labels)) do
    if (name .. "=" .. tostring(labels[name])):find(pattern) then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do cfg:remove_label(name) end
  return names
end

local function add_names(list, more)
  local known = {}
  for _, name in ipairs(list) do known[name] = true end
  for _, name in ipairs(more) do
    if not known[name] then list[#list + 1] = name end
    known[name] = true
  end
end

local function add(found, more)
  add_names(found.env, more.env)
  add_names(found.labels, more.labels)
  add_names(found.annotations, more.annotations or {})
  found.history = found.history + more.history
end

-- The config itself.
local function scrub_config(cfg, patterns)
  local found = nothing()
  if patterns.history then
    local count, message, code = history.scrub(cfg, patterns.history, patterns.replacement or settings.HIDDEN)
    if not count then return nil, message, code end
    found.history = count
  end
  if patterns.env then found.env = scrub_env(cfg, patterns.env) end
  if patterns.labels then found.labels = scrub_labels(cfg, patterns.labels) end
  local doc = config.document(cfg)
  local before = doc:text()
  add(found, settings.settings(doc, "/container_config", patterns, true))
  if doc:text() ~= before then config.touch(cfg) end
  return found
end

--- The texts of the documents that repeat the config, as they are going to be saved.
---@param state strata.ImageState
---@return {name: string, text: string}[]?
---@return string? message
---@return string? code
function scrub.repeated(state)
  local source, texts = state.source, {}
  if not source or source.store.dir or not source.store:has("manifest.json") then return texts end
  local list, message, code = docker_edit.repeated {
    source = source, opened = state.opened, config_text = state.config:text(), scrubs = state.scrubs or {},
    layers = state.hub.layers,
  }
  if not list then return nil, message, code end
  for i, one in ipairs(list) do texts[i] = { name = one.member.name, text = one.edited } end
  return texts
end

-- What the documents that repeat the config have besides.
local function find_repeated(state, patterns)
  local found = nothing()
  local list, message, code = scrub.repeated(state)
  if not list then return nil, message, code end
  local any = false
  for _, one in ipairs(list) do
    local doc = core.json(one.text, state.hub.limits.json)
    if doc then
      add(found, settings.settings(doc, "/config", patterns, false))
      add(found, settings.settings(doc, "/container_config", patterns, true))
      any = any or doc:text() ~= one.text
    end
  end
  return found, any
end

-- A document after fn has edited it, and the names that fn gives.
local function edited(text, fn)
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  local names = fn(doc)
  return doc:text(), names
end

-- Annotations of the manifest, and of the descriptors that lead to it. The second result: whether save has to edit
-- descriptors.
local function scrub_annotations(state, patterns)
  local found, any = nothing(), false
  if not patterns.labels then return found, false end
  local cleaned, message, code = image.edit_manifest(state, function(doc) return settings.manifest(doc, patterns) end)
  if not cleaned then return nil, message, code end
  add_names(found.annotations, cleaned)
  local function clean(doc) return settings.annotations(doc, "", patterns) end
  local descriptors
  descriptors, message, code = elsewhere.descriptors(state)
  if not descriptors then return nil, message, code end
  for _, one in ipairs(descriptors) do
    local text, names, why = edited(one.text, clean)
    if not text then return nil, names, why end
    any = any or #names > 0
    add_names(found.annotations, names)
  end
  if any and state.descriptor_text then state.descriptor_text = edited(state.descriptor_text, clean) end
  return found, any
end

--- Removes what the patterns match.
---@param state strata.ImageState
---@param patterns strata.Scrub
---@return strata.Scrubbed?
---@return string? message
---@return string? code
function scrub.run(state, patterns)
  if not (patterns.history or patterns.env or patterns.labels) then return nothing() end
  local found, message, code = scrub_config(state.config, patterns)
  if not found then return nil, message, code end
  local repeated, more
  repeated, more, code = find_repeated(state, patterns)
  if not repeated then return nil, more, code end
  local annotated, descriptors
  annotated, descriptors, code = scrub_annotations(state, patterns)
  if not annotated then return nil, descriptors, code end
  add(found, annotated)
  if more or descriptors then
    state.scrubs = state.scrubs or {}
    table.insert(image.own(state, "scrubs"), patterns)
  end
  if found.history > 0 then repeated.history = 0 end
  add(found, repeated)
  return found
end

--- Replaces what matches a Lua pattern in created_by and comment of every row, and in the command that Docker's
--- classic builder left.
---@param pattern string
---@param replacement? string  "***"
---@return integer? count
---@return string? message
---@return string? code
function image.methods:scrub_history(pattern, replacement)
  local state = image.state_of(self)
  choice.text(pattern, "scrub_history")
  if replacement ~= nil and type(replacement) ~= "string" then
    misuse("scrub_history: the replacement should be a string, not %s", type(replacement))
  end
  replacement = replacement and replacement:gsub("%%", "%%%%") -- it is a text
  local found, message, code = image.edit(state, "scrub_history", function()
    local done, why, how = scrub.run(state, { history = pattern, replacement = replacement })
    if done and done.history == 0 then
      return fail("ENOENT", "scrub_history: no text of the history matches %s", core.quote(pattern))
    end
    return done, why, how
  end)
  if not found then return nil, message, code end
  return found.history
end

return scrub

--- A config and a manifest that do not tell when, and in which container, an image was built.

local config = require "strata.config"
local core = require "strata.core"
local image = require "strata.image"
local json = require "strata.util.json"
local times = require "strata.document.time"

local normalize_documents = {}

-- What Docker's classic builder leaves of the container of the last step, and of the image before it: names that were
-- drawn at random, and a digest that depends on the time. A name that somebody has given stays.
local TRACES = {
  { "/config/Hostname", "^%x%x%x%x%x%x%x%x%x%x%x%x$" }, { "/container_config/Hostname", "^%x%x%x%x%x%x%x%x%x%x%x%x$" },
  { "/config/Image", "^sha256:%x+$" }, { "/container_config/Image", "^sha256:%x+$" },
}

-- The labels and annotations by which builders tell the time.
local BUILT = { "org.opencontainers.image.created", "org.label-schema.build-date" }

local function quoted(epoch) return core.json_quote(times.write(epoch)) end

-- Clamps the time at a pointer of a document; a change is noted under a name.
local function clamp(doc, pointer, epoch, changed, name)
  if not times.is_after(doc:get(pointer), epoch) then return end
  assert(doc:set(pointer, quoted(epoch)))
  changed[#changed + 1] = name or pointer
end

-- Clamps the rows of the history behind the first ones, in one pass.
local function clamp_history(doc, first, epoch, changed)
  if doc:type("/history") ~= "array" then return end
  assert(json.edit_elements(doc, "/history", function(raw, i)
    local row = i > first and assert(core.json(raw))
    if not row or not times.is_after(row:get("/created"), epoch) then return nil end
    assert(row:set("/created", quoted(epoch)))
    changed[#changed + 1] = ("/history/%d/created"):format(i - 1)
    return row:text()
  end) ~= nil)
end

local function remove_traces(doc, changed)
  for _, trace in ipairs(TRACES) do
    local value = doc:get(trace[1])
    if type(value) == "string" and value:find(trace[2]) then
      assert(doc:set(trace[1], '""'))
      changed[#changed + 1] = trace[1]
    end
  end
  if doc:remove("/container") then changed[#changed + 1] = "/container" end
end

--- Clamps the times in the config and takes the traces of containers away.
---@param cfg strata.Config
---@param epoch integer
---@param first integer  rows of the history that stay: those of the base
---@return string[] changed  JSON pointers
function normalize_documents.config(cfg, epoch, first)
  local doc, changed = config.document(cfg), {}
  clamp(doc, "/created", epoch, changed)
  clamp_history(doc, first, epoch, changed)
  for _, labels in ipairs { "/config/Labels", "/container_config/Labels" } do
    for _, name in ipairs(BUILT) do clamp(doc, labels .. json.part(name), epoch, changed) end
  end
  remove_traces(doc, changed)
  if #changed > 0 then config.touch(cfg) end
  return changed
end

--- Clamps the times in the annotations of a manifest.
---@param state strata.ImageState
---@param epoch integer
---@return string[] changed  names of annotations
function normalize_documents.annotations(state, epoch)
  local names = {}
  assert(image.edit_manifest(state, function(doc)
    for _, name in ipairs(BUILT) do clamp(doc, "/annotations" .. json.part(name), epoch, names, name) end
    return true
  end))
  return names
end

return normalize_documents

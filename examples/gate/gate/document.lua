--- What a manifest is: an image, an index, or something that nothing can run.
--
-- Readers differ about what they take for an image, so everything is one that any of them might run: whatever has the
-- config or a layer of an image, by Docker's types whatever it has. The rest are artifacts.

local core = require "strata.core"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"

local document = {}

---@class gate.Document
---@field kind "image"|"index"|"artifact"|"statement"
---@field type string  media type of the manifest
---@field artifact_type string?  of an artifact
---@field manifests {digest: string, size: integer, mediaType: string}[]  of an index
---@field layers {digest: string, size: integer, mediaType: string}[]

local SCHEMA_1 = "^application/vnd%.docker%.distribution%.manifest%.v1%+"

-- Whether a type is that of a layer of images, also one that is not known here.
local function is_layer(name)
  return media_types.kind(name) == "layer" or name:lower():find("%.image%.") ~= nil
end

-- What an OCI manifest with a config and layers is.
local function kind_of(value, config_type)
  local is_image = media_types.is_image_config(config_type, "docker")
  local has_layer = false
  for _, layer in ipairs(value.layers) do has_layer = has_layer or is_layer(layer.mediaType) end
  if media_types.family(value.mediaType) == "docker" or has_layer then return "image" end
  if not is_image then return "artifact" end
  -- Signatures and attestations have the config of an image, and layers of JSON.
  return #value.layers > 0 and "statement" or "image"
end

-- A list of descriptors, each with all that the gate goes by; nil, message.
local function descriptors(list, what)
  list = json.or_nil(list) or {}
  for i, one in ipairs(list) do
    if type(one) ~= "table" or type(one.digest) ~= "string" or type(one.size) ~= "number" or
      type(one.mediaType) ~= "string" then
      return nil, ("%s: element %d has no digest, size and mediaType"):format(what, i)
    end
    if json.or_nil(one.urls) and next(one.urls) ~= nil or media_types.is_foreign(one.mediaType) then
      return nil, ("%s: element %d is not in the registry, but at other URLs"):format(what, i), "EUNSUPPORTED"
    end
  end
  return list
end

--- Names that mean something, which no reader may find where another one does not.
local KNOWN = json.known {
  "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "fsLayers", "subject", "annotations",
  "digest", "size", "urls", "data", "platform",
}

-- Whether all objects in a document are read alike by readers that know no case and by those that do.
local function spelling_problem(value, is_free)
  if type(value) ~= "table" then return nil end
  local names = json.keys(value)
  local problem = not is_free and json.case_problem(names, KNOWN)
  if problem then return problem end
  for _, name in ipairs(names) do
    problem = spelling_problem(value[name], is_free or name == "annotations" or name == "platform")
    if problem then return problem end
  end
end

local SHAPE = { { "", "object" }, { "/config", "object" }, { "/layers", "array" }, { "/manifests", "array" } }

-- What is wrong with the kinds of a document's values.
local function shape_problem(doc)
  for _, one in ipairs(SHAPE) do
    local found = doc:type(one[1])
    if found ~= one[2] and (one[1] == "" or found and found ~= "null") then
      return ("%s is no JSON %s"):format(one[1] == "" and "it" or "its " .. one[1]:sub(2), one[2])
    end
  end
end

-- The type of a document: what the header and the document say, which may not disagree.
local function type_of(value, stated)
  stated = (stated:match "^%s*([^;%s]+)%s*$" or stated:match "^%s*([^;%s]+)%s*;" or stated):lower()
  local own = json.or_nil(value.mediaType)
  if stated:find(SCHEMA_1) or value.schemaVersion == 1 then
    return nil, "it is a manifest of schema 1, which Docker gave up in 2017", "EUNSUPPORTED"
  end
  local kind = media_types.kind(stated)
  if kind ~= "manifest" and kind ~= "index" then
    return nil, ("its Content-Type is %s, which is neither a manifest nor an index"):format(core.quote(stated)),
      "EUNSUPPORTED"
  end
  if own ~= stated and (own ~= nil or media_types.family(stated) == "docker") then
    return nil, ("its Content-Type is %s, and its mediaType %s"):format(stated, tostring(own or "is missing"))
  end
  if value.schemaVersion ~= 2 then return nil, "its schemaVersion is not 2" end
  return stated, kind
end

--- Reads a manifest.
---@param text string
---@param stated string  its Content-Type, or the mediaType of the descriptor that leads to it
---@return gate.Document?
---@return string? message
---@return string? code
function document.read(text, stated)
  local doc, message, code = core.json(text)
  if not doc then return nil, "it is no JSON object: " .. message, code end
  local problem = shape_problem(doc)
  doc:close()
  if problem then return nil, problem, "EFORMAT" end
  local value = json.decode(text)
  problem = spelling_problem(value)
  if problem then return nil, "it " .. problem, "EFORMAT" end
  local name, kind, how = type_of(value, stated)
  if not name then return nil, kind, how or "EFORMAT" end
  local is_index, has_layers = json.or_nil(value.manifests), json.or_nil(value.layers) or json.or_nil(value.config)
  if (kind == "index") == (has_layers ~= nil) or (kind == "manifest") == (is_index ~= nil) then
    return nil, "it is not what its media type says, or an image and an index at once", "EFORMAT"
  end
  value.mediaType = name
  value.manifests, message, code = descriptors(value.manifests, "manifests")
  if value.manifests then value.layers, message, code = descriptors(value.layers, "layers") end
  if not value.layers then return nil, message, code or "EFORMAT" end
  if kind == "index" then return { kind = "index", type = name, manifests = value.manifests } end
  if type(value.config) ~= "table" then return nil, "it has no config", "EFORMAT" end
  local config_type = json.or_nil(value.config.mediaType) or ""
  return {
    kind = kind_of(value, config_type), type = name, layers = value.layers,
    artifact_type = json.or_nil(value.artifactType) or config_type,
  }
end

--- What tells the verdict on a manifest from all others.
---@param identity string  of the policy and the settings
---@param stated string
---@param text string
---@return string
function document.key(identity, stated, text)
  return core.sha256(("%s %d %s"):format(identity, #stated, stated) .. text)
end

return document

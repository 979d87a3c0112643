--- Tells by its first bytes what a member of the stream is, and by a manifest.json what
-- the members behind it are.

local core = require "strata.core"
local docker = require "strata.dialect.docker.read"
local json = require "strata.util.json"

local classify = {}

--- How many bytes of a member tell what it is.
classify.HEAD = 512

-- Documents that may depend on layers, and therefore go out behind them.
local DOCUMENTS = { ["manifest.json"] = true, ["index.json"] = true, ["repositories"] = true }

--- What is known of layers once manifest.json was read.
---@class strata.KnownLayers
---@field places table<string, integer[]>  by the names of members
---@field by_digest boolean  all names are those of blobs, which are no links

--- Reads a manifest.json. nil: it does not list exactly one image.
---@param text string
---@param max integer
---@return strata.KnownLayers?
function classify.known(text, max)
  local items = json.decode(text, { max_bytes = max })
  local item = type(items) == "table" and #items == 1 and items[1]
  local names = type(item) == "table" and docker.field(item, "Layers")
  if type(names) ~= "table" then return nil end
  local known = { places = {}, by_digest = true }
  for i, name in ipairs(names) do
    if type(name) ~= "string" then return nil end
    name = core.normalise(name)
    known.places[name] = known.places[name] or {}
    table.insert(known.places[name], i)
    known.by_digest = known.by_digest and name:find("^blobs/%w+/%x+$") ~= nil
  end
  return known
end

-- Whether a first block is that of a tar; nil, message, code when memory ran out. A block of
-- zeros is one: a layer can be empty.
local function is_tar(head)
  if #head < classify.HEAD then return false end
  local parser, message, code = core.push_tar()
  if not parser then return nil, message, code end
  local event
  parser:feed(head)
  event, message, code = parser:next()
  parser:close()
  if code == "ENOMEM" then return nil, message, code end
  return event ~= nil or message == nil
end

-- The compression of a member that can be a layer; false: it can not.
local function layer_compression(head)
  local compression = core.sniff(head)
  if compression == "gzip" or compression == "zstd" then return compression end
  local plain, message, code = is_tar(head)
  if plain == nil then return nil, message, code end
  return plain and "none"
end

--- What to do with a member: "hold" it until the layers are known, let it "pass", or treat it as a "layer".
---@param member strata.StreamMember
---@param head string  its first bytes
---@param known? strata.KnownLayers
---@param max_json integer
---@return "hold"|"pass"|"layer"|nil role
---@return string? compression  of a layer | message
---@return string? code
function classify.role(member, head, known, max_json)
  if member.type == "symlink" or member.type == "hardlink" then return "hold" end
  if member.type ~= "file" or member.sparse or member.size == 0 or member.name == "oci-layout" then return "pass" end
  local small = member.size <= max_json
  if DOCUMENTS[member.name] and small then return "hold" end
  local compression, message, code = layer_compression(head)
  if compression == nil then return nil, message, code end
  if compression and not (known and known.by_digest and not known.places[member.name]) then
    return "layer", compression
  end
  -- How many bytes come at once must not matter.
  local text = head:sub(1, classify.HEAD)
  local is_document = text:find("^%s*[{%[]") or not text:find("%S")
  return not compression and small and is_document and "hold" or "pass"
end

return classify

--- An image as a plain table, with the names of `docker image inspect`.

local json = require "strata.util.json"
local printed = require "strata.util.printed"

local inspect = {}

local function or_nil(value)
  return value ~= "" and value or nil
end

--- The table; changing it changes nothing.
---@param img strata.Image
---@return table
function inspect.image(img)
  local config, size, layers, tags = img.config, 0, {}, {}
  for i, tag in ipairs(img.tags) do tags[i] = tag end
  for i, layer in ipairs(img.layers) do
    layers[i] = layer.diff_id
    size = size + layer.size
  end
  local digests, document = {}, config:totable()
  for i, digest in ipairs(img.repo_digests) do digests[i] = digest end
  return printed.by({
    Id = img.id,
    RepoTags = json.array(tags),
    RepoDigests = json.array(digests),
    Created = config.created,
    Author = or_nil(config.author),
    Comment = or_nil(config.comment),
    DockerVersion = config.docker_version,
    Architecture = config.architecture,
    Variant = config.variant,
    Os = config.os,
    Size = size,
    Config = type(document.config) == "table" and document.config or nil,
    ContainerConfig = type(document.container_config) == "table" and document.container_config or nil,
    RootFS = { Type = "layers", Layers = layers },
  }, printed.json)
end

return inspect

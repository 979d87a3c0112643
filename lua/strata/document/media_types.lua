--- Media types of OCI and of Docker's schema 2, and how one becomes the other.
--
-- What a blob is told to be is never trusted to say how it is compressed: that
-- is in its first bytes. Source: image-spec media-types.md, distribution
-- manifest-v2-2.md.

local media_types = {}

local OCI = "application/vnd.oci.image."
local DOCKER = "application/vnd.docker."

media_types.OCI_INDEX = OCI .. "index.v1+json"
media_types.OCI_MANIFEST = OCI .. "manifest.v1+json"
media_types.OCI_CONFIG = OCI .. "config.v1+json"
media_types.DOCKER_LIST = DOCKER .. "distribution.manifest.list.v2+json"
media_types.DOCKER_MANIFEST = DOCKER .. "distribution.manifest.v2+json"
media_types.DOCKER_CONFIG = DOCKER .. "container.image.v1+json"

local LAYERS = {
  oci = {
    none = OCI .. "layer.v1.tar", gzip = OCI .. "layer.v1.tar+gzip", zstd = OCI .. "layer.v1.tar+zstd",
  },
  docker = {
    none = DOCKER .. "image.rootfs.diff.tar", gzip = DOCKER .. "image.rootfs.diff.tar.gzip",
    zstd = DOCKER .. "image.rootfs.diff.tar.zstd",
  },
}

-- Layers that are not meant to be passed on; a registry may hold only their URLs.
local FOREIGN = {
  oci = {
    none = OCI .. "layer.nondistributable.v1.tar", gzip = OCI .. "layer.nondistributable.v1.tar+gzip",
    zstd = OCI .. "layer.nondistributable.v1.tar+zstd",
  },
  docker = {
    none = DOCKER .. "image.rootfs.foreign.diff.tar", gzip = DOCKER .. "image.rootfs.foreign.diff.tar.gzip",
    zstd = DOCKER .. "image.rootfs.foreign.diff.tar.zstd",
  },
}

--- What a layer is read and written with.
media_types.COMPRESSIONS = { none = true, gzip = true, zstd = true }

local KINDS = {
  [media_types.OCI_INDEX] = "index", [media_types.DOCKER_LIST] = "index",
  [media_types.OCI_MANIFEST] = "manifest", [media_types.DOCKER_MANIFEST] = "manifest",
  [media_types.OCI_CONFIG] = "config", [media_types.DOCKER_CONFIG] = "config",
}
-- Types of configs that registries gave to images of Docker 1.10 and its time, and Docker pulls to this day.
-- Source: moby, daemon/internal/distribution/registry.go, defaultImageTypes.
local OLD_CONFIGS = {
  ["application/octet-stream"] = true, ["application/json"] = true, ["text/html"] = true, [""] = true,
}

local layer_kinds = {}
for family, types in pairs(LAYERS) do
  for compression, name in pairs(types) do
    KINDS[name] = "layer"
    layer_kinds[name] = { family = family, compression = compression, foreign = false }
  end
end
for family, types in pairs(FOREIGN) do
  for compression, name in pairs(types) do
    KINDS[name] = "layer"
    layer_kinds[name] = { family = family, compression = compression, foreign = true }
  end
end

--- What a media type stands for.
---@param name any
---@return "index"|"manifest"|"config"|"layer"|nil
function media_types.kind(name)
  return KINDS[name]
end

--- Whether a manifest of a family is that of an image by the type of its config.
---@param name any  type of the config
---@param family "oci"|"docker"
---@return boolean
function media_types.is_image_config(name, family)
  return KINDS[name] == "config" or (family == "docker" and OLD_CONFIGS[name] == true)
end

--- The type of a layer that is stored in some way.
---@param family "oci"|"docker"
---@param compression string  "none", "gzip", "zstd"
---@param foreign? boolean
---@return string
function media_types.layer(family, compression, foreign)
  return (foreign and FOREIGN or LAYERS)[family][compression]
end

--- How a layer is compressed by its type: for blobs that are not there.
---@param name any
---@return string
function media_types.stated_compression(name)
  return layer_kinds[name] and layer_kinds[name].compression or "none"
end

---@param name any
---@return boolean
function media_types.is_foreign(name)
  return layer_kinds[name] ~= nil and layer_kinds[name].foreign
end

--- Which of the two worlds a type belongs to: a Docker type, or all others.
---@param name any
---@return "oci"|"docker"
function media_types.family(name)
  return type(name) == "string" and name:find(DOCKER, 1, true) == 1 and "docker" or "oci"
end

--- The type of a layer after a change: a type that nobody here knows stays.
---@param name string?  before
---@param family "oci"|"docker"
---@param compression string
---@return string
function media_types.changed_layer(name, family, compression)
  local known = layer_kinds[name]
  if name and not known then return name end
  return media_types.layer(family, compression, known and known.foreign)
end

local PAIRS = {
  { media_types.OCI_INDEX, media_types.DOCKER_LIST }, { media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST },
  { media_types.OCI_CONFIG, media_types.DOCKER_CONFIG },
}

--- The same document type in another family; an unknown one stays.
---@param name string
---@param family "oci"|"docker"
---@param is_config? boolean  of an image
---@return string
function media_types.convert(name, family, is_config)
  if is_config and OLD_CONFIGS[name] then name = media_types.DOCKER_CONFIG end
  for _, pair in ipairs(PAIRS) do
    if name == pair[1] or name == pair[2] then return family == "oci" and pair[1] or pair[2] end
  end
  return name
end

return media_types

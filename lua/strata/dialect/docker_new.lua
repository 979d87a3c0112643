--- A new archive, as Docker 25 and later save: blobs by digest, an OCI index
-- and a manifest.json that agree. Older Dockers, podman and skopeo read it by
-- its manifest.json. Members are sorted, times are 0: the same image gives the
-- same bytes.

local core = require "strata.core"
local json = require "strata.json"
local layer = require "strata.layer"
local tags = require "strata.tags"
local tarball = require "strata.dialect.tarball"

local docker_new = {}

local OCI = "application/vnd.oci.image."
local LAYER_TYPES = { none = OCI .. "layer.v1.tar", gzip = OCI .. "layer.v1.tar+gzip",
                      zstd = OCI .. "layer.v1.tar+zstd" }

local function blob_name(digest)
  return "blobs/sha256/" .. digest:sub(#"sha256:" + 1)
end

--- The descriptors of the index: one per tag, one without when there is none.
function docker_new.descriptors(digest, size, refs, platform)
  local list = {}
  for i = 1, math.max(#refs, 1) do
    local annotations
    if refs[i] then
      local _, tag = tags.split(refs[i])
      annotations = { ["io.containerd.image.name"] = tags.full(refs[i]),
                      ["org.opencontainers.image.ref.name"] = tag }
    end
    list[i] = { mediaType = OCI .. "manifest.v1+json", digest = digest, size = size,
                annotations = annotations, platform = platform }
  end
  return list
end

local function documents(state, states)
  local config_text = state.config:text()
  local config_digest = core.sha256(config_text)
  local layers, names = {}, {}
  for i, one in ipairs(states) do
    local now = layer.current(one)
    layers[i] = { mediaType = LAYER_TYPES[now.compression], digest = now.digest, size = now.size }
    names[i] = blob_name(now.digest)
  end
  local manifest = json.encode {
    schemaVersion = 2, mediaType = OCI .. "manifest.v1+json",
    config = { mediaType = OCI .. "config.v1+json", digest = config_digest, size = #config_text },
    layers = json.array(layers),
  }
  local index = json.encode {
    schemaVersion = 2, mediaType = OCI .. "index.v1+json",
    manifests = docker_new.descriptors(core.sha256(manifest), #manifest, state.tags,
      { os = state.config.os, architecture = state.config.architecture,
        variant = state.config.variant }),
  }
  local list = json.encode {
    { Config = blob_name(config_digest), RepoTags = json.array(state.tags),
      Layers = json.array(names) },
  }
  return {
    { name = "index.json", bytes = index },
    { name = "manifest.json", bytes = list },
    { name = "oci-layout", bytes = '{"imageLayoutVersion":"1.0.0"}' },
    { name = blob_name(config_digest), bytes = config_text },
    { name = blob_name(core.sha256(manifest)), bytes = manifest },
  }
end

--- The parts of the archive.
---@return strata.Segment[]?
---@return string? message
---@return string? code
function docker_new.segments(state, states)
  for _, one in ipairs(states) do
    local compression = layer.current(one).compression
    if not LAYER_TYPES[compression] then
      return nil, ("%s: compressed with %s, which no media type says"):format(layer.label(one),
        compression), "EUNSUPPORTED"
    end
  end
  local members, seen = documents(state, states), {}
  for _, one in ipairs(states) do
    local now = layer.current(one)
    if not seen[now.digest] then
      seen[now.digest] = true
      members[#members + 1] = {
        name = blob_name(now.digest),
        part = { file = now.file, offset = now.offset, size = now.size, digest = now.digest,
                 label = layer.label(one) },
      }
    end
  end
  for _, member in ipairs(members) do member.type = "file" end
  for _, name in ipairs { "blobs", "blobs/sha256" } do
    members[#members + 1] = { name = name, type = "dir" }
  end
  -- The control files first, so that one who reads a stream knows what comes.
  local function rank(member) return (member.name:find("^blobs") and "1" or "0") .. member.name end
  table.sort(members, function(a, b) return rank(a) < rank(b) end)
  return tarball.segments(members)
end

return docker_new

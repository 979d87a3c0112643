--- Which dialect a store is written in: told by its content, never by its name.

local docker = require "strata.dialect.docker.read"
local docker_v1 = require "strata.dialect.docker_v1.read"
local fail = require "strata.util.fail"
local hybrid = require "strata.dialect.docker.hybrid"
local oci_candidates = require "strata.dialect.oci.candidates"
local open = require "strata.store.open"

local detect = {}

--- A store that was opened, and the images to choose from in it.
---@class strata.Listing
---@field store strata.ArchiveStore|strata.DirectoryStore
---@field candidates strata.Candidates
---@field kind "docker"|"docker-v1"|"oci"  how the store is written
---@field catalog strata.Catalog?  of its index.json, when that counts
---@field limits strata.Limits
---@field index_changes table<string, strata.AnnotationChange[]>?  of the annotations of indexes, by digest; "" is the
---  root. Written by strata.Index
---@field strict boolean|table|nil  the option; strata puts the functions there that refuse images and layers

-- How a store is written, and who lists its images. nil: it is no store of images.
local function dialect_of(store)
  if store.dir or store.remote then return "oci", oci_candidates end
  local has_docker, has_oci = store:has("manifest.json"), store:has("index.json")
  if has_docker then return "docker", has_oci and hybrid or docker end
  if has_oci then return "oci", oci_candidates end
  if docker_v1.matches(store) then return "docker-v1", docker_v1 end
end

--- The images of a store, as the dialect that it is in lists them.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param opts {limits: strata.Limits, prefer: string?}
---@return strata.Candidates?
---@return string? message
---@return string? code
function detect.candidates(store, opts)
  local _, dialect = dialect_of(store)
  if dialect then return dialect.candidates(store, opts) end
  local why = store.file and store.file:size() == 0 and " is empty" or ": neither manifest.json nor index.json"
  return fail("EFORMAT", "%s%s: not an image archive", store.path, why)
end

--- Opens a store and lists its images.
---@param what string|file*  a path, "-" for standard input, or an open Lua file
---@param opts {limits: strata.Limits, prefer?: string, temp_dir?: string, progress?: function, strict?: boolean}
---@return strata.Listing?
---@return string? message
---@return string? code
function detect.open(what, opts)
  local store, message, code = open.store(what, opts)
  if not store then return nil, message, code end
  store:use()
  local candidates
  candidates, message, code = detect.candidates(store, opts)
  local failure, how = store:take_failure()
  for _, one in ipairs(opts.strict and candidates or {}) do
    if one.problem and not failure then failure, how = one.problem[1], one.problem[2] end
  end
  if not candidates or failure then
    store:release()
    return nil, failure or message, how or code
  end
  return { store = store, candidates = candidates, kind = (dialect_of(store)), catalog = candidates.catalog,
           limits = opts.limits, strict = opts.strict }
end

return detect

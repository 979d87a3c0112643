--- Choosing one of the images in a store.

local core = require "strata.core"
local json = require "strata.util.json"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"

local choose = {}

--- An image that can be chosen from a store. Its dialect makes it.
---@class strata.Candidate
---@field kind "image"|"attestation"|"artifact"
---@field tags string[]
---@field digest string?  of its manifest
---@field alias string?  another name that it is found by
---@field missing boolean?  some of its blobs are not in the store, or it has a problem
---@field problem {[1]: string, [2]: string}?  why it cannot be read: message and code
---@field id fun(): string?  the image ID, when it can be told without reading layers
---@field platform fun(): strata.PlatformFields?
---@field layer_names? fun(): string[]  of an image in manifest.json: the names of its layers
---@field read fun(): strata.ImageModel?, string?, string?

--- The images of a store.
---@class strata.Candidates
---@field [integer] strata.Candidate
---@field catalog strata.Catalog?  of its index.json, when that counts

--- What reading a candidate gives, and strata.image makes an image of.
---@class strata.ImageModel
---@field source strata.Source?
---@field limits strata.Limits?
---@field config_text string
---@field layers strata.LayerState[]  with what the store tells: blob, digest, media type ...
---@field tags string[]
---@field manifest strata.ImageManifest?
---@field descriptor_text string?  the descriptor that led to the manifest
---@field index table?  the nested index that the manifest was found in
---@field strict table?  set by strata.open and its like, with the option `strict`

--- The manifest of an image.
---@class strata.ImageManifest
---@field text string
---@field digest string  as its descriptor has it
---@field media_type string?
---@field config_digest string  as it names the config

--- Where an image was opened: its store, and what its dialect has to know to save it there again.
---@class strata.Source
---@field kind "docker"|"docker-v1"|"oci"
---@field store strata.ArchiveStore|strata.DirectoryStore
---@field catalog strata.Catalog?  of the index.json that leads to the image
---@field manifest strata.Manifest?  of the image in it
---@field roles fun(self): table<string, string>  what each file is in the image, by name
---@field verify_documents? fun(self): boolean?, string?, string?
---@field misnamed_config? fun(self): string?, string?  the digest that the config's name states, and the one it has
---@field misnaming? fun(self): string?  the same as a note

---@param one strata.Candidate
local function describe(one)
  local words = {}
  for _, tag in ipairs(one.tags) do words[#words + 1] = json.printable(tag, 200) end
  local runs_on = one.platform()
  if runs_on then words[#words + 1] = json.printable(tostring(platform.of(runs_on)), 60) end
  words[#words + 1] = one.digest or one.id()
  if one.problem then
    words[#words + 1] = "(it cannot be read)"
  elseif one.missing then
    words[#words + 1] = "(not all of it is here)"
  end
  return table.concat(words, " ")
end

---@param list strata.Candidate[]
local function describe_all(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = describe(one) end
  return #lines > 0 and table.concat(lines, "; ") or "none"
end

-- The same of what are no images.
local function describe_kinds(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = "an " .. one.kind .. " " .. describe(one) end
  return table.concat(lines, "; ")
end

--- A digest that somebody typed, spelt as in documents. Digits alone are a SHA-256.
---@param text string
---@return string?
function choose.digest_of(text)
  local name = (text:find("^%x+$") and "sha256:" .. text or text):lower()
  return core.digest_valid(name) and name or nil
end

-- The candidates with that tag, or else with that image ID or manifest digest.
local function by_ref(list, ref)
  local found, wanted = {}, choose.digest_of(ref)
  for _, one in ipairs(list) do
    if reference.find(one.tags, ref) then found[#found + 1] = one end
  end
  if #found > 0 or not wanted then return found end
  for _, one in ipairs(list) do
    if one.alias == ref or one.digest == wanted or one.id() == wanted then return { one } end
  end
  return found
end

local UNKNOWN_RANK = 2 ^ 31

-- The candidates that fit a platform best. One that cannot be read may be for any platform, and is the last choice.
local function by_platform(list, wanted)
  local best, found = math.huge, {}
  for _, one in ipairs(list) do
    local runs_on = one.platform()
    local rank = runs_on and platform.rank(wanted, runs_on) or not runs_on and one.problem and UNKNOWN_RANK
    if rank and rank < best then best, found = rank, {} end
    if rank and rank == best then found[#found + 1] = one end
  end
  return found
end

local function only(list, test)
  local found = {}
  for _, one in ipairs(list) do
    if test(one) then found[#found + 1] = one end
  end
  return found
end

-- Of several images with the same names for one platform the first is taken (image-index.md).
local function same_names(list)
  for _, one in ipairs(list) do
    if table.concat(one.tags, "\0") ~= table.concat(list[1].tags, "\0") then return false end
  end
  return true
end

local function is_image(one) return one.kind == "image" end
local function is_here(one) return not one.missing end

--- The images that the options mean.
---@param list strata.Candidate[]
---@param opts strata.ChoiceOptions
---@return strata.Candidate[]
function choose.all(list, opts)
  local found = opts.digest and list or only(list, is_image)
  if opts.ref then found = by_ref(found, opts.ref) end
  if opts.digest then
    found = only(found, function(one) return one.digest == opts.digest end)
  end
  return opts.platform and by_platform(found, platform.parse(opts.platform)) or found
end

--- Why none of several images can be read: message and code of the first with a problem. nil when one can be read.
---@param list strata.Candidate[]
---@return {[1]: string, [2]: string}?
function choose.problem(list)
  local problem
  for _, one in ipairs(list) do
    if not one.missing then return nil end
    problem = problem or one.problem
  end
  return problem
end

--- Whether there is an image that is all here.
---@param list strata.Candidate[]
---@return boolean
function choose.has_image(list)
  for _, one in ipairs(list) do
    if is_image(one) and is_here(one) then return true end
  end
  return false
end

--- The images in words.
---@param list strata.Candidate[]
---@return string
function choose.describe(list)
  return describe_all(only(list, is_image))
end

--- The only image that the options mean.
---@param list strata.Candidate[]
---@param path string
---@param opts strata.ChoiceOptions
---@return strata.Candidate?
---@return string? message
---@return string? code
function choose.one(list, path, opts)
  local found = choose.all(list, opts)
  if #found > 1 then
    local here = only(found, is_here)
    if #here > 0 then found = here end
  end
  if #found == 1 or (#found > 1 and opts.platform and same_names(found)) then return found[1] end
  local is_remote = reference.is_remote(path)
  if #found == 0 and is_remote and #list > 0 and not choose.all(list, {})[1] then
    return nil, ("%s: no image, but %s"):format(path, describe_kinds(list)), "EFORMAT"
  end
  if #found == 0 then
    local wanted = {}
    for _, key in ipairs { "ref", "digest", "platform" } do
      if opts[key] then wanted[#wanted + 1] = key .. " " .. core.quote(opts[key]) end
    end
    return nil, ("%s: no image%s; there are: %s"):format(path,
      #wanted > 0 and " with " .. table.concat(wanted, ", ") or "", choose.describe(list)), "ENOENT"
  end
  return nil, ("%s: holds %d images, choose one with %s: %s"):format(path, #found,
    is_remote and "platform or digest" or "ref, platform or digest", describe_all(found)), "EAMBIGUOUS"
end

return choose

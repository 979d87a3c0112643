--- All images of a layout or an archive, to be edited and saved together.

local annotations = require "strata.document.annotations"
local choose = require "strata.dialect.choose"
local core = require "strata.core"
local argument = require "strata.util.argument"
local fail = require "strata.util.fail"
local frozen = require "strata.util.frozen"
local image = require "strata.image"
local index_annotations = require "strata.dialect.oci.index_annotations"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local options = require "strata.util.options"
local platform = require "strata.document.platform"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"
local save = require "strata.save"

local index = {}

--- The state of an index.
---@class strata.IndexState
---@field listing strata.Listing
---@field opened table<integer, strata.Image>  by the number of the candidate. Written by open()

---@class strata.Index
local methods = {}

local new, state_of

-- Opens a candidate once, however often it is asked for.
local function open(state, number)
  local img, message, code = state.opened[number], nil, nil
  if not img then img, message, code = image.open(state.listing, state.listing.candidates[number]) end
  state.opened[number] = img
  return img, message, code
end

-- The numbers of the images that are all here, or of those for a platform.
local function selected(state, selector)
  local wanted = selector and selector.platform and platform.parse(selector.platform)
  local numbers = {}
  for number, one in ipairs(state.listing.candidates) do
    local runs_on = wanted and one.platform()
    local fits = not wanted or (runs_on and platform.rank(wanted, runs_on) == 1)
    if one.kind == "image" and not one.missing and fits then numbers[#numbers + 1] = number end
  end
  return numbers
end

-- The same; fails when there is none.
local function some(state, selector)
  local numbers, path = selected(state, selector), state.listing.store.path
  if #numbers > 0 then return numbers end
  if not selector or not selector.platform then return nil, path .. ": no image is all here", "ENOENT" end
  return nil, ("%s: no image that is all here is for %s; there are: %s"):format(path,
    core.quote(selector.platform), choose.describe(state.listing.candidates)), "ENOENT"
end

--- Iterates over the images that are all here, or over those of a platform. Fails when there is none; the iterator
-- throws when one cannot be read.
---@param selector? strata.SelectorOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return string? code
function methods:images(selector)
  options.check("images", "SelectorOptions", selector)
  local state = state_of(self)
  local numbers, message, code = some(state, selector)
  if not numbers then return nil, message, code end
  local i = 0
  return function()
    i = i + 1
    if not numbers[i] then return nil end
    local img, why = open(state_of(self), numbers[i])
    if not img then error(why, 0) end
    return img
  end
end

-- The images to save: those that were edited, or all, or one that stands for the whole, which stays as it is.
local function to_save(state, what, opts)
  local recode = opts.compression ~= nil and opts.compression ~= "keep"
  local moves = opts.format ~= nil and not (state.listing.catalog and opts.format:find("^oci"))
  local all, images = recode or moves or opts.attestations == "drop", {}
  for number in ipairs(state.listing.candidates) do
    local img = state.opened[number]
    if not all and img and img.edited then images[#images + 1] = img end
  end
  if #images > 0 or not all and state.listing.catalog and reference.is_remote(what) then return images end
  for _, number in ipairs(selected(state)) do
    local img, message, code = open(state, number)
    if not img then return nil, message, code end
    images[#images + 1] = img
    if not all and not reference.is_remote(what) then break end
  end
  if #images == 0 and moves then return nil, state.listing.store.path .. ": no image is all here", "ENOENT" end
  return images
end

--- Saves the layout or the archive with the images as they are now.
---@param what string|file*
---@param opts? strata.SaveOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function methods:save(what, opts)
  argument.stream(what, "save")
  options.check("save", reference.is_remote(what) and "PushOptions" or "SaveOptions", opts)
  opts = opts or {}
  local state = state_of(self)
  local images, message, code = to_save(state, what, opts)
  if not images then return nil, message, code end
  local requests
  requests, message, code = image.requests(images)
  if not requests then return nil, message, code end
  return save.images(requests, what, opts, state.listing)
end

-- ---- annotations ---------------------------------------------------------------------

-- Changes annotations: whether that changed anything.
local function annotate(self, call, change, opts)
  options.check(call, "IndexAnnotationOptions", opts)
  return index_annotations.change(state_of(self).listing, change, opts and opts.digest)
end

--- Sets an annotation of the index that was opened (index.json of a layout), or of one that it leads to.
---@param name string
---@param value string
---@param opts? strata.IndexAnnotationOptions
---@return strata.Index? self
---@return string? message
---@return string? code  "ENOENT": there is no such index
function methods:set_annotation(name, value, opts)
  local change = annotations.setting(name, value, "set_annotation")
  local changed, message, code = annotate(self, "set_annotation", change, opts)
  if changed == nil then return nil, message, code end
  return self
end

--- Removes one.
---@param name string
---@param opts? strata.IndexAnnotationOptions
---@return strata.Index? self
---@return string? message
---@return string? code  "ENOENT": there is no such index or annotation
function methods:remove_annotation(name, opts)
  local change = annotations.removing(name, "remove_annotation")
  local changed, message, code = annotate(self, "remove_annotation", change, opts)
  if changed == nil then return nil, message, code end
  if not changed then return fail("ENOENT", "remove_annotation: there is no annotation %s", core.quote(name)) end
  return self
end

--- The artifacts that are about the index of a registry, or about one of a layout that has this digest.
---@param opts? strata.IndexReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return string? code  "ENOENT": there is no such index
function methods:referrers(opts)
  options.check("referrers", "IndexReferrersOptions", opts)
  local listing = state_of(self).listing
  local digest, message, code = index_annotations.digest_of(listing, opts and opts.digest)
  if not digest then return nil, message, code end
  return require("strata.artifact").referrers(listing.catalog, digest, opts)
end

local function read_annotations(state)
  return frozen.copy(state, "annotations", index_annotations.read(state.listing), "index.annotations",
    "assign the whole table, or use index:set_annotation and index:remove_annotation")
end

local function set_annotations(state, value)
  local changed, message = index_annotations.change(state.listing, annotations.all(value, "index.annotations"))
  if changed == nil then misuse(message) end
end

local function manifests(state)
  local list = {}
  for i, one in ipairs(state.listing.candidates) do
    local runs_on = one.platform()
    list[i] = { kind = one.kind, digest = one.digest, tags = one.tags, missing = one.missing and true or false,
                problem = one.problem and one.problem[1] or nil,
                platform = runs_on and platform.of(runs_on) or nil }
  end
  return printed.list(list, printed.manifest)
end

local fields = {
  path = function(state) return state.listing.store.path end,
  manifests = manifests,
  annotations = read_annotations,
}

new, state_of = object.class("strata.Index", methods, {
  fields = fields,
  set = { annotations = set_annotations },
  tostring = function(state)
    return ("strata.Index(%s, %d images)"):format(state.listing.store.path, #selected(state))
  end,
  close = function(state)
    for _, img in pairs(state.opened) do img:close() end
    state.listing.store:release()
  end,
})

--- Makes the object; it uses the store from then on.
---@param listing strata.Listing
---@return strata.Index
function index.new(listing)
  return new { listing = listing, opened = {} }
end

return index

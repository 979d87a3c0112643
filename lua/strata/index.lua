--- All images of a layout, an archive or an index of a registry, to be edited and saved together.

local annotations = require "strata.document.annotations"
local argument = require "strata.util.argument"
local choose = require "strata.dialect.choose"
local core = require "strata.core"
local fail = require "strata.util.fail"
local frozen = require "strata.util.frozen"
local image = require "strata.image"
local index_annotations = require "strata.dialect.oci.index_annotations"
local index_edits = require "strata.dialect.oci.index_edits"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local options = require "strata.util.options"
local platform = require "strata.document.platform"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"
local save = require "strata.save"
local target = require "strata.save.target"

local index = {}

--- The state of an index.
---@class strata.IndexState
---@field listing strata.Listing  its `edits` are those of the indexes; nil: there are none. Written by set_edits()
---@field opened table<integer, strata.Image>  by the number of the candidate. Written by open()
---@field numbers table<strata.Manifest, integer>?  of the candidates. Written by number_of()
---@field edits strata.IndexEdits?  the same, also when there are none. Written by edits_of()
---@field seen {revision: integer, rows: table<strata.Manifest, strata.IndexEntry>, tags: table}?  what is there after
---  the edits. Written by view()

---@class strata.Index
local methods = {}

local new, state_of

-- ---- what is there ----------------------------------------------------------------------------------------------

-- The edits that there are.
local function edits_of(state)
  state.edits = state.edits or index_edits.new(state.listing.catalog)
  return state.edits
end

-- What is there after the edits: by manifest the first descriptor and the tags that all give to it.
local function view(state)
  local edits = edits_of(state)
  if not state.seen or state.seen.revision ~= edits.revision then
    local seen = { revision = edits.revision, rows = {}, tags = {} }
    for _, one in ipairs(edits:entries()) do
      if one.row then
        seen.rows[one.row] = seen.rows[one.row] or one
        seen.tags[one.row] = reference.union(seen.tags[one.row] or {}, edits:tags(one))
      end
    end
    state.seen = seen
  end
  return state.seen
end

-- The manifest of a candidate. nil: no index.json leads to it.
local function manifest_of(state, number)
  local listing = state.listing
  if listing.kind == "oci" then return listing.catalog.manifests[number] end
  return listing.catalog and listing.catalog.by_digest[listing.candidates[number].digest or ""]
end

-- The number of the candidate that a manifest is.
local function number_of(state, row)
  if not state.numbers then
    state.numbers = {}
    for number in ipairs(state.listing.candidates) do
      local one = manifest_of(state, number)
      if one then state.numbers[one] = state.numbers[one] or number end
    end
  end
  return state.numbers[row]
end

-- Whether the edits have left a candidate.
local function is_left(state, number)
  local row = state.listing.edits and manifest_of(state, number)
  return not row or state.listing.edits:leads_to(row)
end

-- Opens a candidate once, however often it is asked for. It has the names that the edits have left.
local function open(state, number)
  local img, message, code = state.opened[number], nil, nil
  if not img then
    img, message, code = image.open(state.listing, state.listing.candidates[number])
    local untagged = edits_of(state).untagged
    for _, ref in ipairs(img and img.tags or {}) do
      if untagged[reference.comparable(ref)] then img:untag(ref) end
    end
  end
  state.opened[number] = img
  return img, message, code
end

local function fits(wanted, runs_on)
  return not wanted or (runs_on and platform.rank(wanted, runs_on) == 1)
end

-- Whether a candidate is an image that is all here.
local function is_selected(state, number)
  local one = state.listing.candidates[number]
  return one.kind == "image" and not one.missing and is_left(state, number)
end

-- The numbers of the images that are all here, or of those for a platform.
local function selected(state, selector)
  local wanted = selector and selector.platform and platform.parse(selector.platform)
  local numbers = {}
  for number, one in ipairs(state.listing.candidates) do
    if is_selected(state, number) and fits(wanted, wanted and one.platform()) then numbers[#numbers + 1] = number end
  end
  return numbers
end

-- The images that were added, or those of them for a platform.
local function added(state, selector)
  local wanted = selector and selector.platform and platform.parse(selector.platform)
  local list = {}
  for _, one in ipairs(edits_of(state).added) do
    if fits(wanted, wanted and platform.fields(one.handle.config)) then list[#list + 1] = one.handle end
  end
  return list
end

-- Fails when there is no image of which all is here.
local function none(state, selector)
  local path = state.listing.store.path
  if not selector or not selector.platform then return nil, path .. ": no image is all here", "ENOENT" end
  return nil, ("%s: no image that is all here is for %s; there are: %s"):format(path,
    core.quote(selector.platform), choose.describe(state.listing.candidates)), "ENOENT"
end

--- Iterates over the images that are all here, or over those of a platform; those that were added come last. Fails when
-- there is none; the iterator throws when one cannot be read.
---@param selector? strata.SelectorOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return string? code
function methods:images(selector)
  options.check("images", "SelectorOptions", selector)
  local state = state_of(self)
  local numbers, more, i = selected(state, selector), added(state, selector), 0
  if #numbers + #more == 0 then return none(state, selector) end
  return function()
    i = i + 1
    if not numbers[i] then return more[i - #numbers] end
    local img, why = open(state_of(self), numbers[i])
    if not img then error(why, 0) end
    return img
  end
end

-- A row of a list of manifests.
local function row_of(candidate, runs_on, within)
  return {
    kind = candidate.kind, digest = candidate.digest, tags = candidate.tags,
    missing = candidate.missing and true or false,
    problem = candidate.problem and candidate.problem[1] or nil, platform = runs_on and platform.of(runs_on) or nil,
    index = within ~= "" and within or nil,
  }
end

-- The same for a descriptor.
local function row_of_entry(state, one)
  local number = one.row and number_of(state, one.row)
  local known = number and state.listing.candidates[number]
  local catalog = state.listing.catalog
  local missing = known and known.missing or not known and not one.added and not catalog.indexes[one.digest] and
    not catalog.store:has_blob(one.digest)
  return row_of({ kind = one.kind, digest = one.digest, tags = edits_of(state):tags(one), missing = missing,
                  problem = known and known.problem }, one.platform, one.index)
end

local function manifests(state)
  local list, seen = {}, state.listing.edits and view(state)
  for i, one in ipairs(state.listing.candidates) do
    local row = manifest_of(state, i)
    if seen and row and seen.rows[row] then
      list[#list + 1] = row_of({ kind = one.kind, digest = one.digest, tags = seen.tags[row], missing = one.missing,
                                 problem = one.problem }, one.platform(), seen.rows[row].index)
    elseif not seen or not row then
      local place = row and row.place or {}
      list[#list + 1] = row_of(one, one.platform(), place.index or "")
    end
  end
  for _, one in ipairs(seen and edits_of(state):additions() or {}) do list[#list + 1] = row_of_entry(state, one) end
  return printed.list(list, printed.manifest)
end

-- ---- editing ----------------------------------------------------------------------------------------------------

-- The catalog whose indexes can be edited.
local function catalog_of(state, fn)
  local listing = state.listing
  local path = listing.store.path
  if not listing.catalog then
    return fail("EUNSUPPORTED", "%s: %s: no index.json lists its images; save it with the format oci-archive or " ..
      "oci, and open that", fn, path)
  elseif listing.catalog.single then
    return fail("EUNSUPPORTED", "%s: %s is one image and no index; strata.save({...}, to) makes an index", fn, path)
  end
  return listing.catalog
end

-- Ends an edit: a save carries out those that there are.
local function commit(state)
  local edits = edits_of(state)
  state.listing.edits = not edits:is_empty() and edits or nil
end

-- What a caller means: a list of names, digests and tables of fields, or a function. Throws what chooses nothing.
local function which_of(which, fn)
  if type(which) == "function" then return which end
  local list = type(which) == "table" and which[1] ~= nil and which or { which }
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count == 0 or count ~= #list then
    misuse("%s: a name, a digest, a table such as {platform = \"linux/arm64\"} or a function is wanted", fn)
  end
  for _, item in ipairs(list) do
    if type(item) == "table" then
      options.check(fn, "ManifestOptions", item)
      if next(item) == nil then misuse("%s: a table without a field chooses nothing", fn) end
    elseif type(item) ~= "string" then
      misuse("%s: a name, a digest or a table of fields is wanted, not %s", fn, argument.kind_of(item))
    end
  end
  return list
end

local function shown(item)
  if type(item) == "string" then return core.quote(item) end
  return "{" .. printed.copy(item) .. "}"
end

-- The descriptors that are meant. Fails when something has chosen nothing.
local function chosen(state, edits, which, opts)
  local catalog = state.listing.catalog
  if type(which) == "function" then
    local found = edits:choose_by(function(one)
      local answer = which(row_of_entry(state, one))
      if answer ~= true and answer ~= false then
        misuse("remove: the function returned %s for %s: true chooses it, and false does not", tostring(answer),
          one.digest or "an image that was added")
      end
      return answer
    end)
    if #found > 0 or opts.optional then return found end
    return fail("ENOENT", "remove: %s: the function chose nothing", catalog.store.path)
  end
  local found, unused = edits:choose(which)
  if #unused == 0 or opts.optional then return found end
  local words = {}
  for i, item in ipairs(unused) do words[i] = shown(item) end
  return fail("ENOENT", "remove: %s: nothing is %s", catalog.store.path, table.concat(words, ", "))
end

-- Rows of what goes, for the result.
local function rows_of(state, going)
  local rows = {}
  for i, one in ipairs(going) do rows[i] = row_of_entry(state, one) end
  return printed.list(rows, printed.manifest)
end

-- The attestations and artifacts that go with what goes.
local function with_statements(edits, going, how)
  local about = how ~= "keep" and edits:about(going) or {}
  if about[1] and how == "refuse" then
    return fail("EINVAL", "remove: attestation %s is about %s", about[1].digest, about[1].subject)
  end
  for _, one in ipairs(about) do going[#going + 1] = one end
  return going
end

--- Removes manifests and indexes from the indexes that lead to them, and with an index all that only it leads to. Of an
-- index that is left empty the descriptors go as well. Whole or not at all.
---@param which strata.WhichManifests
---@param opts? strata.IndexRemoveOptions
---@return strata.Index? self
---@return strata.IndexedManifest[]|string|nil removed | message
---@return string? code  "ENOENT": something has matched nothing
function methods:remove(which, opts)
  local list = which_of(which, "remove")
  options.check("remove", "IndexRemoveOptions", opts)
  opts = opts or {}
  local state = state_of(self)
  local catalog, message, code = catalog_of(state, "remove")
  if not catalog then return nil, message, code end
  local edits = edits_of(state)
  local before, additions = edits.revision, edits.added
  local going, why, how = chosen(state, edits, list, opts)
  if edits.revision ~= before then misuse("remove: the function that chooses has edited the index") end
  if going then going, why, how = with_statements(edits, going, opts.attestations or "drop") end
  if not going then return nil, why, how end
  local rows = rows_of(state, going)
  edits:take(going)
  if catalog.store.flat and #edits.added + #edits:entries() == 0 then
    edits:give_back(going, additions)
    return fail("EINVAL", "remove: %s: nothing would be left of the index", catalog.store.path)
  end
  commit(state)
  return self, rows
end

--- Takes a name away; the image or index that has it stays. An entry of index.json that is left without a name goes
-- when another one leads to the same.
---@param ref string
---@return strata.Index? self
---@return string? message
---@return string? code  "ENOENT": nothing has the name
function methods:untag(ref)
  if type(ref) ~= "string" then misuse("untag: a name is wanted, not %s", argument.kind_of(ref)) end
  local state = state_of(self)
  local catalog, message, code = catalog_of(state, "untag")
  if not catalog then return nil, message, code end
  if catalog.store.flat then
    return fail("EUNSUPPORTED", "untag: %s: the index has no names itself%s", catalog.store.path,
      catalog.store.remote and "; registry:delete takes a tag from a registry" or "")
  end
  if not edits_of(state):untag(ref) then
    return fail("ENOENT", "untag: %s: nothing has the name %s", catalog.store.path, core.quote(ref))
  end
  commit(state)
  for number, img in pairs(state.opened) do
    if reference.find(image.state_of(img).tags, ref) and is_selected(state, number) then img:untag(ref) end
  end
  return self
end

-- ---- adding -----------------------------------------------------------------------------------------------------

-- What has to make way for an image: descriptors that go, and images that were added. Fails when its place is taken and
-- may not be.
local function in_the_way(state, one, replace)
  local edits, catalog = edits_of(state), state.listing.catalog
  local is_listed = one.index == "" and not catalog.store.flat
  local found, mine = edits:rivals(one, is_listed)
  local why = is_listed and "of that name" or "for " .. tostring(one.handle.platform)
  if not replace and #found + #mine > 0 then
    return fail("EEXIST", "add: %s: there is an image %s (%s); replace = true puts this one in its place",
      catalog.store.path, why, found[1] and found[1].digest or "which was added")
  end
  for _, entry in ipairs(edits:about(found)) do found[#found + 1] = entry end
  return found, mine
end

--- Adds an image to an index, as it is when the index is saved: until then it stays open. In an index there is one
-- image for each platform; in index.json itself it gets a descriptor for each of its tags. Attestations about the image
-- go along from the place that it came from.
---@param img strata.Image
---@param opts? strata.IndexAddOptions
---@return strata.Index? self
---@return strata.IndexedManifest[]|string|nil replaced  manifests that made way, nil for none | message
---@return string? code  "EEXIST": something has its place; "EAMBIGUOUS": there are several indexes
function methods:add(img, opts)
  options.check("add", "IndexAddOptions", opts)
  opts = opts or {}
  local state, given = state_of(self), image.given(img, "add")
  local catalog, message, code = catalog_of(state, "add")
  if not catalog then return nil, message, code end
  local edits = edits_of(state)
  local into, why, how = edits:target(opts.index)
  if not into then return nil, why, how end
  local one = { index = into, handle = img, attestations = opts.attestations, tags = {} }
  if into == "" and not catalog.store.flat then
    for i, ref in ipairs(given.tags) do one.tags[i] = ref end
  end
  local going, mine
  going, mine, code = in_the_way(state, one, opts.replace)
  if not going then return nil, mine, code end
  local rows = rows_of(state, going)
  if #going + #mine > 0 then edits:take(going, mine) end
  edits:add(one)
  commit(state)
  return self, #rows > 0 and rows or nil
end

-- ---- saving -----------------------------------------------------------------------------------------------------

-- The images to save: those that were edited, or all, or one that stands for the whole, which stays as it is.
local function to_save(state, what, opts)
  local recode = opts.compression ~= nil and opts.compression ~= "keep"
  local moves = opts.format ~= nil and not (state.listing.catalog and opts.format:find("^oci"))
  local all, images = recode or moves or opts.attestations == "drop", {}
  for number in ipairs(state.listing.candidates) do
    local img = state.opened[number]
    if not all and img and img.edited and is_left(state, number) then images[#images + 1] = img end
  end
  local is_whole = state.listing.edits or state.listing.catalog and reference.is_remote(what)
  if #images > 0 or not all and is_whole then return images end
  for _, number in ipairs(selected(state)) do
    local img, message, code = open(state, number)
    if not img then return nil, message, code end
    images[#images + 1] = img
    if not all and not reference.is_remote(what) then break end
  end
  if #images == 0 and moves then return none(state) end
  return images
end

-- Whether a save writes indexes as they are now: an archive that has a manifest.json is not one of a layout alone.
local function has_indexes(state, what, opts)
  if reference.is_remote(what) then return true end
  if opts.format then return opts.format:find("^oci") ~= nil end
  return state.listing.kind == "oci"
end

-- What a save needs of the images that were added.
local function ready_added(state, what, opts)
  local edits = edits_of(state)
  if state.listing.edits and not has_indexes(state, what, opts) then
    return fail("EUNSUPPORTED", "%s: an archive for docker load keeps no edits of indexes; choose the format " ..
      "oci-archive, oci, or a registry", state.listing.store.path)
  end
  for _, one in ipairs(edits.added) do
    local requests, message, code = image.requests { one.handle }
    if not requests then return nil, message, code end
    one.request = requests[1]
    local free
    free, message, code = in_the_way(state, one, false) -- its platform may be another one by now
    if not free then return nil, message, code end
  end
  return true
end

-- What a save or a plan of one needs: the requests of the images to write.
local function requests_of(state, what, opts)
  frozen.check(state)
  local ok, message, code = ready_added(state, what, opts)
  if not ok then return nil, message, code end
  local images
  images, message, code = to_save(state, what, opts)
  if not images then return nil, message, code end
  return image.requests(images)
end

--- What index:save with these options would write: the images that change or are added, and to a registry (`to`) what
-- would be moved. Digests and sizes that only compressing would tell are nil.
---@param opts? strata.PlanOptions
---@return strata.SaveResult?
---@return string? message
---@return string? code
function methods:plan(opts)
  options.check("plan", type(opts) == "table" and opts.to ~= nil and "PlanOptions" or "SaveOptions", opts)
  opts = opts or {}
  local state = state_of(self)
  local is_push = opts.to ~= nil and reference.is_remote(opts.to)
  local requests, message, code = requests_of(state, is_push and opts.to or "", opts)
  if not requests then return nil, message, code end
  if not is_push then return save.plan_whole(requests, opts, state.listing) end
  if not state.listing.catalog then
    if #requests == 1 then return save.plan(requests[1], opts) end
    return fail("EUNSUPPORTED", "plan: %s: an archive of several images, without an index", state.listing.store.path)
  end
  local with = opts.registry and require("strata.registry").client_of(opts.registry) or nil
  return require("strata.save.registry").plan_index(requests, opts.to, opts, state.listing, with)
end

--- Saves the layout or the archive with the images as they are now.
---@param what string|file*
---@param opts? strata.SaveOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function methods:save(what, opts)
  target.check(what, opts, "save")
  opts = opts or {}
  local state = state_of(self)
  local requests, message, code = requests_of(state, what, opts)
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

local fields = {
  path = function(state) return state.listing.store.path end,
  manifests = manifests,
  edited = function(state)
    if state.listing.edits or state.listing.index_changes then return true end
    for _, img in pairs(state.opened) do
      if img.edited then return true end
    end
    return false
  end,
  annotations = read_annotations,
}

new, state_of = object.class("strata.Index", methods, {
  fields = fields,
  set = { annotations = set_annotations },
  tostring = function(state)
    local count = #selected(state) + #edits_of(state).added
    return ("strata.Index(%s, %d image%s)"):format(state.listing.store.path, count, count == 1 and "" or "s")
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

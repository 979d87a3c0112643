--- What is written into a layout directory: one that is new, one that exists and
-- is extended, or the image's own.

local core = require "strata.core"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local new_layout = require "strata.dialect.new_layout"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_edit = require "strata.dialect.oci.edit"
local oci_names = require "strata.dialect.oci.names"
local reference = require "strata.document.reference"
local transfer = require "strata.dialect.oci.transfer"

local oci_directory = {}

--- What is to be written when the root document of the target is `before`.
---@class strata.DirectoryPlan
---@field files strata.DirectoryFile[]
---@field root {name: string, text: string, gone: string[]?}  written last; then what is gone goes
---@field digest string?  of the one document that the root leads to; see strata.Transfer
---@field before string?  nil: there is none
---@field notes string[]?
---@field index string?  the digest of the index that all images are in

local function fail(code, fmt, ...)
  return nil, fmt:format(...), code
end

-- The text of a file of the target, nil when there is none.
local function read(out, name)
  local info, message, code = out.dir:stat(name)
  if not info then
    if code == "ENOENT" then return nil end
    return nil, message, code
  end
  local file
  file, message, code = out.dir:open(name)
  if not file then return nil, message, code end
  local size = file:size()
  local max = limits.defaults.json.max_bytes
  if size > max then
    return fail("ELIMIT", "%s: %s has %d bytes; limits.json.max_bytes is %d", out.path, name, size, max)
  end
  local text
  text, message, code = file:read(0, size)
  file:close()
  return text, message, code
end

-- A layout of some other version is none of those that are known here.
local function check_version(out)
  local text, message, code = read(out, "oci-layout")
  if message then return nil, message, code end
  local header = text and json.decode(text)
  local version = type(header) == "table" and header.imageLayoutVersion
  if text and (type(version) ~= "string" or not version:find("^1%.")) then
    return fail("EUNSUPPORTED", "%s: oci-layout: version %s", out.path, core.quote(tostring(version)))
  end
  return true
end

-- What a save has in a directory before the root document is there, by its names.
local BEGUN = {
  layout = { "^blobs$", "^oci%-layout$", "^%.oci%-layout%.strata$", "^%.index%.json%.strata$", "^%.strata%-%x+$" },
  flat = { "^%x+$", "^%x+%.manifest%.json$", "^signature%-%d+$", "^version$", "^%.[%w.]+%.strata$", "^%.strata%-%x+$" },
}

-- Whether a directory is empty, or has nothing but what a save leaves that did not end.
local function is_begun(names, patterns)
  for _, name in ipairs(names) do
    local known = false
    for _, pattern in ipairs(patterns) do known = known or name:find(pattern) ~= nil end
    if not known then return false end
  end
  return true
end

-- The names in the target; none while it is not there.
local function names_in(out)
  local names, message, code = out.dir:list(".")
  if code == "ENOENT" then return {} end
  return names, message, code
end

-- What is there: nil when nothing is, else the text of its index.json.
local function existing_index(out)
  local names, message, code = names_in(out)
  if not names then return nil, message, code end
  local text, ok
  if is_begun(names, BEGUN.layout) then
    ok, message, code = check_version(out)
    return nil, not ok and message or nil, code
  end
  text, message, code = read(out, "index.json")
  if message then return nil, message, code end
  if not text then
    return fail("EEXIST", "%s: is not empty, and no image layout", out.path)
  end
  local index = json.decode(text)
  if type(index) ~= "table" or type(index.manifests) ~= "table" then
    return fail("EFORMAT", "%s: index.json is no index", out.path)
  end
  ok, message, code = check_version(out)
  if not ok then return nil, message, code end
  return text
end

-- What a descriptor is known by: its names, or its digest when it has none.
local function keys_of(descriptor)
  local keys = {}
  for i, name in ipairs(oci_names.of(oci_descriptor.annotations(descriptor.annotations))) do
    keys[i] = "name " .. reference.comparable(name)
  end
  return keys[1] and keys or { "digest " .. tostring(descriptor.digest) }
end

-- The places of descriptors, by what they are known by.
local function places_of(descriptors)
  local places = {}
  for i, one in ipairs(descriptors) do
    for _, key in ipairs(type(one) == "table" and keys_of(one) or {}) do
      places[key] = places[key] or {}
      table.insert(places[key], i)
    end
  end
  return places
end

--- An index with more descriptors: those that have the name of a new one make way. One that is there already stays.
---@param text string
---@param descriptors string[]
---@return string?
---@return string? message
---@return string? code
function oci_directory.extend(text, descriptors)
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  if doc:type("/manifests") ~= "array" then doc:set("/manifests", "[]") end -- Docker writes null when there are none
  local before, gone, stays, added = json.decode(doc:text()).manifests, {}, {}, {}
  local places = places_of(before)
  for _, descriptor in ipairs(descriptors) do
    local new, is_there = json.decode(descriptor), false
    for _, key in ipairs(keys_of(new)) do
      for _, i in ipairs(places[key] or {}) do
        local same = json.same(before[i], new)
        is_there = is_there or same
        stays[i], gone[i] = stays[i] or same, true
      end
    end
    if not is_there then added[#added + 1] = descriptor end
  end
  for i = #before, 1, -1 do
    if gone[i] and not stays[i] then doc:remove("/manifests/" .. (i - 1)) end
  end
  for _, descriptor in ipairs(added) do doc:insert("/manifests/" .. doc:count("/manifests"), descriptor) end
  return doc:text()
end

local extend = oci_directory.extend

local function descriptors_of(text)
  local doc, list = core.json(text), {}
  for i = 0, doc:count("/manifests") - 1 do list[i + 1] = doc:raw("/manifests/" .. i) end
  return list
end

-- Blobs and descriptors for a directory that is empty or a layout.
local function plan_for(out, blobs, descriptors, before, layout)
  if not out.dir:stat("oci-layout") then
    blobs[#blobs + 1] = { name = "oci-layout", bytes = layout or new_layout.LAYOUT }
  end
  local root, message, code = new_layout.index(descriptors), nil, nil
  if before then root, message, code = extend(before, descriptors) end
  if not root then return nil, message, code end
  return { files = blobs, root = { name = "index.json", text = root }, before = before }
end

--- Works out what to write when blobs and descriptors are added to a directory that is empty or a layout.
---@param blobs strata.DirectoryFile[]
---@param descriptors string[]
---@param out strata.DirectoryTarget
---@param last? strata.DirectoryPlan  of this save, which holds as long as the root document is what it was
---@return strata.DirectoryPlan?
---@return string? message
---@return string? code
function oci_directory.plan_added(blobs, descriptors, out, last)
  local text, message, code = existing_index(out)
  if message then return nil, message, code end
  if last and last.before == text then return last end
  return plan_for(out, blobs, descriptors, text)
end

-- What goes into a directory that is empty or a layout: the images alone, or the whole layout that they are of.
local function plan_new(saving, out, last)
  local text, message, code = existing_index(out)
  if message then return nil, message, code end
  if last and last.before == text then return last end
  local made, moved
  if saving.whole and saving.catalog then
    moved, message, code = transfer.of(saving.catalog, saving.images, saving.opts, saving.whole)
  else
    made, message, code = new_layout.layout(saving.images, "oci", saving.into)
  end
  if not made and not moved then return nil, message, code end
  local plan
  if not moved then
    plan, message, code = plan_for(out, made.blobs, made.descriptors, text)
    if not plan then return nil, message, code end
    plan.notes, plan.index = made.notes, made.index
    return plan
  end
  plan, message, code = plan_for(out, moved.blobs, descriptors_of(moved.root), text, moved.layout)
  if not plan then return nil, message, code end
  if not text then
    plan.root.text = moved.root
  elseif not saving.catalog.store.flat and next(oci_descriptor.annotations(json.decode(moved.root).annotations)) then
    table.insert(moved.notes, "the annotations of index.json")
  end
  plan.notes, plan.digest = moved.notes, moved.digest
  return plan
end

-- The layout as it is now. An image that is not in it any more cannot be replaced.
local function catalog_now(saving, out)
  local store = saving.store
  local catalog, message, code = oci_catalog.of(store, saving.catalog.limits)
  local failure, how = store:take_failure()
  if failure or not catalog then return nil, failure or message, failure and how or code end
  for _, one in ipairs(saving.images) do
    local digest = one.source.manifest.digest
    if not catalog.by_digest[digest] then
      return fail("ESTALE", "%s: %s was changed after it had been opened, and leads to %s no more", out.path,
        store.root, digest)
    end
  end
  for _, digest in ipairs(json.keys(saving.whole and saving.whole.index_changes or {})) do
    if digest ~= "" and not catalog.indexes[digest] then
      return fail("ESTALE", "%s: %s was changed after it had been opened, and leads to the index %s no more", out.path,
        store.root, digest)
    end
  end
  return catalog
end

-- The image's own layout, in its place. What others have done to it since it was
-- opened stays, as long as it leads to the image as that was.
local function plan_here(saving, out, last)
  local store, catalog = saving.store, saving.catalog
  local text, message, code = read(out, store.root)
  if message then return nil, message, code end
  if last and last.before == text then return last end
  if text ~= catalog.root_text then
    catalog, message, code = catalog_now(saving, out)
    if not catalog then return nil, message, code end
  end
  local change
  change, message, code = oci_edit.changes(saving.images, catalog, saving.opts, saving.whole)
  if not change then return nil, message, code end
  local files
  files, message, code = oci_edit.files(store, change, true)
  if not files then return nil, message, code end
  local gone = {}
  for i, digest in ipairs(json.keys(change.gone)) do gone[i] = store:blob_name(digest) end
  return { files = files, root = { name = store.root, text = change.root, gone = gone },
           before = catalog.root_text, notes = change.notes }
end

-- The image's own layout with the changes, in a directory where there is none. An
-- index.json that another save puts there meanwhile gets what this layout leads to.
local function plan_copy(saving, out, last)
  local store = saving.store
  local text, message, code
  if last and store.flat then
    if out.dir:exists(store.root) then return fail("EEXIST", "%s: is not empty any more", out.path) end
  elseif last then -- the directory has this save's own files by now, whatever their names
    text, message, code = read(out, store.root)
    if message then return nil, message, code end
  end
  if last and last.before == text then return last end
  local change
  change, message, code = oci_edit.changes(saving.images, saving.catalog, saving.opts, saving.whole)
  if not change then return nil, message, code end
  local files
  files, message, code = oci_edit.files(store, change, false)
  if not files then return nil, message, code end
  local root = change.root
  if text then root, message, code = extend(text, descriptors_of(root)) end
  if not root then return nil, message, code end
  return { files = files, root = { name = store.root, text = root }, before = text, notes = change.notes }
end

local function plan_own(saving, out, last)
  local store = saving.store
  if store.dir:same(out.dir) then return plan_here(saving, out, last) end
  local names, message, code = names_in(out)
  if not names then return nil, message, code end
  if last or is_begun(names, store.flat and BEGUN.flat or BEGUN.layout) then return plan_copy(saving, out, last) end
  if store.flat then return fail("EEXIST", "%s: is not empty", out.path) end
  saving.native = false
  local ok = true
  if not saving.whole then ok, message, code = oci_catalog.check_alone(saving.images, saving.opts) end
  if not ok then return nil, message, code end
  return plan_new(saving, out)
end

--- Works out what to write, with the target as it is at the moment.
---@param saving strata.Save
---@param out strata.DirectoryTarget
---@param last? strata.DirectoryPlan  of this save, which holds as long as the root document is what it was
---@return strata.DirectoryPlan?
---@return string? message
---@return string? code
function oci_directory.plan(saving, out, last)
  if saving.native and saving.store.dir then return plan_own(saving, out, last) end
  return plan_new(saving, out, last)
end

return oci_directory

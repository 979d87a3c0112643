--- The names that descriptors of index.json give to images.
--
-- Docker and containerd write the full name and the tag, others only
-- org.opencontainers.image.ref.name, which may hold either.

local core = require "strata.core"
local json = require "strata.util.json"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local reference = require "strata.document.reference"

local oci_names = {}

local NAME, REF_NAME = reference.NAME, reference.REF_NAME

--- The names that annotations give: the full one, and the other one unless that is its tag.
---@param annotations table<string, string>
---@return string[]
function oci_names.of(annotations)
  local full, ref = annotations[NAME] and reference.familiar(annotations[NAME]), annotations[REF_NAME]
  if not full then return { ref } end
  local _, tag = reference.split(full)
  if not ref or ref == tag or reference.find({ full }, ref) then return { full } end
  return { full, ref }
end

--- The annotations that give a name to a descriptor.
---@param ref string
---@return table<string, string>
function oci_names.annotations(ref)
  local _, tag = reference.split(ref)
  local is_digest = ref:find("@", 1, true)
  -- A name that is only a tag came from a layout that has no more.
  return { [NAME] = tag and not is_digest and reference.full(ref) or nil, [REF_NAME] = not is_digest and tag or ref }
end

--- Gives a name to a descriptor, or takes away those that it has.
---@param doc strata.JSON
---@param pointer string  of the descriptor
---@param ref? string
function oci_names.set(doc, pointer, ref)
  local names, annotations = ref and oci_names.annotations(ref) or {}, pointer .. "/annotations"
  for _, name in ipairs { NAME, REF_NAME } do
    local at = annotations .. json.part(name)
    if names[name] then
      doc:set(at, core.json_quote(names[name]))
    elseif doc:type(annotations) == "object" and doc:type(at) then
      doc:remove(at)
    end
  end
  if doc:type(annotations) == "object" and doc:count(annotations) == 0 then doc:remove(annotations) end
end

-- The names of a descriptor, and those among refs.
local function names_of(doc, pointer, refs)
  local at = pointer .. "/annotations"
  local names = oci_names.of(oci_descriptor.annotations {
    [NAME] = doc:get(at .. json.part(NAME)), [REF_NAME] = doc:get(at .. json.part(REF_NAME)),
  })
  local among = {}
  for _, name in ipairs(names) do
    if reference.find(refs, name) then among[#among + 1] = name end
  end
  return names, among
end

-- Renames a copy of a descriptor. A layout that gives the full name in
-- org.opencontainers.image.ref.name gets the new one there.
local function rename_copy(doc, pointer, ref)
  local at = pointer .. "/annotations"
  if doc:type(at .. json.part(REF_NAME)) and not doc:type(at .. json.part(NAME)) then
    doc:set(at .. json.part(REF_NAME), core.json_quote(ref))
  else
    oci_names.set(doc, pointer, ref)
  end
end

--- Descriptors of an index, and the names that they are to have.
---@class strata.Naming
---@field ours integer[]  the places of the descriptors that lead to an image, from 0, ascending
---@field refs string[]

-- The lists, those that share a descriptor as one: images of one index have the names of the index. nil: they differ.
-- The second result has the list of each place.
local function merged(namings)
  local owners, lists = {}, {}
  for _, one in ipairs(namings) do
    local both = { ours = {}, refs = one.refs }
    local function add(place)
      if owners[place] ~= both then both.ours[#both.ours + 1] = place end
      owners[place] = both
    end
    for _, place in ipairs(one.ours) do
      local other = owners[place]
      if other and other ~= both then
        if not reference.same_list(other.refs, one.refs) then return nil end
        lists[other] = nil
        for _, more in ipairs(other.ours) do add(more) end
      end
      add(place)
    end
    lists[both] = true
  end
  local sorted = {}
  for both in pairs(lists) do
    table.sort(both.ours) -- numbers
    sorted[#sorted + 1] = both
  end
  table.sort(sorted, function(a, b) return a.ours[1] < b.ours[1] end) -- numbers
  return sorted, owners
end

-- By name: the places of the descriptors that have it.
local function places_by_name(doc)
  local places = {}
  local index = json.decode(doc:text()) or {}
  for i, descriptor in ipairs(index.manifests or {}) do
    for _, name in ipairs(oci_names.of(oci_descriptor.annotations(descriptor.annotations))) do
      local key = reference.comparable(name)
      places[key] = places[key] or {}
      table.insert(places[key], i - 1)
    end
  end
  return places
end

-- Which descriptors of other images have to give a name up: a list of names for each place. nil and a name when two of
-- the lists would get it.
local function find_taken(doc, lists, owners)
  local places, getting, taken = places_by_name(doc), {}, {}
  for _, one in ipairs(lists) do
    for _, ref in ipairs(one.refs) do
      local key, is_old, from, other = reference.comparable(ref), false, {}, nil
      for _, place in ipairs(places[key] or {}) do
        local owner = owners[place]
        is_old = is_old or owner == one
        if not owner then from[#from + 1] = place end
        if owner and owner ~= one and reference.find(owner.refs, ref) then other = owner end
      end
      other = other or getting[key]
      if not is_old and other and other ~= one then return nil, ref end
      if not is_old then
        getting[key] = one
        for _, place in ipairs(from) do
          taken[place] = taken[place] or {}
          table.insert(taken[place], ref)
        end
      end
    end
  end
  return taken
end

local function has_name(doc, places, ref)
  for _, i in ipairs(places) do
    if #select(2, names_of(doc, "/manifests/" .. i, { ref })) > 0 then return true end
  end
  return false
end

-- Adds a copy of the last descriptor for each name that none of them has.
local function add_names(doc, one)
  local example = doc:raw("/manifests/" .. one.ours[#one.ours])
  for _, ref in ipairs(one.refs) do
    if not has_name(doc, one.ours, ref) then
      local at = doc:count("/manifests")
      doc:insert("/manifests/" .. at, example)
      rename_copy(doc, "/manifests/" .. at, ref)
      one.ours[#one.ours + 1] = at
    end
  end
end

-- Takes the names away that are not wanted. A descriptor without a name that stays goes, unless it is the last.
local function take_names(doc, one, gone)
  local left = #one.ours
  for i = #one.ours, 1, -1 do
    local pointer = "/manifests/" .. one.ours[i]
    local names, among = names_of(doc, pointer, one.refs)
    local stays = #among > 0 or (#one.refs == 0 and #names == 0)
    if stays and #among < #names then
      oci_names.set(doc, pointer)
      oci_names.set(doc, pointer, among[1])
    end
    if not stays and left > 1 then
      gone[one.ours[i]] = true
      left = left - 1
    elseif not stays then
      oci_names.set(doc, pointer)
    end
  end
end

--- The note about an image that is not edited and had the name that an edited one gets.
---@param ref string
---@return string
function oci_names.moved(ref)
  return ("the name %s of another image: it is that of the edited one now"):format(json.printable(ref, 200))
end

-- Whether another descriptor leads to the same.
local function is_repeated(doc, place, gone)
  local digest = doc:get("/manifests/" .. place .. "/digest")
  for other = 0, doc:count("/manifests") - 1 do
    local is_same = doc:get("/manifests/" .. other .. "/digest") == digest
    if other ~= place and not gone[other] and is_same then return true end
  end
  return false
end

-- Takes names from a descriptor of an image that is not edited.
local function give_up(doc, place, refs, gone, notes)
  local pointer, left = "/manifests/" .. place, {}
  for _, name in ipairs(oci_names.at(doc, pointer)) do
    if not reference.find(refs, name) then left[#left + 1] = name end
  end
  for _, ref in ipairs(refs) do notes[#notes + 1] = oci_names.moved(ref) end
  if #left == 0 and is_repeated(doc, place, gone) then
    gone[place] = true
  else
    oci_names.set(doc, pointer)
    if left[1] then oci_names.set(doc, pointer, left[1]) end
  end
end

--- Gives names to descriptors of an index. One of them is copied for each new name; a descriptor whose name went is
-- removed, unless it is the last. A name can go from one list to another, and is taken from descriptors of no list.
---@param doc strata.JSON  the index
---@param namings strata.Naming[]
---@param notes string[]  gets what was taken from descriptors of no list
---@return boolean? ok
---@return string? message
---@return string? code
function oci_names.give(doc, namings, notes)
  local lists, owners = merged(namings)
  if not lists then return nil, "images of one index have its names: they cannot get different ones", "EINVAL" end
  local taken, double = find_taken(doc, lists, owners)
  if not taken then
    return nil, ("two images cannot both have the name %s"):format(json.printable(double, 200)), "EINVAL"
  end
  local gone = {}
  for _, one in ipairs(lists) do add_names(doc, one) end
  for _, one in ipairs(lists) do take_names(doc, one, gone) end
  for place = 0, doc:count("/manifests") - 1 do
    if taken[place] then give_up(doc, place, taken[place], gone, notes) end
  end
  for place = doc:count("/manifests") - 1, 0, -1 do
    if gone[place] then doc:remove("/manifests/" .. place) end
  end
  return true
end

--- The names of a descriptor in a document.
---@param doc strata.JSON
---@param pointer string
---@return string[]
function oci_names.at(doc, pointer)
  return (names_of(doc, pointer, {}))
end

return oci_names

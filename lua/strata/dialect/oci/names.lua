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

--- Gives tags to the descriptors `ours` of an index. One of them is copied for each new
-- tag; a descriptor whose tag went is removed, unless it is the last.
---@param doc strata.JSON  the index
---@param ours integer[]  their places, from 0, ascending
---@param refs string[]
function oci_names.sync(doc, ours, refs)
  local example = doc:raw("/manifests/" .. ours[#ours])
  for _, ref in ipairs(refs) do
    local there = false
    for _, i in ipairs(ours) do
      local _, among = names_of(doc, "/manifests/" .. i, { ref })
      there = there or #among > 0
    end
    if not there then
      local at = doc:count("/manifests")
      doc:insert("/manifests/" .. at, example)
      rename_copy(doc, "/manifests/" .. at, ref)
      ours[#ours + 1] = at
    end
  end
  local left = #ours
  for i = #ours, 1, -1 do
    local pointer = "/manifests/" .. ours[i]
    local names, among = names_of(doc, pointer, refs)
    local stays = #among > 0 or (#refs == 0 and #names == 0)
    if stays and #among < #names then
      oci_names.set(doc, pointer)
      oci_names.set(doc, pointer, among[1])
    end
    if not stays and left > 1 then
      doc:remove(pointer)
      left = left - 1
    elseif not stays then
      oci_names.set(doc, pointer)
    end
  end
end

return oci_names

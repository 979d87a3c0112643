--- The names that descriptors of index.json give to images.
--
-- Docker and containerd write the full name and the tag, others only
-- org.opencontainers.image.ref.name, which may hold either.

local core = require "strata.core"
local json = require "strata.util.json"
local oci_catalog = require "strata.dialect.oci.catalog"
local reference = require "strata.document.reference"

local oci_names = {}

local NAME = "/annotations" .. json.part(reference.NAME)
local REF_NAME = "/annotations" .. json.part(reference.REF_NAME)

-- The names of a descriptor, and those among refs.
local function names_of(doc, pointer, refs)
  local names = oci_catalog.names(oci_catalog.strings {
    [reference.NAME] = doc:get(pointer .. NAME), [reference.REF_NAME] = doc:get(pointer .. REF_NAME),
  })
  local among = {}
  for _, name in ipairs(names) do
    if reference.find(refs, name) then among[#among + 1] = name end
  end
  return names, among
end

-- Where a layout says all of the name in the one annotation, it is said there.
local function set_name(doc, pointer, ref)
  local _, tag = reference.split(ref)
  if doc:type(pointer .. REF_NAME) and not doc:type(pointer .. NAME) then
    doc:set(pointer .. REF_NAME, core.json_quote(ref))
    return
  end
  if tag and not ref:find("@", 1, true) then doc:set(pointer .. NAME, core.json_quote(reference.full(ref))) end
  doc:set(pointer .. REF_NAME, core.json_quote(not ref:find("@", 1, true) and tag or ref))
end

local function clear_name(doc, pointer)
  for _, annotation in ipairs { NAME, REF_NAME } do
    if doc:type(pointer .. annotation) then doc:remove(pointer .. annotation) end
  end
  if doc:type(pointer .. "/annotations") == "object" and doc:count(pointer .. "/annotations") == 0 then
    doc:remove(pointer .. "/annotations")
  end
end

--- Makes the descriptors `ours` of an index carry the tags: one is copied per
-- new tag; one that is left without its tag goes, unless it is the last.
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
      set_name(doc, "/manifests/" .. at, ref)
      ours[#ours + 1] = at
    end
  end
  local left = #ours
  for i = #ours, 1, -1 do
    local pointer = "/manifests/" .. ours[i]
    local names, among = names_of(doc, pointer, refs)
    local stays = #among > 0 or (#refs == 0 and #names == 0)
    if stays and #among < #names then
      clear_name(doc, pointer)
      set_name(doc, pointer, among[1])
    end
    if not stays and left > 1 then
      doc:remove(pointer)
      left = left - 1
    elseif not stays then
      clear_name(doc, pointer)
    end
  end
end

return oci_names

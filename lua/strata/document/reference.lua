--- Image references: "app:1.4", "registry.example:5000/team/app:2".

local options = require "strata.util.options"

local reference = {}

--- The annotations of a descriptor that name its image: in full as containerd does, and what may be the tag alone.
reference.NAME = "io.containerd.image.name"
reference.REF_NAME = "org.opencontainers.image.ref.name"

--- Splits off the tag; a colon before a slash belongs to a port.
---@param ref string
---@return string repository
---@return string? tag
function reference.split(ref)
  local repository, tag = ref:match("^(.+):([^:/]+)$")
  return repository or ref, tag
end

-- Components between slashes; the first can be a host with a port.
local function is_repository(name)
  local host, rest = name:match("^([^/]*):%d+/(.+)$")
  if host then name = host .. "/" .. rest end
  for component in (name .. "/"):gmatch("([^/]*)/") do
    if not component:find("^%w[%w%._%-]*$") then return false end
  end
  return true
end

--- The reference with ":latest" when it has no tag.
---@param ref any
---@return string? full  nil for what is no reference
function reference.parse(ref)
  if type(ref) ~= "string" or ref == "" or ref:find("[%s%c]") or ref:find("@", 1, true) then return nil end
  local repository, tag = reference.split(ref)
  if not is_repository(repository) or not (tag or "latest"):find("^[%w_][%w_%.%-]*$") then return nil end
  return repository .. ":" .. (tag or "latest")
end

--- The same; throws on nonsense.
---@param ref string
---@return string
function reference.complete(ref)
  local full = reference.parse(ref)
  if not full then error(("bad image reference %q"):format(tostring(ref)), 3) end
  return full
end

--- The short name that Docker shows: "docker.io/library/app:1" is "app:1".
---@param ref string
---@return string
function reference.familiar(ref)
  ref = ref:gsub("^index%.docker%.io/", ""):gsub("^docker%.io/", "")
  return (ref:gsub("^library/", ""))
end

--- The full name of a short one: "app:1" is "docker.io/library/app:1".
---@param ref string
---@return string
function reference.full(ref)
  local first = ref:match("^([^/]*)/")
  if first and (first == "localhost" or first:find("[.:]")) then return ref end
  return "docker.io/" .. (first and "" or "library/") .. ref
end

--- The place of a reference in a list of them, however it is spelt there.
---@param list string[]
---@param ref string
---@return integer?
function reference.find(list, ref)
  for i, tag in ipairs(list) do
    if tag == ref then return i end
    local one, other = reference.parse(tag), reference.parse(ref)
    if one and other and reference.familiar(one) == reference.familiar(other) then return i end
  end
  return nil
end

--- Whether two lists have the same references, spelt alike and in the same order.
---@param a string[]
---@param b string[]
---@return boolean
function reference.same_list(a, b)
  return table.concat(a, "\0") == table.concat(b, "\0")
end

--- The names that docker load takes: each with a tag. A layout can also have others.
---@param list string[]
---@return string[] refs
---@return string[] unfit
function reference.for_docker(list)
  local refs, unfit = {}, {}
  for _, name in ipairs(list) do
    local ref = reference.parse(name)
    if ref then refs[#refs + 1] = ref else unfit[#unfit + 1] = name end
  end
  return refs, unfit
end

options.rules.reference = { words = 'an image reference such as "app:1"', holds = reference.parse }

return reference

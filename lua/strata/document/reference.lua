--- Image references: "app:1.4", "registry.example:5000/team/app:2".

local core = require "strata.core"
local misuse = require "strata.util.misuse"
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

-- ---- the grammar ------------------------------------------------------------------------------------------------
--
-- It is Docker's, as its engine 20.10 has it: names that only later engines take are none. Source: distribution,
-- reference/regexp.go and reference/normalize.go.

local MAX_NAME, MAX_TAG = 255, 128

local function is_host(name)
  local host, port = name:match("^(.*):([0-9]+)$")
  if not port and name:find(":", 1, true) then return false end
  for part in ((host or name) .. "."):gmatch("([^.]*)%.") do
    if not part:find("^[A-Za-z0-9-]+$") or part:find("^-") or part:find("-$") then return false end
  end
  return true
end

-- Letters and digits, with ".", "_", "__" or any number of "-" between them.
local function is_component(name)
  if not name:find("^[a-z0-9._-]+$") or name:find("^[._-]") or name:find("[._-]$") then return false end
  for separator in name:gmatch("[._-]+") do
    if #separator > 1 and separator ~= "__" and not separator:find("^-+$") then return false end
  end
  return true
end

local function has_host(repository)
  local first = repository:match("^([^/]*)/")
  return first ~= nil and (first == "localhost" or first:find("[.:]") ~= nil) and first or nil
end

--- The full name of a short one: "app:1" is "docker.io/library/app:1".
---@param ref string
---@return string
function reference.full(ref)
  if has_host(ref) then return ref end
  return "docker.io/" .. (ref:find("/", 1, true) and "" or "library/") .. ref
end

-- What is wrong with a repository; nil for nothing.
local function repository_problem(repository)
  local host = has_host(repository)
  local path = host and repository:sub(#host + 2) or repository
  if host and not is_host(host) then return ("%s is no name of a host"):format(core.quote(host)) end
  if path:find("^[A-Za-z0-9._/-]*$") and path:find("[A-Z]") then return "the repository has to be in lower case" end
  for component in (path .. "/"):gmatch("([^/]*)/") do
    if not is_component(component) then
      return ('%s is no part of a repository: letters from a to z and digits, with ".", "_", "__" or "-" between them')
        :format(core.quote(component))
    end
  end
  if #reference.full(repository) > MAX_NAME then
    return ("the repository has more than %d bytes"):format(MAX_NAME)
  end
  return nil
end

--- The reference with ":latest" when it has no tag.
---@param ref any
---@return string? full  nil for what Docker would refuse
---@return string? problem  what is wrong with it
function reference.parse(ref)
  if type(ref) ~= "string" then return nil, "it is no string" end
  if ref:find("@", 1, true) then return nil, "a digest belongs to no tag" end
  if #ref == 64 and ref:find("^[0-9a-f]+$") then return nil, "64 hexadecimal digits are an ID" end
  local repository, tag = reference.split(ref)
  local problem = repository_problem(repository)
  if problem then return nil, problem end
  tag = tag or "latest"
  if not tag:find("^[A-Za-z0-9_][A-Za-z0-9_.-]*$") or #tag > MAX_TAG then
    return nil, ('the tag is not 1 to %d letters, digits, "_", "." and "-", the first no "." or "-"'):format(MAX_TAG)
  end
  return repository .. ":" .. tag
end

--- The same; throws on nonsense.
---@param ref string
---@return string
function reference.complete(ref)
  local full, problem = reference.parse(ref)
  if not full then misuse(("bad image reference %s: %s"):format(core.quote(tostring(ref)), problem)) end
  return full
end

--- The short name that Docker shows: "docker.io/library/app:1" is "app:1".
---@param ref string
---@return string
function reference.familiar(ref)
  ref = ref:gsub("^index%.docker%.io/", ""):gsub("^docker%.io/", "")
  return (ref:gsub("^library/", ""))
end

--- A reference for comparison: two that are spelt differently and mean the same are equal. Also for names that Docker
-- refuses, since an archive may have them.
---@param ref string
---@return string
function reference.comparable(ref)
  local repository, tag = reference.split(ref)
  return reference.familiar(repository .. ":" .. (tag or "latest"))
end

--- The place of a reference in a list of them, however it is spelt there.
---@param list string[]
---@param ref string
---@return integer?
function reference.find(list, ref)
  local wanted = reference.comparable(ref)
  for i, tag in ipairs(list) do
    if tag == ref or reference.comparable(tag) == wanted then return i end
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

--- The names that docker load takes: each with a tag. A layout can also have others, and so can an archive that
-- nobody loaded.
---@param list string[]
---@return string[] refs
---@return {name: string, problem: string}[] unfit
function reference.for_docker(list)
  local refs, unfit = {}, {}
  for _, name in ipairs(list) do
    local ref, problem = reference.parse(name)
    if ref then refs[#refs + 1] = ref else unfit[#unfit + 1] = { name = name, problem = problem } end
  end
  return refs, unfit
end

options.rules.reference = { words = 'an image reference such as "app:1"', holds = reference.parse,
                            problem = function(value) return select(2, reference.parse(value)) end }

return reference

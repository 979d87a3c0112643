--- Image references: "app:1.4", "registry.example:5000/team/app:2".

local address = require "strata.util.address"
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

-- What is wrong with the path of a repository; nil for nothing.
local function path_problem(path)
  if path:find("^[A-Za-z0-9._/-]*$") and path:find("[A-Z]") then return "the repository has to be in lower case" end
  for component in (path .. "/"):gmatch("([^/]*)/") do
    if not is_component(component) then
      return ('%s is no part of a repository: letters from a to z and digits, with ".", "_", "__" or "-" between them')
        :format(core.quote(component))
    end
  end
  return nil
end

local function length_problem(name)
  return #name > MAX_NAME and ("the repository has more than %d bytes"):format(MAX_NAME) or nil
end

local function tag_problem(tag)
  if tag:find("^[A-Za-z0-9_][A-Za-z0-9_.-]*$") and #tag <= MAX_TAG then return nil end
  return ('the tag is not 1 to %d letters, digits, "_", "." and "-", the first no "." or "-"'):format(MAX_TAG)
end

-- What is wrong with a repository; nil for nothing.
local function repository_problem(repository)
  local host = has_host(repository)
  if host and not is_host(host) then return ("%s is no name of a host"):format(core.quote(host)) end
  return path_problem(host and repository:sub(#host + 2) or repository) or length_problem(reference.full(repository))
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
  tag = tag or "latest"
  local problem = repository_problem(repository) or tag_problem(tag)
  if problem then return nil, problem end
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

-- ---- references of registries ------------------------------------------------------------------------------------

-- What a place in a registry begins with. No file is called so by accident: it would stand in a directory "docker:".
local PREFIX = "docker://"
local MAX_TEXT = 1024
local HUB = "docker.io"
local HUB_CONNECT = "registry-1.docker.io"

---@class strata.RegistryReference
---@field host string  in lower case, with its port: "docker.io", "registry.example:5000", "[::1]:5000"
---@field connect string  the host that is connected to: registry-1.docker.io for docker.io, else the same
---@field scheme "http"|"https"
---@field origin string  scheme and connect, for URLs
---@field repository string  "library/alpine"
---@field tag? string  with a digest it is for display alone
---@field digest? string
---@field wanted string  what is fetched: the digest, or the tag
---@field name string  host and repository
---@field text string  all of it, in full

--- Whether a place is in a registry and no path.
-- Source: registry rules REF11.
---@param place any
---@return boolean
function reference.is_remote(place)
  return type(place) == "string" and place:sub(1, #PREFIX) == PREFIX
end

local function without_prefix(text)
  return reference.is_remote(text) and text:sub(#PREFIX + 1) or text
end

-- What is wrong with a host, its port included; nil for nothing.
local function host_problem(host)
  local name, port = host:match("^(.*):([0-9]+)$")
  name = (name or host):lower()
  local fits = is_host(name) or name:find("^%[") ~= nil
  if fits and address.of_host(name) and (not port or #port <= 5 and tonumber(port) > 0 and tonumber(port) < 65536) then
    return nil
  end
  return ("%s is no name of a host"):format(core.quote(host))
end

-- Host and repository of a name, as Docker completes it.
local function split_name(name)
  local host = has_host(name)
  if not host then
    if name == "localhost" or name:find("^%[") or name:find(".", 1, true) and not name:find("/", 1, true) then
      return nil, "a host alone is no image: a repository is missing"
    end
    return HUB, (name:find("/", 1, true) and "" or "library/") .. name
  end
  local problem = host_problem(host)
  if problem then return nil, problem end
  local path = name:sub(#host + 2)
  host = host:lower()
  if host ~= HUB and host ~= "index.docker.io" then return host, path end
  return HUB, (path:find("/", 1, true) and "" or "library/") .. path
end

-- Where a host is reached. There is one try: a registry that does not speak TLS is not asked again without.
local function connection(host, insecure)
  local connect = host == HUB and HUB_CONNECT or host
  local name = connect:match("^(.*):[0-9]+$") or connect
  if insecure == nil then insecure = address.is_local(name) end
  return connect, insecure and "http" or "https"
end

-- What stands behind "@" is not repeated, nor what stands before: it can be a password.
local function digest_problem(digest)
  if not digest or core.digest_valid(digest) then return nil end
  return 'behind "@" stands no digest of SHA-256 or SHA-512; a user name and a password belong into credentials'
end

--- What a reference of a registry means.
-- Source: registry rules REF1 to REF13, REF20.
---@param text any  with or without "docker://"
---@param insecure? boolean  http instead of https; without it, http for this machine alone
---@return strata.RegistryReference? parts
---@return string? problem  what is wrong with it; has no password
function reference.of_registry(text, insecure)
  if type(text) ~= "string" then return nil, "it is no string" end
  if #text > MAX_TEXT then return nil, ("it has more than %d bytes"):format(MAX_TEXT) end
  local rest = without_prefix(text)
  if #rest == 64 and rest:find("^[0-9a-f]+$") then return nil, "64 hexadecimal digits are an ID" end
  local name, digest = rest:match("^([^@]*)@(.*)$")
  local problem = digest_problem(digest)
  if problem then return nil, problem end
  local short, tag = reference.split(name or rest)
  local host, repository = split_name(short)
  if not host then return nil, repository end
  name = host .. "/" .. repository
  problem = path_problem(repository) or length_problem(name) or tag and tag_problem(tag)
  if problem then return nil, problem end
  if not digest then tag = tag or "latest" end
  local connect, scheme = connection(host, insecure)
  return {
    host = host, connect = connect, scheme = scheme, origin = scheme .. "://" .. connect, repository = repository,
    tag = tag, digest = digest, wanted = digest or tag, name = name,
    text = name .. (tag and ":" .. tag or "") .. (digest and "@" .. digest or ""),
  }
end

--- A reference as messages may show it: what could be a password is left out.
-- Source: registry rules REF12, AUTH17.
---@param text any
---@return string
function reference.shown(text)
  text = tostring(text)
  if reference.of_registry(text) then return text end
  local rest = without_prefix(text)
  return text:sub(1, #text - #rest) .. rest:gsub("^.*@", "...@")
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

--- The references of a list, and those of another one that it has not.
---@param list string[]
---@param more string[]
---@return string[]
function reference.union(list, more)
  local both = {}
  for i, ref in ipairs(list) do both[i] = ref end
  for _, ref in ipairs(more) do
    if not reference.find(both, ref) then both[#both + 1] = ref end
  end
  return both
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

--- The packages that are installed in a root file system, as the databases of package managers tell them: that of dpkg,
-- also the one file per package of distroless images, and that of apk. The database of rpm is found and not read.

local core = require "strata.core"
local fail = require "strata.util.fail"
local join = require("strata.util.path").join
local json = require "strata.util.json"
local printed = require "strata.util.printed"

local packages = {}

-- States of dpkg in which nothing of a package but its configuration is there.
local GONE = { ["not-installed"] = true, ["config-files"] = true }

-- Iterates over the paragraphs of a text: for each a table of its fields. Of a field that comes twice the first counts.
local function paragraphs(text, pattern, fold)
  local at = 1
  return function()
    local fields
    while at <= #text do
      local stop = text:find("\n", at, true) or #text + 1
      local line = text:sub(at, stop - 1):gsub("\r$", "")
      at = stop + 1
      local key, value = line:match(pattern)
      if line:find("^%s*$") and fields then return fields end
      if not line:find("^%s*$") then fields = fields or {} end
      if key then
        key = fold and key:lower() or key
        fields[key] = fields[key] or value
      end
    end
    return fields
  end
end

local function read_dpkg(text)
  local list = {}
  for fields in paragraphs(text, "^([%w-]+):%s*(.-)%s*$", true) do
    local state = fields.status and fields.status:match("(%S+)$")
    if not GONE[state] then
      local source, version = (fields.source or ""):match("^(%S+)%s*%(?([^)]*)")
      list[#list + 1] = {
        name = fields.package, version = fields.version, architecture = fields.architecture,
        source = source or fields.package, source_version = version and version ~= "" and version or fields.version,
      }
      if not fields.package then return nil, "a paragraph without the field Package" end
    end
  end
  return list
end

local function read_apk(text)
  local list = {}
  for fields in paragraphs(text, "^(%a):(.*)$") do
    if not fields.P then return nil, "a paragraph without the field P" end
    list[#list + 1] = {
      name = fields.P, version = fields.V, architecture = fields.A, source = fields.o or fields.P,
      source_version = fields.V,
    }
  end
  return list
end

local RPM = { "Packages", "Packages.db", "rpmdb.sqlite" }

-- Where databases lie, and how they are read; "/" at the end: a directory of files, one for each package.
local PLACES = {
  { manager = "apk", path = "lib/apk/db/installed", read = read_apk },
  { manager = "apk", path = "usr/lib/apk/db/installed", read = read_apk },
  { manager = "dpkg", path = "var/lib/dpkg/status", read = read_dpkg },
  { manager = "dpkg", path = "var/lib/dpkg/status.d/", read = read_dpkg },
}
for _, directory in ipairs { "usr/lib/sysimage/rpm", "var/lib/rpm" } do
  for _, name in ipairs(RPM) do PLACES[#PLACES + 1] = { manager = "rpm", path = join(directory, name) } end
end

-- The files of a place: for a directory those in it, without their checksums.
local function files_of(root, place)
  if not place.path:find("/$") then return { place.path } end
  local names, message, code = root:list(place.path)
  if not names then return nil, message, code end
  local files = {}
  for _, name in ipairs(names) do
    if not name:find("%.md5sums$") then files[#files + 1] = join(place.path:sub(1, -2), name) end
  end
  return files
end

-- Adds the packages of a place to a list; gives how many they are.
local function read_place(root, place, list)
  local files, message, code = files_of(root, place)
  if not files then return nil, message, code end
  local count = 0
  for _, path in ipairs(files) do
    local text, found
    text, message, code = root:read(path)
    if not text then return nil, message, code end
    found, message = place.read(text)
    if not found then return fail("EFORMAT", "packages: %s: %s", core.quote(path), message) end
    for _, one in ipairs(found) do
      one.manager, one.database = place.manager, path
      list[#list + 1] = one
    end
    count = count + #found
  end
  return count
end

-- The places where something is; a place that links lead to from another one counts once.
local function find_places(root)
  local found, seen = {}, {}
  for _, place in ipairs(PLACES) do
    local entry, message, code = root:stat((place.path:gsub("/$", "")))
    if entry and not seen[entry.path] then
      seen[entry.path] = true
      found[#found + 1] = place
    elseif not entry and code ~= "ENOENT" and code ~= "ENOTDIR" and code ~= "ELOOP" then
      return nil, message, code
    end
  end
  return found
end

local ORDER = { "name", "manager", "architecture", "version" }

local function comes_before(a, b)
  for _, field in ipairs(ORDER) do
    local x, y = a[field] or "", b[field] or ""
    if x ~= y then return json.before(x, y) end
  end
  return false
end

--- The packages that are installed, sorted by name.
---@param root strata.Rootfs
---@return strata.Package[]?
---@return strata.PackageDatabase[]|string databases  | message
---@return string? code  "EUNSUPPORTED": the only database is one that is not read
function packages.of(root)
  local places, message, code = find_places(root)
  if not places then return nil, message, code end
  local list, databases, unread = {}, {}, nil
  for i, place in ipairs(places) do
    local count
    if place.read then
      count, message, code = read_place(root, place, list)
      if not count then return nil, message, code end
    else
      unread = place
    end
    databases[i] = { manager = place.manager, path = place.path, packages = count }
  end
  if unread and #list == 0 then
    return fail("EUNSUPPORTED", "packages: %s is a database of %s, which is not read", core.quote(unread.path),
      unread.manager)
  end
  table.sort(list, comes_before) -- which goes by json.before
  return printed.list(list, printed.package), printed.list(databases, printed.database)
end

return packages

--- The packages that the files of an image belong to, as dpkg and apk list them.

local core = require "strata.core"

local packages = {}

local DPKG = "var/lib/dpkg/info"
local APK = { "lib/apk/db/installed", "usr/lib/apk/db/installed" }

-- Directories that are symlinks into usr on most systems, while lists of files name them.
local MERGED = { "bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/" }

local function add(owners, path, name)
  path = core.normalise(path)
  owners[path] = owners[path] or name
  for _, directory in ipairs(MERGED) do
    if path:sub(1, #directory) == directory then owners["usr/" .. path] = owners["usr/" .. path] or name end
  end
end

-- A list of files for each package, in NAME.list or NAME:ARCHITECTURE.list, and others beside it that are its own, too.
local function read_dpkg(root, owners)
  local names = root:lstat(DPKG) and root:list(DPKG) or {}
  for _, file in ipairs(names) do
    local name = file:gsub("%.[^.]*$", ""):gsub(":.*$", "")
    owners[DPKG .. "/" .. file] = name
    if file:find("%.list$") then
      local text, message, code = root:read(DPKG .. "/" .. file)
      if not text then return nil, message, code end
      for path in text:gmatch("[^\n]+") do add(owners, path, name) end
    end
  end
  return true
end

-- One file for all: P: a package, F: a directory, R: a file in it.
local function read_apk(root, path, owners)
  local name, directory
  if not root:lstat(path) then return true end
  local text, message, code = root:read(path)
  if not text then return nil, message, code end
  for key, value in text:gmatch("(%a):([^\n]*)") do
    if key == "P" then
      name, directory = value, nil
    elseif key == "F" then
      directory = value
    elseif key == "R" and directory then
      add(owners, directory .. "/" .. value, name)
    end
  end
  return true
end

--- The name of the package of each path that has one.
---@param root strata.Rootfs
---@return table<string, string>? owners
---@return string? message
---@return string? code
function packages.owners(root)
  local owners = {}
  local ok, message, code = read_dpkg(root, owners)
  for _, path in ipairs(APK) do
    if ok then ok, message, code = read_apk(root, path, owners) end
  end
  if not ok then return nil, message, code end
  return owners
end

return packages

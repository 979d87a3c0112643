--- Files that a script gives, as the entries of a new layer.

local core = require "strata.core"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local modes = require "strata.util.mode"

local from_files = {}

local function check_entry(path, entry)
  if type(entry) == "string" then entry = { content = entry } end
  if path:find("\0", 1, true) then misuse("files[%q]: a path cannot hold a NUL byte", path) end
  if core.normalise(path) == "." and entry.type ~= "dir" then
    misuse("files[%q]: the root can only be a dir", path)
  end
  if entry.type == "symlink" and (entry.linkpath or "") == "" then
    misuse("files[%q]: a symlink wants a linkpath", path)
  end
  return entry
end

local function is_hardlink(entry)
  return entry.type == "hardlink"
end

-- Unpackers set the mode, owner and times of a hardlink's header on the file it links to, so what a
-- link does not give is as the file has it.
local function complete_links(given, find)
  for _, path in ipairs(json.keys(given)) do
    local entry = given[path]
    if is_hardlink(entry) then
      local target = core.normalise(entry.linkpath or "")
      local file = given[target] or find(target)
      if not file or file.type == "dir" or is_hardlink(file) then
        misuse("files[%q]: %q, which it should link to, is not a file", path, target)
      end
      local link = { type = "hardlink", linkpath = target }
      for _, field in ipairs { "mode", "uid", "gid", "uname", "gname", "mtime" } do
        link[field] = entry[field] or file[field]
      end
      given[path] = link
    end
  end
end

-- Sorted, with hardlinks behind the files that they link to.
local function in_order(given)
  local paths, links = {}, {}
  for _, path in ipairs(json.keys(given)) do
    local list = is_hardlink(given[path]) and links or paths
    list[#list + 1] = path
  end
  for _, path in ipairs(links) do paths[#paths + 1] = path end
  return paths
end

-- The entry with defaults for fields that are not given.
local function complete(path, entry)
  local kind = entry.type or (entry.linkpath and "symlink") or "file"
  local content = kind == "file" and (entry.content or "") or ""
  local mtime = entry.mtime or 0
  local seconds = math.floor(mtime)
  return {
    path = path, type = kind, content = content, size = #content,
    -- 0755 0777 0644
    mode = modes.parse(entry.mode or (kind == "dir" and 493 or kind == "symlink" and 511 or 420)),
    uid = entry.uid or 0, gid = entry.gid or 0, uname = entry.uname, gname = entry.gname, mtime = seconds,
    mtime_nsec = math.floor((mtime - seconds) * 1e7 + 0.5) * 100, linkpath = entry.linkpath,
    major = entry.major, minor = entry.minor,
  }
end

--- The entries in the order of the tar.
---@param given table<string, string|table>
---@param find fun(path: string): table?  the entry of a path in the layers below
---@return strata.NewEntry[]
function from_files.entries(given, find)
  local checked, list = {}, {}
  for _, path in ipairs(json.keys(given)) do
    local normal = core.normalise(path)
    if checked[normal] then misuse("files: %q is given twice", normal) end
    checked[normal] = check_entry(path, given[path])
  end
  complete_links(checked, find)
  for i, path in ipairs(in_order(checked)) do list[i] = complete(path, checked[path]) end
  return list
end

return from_files

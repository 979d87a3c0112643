--- How findings about the entries of a layer are mended: each function notes in the layer's new tar what is to become
-- of an entry, and returns what it does in words; nil and why when it does not.

local core = require "strata.core"
local job = require "strata.util.job"
local new_header = require("strata.repair.tar").header
local parent_of = require("strata.util.path").parent

local MAX_LINKS = 40

local entries = {}

---@alias strata.Mend fun(tar: strata.MendedTar, entry: strata.Entry, details: table, round: integer): string?, string?

-- ---- headers -----------------------------------------------------------------------------

-- The name of a file, which has no slash at its end.
local function file_name(entry)
  return (entry.name:gsub("/+$", ""))
end

local function write_anew(tar, entry, changes)
  if entry.sparse then return nil, "its header cannot be written anew, for it is a sparse file" end
  local fresh = {}
  for _, fields in ipairs { tar.fresh[entry.position] or {}, changes or {} } do
    for key, value in pairs(fields) do fresh[key] = value end
  end
  local header, message = new_header(entry, fresh)
  if not header then return nil, "its header cannot be written anew: " .. message end
  tar.fresh[entry.position] = fresh
  return "its header is written anew"
end

local function fresh(tar, entry) return write_anew(tar, entry) end

local function global(tar, entry)
  tar.drop[entry.position] = true
  return "the global header is dropped"
end

local function contiguous(tar, entry)
  local _, why = write_anew(tar, entry, { typeflag = "0" })
  return not why and "it is an ordinary file" or nil, why
end

local function slash_file(tar, entry)
  local _, why = write_anew(tar, entry, { name = file_name(entry) })
  return not why and "its name ends without '/'" or nil, why
end

-- ---- names -------------------------------------------------------------------------------

-- Whether a path leads above where it starts.
local function climbs(path)
  local depth = 0
  for part in path:gmatch("[^/]+") do
    depth = depth + (part == ".." and -1 or part == "." and 0 or 1)
    if depth < 0 then return true end
  end
  return false
end

-- The name that says where runtimes put the entry.
local function plain_name(tar, entry)
  local path = entry.path
  if path == "" or path == "." then return nil, "readers differ about entries for the root" end
  tar.names[entry.position] = entry.type == "dir" and path .. "/" or path
  return "its name is " .. core.quote(tar.names[entry.position])
end

local function leaves_root(tar, entry)
  local target = entry.type == "hardlink" and climbs(entry.linkpath) and core.normalise(entry.linkpath)
  if target then tar.targets[entry.position] = target end
  if climbs(entry.name) then return plain_name(tar, entry) end
  return "its target is " .. core.quote(target)
end

-- The hardlinks of a layer by the paths of their targets, and by its number the next entry of the same path.
local function survey(tar)
  if tar.links then return end
  local latest = {}
  tar.links, tar.next_of, tar.seen = {}, {}, {}
  for entry in tar.index:entries() do
    job.tick()
    local path = entry.path
    if latest[path] then tar.next_of[latest[path]] = entry.position end
    latest[path] = entry.position
    if entry.type == "hardlink" then
      local target = core.normalise(entry.linkpath)
      local list = tar.links[target] or {}
      list[#list + 1] = entry.position
      tar.links[target] = list
    end
  end
end

-- The hardlinks that are names of an entry: those in front of the next entry of its path. To be asked in the order of
-- entries.
local function own_links(tar, entry)
  survey(tar)
  local path = entry.path
  local list, own, at = tar.links[path] or {}, {}, tar.seen[path] or 1
  while list[at] and list[at] < tar.next_of[entry.position] do
    if list[at] > entry.position then own[#own + 1] = list[at] end
    at = at + 1
  end
  tar.seen[path] = at
  return own
end

-- The first hardlink to a file that goes becomes the file, with the attributes of the last one.
local function keep_links(tar, entry)
  local list = own_links(tar, entry)
  local heir = list[1]
  for _, number in ipairs(list) do
    if entry.type == "hardlink" then
      tar.targets[number] = entry.linkpath
    elseif number ~= heir then
      tar.targets[number] = core.normalise(tar.index:entry(heir).name)
    end
  end
  if heir and entry.type ~= "hardlink" then
    tar.content_of[heir], tar.header_of[heir] = entry.position, list[#list]
  end
end

-- The last entry of a path counts; of directories it takes the place of the first one, in front of what is in it.
local function duplicate(tar, entry)
  local last = tar.index:find(entry.path)
  tar.drop[entry.position] = true
  if entry.type == "dir" and last.type == "dir" then
    if not tar.moved[last.position] then tar:move(last.position, entry.position) end
  else
    keep_links(tar, entry)
  end
  return ("dropped, for entry %d counts"):format(last.position)
end

-- ---- whiteouts ---------------------------------------------------------------------------

local function drop(tar, entry)
  tar.drop[entry.position] = true
  return "dropped"
end

local function bad_whiteout(tar, entry)
  if core.whiteout(entry.path) == "invalid" then return nil, "what it should hide is a guess: img:remove it" end
  local _, why = write_anew(tar, entry, {
    name = file_name(entry), typeflag = "0", size = 0, linkpath = false, major = 0, minor = 0,
  })
  return not why and "it is an empty file" or nil, why
end

-- Whether the layer has a whiteout of a path, or of one above it, or an opaque marker above it.
local function is_hidden(tar, path)
  while path do
    local above = parent_of(path)
    if tar.index:find(core.whiteout_name(path)) or tar.index:find(core.opaque_name(above or ".")) then return true end
    path = above
  end
  return false
end

-- Most runtimes make the directory of a whiteout: it gets an entry.
local function of_nothing(tar, entry, details)
  local number, path = entry.position, details.about
  if details.guess then return nil, details.guess end
  if path and entry.opaque then return nil, "readers differ about the directory of an opaque marker" end
  if path and is_hidden(tar, path) then return nil, "its layer hides its directory as well" end
  tar.drop[number] = true
  if not path or tar.is_made[path] or tar.index:find(path) then return "dropped" end
  local list = tar.directories[number] or {}
  list[#list + 1] = path
  tar.directories[number], tar.is_made[path] = list, true
  return ("dropped, and %s, which runtimes make for it, has an entry"):format(core.quote(path))
end

local function behind(tar, entry)
  if tar.state.position == 1 then return nil, "in the lowest layer some remove what it hides, and others keep it" end
  if not entry.whiteout then return nil, "readers differ about what it hides, for its name is one of AUFS" end
  tar.fronts[entry.whiteout] = entry.position
  return "it stands in front of what it hides"
end

-- ---- hardlinks ---------------------------------------------------------------------------

-- The file that a hardlink leads to by the names of its layer; nil for none, and when it leads round in a circle.
local function file_of(index, entry)
  for _ = 1, MAX_LINKS do
    if not entry or entry.type ~= "hardlink" then return entry end
    entry = index:find(core.normalise(entry.linkpath))
  end
  return nil
end

local function order(tar, entry, details)
  if details.guess then return nil, details.guess end
  if not file_of(tar.index, entry) then return nil, "it leads back to itself" end
  tar.late[entry.position] = true
  return "it stands behind its file"
end

-- The names of each file that has several: by the number of its entry.
local function names_of(tar, file)
  if not tar.groups then
    tar.groups = {}
    for entry in tar.index:entries() do
      job.tick()
      local root = entry.type == "hardlink" and file_of(tar.index, entry)
      if root then
        local list = tar.groups[root.position] or { root.position }
        list[#list + 1] = entry.position
        tar.groups[root.position] = list
      end
    end
  end
  return tar.groups[file.position]
end

-- Why default runtimes do not agree about the attributes of a file with several names; nil: they do.
local function doubt(tar, list)
  local capability = tar.index:entry(list[1]).xattrs["security.capability"]
  for i = 2, #list do
    local link = tar.index:entry(list[i])
    if ("/" .. link.linkpath .. "/"):find("/../", 1, true) then return "readers differ about the way to its file" end
    if link.xattrs["security.capability"] ~= capability then
      return "readers differ about a capability that not all names have"
    end
  end
end

-- All names of a file get the attributes of the last one, which the file has in default runtimes.
local function same_metadata(tar, entry)
  local file = file_of(tar.index, entry)
  if not file then return nil, "it leads back to itself" end
  local list = names_of(tar, file)
  local why = doubt(tar, list)
  if why then return nil, why end
  local last = list[1] > list[#list] and list[1] or list[#list]
  for _, number in ipairs(list) do
    if number ~= last then tar.header_of[number] = last end
  end
  return ("all names of %s have what its last one says"):format(core.quote(file.path))
end

-- ---- the second reader, and the end ------------------------------------------------------

local function set_end(tar)
  tar.ends = true
  return "the tar ends with two zero blocks, and nothing behind them"
end

-- At first the entry that is read in two ways; when that was not it, all of them.
local function differential(tar, entry, _, round)
  tar.ends = true
  if round == 1 and entry then return write_anew(tar, entry) end
  for one in tar.index:entries() do write_anew(tar, one) end
  return "all headers are written anew"
end

--- By code: how it is mended.
---@type table<string, strata.Mend>
entries.mends = {
  ["absolute-name"] = plain_name, ["bad-whiteout"] = bad_whiteout, ["bogus-size"] = fresh,
  ["contiguous-file"] = contiguous, ["data-after-end"] = set_end, ["dot-dot"] = plain_name,
  ["duplicate-path"] = duplicate, ["duplicate-record"] = fresh, ["global-attributes"] = global,
  ["global-header"] = global, ["global-override"] = global, ["gnu-prefix"] = fresh,
  ["hardlink-metadata"] = same_metadata, ["hardlink-order"] = order, ["leaves-root"] = leaves_root,
  ["lone-zero-block"] = set_end, ["mixed-extensions"] = fresh, ["needless-size"] = fresh, ["no-end"] = set_end,
  ["no-padding"] = set_end, ["nul-in-name"] = fresh, ["opaque-in-nothing"] = drop,
  ["parser-differential"] = differential, ["repeated-extension"] = fresh, ["signed-checksum"] = fresh,
  ["size-overridden"] = fresh, ["slash-file"] = slash_file, ["sparse-ignored"] = fresh,
  ["whiteout-behind"] = behind, ["whiteout-below-whiteout"] = drop, ["whiteout-of-nothing"] = of_nothing,
}

--- By code: whether it is about the tar as a whole, or may be.
entries.whole = {
  ["data-after-end"] = true, ["lone-zero-block"] = true, ["no-end"] = true, ["no-padding"] = true,
  ["parser-differential"] = true,
}

return entries

--- Entries that do not tell when, and by whom, they were put into a layer.

local core = require "strata.core"
local glob = require "strata.util.glob"
local job = require "strata.util.job"
local mapping = require "strata.layer.new.mapping"
local metadata = require "strata.layer.metadata"
local misuse = require "strata.util.misuse"

local normalize_entries = {}

local TIMES = { "mtime", "atime", "ctime" }
local NSEC = { mtime = "mtime_nsec", atime = "atime_nsec", ctime = "ctime_nsec" }

--- The rules that entries are held to.
---@class strata.NormalRules
---@field epoch integer
---@field owner strata.Owners|strata.OwnerFunction|nil
---@field numeric_owner boolean?
---@field keeps_xattr (fun(name: string): boolean)?  nil: all stay

--- A function that tells whether an extended attribute stays; nil when all do.
---@param names string[]|false|nil  with the magic characters of globs
---@return (fun(name: string): boolean)?
function normalize_entries.kept_xattrs(names)
  if names == nil then return nil end
  for _, name in ipairs(names or {}) do
    local problem = name == "" and "it is empty" or glob.problem(name)
    if problem then misuse("normalize: xattrs: %s is no glob: %s", core.quote(name), problem) end
  end
  return function(name)
    for _, pattern in ipairs(names or {}) do
      if core.glob_name(pattern, name) then return true end
    end
    return false
  end
end

-- The times that an entry is to have, in `to`, and whether these are others. An absent one is false.
local function aim_times(entry, epoch, to)
  local any = false
  for _, field in ipairs(TIMES) do
    local time, nsec = entry[field], entry[NSEC[field]]
    -- The number may have been rounded up to the next second.
    local seconds = time and math.floor(time - nsec / 1e9 + 0.5)
    if time and (seconds > epoch or seconds == epoch and nsec > 0) then
      seconds, nsec, any = epoch, 0, true
    end
    to[field], to[NSEC[field]] = seconds or false, nsec or false
  end
  return any
end

local function aim_owner(entry, rules, to)
  to.uid, to.gid = entry.uid, entry.gid
  if rules.owner == nil then return false end
  to.uid, to.gid = mapping.owner(rules.owner, entry.path, entry)
  return to.uid ~= entry.uid or to.gid ~= entry.gid
end

local function aim_names(entry, rules, to)
  to.uname, to.gname = entry.uname, entry.gname
  if not rules.numeric_owner then return false end
  to.uname, to.gname = "", ""
  return entry.uname ~= "" or entry.gname ~= ""
end

local function aim_xattrs(entry, rules, to)
  if not rules.keeps_xattr then return false end
  local kept, any = {}, false
  for name, value in pairs(entry.xattrs) do
    local stays = rules.keeps_xattr(name)
    any = any or not stays
    if stays and value ~= "" then kept[name] = value end -- a tar cannot hold an empty one
  end
  to.xattrs = any and kept or entry.xattrs
  return any
end

-- Works out the fields that an entry is to have. True when one of them is another than it has.
local function aim(entry, rules, to)
  to.times, to.owner = aim_times(entry, rules.epoch, to), aim_owner(entry, rules, to)
  to.names, to.has_xattrs = aim_names(entry, rules, to), aim_xattrs(entry, rules, to)
  return to.times or to.owner or to.names or to.has_xattrs
end

-- Gives an entry these fields. What it has already is not assigned.
local function assign(entry, to)
  for _, field in ipairs { "uid", "gid", "uname", "gname" } do
    if entry[field] ~= to[field] then entry[field] = to[field] end
  end
  for _, field in ipairs(TIMES) do
    local time, nsec = to[field], to[NSEC[field]]
    local was, was_nsec = entry[field], entry[NSEC[field]]
    if not time then
      if was then entry[field] = nil end
    elseif not was or was_nsec ~= nsec or math.floor(was - was_nsec / 1e9 + 0.5) ~= time then
      entry[field] = time
      entry[NSEC[field]] = nsec
    end
  end
  if to.xattrs and not metadata.same_xattrs(entry.xattrs, to.xattrs) then entry.xattrs = to.xattrs end
  entry:follow() -- GNU tar and bsdtar repeat the time and the owner in the blocks of extension headers
end

-- The fields that hardlinks and their files are to have, by their place in the tar. Assigning to one name assigns to
-- all, so they are worked out before any is assigned; unpackers go by the last one.
local function aim_names_of_files(index, rules)
  local targets, aims, any = {}, {}, false
  for entry in index:entries() do
    job.tick()
    if entry.type == "hardlink" then
      targets[core.normalise(entry.linkpath)], any = true, true
    end
  end
  for entry in any and index:entries() or function() end do
    job.tick()
    if entry.type == "hardlink" or targets[entry.path] then
      local to = {}
      aim(entry, rules, to)
      aims[entry.position] = to
    end
  end
  return aims
end

--- Changes the entries of a layer, which is scanned and kept, as the rules say.
---@param state strata.LayerState
---@param rules strata.NormalRules
---@return strata.NormalizedLayer
function normalize_entries.run(state, rules)
  local index, scratch = state.index, {}
  local count = { layer = state.position, entries = 0, times = 0, owners = 0, names = 0, xattrs = 0, sorted = false }
  local function add(field, is_changed)
    if is_changed then count[field] = count[field] + 1 end
  end
  local aims = aim_names_of_files(index, rules)
  for entry in index:entries() do
    job.tick()
    local to = aims[entry.position] or scratch
    local changed = to.times or to.owner or to.names or to.has_xattrs
    if to == scratch then changed = aim(entry, rules, to) end
    if state.hub.closed then misuse("normalize: the image was closed meanwhile") end
    if changed or to ~= scratch then assign(entry, to) end
    add("entries", changed)
    add("times", to.times)
    add("owners", to.owner)
    add("names", to.names)
    add("xattrs", to.has_xattrs)
  end
  return count
end

return normalize_entries

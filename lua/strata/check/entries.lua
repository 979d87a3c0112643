--- What the entries of one layer say that readers differ about: names, whiteouts,
-- links.

local attributes = require "strata.check.attributes"
local core = require "strata.core"
local job = require "strata.util.job"
local paths = require "strata.util.path"
local unpacking = require "strata.check.unpacking"

local entries = {}

local parent_of = paths.parent

local MAX_OCTAL_SIZE = 8 ^ 11 - 1

-- ASCII only, and not as the locale has it.
local LOWER = {}
for byte = 65, 90 do LOWER[string.char(byte)] = string.char(byte + 32) end

local function lower_case(path)
  return (path:gsub("[A-Z]", LOWER))
end

-- Whether a name climbs above where it starts from, which is `depth` deep.
local function climbs(name, depth)
  for part in name:gmatch("[^/]+") do
    if part == ".." then
      depth = depth - 1
      if depth < 0 then return true end
    elseif part ~= "." then
      depth = depth + 1
    end
  end
  return false
end

local MAX_LINKS = 40

local function push_reversed(stack, path)
  local parts = {}
  for part in path:gmatch("[^/]+") do parts[#parts + 1] = part end
  for i = #parts, 1, -1 do stack[#stack + 1] = parts[i] end
end

local function has_dots(name)
  return ("/" .. name .. "/"):find("/../", 1, true) ~= nil
end

local function place_of(entry)
  return { path = entry.name, entry = entry.position, offset = entry.header_offset }
end

local CLAMPED = "runtimes stop there, other readers may not"

local AUFS = core.whiteout_name(paths.WHITEOUT)
local AUFS_ROOT = "below a name of AUFS in the root: Docker, containerd, podman and umoci show it, Docker's and "
  .. "podman's vfs do not"
local AUFS_BELOW = "below a name of AUFS, which is an ordinary one there: runtimes show it"

---@class strata.EntryCheck
---@field made strata.ReportMaker
---@field index userdata
---@field spelled table<string, string>  path by its lower-case spelling
---@field hidden table<string, boolean>  what whiteouts of this layer hide
---@field links table<string, {to: string, index: integer}>  targets and numbers of symlinks
---@field steps integer  components of their targets that may still be looked at
local Check = {}
Check.__index = Check

-- ---- names -------------------------------------------------------------------------

function Check:name(entry, name, path)
  local made = self.made
  if name == "" then
    made:add("error", "empty-name", "the name is empty: some readers skip it, some take it for the root",
      place_of(entry))
  elseif has_dots(name) then
    if climbs(name, 0) then
      made:add("error", "leaves-root", "the name leads out of the root: " .. CLAMPED, place_of(entry))
    else
      made:add("warning", "dot-dot", "the name has '..' in it: runtimes take it out, some other readers refuse it",
        place_of(entry))
    end
  elseif name:sub(1, 1) == "/" then
    made:add("note", "absolute-name", "the name is absolute: runtimes begin it in the image's root", place_of(entry))
  end
  if name:find("[\1-\31\127]") then
    made:add("warning", "control-character", "the name has control characters", place_of(entry))
  end
  local last = self.index:find(path)
  if last.position ~= entry.position then
    local severity = last.type == "dir" and entry.type == "dir" and "warning" or "error"
    made:add(severity, "duplicate-path", ("the path is there again, as entry %d: Docker and podman refuse that, the "
      .. "last one counts in containerd and umoci, and here"):format(last.position), place_of(entry))
  end
end

function Check:case(entry, path)
  local key = lower_case(path)
  local other = self.spelled[key]
  if other and other ~= path then
    self.made:add("note", "case-duplicate", ("differs from %s in case only"):format(core.quote(other)),
      place_of(entry))
  end
  self.spelled[key] = path
end

-- ---- whiteouts ---------------------------------------------------------------------

function Check:whiteout(entry, path)
  if not path:find(paths.WHITEOUT, 1, true) then return end
  local made, place, dir = self.made, place_of(entry), parent_of(path)
  local kind, hidden, in_aufs = core.whiteout(path)
  if in_aufs then
    made:add("note", "aufs-metadata", AUFS_ROOT, place)
  elseif dir and ("/" .. dir):find("/" .. AUFS, 1, true) then
    made:add("note", "aufs-metadata", AUFS_BELOW, place)
  elseif dir and ("/" .. dir):find("/" .. paths.WHITEOUT, 1, true) then
    made:add("error", "whiteout-directory", "a directory in the path is called like a whiteout: the specification "
      .. "forbids it, runtimes take it for an ordinary one", place)
  end
  if kind == "aufs" then
    made:add("note", "aufs-metadata", ("a name of AUFS: runtimes take it for a whiteout of %s"):format(
      core.quote(paths.base(path):sub(#paths.WHITEOUT + 1))), place)
  end
  if kind == "invalid" then
    made:add("error", "bad-whiteout", "a whiteout of no name: Docker, containerd, podman and umoci refuse it", place)
  end
  if kind ~= "whiteout" and kind ~= "opaque" then return end
  if entry.type ~= "file" then
    made:add("warning", "bad-whiteout", ("a whiteout that is a %s, not an empty file"):format(entry.type), place)
  elseif entry.size > 0 then
    made:add("error", "bad-whiteout", "a whiteout with content", place)
  end
  if kind == "whiteout" then self.hidden[hidden] = true end
end

-- A function that gives the first of a path and those above it that a table of paths has, or false.
local function finder(wanted)
  local known = {}
  return function(path)
    local way = {}
    while path and known[path] == nil and not wanted[path] do
      way[#way + 1] = path
      path = parent_of(path)
    end
    local found = path and (known[path] or wanted[path] and path) or false
    for _, one in ipairs(way) do known[one] = found end
    return found
  end
end

-- Whiteouts in directories that this layer hides as a whole.
function Check:below_whiteouts(told)
  local hidden = {}
  for path in pairs(self.hidden) do hidden[path] = not self.index:find(path) or nil end
  if not next(hidden) then return end
  local find = finder(hidden)
  for entry in self.index:entries() do
    job.tick()
    local dir = entry.opaque or entry.whiteout and parent_of(entry.whiteout)
    local above = dir and not told[entry.position] and find(dir)
    if above then
      self.made:add("warning", "whiteout-below-whiteout", ("a whiteout below %s, which is hidden as a whole: some "
        .. "readers refuse that"):format(core.quote(above)), place_of(entry))
    end
  end
end

-- ---- links -------------------------------------------------------------------------

function Check:link(entry, kind, path)
  local to = entry.linkpath
  if to:find("[\1-\31\127]") then
    self.made:add("warning", "control-character", "the target has control characters", place_of(entry))
  end
  if kind == "symlink" then
    self.links[path] = { to = to, position = entry.position }
  elseif climbs(to, 0) then
    self.made:add("error", "leaves-root", ("the hardlink's target %s leads out of the root: %s"):format(core.quote(to),
      CLAMPED), place_of(entry))
  end
end

-- Whether the target of a symlink climbs above the root, perhaps through other symlinks of the layer.
function Check:leads_out(path)
  local to = self.links[path].to
  if not has_dots(to) then return false end
  local at, rest, followed = {}, {}, 0
  push_reversed(rest, to)
  if to:sub(1, 1) ~= "/" then push_reversed(rest, parent_of(path) or "") end
  while rest[1] and followed <= MAX_LINKS and self.steps > 0 do
    local part = table.remove(rest)
    self.steps = self.steps - #at - 1
    if part == ".." then
      if not at[1] then return true end
      at[#at] = nil
    elseif part ~= "." then
      at[#at + 1] = part
      local link = rest[1] and self.links[table.concat(at, "/")]
      if link then
        at[#at], followed = nil, followed + 1
        if link.to:sub(1, 1) == "/" then at = {} end
        push_reversed(rest, link.to)
      end
    end
  end
  return false
end

-- Symlinks that lead out of the root, and entries that go through symlinks of the same layer. A symlink that leads out
-- of the root is followed by some unpackers, and kept inside the root by others.
function Check:symlinks()
  if not next(self.links) then return end
  local find = finder(self.links)
  for entry in self.index:entries() do
    job.tick()
    local own, through = self.links[entry.path], find(parent_of(entry.path))
    if own and own.position == entry.position and self:leads_out(entry.path) then
      self.made:add("warning", "link-leaves-root", ("the symlink's target %s leads out of the root: %s"):format(
        core.quote(own.to), CLAMPED), place_of(entry))
    end
    if through and self.links[through].position < entry.position then
      local out = self:leads_out(through)
      self.made:add(out and "error" or "note", "through-symlink", ("goes through the symlink %s to %s%s"):format(
        core.quote(through), core.quote(self.links[through].to), out and ", out of the root: " .. CLAMPED or ""),
        place_of(entry))
    end
  end
  if self.steps <= 0 then
    self.made:add("error", "limit", "symlinks lead through too many directories: not all are looked at (limits.steps)")
  end
end

-- ---- global headers ----------------------------------------------------------------

-- What GNU tar and Python apply to the entries behind a global header. path, linkpath and size are told by the parser.
local GLOBAL = { "atime", "ctime", "gid", "gname", "mode", "mtime", "uid", "uname" }

function Check:global_headers()
  for header in self.index:globals() do
    local pax, keys = header.pax, {}
    for _, key in ipairs(GLOBAL) do keys[#keys + 1] = pax[key] and key or nil end
    if #keys > 0 then
      self.made:add("warning", "global-attributes", ("a global header with %s: runtimes ignore it, GNU tar and Python "
        .. "apply it, umoci refuses"):format(table.concat(keys, ", ")), place_of(header))
    else
      self.made:add("warning", "global-header", "a global header: runtimes ignore it, umoci refuses", place_of(header))
    end
  end
end

-- ---- the rest ----------------------------------------------------------------------

-- Bytes that are not those of the digest are told by the check of the blob.
function Check:sparse(entry)
  local ok, message, code = entry:read(1)
  if not ok and code ~= "EDIGEST" then
    self.made:add("error", "sparse-map", message, place_of(entry))
  else
    self.made:add("note", "sparse", "a sparse file: the specification advises against them, and not all readers know "
      .. "all kinds", place_of(entry))
  end
end

-- Sizes that fit their field need no record; some readers apply it to what follows.
function Check:size_record(entry)
  if entry.pax.size and entry.stored <= MAX_OCTAL_SIZE then
    self.made:add("note", "needless-size", "a PAX size that the header could say as well: some readers apply it to "
      .. "another header", place_of(entry))
  end
end

function Check:privileged(entry, kind)
  if kind == "char" or kind == "block" then
    self.made:add("note", "device", ("a device, %d:%d"):format(entry.major, entry.minor), place_of(entry))
  elseif kind == "file" and entry.mode % 4096 >= 1024 then
    self.made:add("note", "set-id", ("runs with the rights of its owner or group, mode %04o"):format(entry.mode),
      place_of(entry))
  end
end

---@class strata.EntryOptions
---@field privileged? boolean
---@field stack? strata.Stack  the layers below; nil: nobody knows what is below
---@field limits strata.Limits
---@field upper? boolean  the layer is above another one
---@field brief? boolean  nothing that costs memory or reading and is no error by the headers alone

--- Adds what is odd about the entries of a layer.
---@param made strata.ReportMaker
---@param index userdata  scanned
---@param opts strata.EntryOptions
function entries.check(made, index, opts)
  local check = setmetatable({
    made = made, index = index, spelled = {}, hidden = {}, links = {}, steps = opts.limits.steps,
  }, Check)
  local unpacked = unpacking.new(made, index, opts)
  for entry in index:entries() do
    job.tick()
    local path, kind = entry.path, entry.type
    check:whiteout(entry, path)
    check:name(entry, entry.name, path)
    check.links[path] = nil
    if kind == "symlink" or kind == "hardlink" then check:link(entry, kind, path) end
    unpacked:next(entry, path, kind)
    attributes.check(made, entry, kind)
    if not opts.brief then
      check:case(entry, path)
      check:size_record(entry)
      if entry.sparse then check:sparse(entry) end
    end
    if opts.privileged then check:privileged(entry, kind) end
  end
  check:global_headers()
  check:below_whiteouts(unpacked.told)
  check:symlinks()
end

return entries

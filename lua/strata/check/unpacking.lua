--- What unpackers make of a layer's entries, one after the other: directories without an
-- entry, hardlinks, whiteouts.
--
-- Default runtimes (Docker with overlay2, containerd with overlayfs, podman with overlay) unpack
-- each layer for itself, and lay the results over each other. Docker's and podman's vfs and umoci
-- unpack one layer over the other in one directory.

local core = require "strata.core"
local paths = require "strata.util.path"
local printed = require "strata.util.printed"

local unpacking = {}

local function depth_of(path)
  return select(2, path:gsub("/", "")) + 1
end

local parent_of, base_of, join = paths.parent, paths.base, paths.join

local DEFAULT = "Docker, containerd and podman"
local OTHERS = "Docker's and podman's vfs and umoci"
local OPAQUE = core.whiteout_name ".wh..opq"
local MAX_LINKS = 40
local NO_NAMES = { [""] = true, ["."] = true, [".."] = true }

---@class strata.Unpacking
---@field made strata.ReportMaker
---@field index userdata
---@field stack strata.Stack?  the layers below; nil: nobody knows what is below
---@field upper boolean  it is known to be above another layer
---@field implied table<string, boolean>  directories that no entry has told of
---@field holds_implied table<string, boolean>  directories that have such ones in them
---@field doubts table<string, string>  by an implied directory: the one of those above it, or itself, whose attributes
---  below are not those that Docker gives it
---@field through table<string, string>  what entries have put behind links of the layer, or where another entry stands
---  in the end, by path
---@field placed table<string, strata.Entry>  those entries
---@field told table<integer, boolean>  the whiteouts below what the layer hides that were told, by their numbers
---@field spent boolean?  they are used up
---@field steps integer  components of paths that may still be looked up
---@field known table<string, string>  where a directory's path leads
local Unpacking = {}
Unpacking.__index = Unpacking

---@param made strata.ReportMaker
---@param index userdata
---@param opts {stack: strata.Stack?, upper: boolean?, limits: strata.Limits}
---@return strata.Unpacking
function unpacking.new(made, index, opts)
  local stack = opts.stack
  return setmetatable({
    made = made, index = index, stack = stack and stack.known and stack or nil, upper = opts.upper or false,
    implied = {}, doubts = {}, holds_implied = {}, through = {}, placed = {}, known = {}, told = {},
    steps = opts.limits.steps,
  }, Unpacking)
end

function Unpacking:add(severity, code, message, details)
  local entry, place = self.entry, details or {}
  place.path, place.entry, place.offset = entry.name, entry.position, entry.header_offset
  self.made:add(severity, code, message, place)
end

-- The name that a whiteout hides; nil for all other entries, and for opaque markers.
local function hidden_name(path)
  local base = base_of(path)
  if base == OPAQUE or base:sub(1, #paths.WHITEOUT) ~= paths.WHITEOUT then return nil end
  return base:sub(#paths.WHITEOUT + 1)
end

-- ---- what the layer has --------------------------------------------------------------

-- What the layer has at a path before the entry that is looked at: its type, "whiteout", or nil;
-- and the entry.
function Unpacking:here(path, links)
  local index, number = self.index, self.entry.position
  if self.through[path] then return self.through[path], self.placed[path] end
  if self.implied[path] then return "dir" end
  local entry = not hidden_name(path) and index:find(path)
  if entry and entry.position < number then
    local kind = entry.type
    if kind == "hardlink" then
      links = (links or 0) + 1
      kind = links <= MAX_LINKS and self:here(core.normalise(entry.linkpath), links) or "file"
    elseif kind == "char" and entry.major == 0 and entry.minor == 0 then
      kind = "whiteout"
    end
    return kind, entry
  end
  local dir = parent_of(path)
  local whiteout = index:find(join(dir or "", core.whiteout_name(base_of(path))))
  if whiteout and whiteout.position < number then return "whiteout" end
  return nil
end

function Unpacking:put(path, kind, entry)
  self.through[path], self.placed[path] = kind, entry
end

-- ---- the way to an entry ---------------------------------------------------------------

-- The paths on the way to a directory that are not known, the uppermost first, and the known one that they are below.
local function unknown_way(known, dir)
  local up, way = {}, {}
  repeat
    up[#up + 1] = dir
    dir = parent_of(dir)
  until not dir or known[dir]
  for i = #up, 1, -1 do way[#way + 1] = up[i] end
  return way, dir
end

-- Where a symlink of the layer leads; nil when something is in the way: what, and where.
function Unpacking:follow(entry, dir, link)
  self.followed = self.followed + 1
  if self.followed > MAX_LINKS or not entry then return nil, "dangling", link end
  local to = entry.type == "hardlink" and "" or entry.linkpath
  local path, problem, place = self:directory(core.normalise(to:sub(1, 1) == "/" and to or join(dir, to)), true)
  if problem == "missing" then return nil, "dangling", link end
  return path, problem, place
end

-- Where a directory is, by the links of the layer alone, with its missing parents made unless
-- `look` is true. nil when something is in the way: what, and where.
function Unpacking:directory(dir, look)
  if not dir or dir == "." then return "" end
  local known = self.known
  if known[dir] then return known[dir] end
  local way, above = unknown_way(known, dir)
  self.steps = self.steps - #way * (2 * depth_of(dir) - #way + 1) / 2 -- names of all the paths that are looked up
  if self.steps < 0 then return nil, "limit", dir end
  local top = above and known[above] or ""
  for i = 1, #way do
    local path = join(top, base_of(way[i]))
    local kind, entry = self:here(path)
    if not kind then
      if look then return nil, "missing", path end
      return self:imply(way, i, top)
    end
    if kind == "symlink" then
      local problem, place
      path, problem, place = self:follow(entry, top, path)
      if not path then return nil, problem, place end
    elseif kind ~= "dir" then
      return nil, kind == "whiteout" and "whiteout" or "file", path
    end
    if not look then known[way[i]] = path end
    top = path
  end
  return top
end

-- Why nobody knows the group of what is made in a directory: that is set-group-ID. nil: they do.
local function gives_group(header)
  return header and header.mode % 2048 >= 1024 and "readers differ about the group of the directory" or nil
end

-- Whether a directory has other attributes than one that Docker makes without an entry.
local function is_unusual(header)
  if not header then return false end
  return header.mode ~= 493 or header.uid ~= 0 or header.gid ~= 0 or next(header.xattrs) ~= nil -- 0755
end

-- What a directory without an entry is over what lower layers have; `below` is there. guess: its group is one.
function Unpacking:imply_over(below, path, guess)
  local kind, quoted = below:kind(), core.quote(path)
  if kind == "symlink" then
    self:add("warning", "through-lower-link", ("%s is a symlink of a lower layer: in %s a directory takes its place, "
      .. "%s go through it"):format(quoted, DEFAULT, OTHERS))
  elseif kind == "dir" then
    if is_unusual(self.stack.runtime:header(below.node)) then
      self:add("note", "implied-directory", ("%s has no entry in this layer: Docker and podman make it 0755 and "
        .. "root's, the others keep what a lower layer gave it"):format(quoted))
    end
  elseif kind then
    self:add("warning", "below-lower-file", ("%s is %s of a lower layer: in Docker and podman a directory takes its "
      .. "place, containerd may refuse, vfs and umoci refuse or pass over this"):format(quoted, printed.type(kind)))
  elseif self.hiding then
    self:add("note", "whiteout-of-nothing", ("there is no %s: umoci passes over a whiteout there, the others make the "
      .. "directory"):format(quoted), { about = path, guess = guess })
  end
  local ok, layer, steps = below:copied()
  self.steps = self.steps - steps
  if not ok then
    self:add("warning", "copied-attributes", ("containerd refuses: it looks for the attributes of %s in layer %d, "
      .. "which has no directory in its way"):format(quoted, layer))
  end
end

-- Makes the directories of a way from one on that is missing, below `top`: the layer has nothing in what is missing.
function Unpacking:imply(way, first, top)
  local dir = top == "" and "." or top
  local _, parent = self:here(dir)
  local below = self.stack and self.stack:walk(top)
  local guess = gives_group(parent)
  for i = first, #way do
    local name = base_of(way[i])
    local path = join(top, name)
    self.implied[path], self.known[way[i]] = true, path
    if gives_group(parent) then
      self:add("note", "implied-directory", ("%s has no entry, and is in a directory with a set group: Docker and "
        .. "podman make it root's, containerd and vfs keep the group"):format(core.quote(path)))
    end
    while dir and not self.holds_implied[dir] do
      self.holds_implied[dir] = true
      dir = dir ~= "." and (parent_of(dir) or ".") or nil
    end
    if below then
      below:enter(name, path)
      local header = below.node and self.stack.runtime:header(below.node)
      self.doubts[path] = self.implied[top] and self.doubts[top] or is_unusual(header) and path or nil
      self:imply_over(below, path, guess)
      guess = guess or gives_group(below.node and self.stack.runtime:header(below.node))
    end
    top, dir, parent = path, path, nil
  end
  return top
end

-- Tells why there is no way to an entry.
function Unpacking:blocked(problem, place)
  local quoted, is_opaque = core.quote(place), base_of(self.entry.path) == OPAQUE
  if problem == "limit" then
    self.spent = true
    return self:add("error", "limit", "too many directories to look up: what follows is not looked at (limits.steps)")
  end
  if problem == "dangling" then
    self:add("warning", "dangling-parent", ("the symlink %s leads to nothing of its own layer: Docker and podman "
      .. "refuse, containerd makes its target, %s look for it in lower layers, too"):format(quoted, OTHERS))
  elseif is_opaque then
    self.told[self.entry.position] = true
    self:add("warning", "opaque-in-nothing", quoted .. " is no directory: containerd refuses, Docker and podman pass "
      .. "over this")
  elseif problem == "whiteout" and self.hiding then
    self.told[self.entry.position] = true
    self:add("warning", "whiteout-below-whiteout", ("a whiteout below %s, which is hidden as a whole: Docker and "
      .. "containerd refuse, podman and umoci pass over it"):format(quoted))
  elseif problem == "whiteout" then
    self:add("error", "below-whiteout", ("it is below %s, which its layer hides before: %s refuse, %s take it"):format(
      quoted, DEFAULT, OTHERS))
  else
    self:add("error", "below-file", ("%s is no directory: all runtimes refuse"):format(quoted))
  end
end

-- ---- whiteouts -------------------------------------------------------------------------

function Unpacking:opaque(dir, lexical)
  if dir == "" and self.stack and self.upper and self.stack.runtime:first(self.stack.runtime:find "/") then
    self:add("warning", "opaque-root", ("an opaque marker in the root: it hides nothing in %s, and all that is below "
      .. "in %s"):format(DEFAULT, OTHERS))
  elseif dir ~= lexical and dir ~= "" then
    self:add("warning", "opaque-through-link", ("an opaque marker behind a symlink: %s and umoci hide what is in %s, "
      .. "Docker's and podman's vfs do not"):format(DEFAULT, core.quote(dir)))
  end
  if self.holds_implied[dir == "" and "." or dir] then
    self:add("warning", "opaque-behind", "an opaque marker behind entries whose directories have no entry: Docker's "
      .. "and podman's vfs remove those, containerd as well in the lowest layer")
  end
end

-- A whiteout of what no layer below has, by either view: all runtimes pass over it.
function Unpacking:needless(path, entry)
  local stack, dir = self.stack, parent_of(path)
  if not stack or (self.implied[dir] and not stack:find(dir)) then return end -- the way to it has told
  local spec = stack.spec
  if stack:find(path) or spec and spec:find(entry.whiteout or path, false) then return end
  local guess = self.implied[dir] and self.doubts[dir] -- without the whiteout it would not be made
  self:add("note", "whiteout-of-nothing", ("no layer below has %s: all runtimes pass over the whiteout"):format(
    core.quote(path)), { guess = guess and "readers differ about the attributes of " .. core.quote(guess) })
end

function Unpacking:whiteout(path, name)
  local kind = self:here(path)
  if kind and (kind ~= "whiteout" or self.through[path]) then
    if self.upper then
      self:add("error", "whiteout-behind", ("a whiteout behind an entry of what it hides: %s refuse, Docker's and "
        .. "podman's vfs remove that, umoci keeps it"):format(DEFAULT))
    else
      self:add("warning", "whiteout-behind", "a whiteout behind an entry of what it hides: Docker and podman refuse, "
        .. "containerd and vfs remove that in the lowest layer, umoci keeps it")
    end
  end
  if not kind then self:needless(path, self.entry) end
  if path ~= join(parent_of(self.entry.path) or "", name) then self:put(path, "whiteout") end
end

-- ---- hardlinks ---------------------------------------------------------------------------

local function xattrs_differ(link, file)
  local own, theirs = link.xattrs, file.xattrs
  if theirs["security.capability"] ~= own["security.capability"] then return true end
  for name, value in pairs(own) do
    if theirs[name] ~= value then return true end
  end
  return false
end

-- The header of a hardlink is one of its file, too, and the last one counts.
function Unpacking:metadata(link, file, kind)
  local differs = xattrs_differ(link, file) or (kind ~= "symlink" and link.mode ~= file.mode)
  for _, id in ipairs { "uid", "gid" } do differs = differs or (link[id] ~= -1 and link[id] ~= file[id]) end
  local name = core.quote(file.name)
  if differs then
    self:add("warning", "hardlink-metadata", ("its header has another mode, owner or xattr than that of %s: in %s, and "
      .. "in vfs, the file gets those of the link, umoci and others keep its own"):format(name, DEFAULT))
  elseif kind ~= "symlink" and link.mtime ~= file.mtime then
    self:add("note", "hardlink-metadata", ("its header has another time than that of %s: in %s, and in vfs, the file "
      .. "gets that, umoci and others keep its own"):format(name, DEFAULT))
  end
end

function Unpacking:no_target(target)
  local quoted = core.quote(self.entry.linkpath)
  local later = self.index:find(target)
  local kind = self.stack and self.stack:find(target)
  if later and later.position > self.entry.position then
    local others = kind and ("%s refuse, %s link it to a lower layer's file"):format(DEFAULT, OTHERS)
    self:add("error", "hardlink-order", ("the hardlink comes before its target %s: %s"):format(quoted,
      others or "all runtimes refuse"), { guess = kind and "a lower layer has a file of that name, too" })
  elseif not self.stack or kind then
    self:add("error", "hardlink-across-layers", ("its layer does not have the hardlink's target %s: %s refuse, %s link "
      .. "it to a lower layer's file"):format(quoted, DEFAULT, OTHERS))
  else
    self:add("error", "hardlink-target", ("no layer up to this one has the hardlink's target %s: all runtimes refuse")
      :format(quoted))
  end
end

-- Gives what the name is then.
function Unpacking:hardlink(link)
  local target = core.normalise(link.linkpath)
  local dir = self:directory(parent_of(target), true)
  local place = dir and join(dir, base_of(target))
  local kind, file
  if target == "." then kind = "dir" elseif place then kind, file = self:here(place) end
  if kind == "dir" then
    self:add("error", "hardlink-to-directory", ("a hardlink to the directory %s: all runtimes refuse"):format(
      core.quote(link.linkpath)))
  elseif kind == "whiteout" then
    self:add("warning", "hardlink-to-whiteout", ("a hardlink to what its layer hides: in %s it is a whiteout itself, "
      .. "%s refuse"):format(DEFAULT, OTHERS))
    return "whiteout"
  elseif not kind then
    self:no_target(target)
  elseif file then
    self:metadata(link, file, kind)
  end
  return "hardlink"
end

-- ---- entries -------------------------------------------------------------------------------

-- A directory beside its own whiteout is merged with what lower layers have.
function Unpacking:beside_whiteout(path)
  local index, stack = self.index, self.stack
  local whiteout = stack and self.upper and index:find(join(parent_of(path) or "", core.whiteout_name(base_of(path))))
  if not whiteout or whiteout.position > self.entry.position or index:find(join(path, OPAQUE)) then return end
  local kind, node = stack:find(path)
  if kind == "dir" and stack.runtime:first(node) then
    self:add("warning", "whiteout-and-directory", ("a directory beside its whiteout: %s show what lower layers have in "
      .. "it, in %s that is gone"):format(DEFAULT, OTHERS))
  end
end

-- The root is there before all entries.
function Unpacking:root(entry)
  if entry.name == "" then return end -- an error of its own
  if entry.type ~= "dir" then
    self:add("warning", "root-entry", ("an entry for the root that is %s: some runtimes refuse it, some pass over it")
      :format(printed.type(entry.type)))
  elseif entry.mode ~= 493 or entry.uid > 0 or entry.gid > 0 then
    self:add("note", "root-entry", ("an entry for the root with a mode or an owner: %s pass over it, but for podman's "
      .. "mode of '/'; %s apply it"):format(DEFAULT, OTHERS))
  end
end

--- Adds what is odd about the next entry of the tar, as unpackers see it.
---@param entry strata.Entry
---@param path string
---@param kind string
function Unpacking:next(entry, path, kind)
  if self.spent then return end
  self.entry, self.followed = entry, 0
  if path == "." or path == "" then return self:root(entry) end
  local base, name = base_of(path), hidden_name(path)
  if name and NO_NAMES[name] then return end
  self.hiding = name ~= nil or base == OPAQUE
  local lexical = parent_of(path)
  local dir, problem, place = self:directory(lexical)
  if not dir then return self:blocked(problem, place) end
  if base == OPAQUE then return self:opaque(dir, lexical or "") end
  local real = join(dir, name or base)
  if name then return self:whiteout(real, name) end
  if kind == "hardlink" then kind = self:hardlink(entry) end
  if kind == "dir" then
    self:beside_whiteout(path)
    self.implied[real] = nil
  elseif self.known[path] or self.implied[real] then
    self.known, self.implied[real] = {}, nil
  end
  if kind == "char" and entry.major == 0 and entry.minor == 0 then
    self:add("warning", "device-whiteout", ("a character device 0:0: a whiteout in %s, a device in %s"):format(DEFAULT,
      OTHERS))
    kind = "whiteout"
  end
  local is_last = self.index:find(path).position == entry.position
  if real ~= path or kind == "whiteout" or not is_last or self.through[real] then self:put(real, kind, entry) end
end

return unpacking

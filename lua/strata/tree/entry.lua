--- An entry of the root file system, as a container sees it.

local argument = require "strata.util.argument"
local core = require "strata.core"
local entry_json = require "strata.tree.entry_json"
local frozen = require "strata.util.frozen"
local json = require "strata.util.json"
local layer = require "strata.layer"
local object = require "strata.util.object"
local options = require "strata.util.options"
local printed = require "strata.util.printed"

local tree_entry = {}

---@class strata.RootEntry
local methods = {}

local new, state_of

-- The attributes that unpackers give to a directory without an entry of its own.
local IMPLIED = { mode = 493, uid = 0, gid = 0, uname = "", gname = "", size = 0, mtime = 0, mtime_nsec = 0 }

-- Fields of a file's content. The others are those of its header, or of the headers of all its names.
local OF_SOURCE = { size = true, linkpath = true, major = true, minor = true }
local OF_HEADER = {
  mode = true, uid = true, gid = true, uname = true, gname = true, mtime = true, mtime_nsec = true,
  atime = true, atime_nsec = true, ctime = true, ctime_nsec = true, xattrs = true,
}

-- The last owner that is one: -1 leaves it as it is, which is root's at first.
local function last_id(headers, key)
  for i = #headers, 1, -1 do
    local id = headers[i][key]
    if id ~= -1 then return id end
  end
  return 0
end

-- Each header adds its attributes. Setting the owner takes the capability of a file away, until it is set again.
-- Linux has user.* for files and directories alone, and overlayfs hides those that it uses itself.
local function all_xattrs(headers, kind)
  local all = {}
  for _, header in ipairs(headers) do
    all["security.capability"] = nil
    for name, value in pairs(header.xattrs) do
      local of_user = name:find("^user%.") and kind ~= "file" and kind ~= "dir"
      if value ~= "" and not of_user and not name:find("^trusted%.overlay%.") then all[name] = value end
    end
  end
  return all
end

-- A field that the headers of a node give it.
local function field_of(headers, kind, key)
  local last = headers[#headers]
  if not last then return key == "xattrs" and {} or IMPLIED[key] end
  if key == "uid" or key == "gid" then return last_id(headers, key) end
  if key == "xattrs" then return all_xattrs(headers, kind) end
  -- Docker and podman leave the times of a symlink that a hardlink names.
  if key:find("^[mac]time") and last.type == "hardlink" and kind == "symlink" then last = headers[1] end
  if key:find("^mtime") and last.mtime < 0 then return 0 end
  return last[key]
end

-- What the tree says of the node, which throws when the tree is not that of its layers any more; and the entries that
-- give it attributes and content, asked for once: they show their own edits.
local function headers_of(state)
  local kind = state.tree:info(state.node)
  if not state.headers then state.headers = state.tree:headers(state.node) end
  return state.headers, kind
end

local function source_of(state)
  state.tree:info(state.node)
  if state.source == nil then state.source = state.tree:source(state.node) or false end
  return state.source
end

local function attribute(state, key)
  local headers, kind = headers_of(state)
  return field_of(headers, kind, key)
end

local fields = {
  path = function(state) return state.tree:path(state.node) end,
  name = function(state) return state.tree:name(state.node) end,
  type = function(state) return (state.tree:info(state.node)) end,
  layer = function(state)
    local _, number = state.tree:info(state.node)
    return number and state.layers[number]
  end,
  content_layer = function(state)
    local _, number = state.tree:source(state.node)
    return number and state.layers[number]
  end,
  inode = function(state)
    local _, _, inode = state.tree:info(state.node)
    return inode
  end,
  links = function(state)
    local _, _, _, links = state.tree:info(state.node)
    return links
  end,
  entry = function(state) return state.tree:entry(state.node) end,
  implied = function(state) return state.tree:entry(state.node) == nil end,
}

-- The entry of a layer that has the content of a file, ready to be read.
local function content_of(state)
  local kind = state.tree:info(state.node)
  if kind ~= "file" then
    return nil, ("%s: is %s, not a file"):format(core.quote(state.tree:path(state.node)), printed.type(kind)),
      kind == "dir" and "EISDIR" or "EINVAL"
  end
  local entry, number = state.tree:source(state.node)
  local ok, message, code = layer.prepare_entry(layer.state_of(state.layers[number]), entry)
  if not ok then return nil, message, code end
  return entry
end

--- The content of a file.
---@param max? integer  bytes at most
---@param from? integer  bytes to pass over
---@return string?
---@return string? message
---@return string? code
function methods:read(max, from)
  argument.count(max, "read", "max")
  argument.count(from, "read", "from")
  local entry, message, code = content_of(state_of(self))
  if not entry then return nil, message, code end
  return entry:read(max, from)
end

--- The SHA-256 of a file's content.
---@return string? digest  "sha256:" and 64 hexadecimal digits
---@return string? message
---@return string? code
function methods:digest()
  local entry, message, code = content_of(state_of(self))
  if not entry then return nil, message, code end
  return entry:digest()
end

--- All that is known of it as one line of JSON, without a newline. What is no UTF-8 is in Base64, under its name with
-- "_bytes" behind it.
---@param opts? strata.EntryJsonOptions
---@return string?
---@return string? message
---@return string? code
function methods:json(opts)
  options.check("json", "EntryJsonOptions", opts)
  local digest
  if opts and opts.digest and self.type == "file" then
    local message, code
    digest, message, code = self:digest()
    if not digest then return nil, message, code end
  end
  return entry_json.text(self, digest)
end

-- A bit of the mode, by its value.
local function has_bit(bit)
  return function(state) return math.floor(attribute(state, "mode") / bit) % 2 == 1 end
end

fields.setuid, fields.setgid, fields.sticky = has_bit(2048), has_bit(1024), has_bit(512)

for key in pairs(OF_HEADER) do
  fields[key] = function(state) return attribute(state, key) end
end
for key in pairs(OF_SOURCE) do
  fields[key] = function(state)
    local source = source_of(state)
    if source then return source[key] end
    return IMPLIED[key]
  end
end

function fields.xattrs(state)
  return frozen.copy(state, "xattrs", attribute(state, "xattrs"), "entry.xattrs of the root file system",
    "it is there to be read; assign xattrs of the entries of layers")
end

new, state_of = object.class("strata.RootEntry", methods, {
  fields = fields,
  tostring = function(state)
    local tree, node = state.tree, state.node
    local source = tree:source(node) or IMPLIED
    local kind, number = tree:info(node)
    return ("strata.RootEntry(%s, %s, %04o, %d:%d, %s%s)"):format(json.printable(tree:path(node), 200), kind,
      attribute(state, "mode"), attribute(state, "uid"), attribute(state, "gid"), core.human_size(source.size),
      number and (", layer %d"):format(layer.state_of(state.layers[number]).position) or "")
  end,
})

--- The fields that tell what is at a node, as a plain table.
---@param tree userdata  the core's
---@param node integer
---@return table<string, any>  type, and those of OF_HEADER and OF_SOURCE
function tree_entry.fields(tree, node)
  local kind = tree:info(node)
  local all, headers, source = { type = kind }, tree:headers(node), tree:source(node) or IMPLIED
  for key in pairs(OF_HEADER) do all[key] = field_of(headers, kind, key) end
  for key in pairs(OF_SOURCE) do all[key] = source[key] end
  return all
end

--- Makes one.
---@param tree userdata  the core's
---@param node integer
---@param layers strata.Layer[]
---@return strata.RootEntry
function tree_entry.new(tree, node, layers)
  return new { tree = tree, node = node, layers = layers }
end

return tree_entry

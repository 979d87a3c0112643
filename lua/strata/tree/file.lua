--- A file of the root file system, open for reading in pieces.

local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"

local tree_file = {}

-- Bytes that read() takes when it is called without a number.
local PIECE = 65536

---@class strata.RootFile
local methods = {}

local new, state_of

--- The next bytes.
---@param n? integer  so many at most: 64 KiB
---@return string? bytes  nil at the end
---@return string? message
---@return string? code
function methods:read(n)
  local state = state_of(self)
  n = n or PIECE
  if type(n) ~= "number" or n < 0 or n % 1 ~= 0 then
    misuse("bad argument #1 to 'read' (a whole number of bytes expected)")
  end
  if state.at >= state.entry.size then return nil end
  local ok, message, code = layer.prepare_entry(state.layer, state.entry)
  if not ok then return nil, message, code end
  local bytes
  bytes, message, code = state.entry:read(n, state.at)
  if not bytes then return nil, message, code end
  state.at = state.at + #bytes
  return bytes
end

local WHENCE = {
  set = function() return 0 end,
  cur = function(state) return state.at end,
  ["end"] = function(state) return state.entry.size end,
}

--- Moves the position, as for a file of Lua, and tells it.
---@param whence? "set"|"cur"|"end"  "cur"
---@param offset? integer  0
---@return integer? position
---@return string? message
---@return string? code
function methods:seek(whence, offset)
  local state = state_of(self)
  local from = WHENCE[whence or "cur"]
  if not from then misuse(("bad argument #1 to 'seek' (invalid option '%s')"):format(tostring(whence))) end
  if offset ~= nil and (type(offset) ~= "number" or offset % 1 ~= 0) then
    misuse("seek: the offset should be a whole number, not %s", tostring(offset))
  end
  local at = from(state) + (offset or 0)
  if at < 0 then return nil, "Invalid argument", "EINVAL" end
  state.at = at
  return at
end

--- Iterates over the lines, without their ends.
---@return fun(): string?
function methods:lines()
  -- `rest` is what has been read, and handed out up to `at`; `parts` began a line before it.
  local rest, at, parts = "", 1, {}
  return function()
    while true do
      local stop = rest:find("\n", at, true)
      parts[#parts + 1] = rest:sub(at, (stop or 0) - 1)
      if stop then
        local line = table.concat(parts)
        at, parts = stop + 1, {}
        return line
      end
      local bytes, message = self:read()
      if message then error(message, 0) end
      rest, at = bytes or "", 1
      if not bytes then
        local line = table.concat(parts)
        parts = {}
        return line ~= "" and line or nil
      end
    end
  end
end

new, state_of = object.class("strata.RootFile", methods, {
  fields = { size = function(state) return state.entry.size end },
  tostring = function(state) return ("strata.RootFile(%s)"):format(state.path) end,
  close = function(state) state.entry = nil end,
})

--- Opens an entry.
---@param entry strata.Entry  of a file
---@param from strata.LayerState  its layer
---@param path string  what it is called
---@return strata.RootFile
function tree_file.new(entry, from, path)
  return new { entry = entry, layer = from, path = path, at = 0 }
end

--- The whole content.
---@param file strata.RootFile
---@param max? integer
---@return string?
---@return string? message
---@return string? code
function tree_file.content(file, max)
  local state = state_of(file)
  local ok, message, code = layer.prepare_entry(state.layer, state.entry)
  if not ok then return nil, message, code end
  return state.entry:read(max)
end

return tree_file

--- An archive made anew: named members, in order, become the parts of a file.

local archive = require "strata.store.archive"
local core = require "strata.core"

local new_archive = {}

local TYPEFLAGS = { file = "0", symlink = "2", dir = "5" }
local MODES = { file = 420, symlink = 511, dir = 493 } -- 0644, 0777, 0755
local END_BLOCKS = ("\0"):rep(1024)

---@class strata.TarMember
---@field name string  that of a directory without a "/" at its end
---@field type "file"|"dir"|"symlink"
---@field bytes? string  content of a file: this,
---@field part? strata.Segment  or a range of another file
---@field linkpath? string
---@field mode? integer  as in the header
---@field mtime? integer  seconds; 0
---@field uname? string
---@field gname? string

local function size_of(member)
  return member.bytes and #member.bytes or member.part and member.part.size or 0
end

--- The parts of the archive: the same members give the same bytes.
---@param members strata.TarMember[]
---@return strata.Segment[]?
---@return string? message
---@return string? code
function new_archive.segments(members)
  local segments = {}
  local function put(bytes)
    if bytes ~= "" then segments[#segments + 1] = { bytes = bytes } end
  end
  for _, member in ipairs(members) do
    local size = size_of(member)
    local header, message, code = core.write_header {
      name = member.type == "dir" and member.name .. "/" or member.name,
      typeflag = TYPEFLAGS[member.type], linkpath = member.linkpath, size = size,
      mode = member.mode or MODES[member.type], mtime = member.mtime,
      uname = member.uname, gname = member.gname,
    }
    if not header then return nil, ("%s: %s"):format(core.quote(member.name), message), code end
    put(header)
    if member.bytes then
      put(member.bytes)
    elseif member.part then
      segments[#segments + 1] = member.part
    end
    put(archive.padding(size))
  end
  put(END_BLOCKS)
  return segments
end

return new_archive

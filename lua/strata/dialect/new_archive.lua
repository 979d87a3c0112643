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

--- The size of new content; nil when there is none.
---@param content {bytes: string?, part: strata.Segment?}
---@return integer?
function new_archive.size_of(content)
  return content.bytes and #content.bytes or content.part and content.part.size
end

--- Adds the content of a member, filled up to whole blocks.
---@param segments strata.Segment[]
---@param content {bytes: string?, part: strata.Segment?}
function new_archive.put_content(segments, content)
  local size = new_archive.size_of(content) or 0
  if size > 0 or content.part then segments[#segments + 1] = content.part or { bytes = content.bytes } end
  if size % 512 > 0 then segments[#segments + 1] = { bytes = archive.padding(size) } end
end

--- Adds a member.
---@param segments strata.Segment[]
---@param member strata.TarMember
---@return boolean? ok
---@return string? message
---@return string? code
function new_archive.put(segments, member)
  local header, message, code = core.write_header {
    name = member.type == "dir" and member.name .. "/" or member.name,
    typeflag = TYPEFLAGS[member.type], linkpath = member.linkpath, size = new_archive.size_of(member) or 0,
    mode = member.mode or MODES[member.type], mtime = member.mtime,
    uname = member.uname, gname = member.gname,
  }
  if not header then return nil, ("%s: %s"):format(core.quote(member.name), message), code end
  segments[#segments + 1] = { bytes = header }
  new_archive.put_content(segments, member)
  return true
end

--- The parts of the archive: the same members give the same bytes.
---@param members strata.TarMember[]
---@return strata.Segment[]?
---@return string? message
---@return string? code
function new_archive.segments(members)
  local segments = {}
  for _, member in ipairs(members) do
    local ok, message, code = new_archive.put(segments, member)
    if not ok then return nil, message, code end
  end
  segments[#segments + 1] = { bytes = END_BLOCKS }
  return segments
end

return new_archive

--- Edits of an archive by member, and the parts of the archive that result.
--
-- Members without an edit keep their raw bytes, with header and padding. Changed
-- members get a patched header; new ones are added behind the last member.

local archive = require "strata.store.archive"
local core = require "strata.core"
local new_archive = require "strata.dialect.new_archive"

local archive_edits = {}

---@class strata.MemberEdit
---@field drop? boolean
---@field name? string  new stored name
---@field linkpath? string
---@field bytes? string  new content
---@field part? strata.Segment  new content, from a file
---@field fresh? boolean  it was a link, and is a file now: a new header

---@class strata.Edits
---@field store strata.ArchiveStore
---@field by_position table<integer, strata.MemberEdit>
---@field added strata.TarMember[]
---@field verify table<integer, {digest: string, label: string}>  untouched layers
local Edits = {}
Edits.__index = Edits

function archive_edits.new(store)
  return setmetatable({ store = store, by_position = {}, added = {}, verify = {}, names = {} },
    Edits)
end

function Edits:of(member)
  return self.by_position[member.position]
end

--- Edits a member. Other members of its name had the same content, and are dropped.
---@param member strata.Member
---@param edit strata.MemberEdit
function Edits:set(member, edit)
  local store = self.store
  if store.others[member.name] then
    for _, other in ipairs(store.list) do
      if other.name == member.name then self.by_position[other.position] = { drop = true } end
    end
  end
  self.by_position[member.position] = edit
end

--- Adds a file, unless one of that name was added before.
---@param member {name: string, bytes: string?, part: strata.Segment?}
function Edits:add(member)
  if not self.names[member.name] then
    self.names[member.name], member.type = true, "file"
    self.added[#self.added + 1] = member
  end
end

--- Whether nothing is edited.
---@return boolean
function Edits:is_empty()
  return next(self.by_position) == nil and #self.added == 0
end

--- The content of a document after the edits.
function Edits:text(member, max)
  local edit = self:of(member)
  if edit and edit.bytes then return edit.bytes end
  return self.store:read(member, max)
end

-- A changed member: patched header, then its old or new content.
local function put_changed(self, segments, member, edit)
  local store = self.store
  if edit.fresh then
    return new_archive.put(segments, { name = edit.name or member.stored_name, type = "file", part = edit.part })
  end
  local raw, header, message, code
  raw, message, code = store:raw_header(member)
  if not raw then return nil, message, code end
  header, message, code = core.patch_header(raw, {
    name = edit.name, linkpath = edit.linkpath, size = new_archive.size_of(edit),
  })
  if not header then return nil, message, code end
  segments[#segments + 1] = { bytes = header }
  if edit.bytes or edit.part then
    new_archive.put_content(segments, edit)
  else
    segments[#segments + 1] = { file = store.file, offset = member.offset,
                                size = store:raw_end(member) - member.offset }
  end
  return true
end

--- The parts of the new archive.
---@param written? table<integer, boolean>  by position: members that are written already, with all before the first one
---@return strata.Segment[]?
---@return string? message
---@return string? code
function Edits:segments(written)
  local store, segments = self.store, {}
  local run_start = written and (store.list[1] or { header_offset = store.end_offset }).header_offset or 0
  local function flush(upto)
    if upto > run_start then
      segments[#segments + 1] = { file = store.file, offset = run_start, size = upto - run_start }
    end
    run_start = upto
  end
  for _, member in ipairs(store.list) do
    local edit, check = self:of(member), self.verify[member.position]
    if written and written[member.position] then
      flush(member.header_offset)
      run_start = store:raw_end(member)
    elseif edit then
      flush(member.header_offset)
      if not edit.drop then
        local ok, message, code = put_changed(self, segments, member, edit)
        if not ok then return nil, message, code end
      end
      run_start = store:raw_end(member)
    elseif check then
      flush(member.offset)
      segments[#segments + 1] = { file = store.file, offset = member.offset, size = member.size,
                                  digest = check.digest, label = check.label }
      run_start = member.offset + member.size
    end
  end
  flush(store.end_offset)
  -- An archive can end within the padding of its last member.
  if #self.added > 0 then segments[#segments + 1] = { bytes = archive.padding(store.end_offset) } end
  for _, member in ipairs(self.added) do
    local ok, message, code = new_archive.put(segments, member)
    if not ok then return nil, message, code end
  end
  flush(store.file:size())
  return segments
end

return archive_edits

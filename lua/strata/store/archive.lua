--- The members of an image archive: the outer tar, indexed once.
--
-- Names are looked up here and nowhere else: a name that comes from a document
-- of the image never reaches the file system.

local core = require "strata.core"
local digests = require "strata.util.digests"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local limits = require "strata.util.limits"
local printed = require "strata.util.printed"

local archive = {}

-- Of each kind, of the outer tar, to be told by a check.
local MAX_FINDINGS = 1000

---@class strata.Member
---@field name string  normalised: no leading "/" or "./"
---@field stored_name string  as it stands in the tar
---@field type string
---@field header_offset integer  where its header span begins
---@field offset integer  where its content begins
---@field size integer  of the content
---@field linkpath? string
---@field sparse? boolean  its content is not there as one piece
---@field position integer  among the members, from 1

---@class strata.ArchiveStore
---@field file userdata
---@field max_links integer
---@field list strata.Member[]
---@field by_name table<string, strata.Member>  the last one of a name
---@field others table<string, strata.Member[]>  earlier ones of the same name
---@field end_offset integer  where the end blocks begin
---@field findings table[]  what the parser noted down
---@field outer string?  how the archive is compressed as a whole
---@field original userdata?  the file that `file` was inflated from
---@field digests table<integer, string>?  by position: of contents that `file` does not have
---@field holes table<integer, boolean>?  by position: members whose bytes `file` does not have
---@field identity string?  what tells its file from others, unless it came as a stream
---@field failure string[]?  message and code
local ArchiveStore = {}
ArchiveStore.__index = ArchiveStore

--- The zeros behind so many bytes of a tar, up to the next block.
---@param size integer
---@return string
function archive.padding(size)
  return ("\0"):rep(-size % 512)
end

-- What the parser noted down, some of each kind.
local function findings_of(index)
  local kept, counts, first = {}, {}, 1
  while first do
    local page
    page, first = index:findings(first, MAX_FINDINGS)
    for _, found in ipairs(page) do
      counts[found.finding] = (counts[found.finding] or 0) + 1
      if counts[found.finding] <= MAX_FINDINGS then kept[#kept + 1] = found end
    end
  end
  return kept
end

--- Indexes an archive, reading headers only. The file is closed when that fails.
---@param file userdata
---@param path string  what messages call it
---@param given strata.Limits  complete ones
---@return strata.ArchiveStore?
---@return string? message
---@return string? code
function archive.index(file, path, given)
  local size = file:size()
  local index = core.entry_index(file, 0, size, "none")
  local ok, message, code = index:scan(limits.add_for_members(given, {}))
  if not ok then
    index:close()
    file:close()
    return nil, ("%s: %s"):format(path, limits.of_members(message, code)), code
  end

  local self = setmetatable({
    path = path, file = file, max_links = given.links, root = "index.json", list = {}, by_name = {}, others = {},
    end_offset = index:info().end_offset, findings = findings_of(index),
  }, ArchiveStore)
  for entry in index:entries() do
    job.tick()
    local member = {
      name = entry.path, stored_name = entry.name, type = entry.type,
      header_offset = entry.header_offset, offset = entry.data_offset,
      size = entry.stored, linkpath = entry.linkpath, sparse = entry.sparse, position = #self.list + 1,
    }
    local before = self.by_name[member.name]
    if before then
      local others = self.others[member.name] or {}
      others[#others + 1] = before
      self.others[member.name] = others
    end
    self.by_name[member.name] = member
    self.list[member.position] = member
  end
  index:close()
  return self
end

--- One more image uses the archive.
function ArchiveStore:use()
  self.users = (self.users or 0) + 1
  return self
end

--- One uses it no more; the file is closed with the last.
function ArchiveStore:release()
  self.users = self.users - 1
  if self.users > 0 then return end
  self.file:close()
  if self.original then self.original:close() end
end

--- Where the raw bytes of member i end: at the next header or the end blocks.
function ArchiveStore:raw_end(member)
  local next_one = self.list[member.position + 1]
  return next_one and next_one.header_offset or self.end_offset
end

-- Whether two files of the archive hold the same; `digests` tells of those whose bytes are
-- elsewhere. nil: it cannot be told.
local function same_bytes(self, one, other)
  local known = self.digests or {}
  if known[one.position] or known[other.position] then
    return known[one.position] == known[other.position]
  end
  local tasks = core.job()
  for _, m in ipairs { one, other } do
    tasks:hash { label = m.name, file = self.file, offset = m.offset, size = m.size }
  end
  local ok, message, code = job.run(tasks)
  local same = ok and tasks:task(1).digest == tasks:task(2).digest
  tasks:close()
  if not ok then return nil, message, code end
  return same
end

--- Several members of one name are harmless only when they hold the same.
---@param member strata.Member
---@return boolean?  nil: it cannot be told
---@return string? message
---@return string? code
function ArchiveStore:same_content(member)
  for _, other in ipairs(self.others[member.name] or {}) do
    if other.type ~= member.type or other.size ~= member.size or
      other.linkpath ~= member.linkpath then
      return false
    end
    if member.type == "file" and member.size > 0 then
      local same, message, code = same_bytes(self, other, member)
      if not same then return same, message, code end
    end
  end
  return true
end

local function escapes(name)
  return name == ".." or name:find("^%.%./") or name:find("/%.%./") or name:find("/%.%.$")
end

local function directory_of(name)
  return name:match("^(.*)/[^/]*$") or ""
end

-- The member that a link names. A symlink counts from its own directory; some
-- writers meant the root of the archive, so that is tried, too.
local function follow(self, member)
  if member.type == "hardlink" then return self.by_name[core.normalise(member.linkpath)] end
  local relative = core.normalise(directory_of(member.name) .. "/" .. member.linkpath)
  return self.by_name[relative] or self.by_name[core.normalise(member.linkpath)]
end

--- The member that a document names, links followed.
---@param name string
---@param what string  for messages: "layer 3", "config"
---@return strata.Member? member  the regular file
---@return string|strata.Member|nil named  the member of that very name | message
---@return string? code
function ArchiveStore:resolve(name, what)
  local quoted = core.quote(name)
  if escapes(name) then
    return fail("EFORMAT", "%s: %s %s points outside the archive", self.path, what, quoted)
  end
  local named = self.by_name[core.normalise(name)]
  local member, seen = named, {}
  for _ = 0, self.max_links do
    if not member then
      return fail("EFORMAT", "%s: %s %s is not in the archive", self.path, what, quoted)
    end
    local same, message, code = self:same_content(member)
    if same == nil then
      self.failure = self.failure or { message, code }
      return nil, ("%s: %s"):format(self.path, message), code
    end
    if not same then
      return fail("EFORMAT", "%s: %s %s is in the archive several times, with different contents",
        self.path, what, core.quote(member.name))
    end
    if member.type == "file" and member.sparse then
      return fail("EUNSUPPORTED", "%s: %s %s is stored as a sparse file, which is not supported",
        self.path, what, quoted)
    end
    if member.type == "file" then return member, named end
    if member.type ~= "symlink" and member.type ~= "hardlink" then
      return fail("EFORMAT", "%s: %s %s is %s, not a file", self.path, what, quoted, printed.type(member.type))
    end
    seen[member] = true
    member = follow(self, member)
    if member and seen[member] then
      return fail("EFORMAT", "%s: %s %s is a circle of links", self.path, what, quoted)
    end
  end
  return fail("ELIMIT", "%s: %s %s leads through more than %d links (limits.links)", self.path, what, quoted,
    self.max_links)
end

--- Whether the bytes of a member are not in the file: those of a stream that have gone out.
function ArchiveStore:is_hole(member)
  return self.holes ~= nil and self.holes[member.position] == true
end

--- Whether a member can be a document.
---@param member strata.Member
---@param max integer  bytes that a document has at most
---@return boolean
function ArchiveStore:may_read(member, max)
  return member.type == "file" and member.size <= max and not self:is_hole(member)
end

--- The content of a small member.
---@param member strata.Member
---@param max integer  more bytes than this are ELIMIT
---@return string? bytes
---@return string? message
---@return string? code
function ArchiveStore:read(member, max)
  if member.size > max then
    return fail("ELIMIT", "%s: %s has %d bytes; limits.json.max_bytes is %d", self.path,
      core.quote(member.name), member.size, max)
  end
  if self:is_hole(member) then
    return fail("EUNSUPPORTED", "%s: %s is no document that could be kept for the end of the stream; use strata.open",
      self.path, core.quote(member.name))
  end
  local bytes, message, code = self.file:read(member.offset, member.size)
  if not bytes then self.failure = self.failure or { message, code } end
  return bytes, message, code
end

--- Why something could not be read since this was asked last. Many documents are
-- looked at that need not be there, or be what they seem; but one that could not
-- be read must not count as missing.
---@return string? message
---@return string? code
function ArchiveStore:take_failure()
  local failure = self.failure or {}
  self.failure = nil
  return failure[1], failure[2]
end

-- ---- as a store of blobs ------------------------------------------------------

--- Whether there is a member of that name.
function ArchiveStore:has(name)
  return self.by_name[name] ~= nil
end

--- The content of a document, which may be there twice when both are the same.
---@param name string
---@param max integer
---@return string? text
---@return string? message
---@return string? code
function ArchiveStore:document(name, max)
  local member, message, code = self:resolve(name, "document")
  if not member then return nil, message, code end
  return self:read(member, max)
end

--- What a blob is called.
function ArchiveStore.blob_name(_, digest)
  return digests.path(digest)
end

function ArchiveStore:has_blob(digest)
  return self:has(self:blob_name(digest))
end

--- A blob; ENOENT when it is not there.
---@param digest string
---@return {file: userdata, offset: integer, size: integer, name: string}?
---@return string? message
---@return string? code
function ArchiveStore:blob(digest)
  local name = self:blob_name(digest)
  if not self.by_name[name] then return fail("ENOENT", "%s: blob %s is not there", self.path, digest) end
  local member, message, code = self:resolve(name, "blob")
  if not member then return nil, message, code end
  return { file = self.file, offset = member.offset, size = member.size, name = member.name }
end

--- The digest that the name of a blob states.
---@param member strata.Member
---@return string? digest
function ArchiveStore.stated_digest(_, member)
  return digests.in_member(member)
end

--- Every member, in order.
---@return {name: string, type: string, size: integer, linkpath: string?, file: userdata, offset: integer}[]
function ArchiveStore:contents()
  local list = {}
  for i, member in ipairs(self.list) do
    list[i] = { name = member.name, type = member.type, size = member.size, linkpath = member.linkpath,
                file = self.file, offset = member.offset }
  end
  return list
end

--- The raw header span of a member.
function ArchiveStore:raw_header(member)
  return self.file:read(member.header_offset, member.offset - member.header_offset)
end

return archive

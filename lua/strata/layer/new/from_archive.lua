--- Archives of other formats as layers: deb, rpm, cpio, zip, 7z, iso ... and tar,
-- through libarchive.

local core = require "strata.core"
local inflate = require("strata.store.open").inflate
local job = require "strata.util.job"
local json = require "strata.util.json"
local parent_of = require("strata.util.path").parent
local printed = require "strata.util.printed"

local from_archive = {}

local function fail(path, message, code)
  return nil, ("%s: %s"):format(path, message), code
end

---@class strata.ForeignArchive
---@field path string  what messages call it
---@field format string?  as strata.archive says
---@field scratch userdata  that holds what the entries hold
---@field offset integer  where the next content goes
---@field found table<string, table>  entries by their path
---@field order string[]
---@field skipped string[]
local ForeignArchive = {}
ForeignArchive.__index = ForeignArchive

function ForeignArchive:problem(name, text)
  return fail(self.path, ("%s %s"):format(core.quote(name), text), "EINVAL")
end

-- A name below the root; nil, message, code for one that may lead elsewhere.
function ForeignArchive:clean(name)
  for part in name:gmatch("[^/]+") do
    if part == ".." then return self:problem(name, "leads out of the archive") end
  end
  return core.normalise(name)
end

-- Takes the content of the entry that came last.
function ForeignArchive:take(reader)
  local from = self.offset
  local size, message, code = reader:copy(self.scratch, from)
  if not size then return nil, message, code end
  self.offset = from + size
  return { file = self.scratch, offset = from, size = size }
end

function ForeignArchive:hold(entry, name)
  if not self.found[name] then self.order[#self.order + 1] = name end
  self.found[name] = {
    path = name, type = entry.type, mode = entry.mode, uid = entry.uid, gid = entry.gid, mtime = entry.mtime or 0,
    mtime_nsec = entry.mtime_nsec, linkpath = entry.linkpath, major = entry.major, minor = entry.minor,
    xattrs = entry.xattrs, size = 0,
  }
  return self.found[name]
end

-- The file that a hardlink is a name of.
function ForeignArchive:file_of(name, link)
  local target, message, code = self:clean(link)
  if not target then return nil, message, code end
  local file, hops = self.found[target], 0
  while file and file.type == "hardlink" and hops < 100 do
    file, hops = self.found[file.linkpath], hops + 1
  end
  if not file or file.type == "dir" or file.type == "hardlink" or file.path == name then
    return fail(self.path, ("%s links to %s, which is not a file before it"):format(core.quote(name),
      core.quote(link)), "EFORMAT")
  end
  return file
end

function ForeignArchive:add(reader, entry)
  local name, message, code = self:clean(entry.path or "")
  if not name then return nil, message, code end
  if name == "." then return true end
  if core.whiteout(name) then return self:problem(name, "would be a whiteout") end
  if entry.type == "socket" then
    self.skipped[#self.skipped + 1] = ("%s: a socket"):format(core.quote(name))
    return true
  elseif entry.type == "other" then
    return fail(self.path, ("%s is of an unknown type"):format(core.quote(name)), "EFORMAT")
  end
  local file
  if entry.type == "hardlink" then
    file, message, code = self:file_of(name, entry.linkpath)
    if not file then return nil, message, code end
    entry.linkpath = file.path
  end
  local held = self:hold(entry, name)
  if entry.content then -- cpio has it with the last name of a file
    local taken
    taken, message, code = self:take(reader)
    if not taken then return fail(self.path, ("%s: %s"):format(core.quote(name), message), code) end
    file = file or held
    file.file, file.offset, file.size = taken.file, taken.offset, taken.size
  end
  return true
end

-- A path of which another one is only a part must be a directory.
function ForeignArchive:check_parents()
  for _, path in ipairs(self.order) do
    local parent = parent_of(path)
    while parent do
      local above = self.found[parent]
      if above and above.type ~= "dir" then
        return self:problem(path, ("is below %s, which is %s"):format(core.quote(parent), printed.type(above.type)))
      end
      parent = parent_of(parent)
    end
  end
  return true
end

-- Hands over entry by entry until the end, or until it is told to stop with false or nil.
function ForeignArchive:read(archive, file, opts, on_entry)
  local limits = opts.limits
  local reader, message, code = archive.contents(file, {
    max_bytes = limits.bytes, max_dictionary = limits.dictionary,
  })
  if not reader then return fail(self.path, message, code) end
  local count, ok = 0, true
  repeat
    local entry
    job.poll()
    entry, message, code = reader:next()
    self.format = reader:format()
    if entry then
      count = count + 1
      if count > limits.entries then
        message, code = ("more than %d entries (limits.entries)"):format(count - 1), "ELIMIT"
        entry = nil
      else
        ok, message, code = on_entry(reader, entry, count)
      end
    end
  until not entry or not ok
  reader:close()
  if not ok and message then return nil, message, code end
  if message then return fail(self.path, message, code) end
  return count
end

-- ---- compressed as a whole -----------------------------------------------------------

-- An archive may be compressed so many times: an rpm package is.
local MOST_COMPRESSIONS = 2

-- Whether these are the first bytes of an .lzma file, which has no magic number: the usual parameters, a dictionary
-- of 2^n or 3 * 2^n bytes, and a size that is unknown or below a terabyte.
local function is_lzma(head)
  if #head < 13 or head:byte(1) ~= 0x5d then return false end
  local dictionary = 0
  for i = 5, 2, -1 do dictionary = dictionary * 256 + head:byte(i) end
  local odd = dictionary
  while odd > 0 and odd % 2 == 0 do odd = odd / 2 end
  local size = head:sub(6, 13)
  return (odd == 1 or odd == 3 or dictionary == 2 ^ 32 - 1) and (size == ("\255"):rep(8) or size:sub(6) == "\0\0\0")
end

-- What a file is compressed with; an rpm package is a compressed archive behind headers.
local function compression_of(file, size)
  local compression, message, code = file:sniff(0, size)
  if compression ~= "none" then return compression, message, code end
  local head
  head, message, code = file:read(0, math.min(13, size))
  if not head then return nil, message, code end
  return head:sub(1, 4) == "\237\171\238\219" and "rpm" or is_lzma(head) and "lzma" or "none"
end

-- The archive without its compressions, in a temporary file if it had any.
local function inflated(file, size, path, opts)
  for _ = 0, MOST_COMPRESSIONS do
    local compression, message, code = compression_of(file, size)
    if not compression then return nil, message, code end
    if compression == "none" then return file end
    local plain
    plain, message, code = inflate(file, compression, path, opts, size)
    file:close()
    if not plain then return nil, message, code end
    file, size = plain, plain:size()
  end
  return fail(path, ("is compressed more than %d times"):format(MOST_COMPRESSIONS), "EFORMAT")
end

-- The data of a Debian package, which is an archive inside an ar archive; nil when it is none.
function ForeignArchive:unwrap(archive, file, opts)
  local inner, is_package
  local count, message, code = self:read(archive, file, opts, function(reader, entry, number)
    if self.format ~= "ar" then return false end
    if number == 1 then is_package = entry.path == "debian-binary" end
    if not is_package then return false end
    if not (entry.path or ""):find("^data%.tar") then return true end
    local why, how
    inner, why, how = core.temp_file(opts.temp_dir)
    if not inner then return nil, why, how end
    local size
    size, why, how = reader:copy(inner, 0)
    if size then inner, why, how = inflated(inner, size, self.path, opts) end
    return size and inner, why, how
  end)
  if not count then return nil, message, code end
  if is_package and not inner then
    return fail(self.path, "a Debian package without data.tar", "EFORMAT")
  end
  return inner or file
end

--- Everything in an archive, sorted, files before the links to them.
---@param path string
---@param opts {temp_dir?: string, limits: strata.Limits}
---@return strata.NewEntry[]? entries
---@return string[]|string skipped | message
---@return string? code
function from_archive.entries(path, opts)
  local has, archive = pcall(require, "strata.archive")
  if not has then return fail(path, "reading it needs strata.archive", "EUNSUPPORTED") end
  local file, message, code = core.open_file(path)
  if not file then return nil, message, code end
  local self = setmetatable({ path = path, found = {}, order = {}, skipped = {}, offset = 0 }, ForeignArchive)
  self.scratch, message, code = core.temp_file(opts.temp_dir)
  if not self.scratch then return nil, message, code end
  file, message, code = inflated(file, file:size(), path, opts)
  if not file then return nil, message, code end
  file, message, code = self:unwrap(archive, file, opts)
  if not file then return nil, message, code end
  local count
  count, message, code = self:read(archive, file, opts, function(reader, entry) return self:add(reader, entry) end)
  if not count then return nil, message, code end
  if self.format == "empty" then return fail(path, "not an archive: it is empty", "EFORMAT") end
  local ok
  ok, message, code = self:check_parents()
  if not ok then return nil, message, code end
  return self:sorted(), self.skipped
end

-- The first path of a file, in order, has its content; the others are links to that.
function ForeignArchive:sorted()
  local list, names = {}, {}
  for i, path in ipairs(json.sort(self.order)) do
    local entry = self.found[path]
    local file = entry
    while file.type == "hardlink" do file = self.found[file.linkpath] end
    local first = names[file]
    if not first then
      names[file] = path
      if entry ~= file then
        entry = {}
        for key, value in pairs(file) do entry[key] = value end
        entry.path = path
      end
    else
      entry = {
        path = path, type = "hardlink", linkpath = first, mode = file.mode, uid = file.uid, gid = file.gid,
        mtime = file.mtime, mtime_nsec = file.mtime_nsec, size = 0,
      }
    end
    list[i] = entry
  end
  return list
end

return from_archive

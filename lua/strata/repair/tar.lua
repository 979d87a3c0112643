--- The new tar of a layer that is mended: its entries in another order, without some, and with other headers for some.
-- An entry that is not named keeps the bytes of its header and its content.

local core = require "strata.core"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local parent_of = require("strata.util.path").parent

local BLOCK = 512
local NO_ID = 2 ^ 32 - 1

local tar = {}

--- The changes to the entries of a layer; all tables are by the numbers of entries.
---@class strata.MendedTar
---@field state strata.LayerState
---@field plain strata.Blob  its tar as it is, not compressed
---@field index userdata  of that
---@field origins table<integer, integer>  once it is written: the entries that the new ones have their content from
---@field drop table<integer, boolean>
---@field fresh table<integer, table>  entries whose header is written anew, and the fields that get other values
---@field names table<integer, string>
---@field targets table<integer, string>  of hardlinks
---@field header_of table<integer, integer>  the entry whose attributes it gets
---@field content_of table<integer, integer>  the entry that it becomes, a file under the name of its link
---@field before table<integer, integer[]>  entries that go in front of one
---@field moved table<integer, boolean>  those
---@field fronts table<string, integer>  whiteouts that go in front of all that they hide, by its path
---@field late table<integer, boolean>  hardlinks that go to the end, behind their files
---@field directories table<integer, string[]>  paths that get an entry in the place of one
---@field is_made table<string, boolean>  these paths
---@field ends boolean  the tar gets end blocks as it should have, and nothing behind them
local Tar = {}
Tar.__index = Tar

-- The tar of a layer, inflated where it is compressed. A plain one is hashed when it is read for the last time.
local function plain_of(state, expected, opts)
  local now = layer.current(state)
  local blob = {
    file = now.file, offset = now.offset, size = now.size, compression = now.compression, digest = now.digest,
    diff_id = expected,
  }
  if blob.compression == "none" then return blob end
  local made, message, code = job.recode({ { label = layer.label(state), blob = blob, as = "none" } }, {
    limits = state.hub.limits, temp_dir = opts.temp_dir, threads = opts.threads, progress = opts.progress,
  }, "inflating")
  return made and made[1], message, code
end

--- The tar of a layer with nothing to be changed yet.
---@param state strata.LayerState  its edits have been carried out
---@param expected string?  its diff_id; nil: that is wrong
---@param opts strata.RepairOptions
---@return strata.MendedTar?
---@return string? message
---@return string? code
function tar.open(state, expected, opts)
  local plain, message, code = plain_of(state, expected, opts)
  if not plain then return nil, message, code end
  local index = core.entry_index(plain.file, plain.offset, plain.size, "none", state.hub.limits.read)
  local ok
  ok, message, code = index:scan(limits.add(state.hub.limits, {}))
  if not ok then
    index:close()
    return nil, ("%s: %s"):format(layer.label(state), message), code
  end
  return setmetatable({
    state = state, plain = plain, index = index, origins = {}, drop = {}, fresh = {}, names = {}, targets = {},
    header_of = {}, content_of = {}, before = {}, moved = {}, fronts = {}, late = {}, directories = {}, is_made = {},
    ends = false,
  }, Tar)
end

--- Has an entry written in front of another one.
---@param number integer
---@param other integer
function Tar:move(number, other)
  local list = self.before[other] or {}
  list[#list + 1] = number
  self.before[other], self.moved[number] = list, true
end

-- ---- headers -----------------------------------------------------------------------------

-- The records that no field of a header stands for.
local function records_of(entry)
  local pax, records = entry.pax, {}
  for _, key in ipairs(json.keys(pax)) do
    if key:sub(1, 11) ~= "GNU.sparse." then
      local rest = (" %s=%s\n"):format(key, pax[key])
      local length = #rest + 1
      while #tostring(length) + #rest ~= length do length = #tostring(length) + #rest end
      records[#records + 1] = ("%d%s"):format(length, rest)
    end
  end
  return table.concat(records)
end

-- Whole seconds, before the fraction.
local function seconds_of(entry, field)
  local time = entry[field]
  return time and math.floor(time - entry[field .. "_nsec"] / 1e9 + 0.5)
end

local function id_of(number)
  return number == -1 and NO_ID or number
end

--- A header that says what an entry's does, but for some fields, in the one way in which a header can say it.
---@param entry strata.Entry
---@param changes table<string, any>  fields as core.write_header takes them; false: none
---@return string? header
---@return string? message
---@return string? code
function tar.header(entry, changes)
  local fields = {
    name = entry.name, typeflag = entry.typeflag == "\0" and "0" or entry.typeflag, size = entry.stored,
    mode = entry.mode, uid = id_of(entry.uid), gid = id_of(entry.gid), uname = entry.uname, gname = entry.gname,
    linkpath = entry.linkpath, major = entry.major, minor = entry.minor, records = records_of(entry),
  }
  for _, field in ipairs { "mtime", "atime", "ctime" } do
    fields[field] = seconds_of(entry, field)
    fields[field .. "_nsec"] = fields[field] and entry[field .. "_nsec"]
  end
  for key, value in pairs(changes) do fields[key] = value or nil end
  if fields.name == "" then return nil, "the name is empty", "EINVAL" end
  return core.write_header(fields)
end

---@class strata.TarMender
---@field tar strata.MendedTar
---@field assembly userdata
---@field source integer
---@field count integer  items so far
local Mender = {}
Mender.__index = Mender

function Mender:check(ok, message, code)
  if not ok and not self.failure then self.failure = { message, code } end
  return ok
end

function Mender:bytes(bytes, message, code)
  if not bytes then return self:check(nil, message, code) end
  return self:check(self.assembly:bytes(bytes))
end

-- The content of an entry, whose last block is padded anew: the tar may end in it.
function Mender:content(entry, size)
  local plain, rest = self.tar.plain, size % BLOCK
  local from = plain.offset + entry.data_offset
  if size > rest then self:check(self.assembly:range(plain.file, from, size - rest)) end
  if rest == 0 then return end
  local last, message, code = plain.file:read(from + size - rest, rest)
  self:bytes(last and last .. ("\0"):rep(BLOCK - rest), message, code)
end

-- Writes the header of an entry anew, and its content behind it.
function Mender:fresh(number, changes)
  local entry = self.tar.index:entry(number)
  local fields = {}
  for key, value in pairs(changes) do fields[key] = value end
  fields.name = self.tar.names[number] or fields.name
  if fields.name and fields.typeflag == "0" then fields.name = fields.name:gsub("/+$", "") end -- a directory once
  fields.linkpath = self.tar.targets[number] or fields.linkpath
  local header, message, code = tar.header(entry, fields)
  if not header then message = ("entry %d: %s"):format(number, message) end
  if self:bytes(header, message, code) then self:content(entry, fields.size or entry.stored) end
end

function Mender:add(number)
  local mended = self.tar
  if mended.drop[number] then return end
  self.count = self.count + 1
  mended.origins[self.count] = mended.content_of[number] or number
  local fresh, content = mended.fresh[number], mended.content_of[number] or number
  if fresh then return self:fresh(number, fresh) end
  local name = mended.names[number]
  if content ~= number then name = name or mended.index:entry(number).name end
  local target = mended.targets[number]
  if self:check(self.assembly:add(self.source, content, name, target)) and mended.header_of[number] then
    self.assembly:take_header(self.source, mended.header_of[number])
  end
end

-- Writes, in the place of an entry, those that were moved there, directories that were missing, and the entry itself,
-- unless it has another place.
function Mender:place(number)
  local mended = self.tar
  for _, other in ipairs(mended.before[number] or {}) do self:add(other) end
  for _, path in ipairs(mended.directories[number] or {}) do
    self.count = self.count + 1
    self:bytes(core.write_header { name = path .. "/", typeflag = "5", mode = 493 }) -- 0755
  end
  if not mended.moved[number] and not mended.late[number] then self:add(number) end
end

-- ---- the order ---------------------------------------------------------------------------

-- Puts whiteouts in front of the first entry at, or below, the path that they hide.
local function place_fronts(mended)
  if not next(mended.fronts) then return end
  local found = {}
  for entry in mended.index:entries() do
    job.tick()
    local path = entry.path
    while path do
      local whiteout = mended.fronts[path]
      if whiteout and not found[path] and whiteout > entry.position then
        found[path] = true
        mended:move(whiteout, entry.position)
      end
      path = parent_of(path)
    end
  end
end

-- Hardlinks behind their files, which may be such hardlinks.
function Mender:place_late(slots)
  local mended, todo, placed = self.tar, {}, true
  for number = 1, slots do
    if mended.late[number] then todo[#todo + 1] = number end
  end
  while todo[1] and placed do
    local rest = {}
    placed = false
    for _, number in ipairs(todo) do
      local file = mended.index:find(core.normalise(mended.index:entry(number).linkpath))
      if file and mended.late[file.position] then
        rest[#rest + 1] = number
      else
        self:add(number)
        mended.late[number], placed = nil, true
      end
    end
    todo = rest
  end
  for _, number in ipairs(todo) do self:add(number) end -- in a circle, which nobody can put in order
end

-- ---- writing -----------------------------------------------------------------------------

-- All items, and what is behind the entries.
function Mender:run()
  local mended = self.tar
  local _, slots = mended.index:count()
  place_fronts(mended)
  for number = 1, slots do self:place(number) end
  self:place_late(slots)
  if mended.ends or self.failure then return end
  local info = mended.index:info()
  self.assembly:open_ended()
  self:check(self.assembly:range(mended.plain.file, mended.plain.offset + info.end_offset,
    info.tar_size - info.end_offset))
end

--- Writes the new tar, compressed as the layer is. The bytes of the old one are compared with their digests.
---@param opts strata.RepairOptions
---@return {file: userdata, size: integer, digest: string, diff_id: string}?
---@return string? message
---@return string? code
function Tar:write(opts)
  local mender = setmetatable({ tar = self, assembly = core.assemble(), count = 0 }, Mender)
  local source, message, code = mender.assembly:source(self.index)
  if not source then return nil, message, code end
  mender.source = source
  mender:run()
  local label = layer.label(self.state)
  if mender.failure then return nil, ("%s: %s"):format(label, mender.failure[1]), mender.failure[2] end
  local to
  to, message, code = core.temp_file(opts.temp_dir)
  if not to then return nil, message, code end
  local tasks, now = core.job(), layer.current(self.state)
  tasks:assemble { label = label, assembly = mender.assembly, to = to, compression = now.compression }
  if now.compression == "none" then
    tasks:hash {
      label = label, file = now.file, offset = now.offset, size = now.size, digest = self.plain.diff_id or now.digest,
    }
  end
  local ok
  ok, message, code = job.run(tasks, opts, "mending")
  local done = ok and tasks:task(1)
  tasks:close()
  if not ok then return nil, message, code end
  return { file = to, size = done.size, digest = done.digest, diff_id = done.diff_id }
end

--- Frees what it has.
function Tar:close()
  self.index:close()
  if self.plain.file ~= layer.current(self.state).file then self.plain.file:close() end
end

return tar

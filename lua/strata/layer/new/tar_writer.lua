--- The tar of a new layer, written entry by entry.
--
-- Headers, and content that is a string, go into a temporary file; other content
-- stays where it is until a job copies it. Only a list of places is held in memory.

local archive = require "strata.store.archive"
local core = require "strata.core"
local join = require("strata.util.path").join
local json = require "strata.util.json"
local run_job = require("strata.util.job").run

local tar_writer = {}

local TYPEFLAGS = { file = "0", hardlink = "1", symlink = "2", char = "3", block = "4", dir = "5", fifo = "6" }

-- Bytes that are gathered before they go into the temporary file.
local PIECE = 65536

--- One entry.
---@class strata.NewEntry
---@field path string  normalised
---@field type string
---@field mode integer
---@field uid integer
---@field gid integer
---@field uname? string
---@field gname? string
---@field mtime integer  whole seconds
---@field mtime_nsec? integer
---@field linkpath? string
---@field major? integer
---@field minor? integer
---@field xattrs? table<string, string>
---@field size? integer  of what is not a string
---@field content? string
---@field directory? userdata  of the host: its entry `number` has the content
---@field number? integer
---@field file? userdata  that has the content, from `offset` on
---@field offset? integer

---@class strata.TarWriter
---@field assembly userdata
---@field scratch userdata
---@field offset integer  in scratch
---@field waiting string[]
---@field waiting_size integer
local TarWriter = {}
TarWriter.__index = TarWriter

--- An empty tar.
---@param temp_dir? string
---@return strata.TarWriter?
---@return string? message
---@return string? code
function tar_writer.new(temp_dir)
  local scratch, message, code = core.temp_file(temp_dir)
  if not scratch then return nil, message, code end
  return setmetatable({ assembly = core.assemble(), scratch = scratch, offset = 0, waiting = {}, waiting_size = 0,
                        temp_dir = temp_dir }, TarWriter)
end

-- SCHILY.xattr records, sorted by name.
local function xattr_records(xattrs)
  local records = {}
  for i, name in ipairs(json.keys(xattrs)) do
    local key = name:gsub("[%%=]", { ["%"] = "%25", ["="] = "%3D" })
    local record = " SCHILY.xattr." .. key .. "=" .. xattrs[name] .. "\n"
    local size = #record
    while #tostring(size) + #record ~= size do size = #tostring(size) + #record end
    records[i] = ("%d"):format(size) .. record
  end
  return table.concat(records)
end

-- Keeps the first failure: without what could not be added there is no layer.
function TarWriter:check(ok, message, code)
  if not ok and not self.failure then self.failure = { message, code } end
  return ok
end

function TarWriter:flush()
  if self.waiting_size == 0 then return end
  self:check(self.scratch:write(self.offset, table.concat(self.waiting)))
  self.offset, self.waiting, self.waiting_size = self.offset + self.waiting_size, {}, 0
end

function TarWriter:bytes(text)
  self:check(self.assembly:range(self.scratch, self.offset + self.waiting_size, #text))
  self.waiting[#self.waiting + 1] = text
  self.waiting_size = self.waiting_size + #text
  if self.waiting_size >= PIECE then self:flush() end
end

--- Adds an entry.
---@param entry strata.NewEntry
function TarWriter:add(entry)
  local is_dir, is_file = entry.type == "dir", entry.type == "file"
  local size = is_file and (entry.content and #entry.content or entry.size) or 0
  local header, message, code = core.write_header {
    name = is_dir and (entry.path == "." and "./" or entry.path .. "/") or entry.path,
    typeflag = TYPEFLAGS[entry.type], size = size, mode = entry.mode, uid = entry.uid, gid = entry.gid,
    uname = entry.uname, gname = entry.gname, mtime = entry.mtime, mtime_nsec = entry.mtime_nsec,
    linkpath = entry.linkpath, major = entry.major, minor = entry.minor,
    records = entry.xattrs and next(entry.xattrs) and xattr_records(entry.xattrs) or nil,
  }
  if not header then return self:check(nil, ("%s: %s"):format(core.quote(entry.path), message), code) end
  if not is_file or size == 0 then
    self:bytes(header)
  elseif entry.content then
    self:bytes(header .. entry.content .. archive.padding(size))
  else
    self:bytes(header)
    if entry.directory then
      self:check(self.assembly:host_file(entry.directory, entry.number))
    else
      self:check(self.assembly:range(entry.file, entry.offset, size))
      if size % 512 > 0 then self:bytes(archive.padding(size)) end
    end
  end
end

--- Adds a whiteout, which hides a path of the layers below.
---@param directory string  "." for the root
---@param name string  "": an opaque marker, which hides all that they have in the directory
function TarWriter:whiteout(directory, name)
  self:add {
    path = name == "" and core.opaque_name(directory) or core.whiteout_name(join(directory, name)),
    type = "file", mode = 0, uid = 0, gid = 0, mtime = 0, content = "",
  }
end

--- Writes it.
---@param opts {compression?: string, level?: integer, threads?: integer, progress?: function, label?: string}
---@return table? state  of a new layer
---@return string? message
---@return string? code
function TarWriter:finish(opts)
  self:flush()
  if self.failure then return nil, self.failure[1], self.failure[2] end
  local to, message, code = core.temp_file(self.temp_dir)
  if not to then return nil, message, code end
  local compression, job = opts.compression or "none", core.job()
  job:assemble {
    label = opts.label or "new layer", assembly = self.assembly, to = to, compression = compression,
    level = opts.level,
  }
  local ok
  ok, message, code = run_job(job, opts, "writing")
  local made = ok and job:task(1)
  job:close()
  self.scratch:close()
  if not ok then return nil, message, code end
  return {
    blob = { file = to, offset = 0, size = made.size, compression = compression, hashed = true },
    diff_id = made.diff_id, digest = made.digest, unstated = opts.compression == nil,
  }
end

return tar_writer

--- One layer on its way through a stream: spooled, decided about, rewritten.

local core = require "strata.core"
local keeps = require("strata.layer.edit_entries").keeps
local limits = require "strata.util.limits"
local run_job = require("strata.util.job").run
local spool = require "strata.stream.spool"

local layer = {}

---@class strata.SpooledLayer
---@field member strata.StreamMember
---@field handle strata.StreamLayer
---@field index userdata?  of its entries, while they can be edited
---@field copy userdata?  of the index, with the marks of the filter
---@field edited userdata?  the same with the edits, if the copy with the marks lacks some
---@field whiteouts boolean  some stay that may hide nothing any more
---@field problem string?  why it is no layer
local Layer = {}
Layer.__index = Layer

--- Begins a layer.
---@param stream table  room, limits, options of jobs
---@param member strata.StreamMember
---@param compression "none"|"gzip"|"zstd"
---@return strata.SpooledLayer?
---@return string? message
---@return string? code
function layer.new(stream, member, compression)
  local ok, message, code = spool.check(stream.room, member.size)
  if not ok then return nil, message, code end
  local self = setmetatable({ stream = stream, member = member, compression = compression }, Layer)
  self.spool, message, code = spool.open(stream.room)
  if not self.spool then return nil, message, code end
  return self
end

function Layer:write(bytes)
  return self.spool:write(bytes)
end

local function label(self)
  return "layer " .. core.quote(self.member.stored_name)
end

local function limited(self, task)
  task.label = label(self)
  return limits.add(self.stream.limits, task)
end

-- Runs a job of one task and gives its results.
local function run(self, job, what)
  local ok, message, code = run_job(job, self.stream.opts, what)
  local result = ok and job:task(1)
  job:close()
  return result, message, code
end

--- Scans the layer, all bytes of which have come. One that is no tar gets a problem and no index.
---@param digest string  of its bytes
---@param diff_id? string  of a plain one
---@return boolean? ok
---@return string? message
---@return string? code
function Layer:scan(digest, diff_id)
  self.digest = digest
  self.index = core.entry_index(self.spool.file, 0, self.spool.size, self.compression, nil, digest)
  local job = core.job()
  job:scan(limited(self, { index = self.index }))
  local done, message, code = run(self, job, "reading")
  if not done then
    self.index:close()
    self.index = nil
    if code ~= "EFORMAT" then return nil, message, code end
    self.problem = message
    return true
  end
  self.diff_id = diff_id or done.diff_id
  self.handle = {
    name = self.member.name, digest = digest, diff_id = self.diff_id, size = self.member.size,
    compression = self.compression,
  }
  return true
end

--- Marks what the filter drops.
---@param fn fun(entry: strata.Entry, layer: strata.StreamLayer): boolean
function Layer:filter(fn)
  self.whiteouts = false
  for entry in self.index:entries() do
    if not keeps(fn, entry, self.handle) then
      entry:mark()
    elseif entry.whiteout or entry.opaque then
      self.whiteouts = true
    end
  end
end

--- Keeps a copy of the entry index, with the marks of the filter, for the layers above it.
---@return boolean? ok
---@return string? message
---@return string? code
function Layer:remember()
  local message, code
  self.copy, message, code = self.index:copy()
  return self.copy ~= nil, message, code
end

-- Keeps a copy for the check of hardlinks, unless the one with the marks says as much.
local function remember_names(self)
  local _, renamed = self.index:lost_names()
  if self.copy and not renamed then return true end
  local message, code
  self.edited, message, code = self.index:copy()
  return self.edited ~= nil, message, code
end

--- Carries out the filter and the rewriting.
---@param rewrite? fun(entry: strata.Entry, layer: strata.StreamLayer)
---@return table? result  file, size, digest, diff_id of a changed layer; changed = false for another
---@return string? message
---@return string? code
function Layer:settle(rewrite)
  self.index:drop_marked()
  if rewrite then
    for entry in self.index:entries() do rewrite(entry, self.handle) end
  end
  local ok, message, code = remember_names(self)
  if not ok then return nil, message, code end
  if self.index:revision() == 0 then return { changed = false } end
  local out
  out, message, code = spool.open(self.stream.room)
  if not out then return nil, message, code end
  local job = core.job()
  job:write(limited(self, {
    index = self.index, to = out.file, compression = self.compression, temp_dir = self.stream.room.temp_dir,
    diff_id = self.diff_id, digest = self.digest,
  }))
  local done
  done, message, code = run(self, job, "rewriting")
  ok = done
  if ok then ok, message, code = out:grow(done.size) end
  if not ok then
    out:close()
    return nil, message, code
  end
  if done.diff_id == self.diff_id then
    out:close()
    return { changed = false }
  end
  return { changed = true, spool = out, size = done.size, digest = done.digest, diff_id = done.diff_id }
end

--- The entries as they go out.
---@return userdata?
function Layer:known()
  return self.edited or self.copy or self.index
end

--- Closes the copies of the entry index.
function Layer:close()
  if self.copy then self.copy:close() end
  if self.edited then self.edited:close() end
end

--- Closes the entry index.
function Layer:forget()
  if self.index then self.index:close() end
  self.index = nil
end

return layer

--- Where an output goes: a file that appears whole or not at all, a stream that
-- gets everything once all is verified, or a layout directory.

local core = require "strata.core"
local recode = require("strata.util.job").recode
local run_job = require("strata.util.job").run

local output = {}

-- Blobs of a directory that are open at the same time.
local BATCH = 64

local function directory_of(path)
  local dir = path:match("^(.*)/[^/]*$")
  return dir == "" and "/" or dir or "."
end

-- ---- segments ----------------------------------------------------------------

-- Adds the tasks that write segments; returns the size of the whole.
local function add_segments(job, out, segments, verify)
  local offset, gathered, gathered_at = 0, {}, 0
  local function flush()
    if #gathered > 0 then
      job:bytes { label = "document", bytes = table.concat(gathered), to = out, to_offset = gathered_at }
      gathered = {}
    end
  end
  for _, part in ipairs(segments) do
    if part.bytes then
      if #gathered == 0 then gathered_at = offset end
      gathered[#gathered + 1] = part.bytes
      offset = offset + #part.bytes
    elseif part.size > 0 or (verify and part.digest) then -- nothing is not what every digest says
      flush()
      job:copy { label = part.label or "archive", file = part.file, offset = part.offset, size = part.size,
                 to = out, to_offset = offset, digest = verify and part.digest or nil }
      offset = offset + part.size
    end
  end
  flush()
  return offset
end

-- ---- one file ----------------------------------------------------------------

---@class strata.FileTarget
---@field temp_dir string?  where what is in the making may lie
local File = {}
File.__index = File

--- Writes the parts, on several threads: each knows its place.
---@return integer? size
---@return string? message
---@return string? code
function File:write(segments, opts)
  local job = core.job()
  local size = add_segments(job, self.out, segments, opts.verify ~= false)
  local ok, message, code = run_job(job, opts, "writing")
  job:close()
  if not ok then return nil, message, code end
  return size
end

--- Writes the parts, compressed as a whole.
---@param compression "gzip"|"zstd"
---@return integer? size
---@return string? message
---@return string? code
function File:write_compressed(segments, compression, opts)
  local plain, message, code = core.temp_file(self.temp_dir)
  if not plain then return nil, message, code end
  local whole = setmetatable({ out = plain }, File)
  local size
  size, message, code = whole:write(segments, opts)
  if not size then
    plain:close()
    return nil, message, code
  end
  local made
  made, message, code = recode({ { label = "archive", as = compression, to = self.out,
                                   blob = { file = plain, offset = 0, size = size, compression = "none" } } },
    { threads = opts.threads, progress = opts.progress }, "compressing")
  plain:close()
  return made and made[1].size, message, code
end

--- The output is complete: it appears, or is sent.
function File:publish()
  if self.stream then
    local ok, message, code = self.out:send(self.stream)
    self.out:close()
    return ok, message, code
  end
  local ok, message, code = self.out:publish()
  if ok then self.out:close() end
  return ok, message, code
end

--- Nothing of it stays.
function File:give_up()
  self.out:close()
end

--- Opens a target that is one file: a path, "-" for standard output, or an open Lua file.
---@param what string|file*
---@return strata.FileTarget?
---@return string? message
---@return string? code
function output.file(what)
  local self = setmetatable({}, File)
  local message, code
  if type(what) == "string" and what ~= "-" then
    self.path, self.temp_dir = what, directory_of(what)
    self.out, message, code = core.create_file(what)
  else
    self.stream = what
    self.out, message, code = core.temp_file()
  end
  if not self.out then return nil, message, code end
  return self
end

-- ---- a directory ----------------------------------------------------------------

---@class strata.DirectoryTarget
local Directory = {}
Directory.__index = Directory

--- One file of a directory.
---@class strata.DirectoryFile
---@field name string
---@field bytes string?
---@field part strata.Segment?
---@field from userdata?  the directory that has the part's file, which is opened when its turn comes
---@field digest string?  of a blob: one that is there already, and right, stays

-- Blobs that are there and hold what their name says.
local function find_present(self, files, opts)
  local job, checked, present = core.job(), {}, {}
  for _, file in ipairs(files) do
    local size = file.bytes and #file.bytes or file.part and file.part.size
    local info = file.digest and self.dir:stat(file.name)
    if info and info.type == "file" and info.size == size then
      local there = self.dir:open(file.name)
      if there then
        local _, algorithm = core.digest_valid(file.digest)
        job:hash { label = file.name, file = there, offset = 0, size = size, algorithm = algorithm }
        checked[#checked + 1] = file
      end
    end
  end
  if #checked == 0 then return present end
  run_job(job, opts, "hashing") -- what cannot be read is written again
  for i, file in ipairs(checked) do
    local ok, task = pcall(job.task, job, i)
    if ok and task and task.digest == file.digest then present[file.name] = true end
  end
  job:close()
  return present
end

-- What was made for this blob alone, hashed meanwhile, need not be copied.
local function take(out, part)
  if not part or part.offset > 0 or part.size ~= part.file:size() then return false end
  return out:take(part.file)
end

local function write_batch(self, batch, opts)
  local job, outs = core.job(), {}
  local function give_up(message, code)
    job:close()
    for _, out in ipairs(outs) do out:close() end
    return nil, message, code
  end
  for _, file in ipairs(batch) do
    local out, message, code = self.dir:create(file.name)
    if not out then return give_up(message, code) end
    outs[#outs + 1] = out
    if file.from then
      file.part.file, message, code = file.from:open(file.name)
      if not file.part.file then return give_up(message, code) end
    end
    local taken
    taken, message, code = take(out, file.part)
    if taken == nil then return give_up(message, code) end
    if not taken then
      add_segments(job, out, { file.bytes and { bytes = file.bytes } or file.part }, opts.verify ~= false)
    end
    if file.from then file.part.file:close() end -- the job holds on to it
  end
  local ok, message, code = run_job(job, opts, "writing")
  if not ok then return give_up(message, code) end
  job:close()
  for _, out in ipairs(outs) do
    ok, message, code = out:publish()
    if not ok then return give_up(message, code) end
    out:close()
  end
  return true
end

--- Writes files; those that are there already and right are left alone.
---@param files strata.DirectoryFile[]
---@return integer? size
---@return string? message
---@return string? code
function Directory:write(files, opts)
  local present, batch, size = find_present(self, files, opts), {}, 0
  for i, file in ipairs(files) do
    size = size + (file.bytes and #file.bytes or file.part.size)
    if not present[file.name] then batch[#batch + 1] = file end
    if #batch == BATCH or (i == #files and #batch > 0) then
      local ok, message, code = write_batch(self, batch, opts)
      if not ok then return nil, message, code end
      batch = {}
    end
  end
  return size
end

--- The document that makes it all appear comes last, and then go the blobs that
-- nothing leads to any more.
---@param name string
---@param text string
---@param gone string[]?
function Directory:finish(name, text, opts, gone)
  local ok, message, code = self.dir:sync()
  if not ok then return nil, message, code end
  -- Without progress, which has been told of all the bytes.
  ok, message, code = write_batch(self, { { name = name, bytes = text } }, { threads = opts.threads })
  if not ok then return nil, message, code end
  for _, old in ipairs(gone or {}) do self.dir:remove(old) end
  self.dir:close()
  return true
end

--- What this target made goes again; what was there stays.
function Directory:give_up()
  self.dir:undo()
  self.dir:close()
end

--- Opens a target that is a directory, which is made when it is not there.
---@param path string
---@return strata.DirectoryTarget?
---@return string? message
---@return string? code
function output.directory(path)
  -- Once the directory is there nothing more may want memory.
  local self = setmetatable({ dir = false, path = path, temp_dir = path }, Directory)
  local message, code
  self.dir, message, code = core.create_dir(path)
  if not self.dir then return nil, message, code end
  return self
end

return output

--- Where an output goes: a file that appears whole or not at all, a stream that
-- gets everything once all is verified, or a layout directory.
--
-- A layout directory may be written to by several saves at the same time. Blobs are
-- named by their content: each save publishes those that it needs, and none belongs
-- to one save alone, so a save that fails leaves what it has published. The document
-- that leads to the blobs comes last; see Directory:finish.

local core = require "strata.core"
local limits = require "strata.util.limits"
local recode = require("strata.util.job").recode
local run_job = require("strata.util.job").run

local output = {}

-- Blobs of a directory that are open at the same time.
local BATCH = 64

-- How often a save writes blobs again that other saves have removed.
local ATTEMPTS = 10

local function directory_of(path)
  local dir = path:match("^(.*)/[^/]*$")
  return dir == "" and "/" or dir or "."
end

-- ---- segments ----------------------------------------------------------------

-- Opens the file of a part that lies in a directory; the job that gets it holds on to it.
local function open_part(part)
  if not part or not part.from then return true end
  local message, code
  part.file, message, code = part.from:open(part.name)
  if not part.file then return nil, message, code end
  return true
end

local function close_part(part)
  if not part or not part.from then return end
  part.file:close()
  part.file = nil
end

-- Adds the task that writes a part; `digest`: to be compared.
local function add_part(job, out, part, offset, digest)
  local task = { label = part.label or "archive", to = out, to_offset = offset, digest = digest }
  local inflated = part.inflated
  local from = inflated and inflated.blob or part
  task.file, task.offset, task.size = from.file, from.offset, from.size
  if not inflated then return job:copy(task) end
  inflated.written = true
  task.compression, task.as, task.to_size = from.compression, "none", part.size
  task.digest, task.diff_id = from.digest, from.diff_id
  return job:recode(limits.add(inflated.limits, task))
end

-- Adds the tasks that write segments from number `first` on, with at most BATCH files of directories. Returns the
-- number of the next segment, and where that goes.
local function add_segments(job, out, segments, first, offset, verify)
  local gathered, gathered_at, opened = {}, 0, 0
  local function flush()
    if #gathered > 0 then
      job:bytes { label = "document", bytes = table.concat(gathered), to = out, to_offset = gathered_at }
      gathered = {}
    end
  end
  for i = first, #segments do
    local part = segments[i]
    if part.bytes then
      if #gathered == 0 then gathered_at = offset end
      gathered[#gathered + 1] = part.bytes
      offset = offset + #part.bytes
    elseif part.size > 0 or (verify and part.digest) then -- nothing is not what every digest says
      flush()
      if part.from and opened == BATCH then return i, offset end
      opened = opened + (part.from and 1 or 0)
      local ok, message, code = open_part(part)
      if not ok then return nil, message, code end
      local is_known = part.hashed and part.file:private()
      if not part.file:same(out) then -- it is there already
        add_part(job, out, part, offset, verify and not is_known and part.digest or nil)
      end
      close_part(part)
      offset = offset + part.size
    end
  end
  flush()
  return #segments + 1, offset
end

-- ---- one file ----------------------------------------------------------------

---@class strata.FileTarget
---@field temp_dir string?  where what is in the making may lie
local File = {}
File.__index = File

--- Writes the parts, on several threads: each knows its place. Those that lie in the output have been written there.
---@return integer? size
---@return string? message
---@return string? code
function File:write(segments, opts)
  local at, offset = 1, 0
  repeat
    local job = core.job()
    local ok, message, code = add_segments(job, self.out, segments, at, offset, opts.verify ~= false)
    at, offset = ok, message
    if ok then ok, message, code = run_job(job, opts, "writing") end
    job:close()
    if not ok then return nil, message, code end
  until at > #segments
  return offset
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
    if ok then self.out:close() end
    return ok, message, code
  end
  local ok, message, code = self.out:publish()
  if ok then self.out:close() end
  return ok, message, code
end

--- Nothing of it stays but what layers have of it.
---@return nil
function File:give_up()
  self.out:give_up()
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
---@field path string
---@field dir userdata
---@field temp_dir string  where what is in the making may lie
---@field written integer  blobs that are there since this save
local Directory = {}
Directory.__index = Directory

--- One file of a directory.
---@class strata.DirectoryFile
---@field name string
---@field bytes string?
---@field part strata.Segment?
---@field digest string?  of a blob: one that is there already, and right, stays

-- Notes the blobs of a batch that are there and hold what their name says.
local function note_present(self, batch, opts, present)
  local job, checked = core.job(), {}
  for _, file in ipairs(batch) do
    local there = self.dir:open(file.name)
    if there then
      local _, algorithm = core.digest_valid(file.digest)
      job:hash { label = file.name, file = there, offset = 0, size = there:size(), algorithm = algorithm }
      there:close() -- the job holds on to it
      checked[#checked + 1] = file
    end
  end
  if #checked > 0 then run_job(job, opts, "hashing") end -- what cannot be read is written again
  for i, file in ipairs(checked) do
    local ok, task = pcall(job.task, job, i)
    if ok and task and task.digest == file.digest then present[file.name] = true end
  end
  job:close()
end

local function size_of(file)
  return file.bytes and #file.bytes or file.part.size
end

local function find_present(self, files, opts)
  local batch, present = {}, {}
  for _, file in ipairs(files) do
    local info = file.digest and self.dir:stat(file.name)
    if info and info.type == "file" and info.size == size_of(file) then batch[#batch + 1] = file end
    if #batch == BATCH then
      note_present(self, batch, opts, present)
      batch = {}
    end
  end
  note_present(self, batch, opts, present)
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
    local taken = false
    if not (file.part and file.part.from) then taken, message, code = take(out, file.part) end
    if taken == nil then return give_up(message, code) end
    if not taken then
      local segments = { file.bytes and { bytes = file.bytes } or file.part }
      local added, why, how = add_segments(job, out, segments, 1, 0, opts.verify ~= false)
      if not added then return give_up(why, how) end
    end
  end
  local ok, message, code = run_job(job, opts, "writing")
  if not ok then return give_up(message, code) end
  job:close()
  for i, out in ipairs(outs) do
    ok, message, code = self.dir:publish(out, batch[i].name)
    if not ok then return give_up(message, code) end
    if batch[i].digest then self.written = self.written + 1 end
    out:close()
  end
  return true
end

local function write_files(self, files, opts)
  for first = 1, #files, BATCH do
    local batch = {}
    for i = first, math.min(first + BATCH - 1, #files) do batch[#batch + 1] = files[i] end
    local ok, message, code = write_batch(self, batch, opts)
    if not ok then return nil, message, code end
  end
  return true
end

--- Writes files; those that are there already and right are left alone.
---@param files strata.DirectoryFile[]
---@return integer? size
---@return string? message
---@return string? code
function Directory:write(files, opts)
  local present, absent, size = find_present(self, files, opts), {}, 0
  for _, file in ipairs(files) do
    size = size + size_of(file)
    if not present[file.name] then absent[#absent + 1] = file end
  end
  local ok, message, code = write_files(self, absent, opts)
  if not ok then return nil, message, code end
  return size
end

-- Files that are not there any more, or not yet.
local function find_missing(self, files)
  local missing = {}
  for _, file in ipairs(files) do
    local info = self.dir:stat(file.name)
    if not info or (file.digest and (info.type ~= "file" or info.size ~= size_of(file))) then
      missing[#missing + 1] = file
    end
  end
  return missing
end

local function publish_document(self, name, text)
  local out, message, code = self.dir:create(name)
  if not out then return nil, message, code end
  local ok
  ok, message, code = out:write(0, text)
  if ok then ok, message, code = self.dir:publish(out, name) end
  out:close()
  return ok, message, code
end

--- Publishes the document that leads to the blobs, and then removes the blobs that
-- nothing leads to any more.
--
-- `plan` says what is to be written when the directory is as it is at the moment. It
-- is asked while the directory is locked, so that a document that another save has
-- published since is extended and not lost. What the plan needs and is not there, for
-- it is new, or another save had it as a blob that nothing leads to, is written
-- without the lock, and then `plan` is asked again.
---@param plan fun(): strata.DirectoryPlan?, string?, string?
---@return boolean? ok
---@return string? message
---@return string? code
function Directory:finish(plan, opts)
  -- Without progress, which has been told of all the bytes.
  opts = { threads = opts.threads, wait = opts.wait, verify = opts.verify }
  for _ = 1, ATTEMPTS do
    local ok, message, code = self.dir:lock()
    if not ok then return nil, message, code end
    local planned
    planned, message, code = plan()
    if not planned then return nil, message, code end
    local missing = find_missing(self, planned.files)
    if #missing == 0 then
      ok, message, code = publish_document(self, planned.root.name, planned.root.text)
      if not ok then return nil, message, code end
      for _, name in ipairs(planned.root.gone or {}) do self.dir:remove(name) end
      self.dir:close()
      return true
    end
    self.dir:unlock()
    ok, message, code = write_files(self, missing, opts)
    if not ok then return nil, message, code end
  end
  return nil, ("%s: other saves remove its blobs again and again"):format(self.path), "EBUSY"
end

--- The document stays as it was.
---@return string? left  what stays of the save, for a message
function Directory:give_up()
  self.dir:close()
  if self.written == 0 then return nil end
  return ("%d blob%s in %s, which nothing of this save names"):format(self.written, self.written == 1 and "" or "s",
    self.path)
end

--- Opens a target that is a directory. One that is not there is made with the first blob.
---@param path string
---@return strata.DirectoryTarget?
---@return string? message
---@return string? code
function output.directory(path)
  local dir, message, code = core.create_dir(path)
  if not dir then return nil, message, code end
  local temp_dir = dir:exists(".") and path or directory_of((path:gsub("(.)/+$", "%1")))
  return setmetatable({ dir = dir, path = path, temp_dir = temp_dir, written = 0 }, Directory)
end

return output

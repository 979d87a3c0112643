--- The bounded store of what edits have made: manifests, configs and layers, and a record for each image.
--
--   blobs/HEX     one file for each, by its SHA-256
--   made/KEY      the record of an image: what it was made from, and its blobs, also those that stay upstream
--   new/PROCESS-N what a process is making; when there is no such process, it is swept
--
-- The directory is the truth; filter.records has the same in dictionaries, and "v:HEX" in filter_blobs is the state of
-- a file whose bytes were compared with its name. All files appear by rename, blobs before the record, and go after it,
-- under one lock: a process may be killed at any moment, and all that can be left is swept when the next one starts.

local cjson = require("cjson.safe").new()
local lfs = require "lfs"
local locked = require "filter.lock"
local process = require "filter.process"
local records = require "filter.records"
local service = require "filter.service"
local settings = require "filter.settings"

local cache = {}

local root = ngx.config.prefix() .. "data/filtered/"
local token, serial

local function dict()
  return ngx.shared.filter
end

local function by_blob()
  return ngx.shared.filter_blobs
end

local function fail(code, text, ...)
  return nil, text:format(...), code
end

-- ---- files ---------------------------------------------------------------------------------------------

local function hex_of(digest)
  return digest:match("^sha256:(%x+)$")
end

--- Where the file of a blob is.
---@param digest string
---@return string
function cache.path(digest)
  return root .. "blobs/" .. hex_of(digest)
end

local function record_path(key)
  return root .. "made/" .. key
end

local function names_in(path)
  local names = {}
  for name in lfs.dir(path) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  return names
end

-- Larger files take the kernel milliseconds, in which nginx would do nothing else.
local SMALL = 4 * 1024 * 1024

local function remove_later(premature, path)
  if premature or not service.checks():run("remove", { path = path }, { detached = true }) then os.remove(path) end
end

-- Removes a file; its name is gone at once.
local function discard(path)
  serial = serial + 1
  local aside = ("%snew/%s-%d"):format(root, token, serial)
  if (lfs.attributes(path, "size") or 0) <= SMALL or not os.rename(path, aside) then
    os.remove(path)
  elseif not ngx.timer.at(0, remove_later, aside) then
    os.remove(aside)
  end
end

local function remove_tree(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for _, name in ipairs(names_in(path)) do remove_tree(path .. "/" .. name) end
    lfs.rmdir(path)
  else
    discard(path)
  end
end

-- What tells the state of a file from any other that it has had.
local function state_of(path)
  local at = lfs.attributes(path)
  if not at or at.mode ~= "file" then return nil end
  return ("%.0f:%.0f:%.0f:%.0f:%.0f"):format(at.size, at.ino, at.dev, at.modification, at.change), at.size
end

-- ---- records -------------------------------------------------------------------------------------------

-- Takes a record away, and then the files that no other one has: the bytes that this frees.
local function remove(record, list, refs)
  os.remove(record_path(record.key))
  records.forget(record, list)
  for i, one in ipairs(list) do
    if one == record then
      table.remove(list, i)
      break
    end
  end
  local freed = 0
  for digest, blob in pairs(record.blobs) do
    if not blob.upstream then
      refs[digest] = refs[digest] - 1
      if refs[digest] == 0 then
        refs[digest] = nil
        discard(cache.path(digest))
        by_blob():delete("v:" .. hex_of(digest))
        freed = freed + blob.size
      end
    end
  end
  return freed
end

-- Makes room for one more record with these blobs: those go that were asked for least recently, and none that somebody
-- may be pulling unless nginx has just started.
local function make_room(blobs, is_new, hold)
  local list = records.all()
  local refs, total = records.count(list)
  table.sort(list, function(a, b)
    local first, second = records.last_use(a), records.last_use(b)
    if first ~= second then return first < second end
    return a.key < b.key
  end)
  local function need()
    local bytes = 0
    for digest, blob in pairs(blobs) do
      if not blob.upstream and not refs[digest] then bytes = bytes + blob.size end
    end
    return bytes
  end
  while total + need() > settings.bytes or #list + is_new > settings.images do
    local oldest = list[1]
    if not oldest then
      return fail("ELARGE", "the image needs %.0f bytes, and the cache may have %.0f", need(), settings.bytes)
    elseif math.max(0, ngx.now() - records.last_use(oldest)) < hold then
      return fail("EBUSY", "the cache is full of images that are being pulled")
    end
    total = total - remove(oldest, list, refs)
  end
  return true
end

-- ---- starting ------------------------------------------------------------------------------------------

-- Whether all files of a record are there, as long as they should be.
local function is_whole(record)
  for digest, blob in pairs(record.blobs) do
    if not blob.upstream then
      local _, size = state_of(cache.path(digest))
      if size ~= blob.size then return false end
    end
  end
  return true
end

-- The records whose files are all there; others go.
local function read_records()
  local there = {}
  for _, name in ipairs(names_in(root .. "made")) do
    local path = record_path(name)
    local file = io.open(path, "rb")
    local record = file and records.decode(file:read("*a"), name)
    if file then file:close() end
    if record and is_whole(record) then
      there[#there + 1] = record
    else
      os.remove(path)
    end
  end
  return there
end

-- Reads the directory into the dictionaries, and removes what belongs to nothing. Other worker processes may be
-- serving: what they know stays while this goes on.
local function load()
  local there, known = read_records(), {}
  local refs = records.count(there)
  for i = #there, 1, -1 do
    local record = there[i]
    local used = math.max(records.last_use(record), lfs.attributes(record_path(record.key), "modification") or 0)
    if records.note(record, used) then known[record.key] = true else remove(record, there, refs) end
  end
  for _, record in ipairs(records.all()) do
    if not known[record.key] then records.forget(record, there) end
  end
  refs = records.count(there)
  for _, hex in ipairs(names_in(root .. "blobs")) do
    if not refs["sha256:" .. hex] then discard(root .. "blobs/" .. hex) end
  end
  for _, name in ipairs(names_in(root .. "new")) do
    if not process.is_alive(name) then remove_tree(root .. "new/" .. name) end
  end
  make_room({}, 0, 0) -- the bound may be another one than before
  return true
end

--- Reads what there is, in the background. For init_worker_by_lua.
function cache.start()
  token, serial = process.own(), 0
  for _, name in ipairs { "", "blobs", "made", "new" } do lfs.mkdir(root .. name) end
  dict():delete("loaded")
  ngx.timer.at(0, function(premature)
    if premature then return end
    local ok, message = locked(load)
    if not ok then ngx.log(ngx.ERR, "filter: the cache cannot be read: ", message) end
    dict():set("loaded", true)
  end)
end

--- Waits until what there is was read.
---@return boolean
function cache.is_ready()
  local ending = ngx.now() + 30
  while not dict():get("loaded") and ngx.now() < ending do ngx.sleep(0.01) end
  return dict():get("loaded") ~= nil
end

-- ---- finding -------------------------------------------------------------------------------------------

-- A record that is asked for stays the longer, also when nginx starts again.
local function touch(record)
  local before = records.last_use(record)
  records.use(record)
  if ngx.now() - before > 30 then lfs.touch(record_path(record.key)) end
  return record
end

--- The record of an image that was made.
---@param key string
---@return filter.Record?
function cache.find(key)
  local record = records.get(key)
  return record and touch(record)
end

--- The record of an image of a name that has such a blob or manifest.
---@param name string
---@param digest string
---@return filter.Record?
function cache.find_blob(name, digest)
  local key = records.with_blob(name, digest)
  local record = key and cache.find(key)
  return record and record.blobs[digest] and record or nil
end

--- Whether the file of a blob has the bytes that its name says. They are read when that was not done since nginx has
--- started, or when anybody has touched the file since.
---@param digest string
---@param hash fun(path: string): string?, string?, string?  gives the digest of a file
---@return boolean? ok
---@return string? message  nil when the bytes are others
---@return string? code
function cache.verify(digest, hash)
  local path = cache.path(digest)
  local state = state_of(path)
  if not state then return false end
  local name = "v:" .. hex_of(digest)
  if by_blob():get(name) == state then return true end
  local found, message, code = hash(path)
  if not found then return nil, message, code end
  if found ~= digest or state_of(path) ~= state then return false end
  by_blob():set(name, state)
  return true
end

--- Forgets all images that have a blob whose bytes are others.
---@param digest string
function cache.drop(digest)
  ngx.log(ngx.ERR, "filter: the bytes of ", digest, " in the cache are damaged; it is removed")
  return locked(function()
    local list, bad = records.all(), {}
    local refs = records.count(list)
    for _, record in ipairs(list) do
      if record.blobs[digest] then bad[#bad + 1] = record end
    end
    for _, record in ipairs(bad) do remove(record, list, refs) end
    return true
  end)
end

-- ---- adding --------------------------------------------------------------------------------------------

--- A new directory to make an image in.
---@return string? path
---@return string? message
---@return string? code
function cache.begin()
  serial = serial + 1
  local path = ("%snew/%s-%d"):format(root, token, serial)
  local ok, message = lfs.mkdir(path)
  if not ok then return fail(message:find("No space", 1, true) and "ENOSPC" or "EIO", "%s", message) end
  return path
end

--- Removes such a directory, with all that is left in it.
---@param path string
function cache.finish(path)
  remove_tree(path)
end

local function write_record(record)
  local path = record_path(record.key)
  local new = ("%snew/%s-record"):format(root, token)
  local file, message = io.open(new, "wb")
  local ok = file
  if ok then ok, message = file:write(cjson.encode(record)) end
  if file then
    local closed, why = file:close()
    if ok and not closed then ok, message = nil, why end
  end
  if ok then ok, message = os.rename(new, path) end
  if ok then return true end
  os.remove(new)
  return fail(message:find("No space", 1, true) and "ENOSPC" or "EIO", "%s", message)
end

-- Gives files their names; those that were there already stay.
local function take_files(files, taken)
  for digest, path in pairs(files) do
    if not state_of(cache.path(digest)) then
      local ok, message = os.rename(path, cache.path(digest))
      if not ok then return fail("EIO", "%s", message) end
      taken[#taken + 1] = digest
      by_blob():set("v:" .. hex_of(digest), (state_of(cache.path(digest))))
    end
  end
  return true
end

local function add(record, files)
  local ok, message, code = make_room(record.blobs, 1, settings.hold)
  if not ok then return nil, message, code end
  local taken = {}
  ok, message, code = take_files(files, taken)
  if ok then ok, message, code = write_record(record) end
  if ok and not records.note(record, ngx.now()) then
    records.forget(record, records.all())
    os.remove(record_path(record.key))
    ok, message, code = fail("ELARGE", "a dictionary of the cache is full: lua_shared_dict filter, filter_blobs")
  end
  if ok then return true end
  local refs = records.count(records.all())
  for _, digest in ipairs(taken) do
    if not refs[digest] then discard(cache.path(digest)) end
  end
  return nil, message, code
end

--- Adds an image: its files become those of the cache. Nothing is added when there is no room.
---@param record filter.Record
---@param files table<string, string>  paths of those of its blobs that were made
---@return boolean? ok
---@return string? message
---@return string? code
function cache.publish(record, files)
  return locked(add, record, files)
end

return cache

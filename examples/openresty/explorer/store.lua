--- Which images there are. An image has an ID that nobody can guess, and a record:
-- a JSON file beside its archive, and the same text in a dictionary that the
-- worker processes share. IDs never become paths before a record was found.

local cjson = require("cjson.safe").new()
local lfs = require "lfs"
local service = require "explorer.service"
local text = require "explorer.text"

local store = {}

---@class explorer.Record
---@field id string
---@field name string  for people, and for downloads
---@field file string  its path below the directory
---@field own boolean  it is ours to remove
---@field created number
---@field open table  how strata.open finds the image in it
---@field nameless? boolean  it is still to be named after its tag
---@field maker? string  the worker process that still makes it

local function dict()
  return ngx.shared.images
end

local function record_path(id)
  return service.own .. id .. ".json"
end

local function random_id()
  local file = assert(io.open("/dev/urandom", "rb"))
  file:setvbuf("no")
  local bytes = file:read(16)
  file:close()
  return (bytes:gsub(".", function(char) return ("%02x"):format(char:byte()) end))
end

local function read(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read("*a")
  if file then file:close() end
  return bytes
end

-- A process, so that a later one with the same number is another.
local function process(pid)
  local stat = read("/proc/" .. pid .. "/stat")
  local fields, n = stat and stat:match("%) (.*)$") or "", 2
  for field in fields:gmatch("%S+") do
    n = n + 1
    if n == 22 then return pid .. ":" .. field end
  end
  return nil
end

local function is_alive(maker)
  return process(maker:match("^%d+")) == maker
end

--- Where the archive of an image is.
---@param record explorer.Record
---@return string
function store.path(record)
  return service.directory .. record.file
end

--- The record of an image; one that is still being made has none.
---@param id string
---@return explorer.Record?
function store.get(id)
  local record = cjson.decode(dict():get(id) or "")
  return record and not record.maker and record or nil
end

---@return explorer.Record[]  the oldest first
function store.list()
  local records = {}
  for _, id in ipairs(dict():get_keys(0)) do records[#records + 1] = store.get(id) end
  table.sort(records, function(a, b)
    if a.created ~= b.created then return a.created < b.created end
    return a.id < b.id
  end)
  return records
end

local function write(record)
  local path = record_path(record.id)
  local file, message = io.open(path .. ".new", "wb")
  if not file then return nil, message, "EIO" end
  local bytes = text.json(record)
  local ok = file:write(bytes)
  ok = file:close() and ok and os.rename(path .. ".new", path)
  if not ok or not dict():set(record.id, bytes) then return nil, "the record cannot be written", "ENOSPC" end
  return true
end

--- Begins a new image, of which nothing is left if this process ends before it is finished.
---@param name string
---@param file? string  its path below the directory, where it is already
---@return explorer.Record?
---@return string? message
---@return string? code
function store.begin(name, file)
  local id = random_id()
  local record = {
    id = id, name = text.display(name), file = file or ".strata/" .. id .. ".tar", own = not file,
    created = ngx.now(), open = {}, maker = process(ngx.worker.pid()) or "0:0",
  }
  local ok, message, code = write(record)
  if not ok then return nil, message, code end
  return record
end

---@param record explorer.Record
---@return boolean? ok
---@return string? message
---@return string? code
function store.finish(record)
  record.maker = nil
  return write(record)
end

--- A message with the names that users know, instead of those of files.
---@param message string
---@return string
function store.in_names(message)
  return (message:gsub("%f[%x]" .. ("%x"):rep(32) .. "%.tar", function(file)
    local record = cjson.decode(dict():get(file:sub(1, 32)) or "")
    return record and record.name
  end))
end

-- ---- what is in use -----------------------------------------------------------------

-- By image and process, so that one which was killed holds nothing.
local function use_key(id, maker)
  return ("use:%s:%s"):format(id, maker)
end

--- Marks an image as the source of one that is being made, or no more.
---@param record explorer.Record
---@param step 1|-1
function store.use(record, step)
  local key = use_key(record.id, process(ngx.worker.pid()) or "0:0")
  if (ngx.shared.surgery:incr(key, step, 0) or 0) <= 0 then ngx.shared.surgery:delete(key) end
end

--- Whether an image is the source of one that is being made.
---@param record explorer.Record
---@return boolean
function store.in_use(record)
  local prefix = use_key(record.id, "")
  for _, key in ipairs(ngx.shared.surgery:get_keys(0)) do
    if key:sub(1, #prefix) == prefix and is_alive(key:sub(#prefix + 1)) then return true end
  end
  return false
end

---@param record explorer.Record
function store.remove(record)
  dict():delete(record.id)
  if record.own then service.remove(store.path(record)) end
  os.remove(record_path(record.id))
end

--- The record of an archive in the directory that was opened before.
---@param file string
---@return explorer.Record?
function store.find(file)
  for _, record in ipairs(store.list()) do
    if record.file == file then return record end
  end
  return nil
end

-- ---- archives in the directory ------------------------------------------------------

--- Whether an archive of that name can be there: no way leads anywhere else.
---@param name any
---@return boolean
function store.is_name(name)
  return type(name) == "string" and #name <= 255 and not name:find("[/%z]") and not name:find("^%.") and name ~= ""
end

-- The names in a directory, and whether it can be read.
local function names_in(path)
  local names, ok, step, dir = {}, pcall(lfs.dir, path)
  for name in ok and step or function() end, dir do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  return names, ok
end

--- Archives in the directory; links are not followed.
---@return {name: string, size: integer}[]
function store.available()
  local found = {}
  for _, name in ipairs(names_in(service.directory)) do
    if store.is_available(name) then
      found[#found + 1] = { name = name, size = lfs.attributes(service.directory .. name, "size") }
    end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

--- Whether a name is that of an archive that can be opened.
---@param name any
---@return boolean
function store.is_available(name)
  return store.is_name(name) and lfs.symlinkattributes(service.directory .. name, "mode") == "file"
end

-- ---- after a process that was killed ----------------------------------------------

local function identity_of(path)
  local found = lfs.attributes(path)
  return found and found.dev .. ":" .. found.ino
end

-- Notes the files that a process has open; nil when it cannot be seen.
local function open_files(pid, set)
  local directory = "/proc/" .. pid .. "/fd"
  local names, readable = names_in(directory)
  for _, fd in ipairs(names) do set[identity_of(directory .. "/" .. fd) or ""] = true end
  return readable or nil
end

-- Bodies that no worker process has open any more.
local function remove_bodies()
  local path = service.own .. "incoming"
  local found, set = {}, {}
  for _, name in ipairs(names_in(path)) do found[name] = identity_of(path .. "/" .. name) end
  if not next(found) then return end
  local processes = names_in("/proc")
  if not processes[1] then return end
  for _, pid in ipairs(processes) do
    local name = pid:find("^%d+$") and read("/proc/" .. pid .. "/comm")
    if name == "nginx\n" and open_files(pid, set) == nil and lfs.attributes("/proc/" .. pid) then
      -- Somebody else's nginx, or a master: it holds no bodies of ours if it is not of our user.
      local status = read("/proc/" .. pid .. "/status") or ""
      if status:match("Uid:%s+(%d+)") == (read("/proc/self/status") or ""):match("Uid:%s+(%d+)") then
        return
      end
    end
  end
  for name, identity in pairs(found) do
    if not set[identity] then os.remove(path .. "/" .. name) end
  end
end

--- Reads the records; what a process has left that was killed is removed. For init_worker.
function store.load()
  for _, name in ipairs(names_in(service.own)) do
    local id = name:match("^(%x+)%.json$")
    local record = id and cjson.decode(read(service.own .. name) or "")
    if record and record.maker and not is_alive(record.maker) then
      store.remove(record)
    elseif record and not dict():get(id) then
      if lfs.attributes(store.path(record)) then
        dict():set(id, text.json(record))
      elseif not record.maker then
        store.remove(record)
      end
    end
  end
  remove_bodies()
end

return store

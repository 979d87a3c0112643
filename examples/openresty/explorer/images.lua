--- Images: uploading, opening, looking, downloading, removing.

local body = require "explorer.body"
local lfs = require "lfs"
local reply = require "explorer.reply"
local service = require "explorer.service"
local store = require "explorer.store"
local text = require "explorer.text"

local images = {}

local function summary(record)
  return {
    id = record.id, name = record.name, created = record.created, size = record.size, tags = record.tags,
    platform = record.platform, image = record.image, uploaded = record.own,
  }
end

--- The record of an ID, or an answer that there is none.
---@param id string
---@return explorer.Record
function images.find(id)
  return store.get(id) or reply.fail("there is no image of that ID", "ENOENT")
end

--- Runs a job on an image, or on what args.path names; a failure is the answer.
---@param record explorer.Record
---@param name string
---@param args table
---@param cleanup? fun()  before a failure is answered
---@return table
function images.run(record, name, args, cleanup)
  local own = not args.path
  if own then args.path, args.open = store.path(record), record.open end
  local surgery = service.surgery()
  local result, message, code = surgery:run(name, args, { progress = service.task() })
  if result and not surgery:abandoned() then return result end
  if result then message, code = "the client has gone", "ECANCELED" end
  message = store.in_names(message)
  -- Jobs that read go on without the name of the file; one that has not begun finds nothing.
  if own and code == "ENOENT" and not lfs.attributes(store.path(record)) then
    message = "the image has been removed"
  end
  if cleanup then cleanup() end
  return reply.fail(message, code)
end

--- Completes the record of an image whose archive is there; answers when it is none.
---@param record explorer.Record
---@param status integer
---@param extra? table
function images.admit(record, status, extra)
  local function forget() store.remove(record) end
  local facts = images.run(record, "inspect", {}, forget)
  record.size, record.tags, record.platform, record.image = 0, facts.tags, facts.platform, facts.id
  if record.nameless and facts.tags[1] then
    record.name = facts.tags[1]:match("[^/]+$"):gsub(":", "-") .. ".tar"
  end
  record.nameless = nil
  for _, layer in ipairs(facts.layers) do record.size = record.size + layer.size end
  local ok, message, code = store.finish(record)
  if not ok then
    forget()
    return reply.fail(message, code)
  end
  ngx.header["Location"] = "/images/" .. record.id
  local answer = summary(record)
  for key, value in pairs(extra or {}) do answer[key] = value end
  return reply.json(status, answer)
end

--- GET /images
function images.list()
  local list, known = {}, {}
  for i, record in ipairs(store.list()) do
    list[i] = summary(record)
    known[record.file] = true
  end
  local available = {}
  for _, one in ipairs(store.available()) do
    if not known[one.name] then
      available[#available + 1] = { name = one.name, path = text.encode(one.name), size = one.size }
    end
  end
  return reply.json(200, { images = list, available = available, registries = service.registries() })
end

-- Which image of an archive, by the query: ?ref=app:1&platform=linux/amd64
local function choice()
  local query = ngx.req.get_uri_args(20)
  local function one(name) return type(query[name]) == "string" and query[name] or nil end
  return { ref = one "ref", platform = one "platform" }, one "name"
end

local function open_named(open)
  local path = body.json().path
  local name = type(path) == "string" and text.decode(path)
  if not name or name ~= path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end) then
    return reply.fail("path should be the name of an archive in the directory", "EINVAL")
  end
  if not store.is_name(name) then
    return reply.fail("path should be the name of an archive in the directory", "EINVAL")
  end
  if not store.is_available(name) then return reply.fail("there is no archive of that name", "ENOENT") end
  local known = store.find(name)
  if known and not open.ref and not open.platform then return reply.json(200, summary(known)) end
  local record, message, code = store.begin(name, name)
  if not record then return reply.fail(message, code) end
  record.open = open
  return images.admit(record, 201)
end

--- POST /images: the archive is the body, or {"path": "app.tar"} names one in the directory.
function images.create()
  local open, name = choice()
  if body.is_json() then return open_named(open) end
  local path = body.file()
  local record, message, code = store.begin((name and name:match "[^/\\]+$" or "image.tar"):sub(1, 200))
  if not record then return reply.fail(message, code) end
  record.open, record.nameless = open, not name or nil
  -- The body's file becomes the image's: nothing is copied.
  local ok
  ok, message = os.rename(path, store.path(record))
  if not ok then
    store.remove(record)
    return reply.fail(message, "EIO")
  end
  return images.admit(record, 201)
end

--- GET /images/:id
---@param id string
function images.get(id)
  local record = images.find(id)
  local facts = images.run(record, "inspect", {})
  facts.image = facts.id
  for key, value in pairs(summary(record)) do
    if facts[key] == nil or key == "id" then facts[key] = value end
  end
  return reply.json(200, facts)
end

--- A page's place and length, by the query.
---@return integer offset
---@return integer limit
function images.page()
  local query = ngx.req.get_uri_args(20)
  local function whole(value, default, least)
    if value == nil then return default end
    local number = type(value) == "string" and value:find("^%d+$") and #value < 12 and tonumber(value)
    if not number or number < least then return reply.fail("offset and limit should be whole numbers", "EINVAL") end
    return number
  end
  return whole(query.offset, 0, 0), whole(query.limit, 500, 1)
end

--- An entry for JSON: its names can be read by people, its path leads back to it.
---@param entry table
---@return table entry
function images.present(entry)
  local path = entry.path == "." and "" or entry.path
  entry.name = entry.name or path:match("[^/]*$")
  entry.display, entry.path = path, text.encode(path)
  return entry
end

--- GET /images/:id/layers/:n/entries?offset=0&limit=500: in the order of the tar; with dir=usr/share
-- what the layer has in that directory, sorted, and what becomes of it in the layers above.
---@param id string
---@param number string
function images.entries(id, number)
  local record = images.find(id)
  local offset, limit = images.page()
  local args = { layer = tonumber(number), offset = offset, limit = limit }
  local dir = ngx.req.get_uri_args(20).dir
  if dir then args.dir = type(dir) == "string" and dir or "" end
  local page = images.run(record, dir and "list" or "entries", args)
  for _, entry in ipairs(page.entries) do images.present(entry) end
  page.offset = offset
  return reply.json(200, page)
end

--- Sends a file for downloading.
---@param path string
---@param name string
---@param discard? boolean  it is removed afterwards
function images.send(path, name, discard)
  local plain = name:gsub("[^%w._+-]", "_")
  ngx.var.file = path
  ngx.var.discard = discard and path or ""
  ngx.var.disposition = ("attachment; filename=\"%s\"; filename*=UTF-8''%s"):format(plain,
    (name:gsub("[^%w._-]", function(char) return ("%%%02X"):format(char:byte()) end)))
  return ngx.exec("/file")
end

--- GET /images/:id/download
---@param id string
function images.download(id)
  local record = images.find(id)
  return images.send(store.path(record), record.name)
end

--- DELETE /images/:id; an archive in the directory itself stays there. What another
-- image is being made from stays, too, so that no edit loses its source while it waits for
-- a thread; requests that only read have the file open, and keep what they read.
---@param id string
function images.remove(id)
  local record = images.find(id)
  if store.in_use(record) then
    return reply.fail("the image is in use: another one is being made from it", "EBUSY", 409)
  end
  store.remove(record)
  return reply.json(200, { removed = id })
end

return images

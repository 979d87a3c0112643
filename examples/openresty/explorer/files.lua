--- The merged file system of an image.

local images = require "explorer.images"
local reply = require "explorer.reply"
local service = require "explorer.service"
local text = require "explorer.text"
local views = require "explorer.views"

local files = {}

local PREVIEW = 65536

local function list(record, path)
  local offset, limit = images.page()
  local args = { dir = "/" .. path, offset = offset, limit = limit }
  for name, value in pairs(views.choice()) do args[name] = value end
  local page = images.run(record, "list", args)
  for _, entry in ipairs(page.entries) do images.present(entry) end
  page.offset, page.type, page.path, page.display = offset, "dir", text.encode(path), path
  return reply.json(200, page)
end

local function download(record, path)
  local to = service.surgery():temp()
  local upto = views.choice().upto
  images.run(record, "fetch", { file = "/" .. path, to = to, upto = upto }, function() os.remove(to) end)
  return images.send(to, path:match("[^/]*$"), true)
end

--- GET /images/:id/files/usr/share: a directory with its entries; of anything else
-- what is known of it and, of a text, the beginning; ?download=1 its content. ?upto=2: of the first two layers.
---@param id string
---@param encoded string
function files.get(id, encoded)
  local record = images.find(id)
  local path = text.decode(encoded)
  if not path then return reply.fail("this is no path", "EINVAL") end
  local query = ngx.req.get_uri_args(20)
  if query.download then return download(record, path) end
  if path == "" or encoded:find("/$") then return list(record, path) end
  local facts = images.run(record, "read", { file = "/" .. path, max = PREVIEW, upto = views.choice().upto })
  if facts.type == "dir" then return list(record, path) end
  local content = facts.content
  facts.content = nil
  if content then
    facts.binary = content:find("%z") ~= nil
    facts.text = not facts.binary and content or nil
    facts.truncated = #content < facts.size
  end
  facts.path = path
  return reply.json(200, images.present(facts))
end

--- For log_by_lua, when it was sent or the client has gone.
---@param path string
function files.discard(path)
  if path and path ~= "" then service.remove(path) end
end

return files

--- Bodies of requests. They are read in access_by_lua: in the phase in which a body is read, nginx may not see that the
--- client goes away, so that jobs run in a later one.

local cjson = require("cjson.safe").new()
local reply = require "explorer.reply"
local service = require "explorer.service"

local body = {}

local MAX_JSON = 1024 * 1024

--- The whole body in a file. nginx has written it there, unless it is small.
---@return string path
---@return boolean ours  it is for the caller to remove; else nginx does at the end of the request
function body.file()
  local path = ngx.req.get_body_file()
  if path then return path, false end
  local data = ngx.req.get_body_data()
  if not data then return reply.fail("there is no body", "EINVAL") end
  path = service.surgery():temp(".tar")
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
  return path, true
end

local function is_json()
  return (ngx.var.http_content_type or ""):lower():find("^application/json") ~= nil
end

--- Whether the body is a JSON document.
body.is_json = is_json

--- The JSON object in the body.
---@return table
function body.json()
  if not is_json() then return reply.fail("the body should be application/json", "EINVAL") end
  local data, path = ngx.req.get_body_data(), ngx.req.get_body_file()
  if not data and path then
    local file = assert(io.open(path, "rb"))
    data = file:read(MAX_JSON + 1)
    file:close()
  end
  if data and #data > MAX_JSON then return reply.fail("the document is too large", "EFBIG") end
  local value, message = cjson.decode(data or "")
  if type(value) ~= "table" then return reply.fail("no JSON object: " .. tostring(message), "EINVAL") end
  return value
end

return body

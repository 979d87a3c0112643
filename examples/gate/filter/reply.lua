--- Answers as registries give them.

local cjson = require "cjson"

local reply = {}

--- Sends a text, or for HEAD what it would be.
---@param status integer
---@param kind string  its media type
---@param text string
function reply.send(status, kind, text)
  ngx.status = status
  ngx.header["Content-Type"] = kind
  ngx.header["Content-Length"] = #text
  if ngx.req.get_method() ~= "HEAD" then ngx.print(text) end
  return ngx.exit(ngx.OK)
end

--- What went wrong, as the distribution specification has it. Clients show the message of a status below 500 alone.
---@param status integer
---@param code string  of the specification
---@param message string
function reply.refuse(status, code, message)
  ngx.header["Cache-Control"] = "no-store"
  if status == 429 or status == 503 then ngx.header["Retry-After"] = "5" end
  local list = { errors = { { code = code, message = message } } }
  return reply.send(status, "application/json", (cjson.encode(list):gsub("\\/", "/")))
end

-- Codes of strata, as statuses and codes of registries. All others mean that the edit cannot be made.
local STATUS = {
  EBUSY = { 429, "TOOMANYREQUESTS" }, ETIMEDOUT = { 504, "UNAVAILABLE" }, ECANCELED = { 503, "UNAVAILABLE" },
  ENOSPC = { 507, "UNAVAILABLE" }, EDQUOT = { 507, "UNAVAILABLE" }, ELARGE = { 507, "UNAVAILABLE" },
  ENETWORK = { 502, "UNAVAILABLE" }, ESERVER = { 502, "UNAVAILABLE" }, ETLS = { 502, "UNAVAILABLE" },
  EREDIRECT = { 502, "UNAVAILABLE" }, ERATE = { 429, "TOOMANYREQUESTS" }, EAUTH = { 401, "UNAUTHORIZED" },
  EDENIED = { 403, "DENIED" }, EDIGEST = { 502, "UNAVAILABLE" }, EIO = { 500, "UNKNOWN" }, EACCES = { 500, "UNKNOWN" },
  EROFS = { 500, "UNKNOWN" }, ENOMEM = { 503, "UNAVAILABLE" },
}

--- What a job could not do. Paths of this machine are cut to their last part.
---@param message string
---@param code? string
function reply.fail(message, code)
  local row = STATUS[code] or { 422, "MANIFEST_INVALID" }
  message = message:gsub("/%S*/new/[^/%s]+/?%S*: ", "")
  return reply.refuse(row[1], row[2], "filter: " .. message)
end

return reply

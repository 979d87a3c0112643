--- Errors as registries tell them, which their clients show to people.

local cjson = require "cjson"

local reply = {}

--- Answers the request, and ends it.
---@param status integer
---@param code string  one of the distribution specification's
---@param message string
function reply.refuse(status, code, message)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Docker-Distribution-Api-Version"] = "registry/2.0"
  if status == 503 then ngx.header["Retry-After"] = 5 end
  local text = cjson.encode { errors = { { code = code, message = message } } }:gsub("\\/", "/")
  ngx.header["Content-Length"] = #text
  ngx.print(text)
  return ngx.exit(status)
end

--- Answers that the registry behind does not answer.
function reply.gone()
  return reply.refuse(502, "UNAVAILABLE", "the registry behind the gate does not answer")
end

return reply

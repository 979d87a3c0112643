--- Who pushes: the registry behind knows, and the gate reads with the same rights.

local authorization = {}

--- The credentials in the request's Authorization, which the gate uses for what it reads.
---@return table?  strata.RegistryCredentials
function authorization.credentials()
  local scheme, rest = (ngx.var.http_authorization or ""):match("^(%S+)%s+(%S+)%s*$")
  if not scheme then return nil end
  if scheme:lower() == "bearer" then return { token = rest } end
  local name, password = (scheme:lower() == "basic" and ngx.decode_base64(rest) or ""):match("^([^:]*):(.*)$")
  return name and { username = name, password = password } or nil
end

-- Answers by which a registry says that it takes the PUT of a manifest from this client, but not this manifest.
local TAKEN = { [400] = true, [411] = true, [415] = true, [422] = true }

--- Asks the registry behind whether this client may push there, by the same request without a body, which no registry
--- takes for a manifest. nil: it may. Else the answer, which is the client's.
---@return table?
function authorization.refusal()
  local answer = ngx.location.capture("/ask", {
    method = ngx.HTTP_PUT, body = "", vars = { ask = ngx.var.request_uri },
  })
  if TAKEN[answer.status] then return nil end
  return answer
end

return authorization

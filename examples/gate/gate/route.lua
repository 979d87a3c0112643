--- Which requests go to the registry behind as they are, and which are judged or refused.
--
-- Requests that change nothing pass. Of the others those pass that the distribution specification has, in the one
-- spelling of their path that has only one meaning: a path that two programs could take for two things is refused, so
-- that no manifest reaches the registry by a name that the gate does not know.

local reply = require "gate.reply"

local route = {}

local READS = { GET = true, HEAD = true, OPTIONS = true }
local WRITES = { POST = true, PUT = true, PATCH = true, DELETE = true }

-- The parts of a path that has only one meaning; nil for all others. Only the address of an upload may end with "/".
local function parts_of(path)
  if path:find("[^%w/._~:@=+-]") or path:find("//", 1, true) then return nil end
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == "." or part == ".." then return nil end
    parts[#parts + 1] = part
  end
  if path:sub(-1) == "/" and not path:find("/blobs/uploads/$") then return nil end
  return parts
end

-- Whether parts from the second one on are the name of a repository. One that has "manifests" in it could be taken for
-- a shorter one.
local function is_name(parts, last)
  for i = 2, last do
    if not parts[i]:find("^[a-z0-9][a-z0-9._-]*$") or parts[i] == "manifests" then return false end
  end
  return last >= 2
end

local function is_reference(text)
  return text:find("^[%w_][%w_.-]*$") ~= nil or text:find("^[a-z0-9+._-]+:[%w=_-]+$") ~= nil
end

-- Whether the path leads to a blob or to an upload, which some registries give addresses of their own.
local function is_blob(parts)
  local at
  for i = 3, #parts - 1 do
    if parts[i] == "manifests" then return false end
    if parts[i] == "blobs" then at = i end
  end
  return at ~= nil and is_name(parts, at - 1)
end

--- What a request that changes something is about.
---@param method string
---@param path string  as the client has spelled it
---@return "pass"|"judge"|nil what  nil: it is refused
---@return string? repository  of what is judged
function route.of(method, path)
  local parts = WRITES[method] and parts_of(path)
  if not parts then return nil end
  local count = #parts
  local is_registry = parts[1] == "v2"
  if is_registry and parts[count - 1] == "manifests" then
    if not is_name(parts, count - 2) or not is_reference(parts[count]) then return nil end
    if method == "PUT" then return "judge", table.concat(parts, "/", 2, count - 2) end
    return method == "DELETE" and "pass" or nil
  end
  local is_token = method == "POST" and (parts[count] == "token" or parts[count] == "auth")
  return (is_token or is_registry and is_blob(parts)) and "pass" or nil
end

--- The path of the request, as the client has spelled it.
---@return string
function route.path()
  return ngx.var.request_uri:match("^[^?]*")
end

--- The repository and the digest of a manifest that is asked for by its digest; nil for all other paths.
---@param path string  decoded
---@return string? repository
---@return string? digest
function route.by_digest(path)
  return path:match("^/v2/([%w/._-]+)/manifests/([%w+._-]+:[%w=_-]+)/?$")
end

--- For access_by_lua.
function route.choose()
  local method = ngx.req.get_method()
  if READS[method] then
    if route.by_digest(ngx.var.uri) then return ngx.exec "@pull" end
    return
  end
  local what = route.of(method, route.path())
  if what == "pass" then return end
  if what == "judge" then return ngx.exec "@judge" end
  return reply.refuse(405, "UNSUPPORTED", "the gate lets no such request change anything")
end

return route

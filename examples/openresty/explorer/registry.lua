--- Images of registries, from the hosts that the setting STRATA_REGISTRIES names, and from no others.
--
-- Which host a reference means is told by the parser of the library itself, which connects to this host and no other.
-- No request names credentials or options of the client. What a registry leads to afterwards, strata.registry decides.

local body = require "explorer.body"
local images = require "explorer.images"
local reference = require "strata.document.reference"
local reply = require "explorer.reply"
local service = require "explorer.service"
local store = require "explorer.store"

local registry = {}

local function is_allowed(host)
  for _, one in ipairs(service.registries()) do
    if one == host then return true end
  end
  return false
end

local FIELDS = { reference = true, platform = true }

--- POST /registry {"reference": "ghcr.io/team/app:1.4", "platform": "linux/arm64"}: fetches an image, as it is.
function registry.open()
  local hosts = service.registries()
  if #hosts == 0 then return reply.fail("this server opens nothing from registries", "EPERM") end
  local wanted = body.json()
  for name, value in pairs(wanted) do
    if not FIELDS[name] or type(value) ~= "string" then
      return reply.fail("reference and platform are wanted, as texts", "EINVAL")
    end
  end
  local parts, problem = reference.of_registry((wanted.reference or ""):gsub("^%s+", ""):gsub("%s+$", ""))
  if not parts then return reply.fail(problem, "EINVAL") end
  if not is_allowed(parts.host) then
    return reply.fail(("this server opens nothing from %s, but from %s"):format(parts.host, table.concat(hosts, ", ")),
      "EPERM")
  end
  local name = parts.repository:match("[^/]+$") .. (parts.tag and "-" .. parts.tag or "")
  local record, message, code = store.begin(name .. ".tar")
  if not record then return reply.fail(message, code) end
  local platform = wanted.platform
  images.run(record, "save", {
    path = "docker://" .. parts.text, open = { platform = platform ~= "" and platform or nil }, to = store.path(record),
    save = { format = "oci-archive" }, registry = { credentials = service.registry_credentials() },
  }, function() store.remove(record) end)
  return images.admit(record, 201)
end

return registry

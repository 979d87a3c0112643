--- What is set for a registry's host: how it is spoken to, certificates, proxies.

local fail = require "strata.util.fail"
local url = require "strata.registry.url"

local hosts = {}

-- Where certificates of a host lie, in the order in which they are looked for: NET1.
local CERTIFICATES = { "/etc/containers/certs.d", "/etc/docker/certs.d" }
-- The certificates that the system trusts; libcurl's own are not used beside those of a host (NET2).
local BUNDLES = {
  "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
}
local MAX_FILE = 2 ^ 20

--- How a registry is spoken to.
---@class strata.RegistryHost
---@field base string  "https://registry:5000"
---@field is_local boolean
---@field insecure boolean?
---@field any_address boolean?  also link-local addresses and the like
---@field ca string?  PEM
---@field cert string?  a file
---@field key string?  a file
---@field connect_timeout number?
---@field stall_timeout number?
---@field resolve string[]?

-- The host that a name of docker.io stands for: REF1.
local CONNECT = { ["docker.io"] = "registry-1.docker.io", ["index.docker.io"] = "registry-1.docker.io" }

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read(MAX_FILE)
  file:close()
  return text
end

-- Whether a host is the machine itself, which is spoken to without TLS.
local function is_local(host)
  local name = host:match("^(%[.*%])") or host:match("^[^:]*")
  return name == "localhost" or name == "[::1]" or name:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

local function system_bundle()
  local given = os.getenv("SSL_CERT_FILE")
  local text = given and read(given)
  for _, path in ipairs(BUNDLES) do text = text or read(path) end
  return text or ""
end

-- The certificates for a host from the directories of Docker and podman. A directory of files cannot be listed in Lua:
-- the names that both document are looked for.
local function from_directories(host, home)
  local found = {}
  local directories = { home and home .. "/.config/containers/certs.d" or nil }
  for _, directory in ipairs(CERTIFICATES) do directories[#directories + 1] = directory end
  for _, directory in ipairs(directories) do
    local base = directory .. "/" .. host .. "/"
    found.ca = found.ca or read(base .. "ca.crt")
    if not found.cert and read(base .. "client.cert") and read(base .. "client.key") then
      found.cert, found.key = base .. "client.cert", base .. "client.key"
    end
  end
  return found
end

--- What holds for a host.
---@param host string  as references have it
---@param options strata.RegistryOptions
---@return strata.RegistryHost?
---@return string? message
---@return string? code
function hosts.settings(host, options)
  local given = (options.hosts or {})[host] or {}
  local here = is_local(host)
  local scheme = (here and not given.tls or given.plain) and "http" or "https"
  local base = scheme .. "://" .. (CONNECT[host] or host)
  if not url.parse(base) then return fail("EINVAL", "%s: no host of a registry", host) end
  local found = options.system ~= false and from_directories(host, os.getenv("HOME")) or {}
  local ca = given.ca and read(given.ca) or found.ca
  if given.ca and not ca then return fail("ENOENT", "%s: no certificates in %s", host, given.ca) end
  return {
    base = base, is_local = here, insecure = given.insecure, any_address = given.any_address,
    ca = ca and system_bundle() .. "\n" .. ca or nil, cert = given.cert or found.cert, key = given.key or found.key,
    connect_timeout = options.connect_timeout or 10, stall_timeout = options.stall_timeout or 60,
    resolve = given.resolve,
  }
end

-- Whether a list of hosts, as in NO_PROXY, has the host.
local function is_listed(list, host)
  for item in list:gmatch("[^,%s]+") do
    item = item:gsub("^%.", ""):lower()
    if item == "*" or item == host or host:sub(-#item - 1) == "." .. item then return true end
  end
  return false
end

--- The proxy for a URL: that of the options, or of the environment (NET6); "" for none.
---@param text string
---@param options strata.RegistryOptions
---@return string
function hosts.proxy(text, options)
  if options.proxy then return options.proxy end
  local parts = url.parse(text)
  if not parts or options.system == false or is_local(parts.host) then return "" end
  local function variable(...)
    for _, name in ipairs { ... } do
      local value = os.getenv(name)
      if value and value ~= "" then return value end
    end
  end
  if is_listed(variable("no_proxy", "NO_PROXY") or "", parts.host) then return "" end
  -- HTTP_PROXY in capitals can be a header of a request to a CGI script: only the other spelling is read.
  return parts.scheme == "https" and variable("https_proxy", "HTTPS_PROXY") or variable("http_proxy") or ""
end

return hosts

--- What is set for a registry's host: how it is spoken to, certificates, proxies.

local address = require "strata.util.address"
local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local url = require "strata.registry.url"

local hosts = {}

-- Where certificates of hosts lie besides the user's own directory: NET1.
local CERTIFICATES = { "/etc/containers/certs.d", "/etc/docker/certs.d" }
-- The certificates that the system trusts; libcurl's own are not used beside those of a host (NET2).
local BUNDLES = {
  "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
}
local MAX_FILE = 2 ^ 20
local MAX_FILES = 1000 -- of a directory of authorities

--- How a registry is spoken to.
---@class strata.RegistryHost
---@field base string  "https://registry:5000"
---@field is_local boolean
---@field insecure boolean?
---@field location "relative"?
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

-- Whether a host, with or without a port, is the machine itself, which is spoken to without TLS.
local function is_local(host)
  return address.is_local(host:match("^%[.*%]") or host:match("^[^:]*"))
end

local function getter(options)
  return options.environment or os.getenv
end

local function names_in(path)
  local dir = core.open_dir(path)
  if not dir then return nil end
  local names, message, code = dir:list(".")
  dir:close()
  if not names then return nil, ("%s: %s"):format(path, message), code end
  return json.sort(names)
end

-- The authorities that the system trusts, and whether the environment names them, as it does for OpenSSL: NET3.
local function system_bundle(environment)
  local file, directories = environment("SSL_CERT_FILE") or "", environment("SSL_CERT_DIR") or ""
  local text = file ~= "" and read(file) or nil
  for _, path in ipairs(BUNDLES) do text = text or read(path) end
  local parts = { text or "" }
  for directory in directories:gmatch("[^:]+") do
    for _, name in ipairs(names_in(directory) or {}) do
      if #parts < MAX_FILES then parts[#parts + 1] = read(directory .. "/" .. name) end
    end
  end
  return table.concat(parts, "\n"), file ~= "" or directories ~= ""
end

-- Takes the certificates of a directory: *.crt are authorities, *.cert with *.key is the client's.
local function take_directory(found, path, names)
  local authorities = {}
  for _, name in ipairs(names) do
    local file = path .. "/" .. name
    local stem = file:match("^(.*)%.cert$") or file:match("^(.*)%.key$")
    if name:find("%.crt$") then
      authorities[#authorities + 1] = read(file)
    elseif stem and not (read(stem .. ".cert") and read(stem .. ".key")) then
      return fail("EINVAL", "%s: a certificate of a client is a pair of files, *.cert and *.key", file)
    elseif stem then
      found.cert, found.key = stem .. ".cert", stem .. ".key"
    end
  end
  found.ca = #authorities > 0 and table.concat(authorities, "\n") or nil
  return found
end

-- The certificates for a host from the first directory of Docker's and podman's that there is.
local function from_directories(host, environment)
  local home, directories = environment("HOME"), {}
  if home and home ~= "" then directories[1] = home .. "/.config/containers/certs.d" end
  for _, directory in ipairs(CERTIFICATES) do directories[#directories + 1] = directory end
  for _, directory in ipairs(directories) do
    local path = directory .. "/" .. host
    local names, message, code = names_in(path)
    if message then return nil, message, code end
    if names then return take_directory({}, path, names) end
  end
  return {}
end

-- The certificates of a host, those that are given before those that are found.
local function certificates(host, given, options)
  local environment, found = getter(options), {}
  if options.system ~= false then
    local message, code
    found, message, code = from_directories(host, environment)
    if not found then return nil, message, code end
  end
  local ca = found.ca
  if given.ca then
    ca = read(given.ca)
    if not ca then return fail("ENOENT", "%s: no certificates in %s", host, given.ca) end
    if not ca:find("-----BEGIN", 1, true) then
      return fail("EFORMAT", "%s: %s has no certificates in PEM", host, given.ca)
    end
  end
  local system, is_named = system_bundle(environment)
  if ca then ca = system .. "\n" .. ca elseif is_named then ca = system end
  local cert = given.cert or found.cert
  return { ca = ca, cert = cert, key = given.key or found.key, own = (given.ca or found.ca or cert) ~= nil }
end

-- Throws for settings of a host that contradict each other.
local function check_settings(host, given)
  local function wrong(text, ...) misuse("registry: hosts['%s']: " .. text, host, ...) end
  if (given.cert == nil) ~= (given.key == nil) then wrong("of cert and key, one is of no use") end
  for _, name in ipairs { "ca", "cert" } do
    if given.plain and given[name] then wrong("%s is about https, and plain = true is http", name) end
  end
end

--- What is wrong with the name of a host, as a key of options: nothing would ever be looked up under it.
---@param text string
---@return string? problem
function hosts.problem(text)
  if text:find("://", 1, true) then return "begins with a scheme, and a host alone is wanted" end
  if text:find("/", 1, true) or not url.parse("https://" .. text) then return "is no host" end
  if text ~= text:lower() then return "is not in lower case" end
  return text == "index.docker.io" and "is docker.io in references" or nil
end

-- Throws for a host that is none.
local function check_host(text, where)
  local problem = hosts.problem(text)
  if problem then misuse("registry: %s: '%s' %s", where, json.printable((text:gsub("^.*@", "...@")), 200), problem) end
end

--- Throws for options that make no sense.
---@param options strata.RegistryOptions
function hosts.check(options)
  for _, host in ipairs(json.keys(options.hosts or {})) do
    check_host(host, "hosts")
    check_settings(host, options.hosts[host])
  end
  for _, host in ipairs(json.keys(options.mirrors or {})) do
    check_host(host, "mirrors")
    for i, mirror in ipairs(options.mirrors[host]) do
      local has_scheme = mirror.host:find("://", 1, true)
      check_host(has_scheme and mirror.host or mirror.host:match("^[^/]*"), ("mirrors['%s'][%d]"):format(host, i))
    end
  end
end

--- What holds for a host.
---@param host string  as references have it
---@param options strata.RegistryOptions
---@return strata.RegistryHost?
---@return string? message
---@return string? code
function hosts.settings(host, options)
  local given = (options.hosts or {})[host] or {}
  local here, place = is_local(host), CONNECT[host] or host
  if not url.parse("https://" .. place) then return fail("EINVAL", "%s: no host of a registry", host) end
  local found, message, code = certificates(host, given, options)
  if not found then return nil, message, code end
  -- The machine itself is spoken to without TLS, unless something is set that only TLS has.
  local plain = given.plain
  if plain == nil then plain = here and not (found.own or given.insecure) end
  return {
    base = (plain and "http://" or "https://") .. place,
    is_local = here, insecure = given.insecure, any_address = given.any_address,
    location = given.location, ca = found.ca, cert = found.cert, key = found.key,
    connect_timeout = options.connect_timeout or 10, stall_timeout = options.stall_timeout or 60,
    resolve = given.resolve, chunk_size = given.chunk_size,
  }
end

-- Whether a list of hosts, with or without ports, as in NO_PROXY, has the host of a URL.
local function is_listed(list, parts)
  local host = parts.host
  for item in list:gmatch("[^,%s]+") do
    item = item:gsub("^%.", ""):lower()
    local place = ("%s:%d"):format(host, parts.port)
    if item == "*" or item == host or item == place or host:sub(-#item - 1) == "." .. item then return true end
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
  local environment = getter(options)
  local function variable(...)
    for _, name in ipairs { ... } do
      local value = environment(name)
      if value and value ~= "" then return value end
    end
  end
  if is_listed(variable("no_proxy", "NO_PROXY") or "", parts) then return "" end
  -- HTTP_PROXY in capitals can be a header of a request to a CGI script: only the other spelling is read.
  return parts.scheme == "https" and variable("https_proxy", "HTTPS_PROXY") or variable("http_proxy") or ""
end

return hosts

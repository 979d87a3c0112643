--- URLs of registries: parsing, resolving, appending to the query, and `may_go`, which decides about every URL that a
-- server names. What a URL has is never decoded nor encoded anew: signed parameters would not survive that.

local address = require "strata.util.address"
local misuse = require "strata.util.misuse"

local url = {}

local MAX_URL = 16384
local PORTS = { http = 80, https = 443 }

---@class strata.registry.URL
---@field scheme "http"|"https"
---@field host string  in lower case; IPv6 in brackets
---@field port integer
---@field path string  at least "/"
---@field query? string  without the "?"
---@field origin string  scheme, host and, unless it is the scheme's own, port

-- The parts of a URI reference as RFC 3986 appendix B has them, without its fragment; nil for what is not there.
local function split(text)
  local rest = text:gsub("#.*$", "")
  local scheme, authority, query
  local after = rest:match("^%a[%w+.-]*:()")
  if after then scheme, rest = rest:sub(1, after - 2), rest:sub(after) end
  if rest:sub(1, 2) == "//" then
    authority = rest:match("^[^/?]*", 3)
    rest = rest:sub(3 + #authority)
  end
  local mark = rest:find("?", 1, true)
  if mark then rest, query = rest:sub(1, mark - 1), rest:sub(mark + 1) end
  return scheme, authority, rest, query
end

local function problem_of_text(text)
  if #text > MAX_URL then return ("the URL has more than %d bytes"):format(MAX_URL) end
  if text:find("[^\33-\126]") then return "the URL has blanks, control bytes or bytes that are no ASCII" end
  return nil
end

-- Host and port of an authority. Messages do not repeat it: it can have a password.
local function split_authority(authority, scheme)
  if authority:find("@", 1, true) then return nil, "the URL has a user name or a password in it" end
  local host, port = authority:match("^(.*):(%d*)$")
  -- a colon inside of brackets is no port's
  if not host or authority:sub(-1) == "]" then host, port = authority, "" end
  host = host:lower()
  if not address.of_host(host) then return nil, "the URL has no valid host" end
  if #port > 5 then return nil, "the URL has no valid port" end
  local number = port == "" and PORTS[scheme] or tonumber(port)
  if number < 1 or number > 65535 then return nil, "the URL has no valid port" end
  return host, number
end

--- The parts of an absolute URL. A fragment is dropped.
-- Source: registry rules 1.17.2, A20.
---@param text string
---@return strata.registry.URL? parts
---@return string? message  never has any of the text
function url.parse(text)
  if type(text) ~= "string" then misuse("url.parse: a string is wanted, not %s", type(text)) end
  local problem = problem_of_text(text)
  if problem then return nil, problem end
  local scheme, authority, path, query = split(text)
  scheme = scheme and scheme:lower()
  if not PORTS[scheme] then return nil, "the URL is none of http or https" end
  if not authority then return nil, "the URL has no host" end
  local host, port = split_authority(authority, scheme)
  if not host then return nil, port end
  return {
    scheme = scheme, host = host, port = port, path = path == "" and "/" or path, query = query,
    origin = ("%s://%s%s"):format(scheme, host, port == PORTS[scheme] and "" or ":" .. port),
  }
end

-- RFC 3986, 5.2.4.
local function without_dots(path)
  local kept, last = {}, nil
  for segment in path:gmatch("/([^/]*)") do
    last = segment
    if segment == ".." then
      kept[#kept] = nil
    elseif segment ~= "." then
      kept[#kept + 1] = segment
    end
  end
  if last == "." or last == ".." then kept[#kept + 1] = "" end
  return "/" .. table.concat(kept, "/")
end

local function merged(base_path, path)
  if path:sub(1, 1) == "/" then return without_dots(path) end
  return without_dots((base_path:match("^.*/") or "/") .. path)
end

--- The URL that a reference means, seen from the URL that was requested. As in RFC 3986, with two differences: the
-- fragment is dropped, and the path of what names its own host keeps its dots, since it can be part of a signature.
-- Source: registry rules RED7, AUTH12, PAG1.
---@param base string  absolute
---@param reference string  of a Location, a Link, a realm
---@return string? text
---@return string? message  never has any of the texts
function url.resolve(base, reference)
  local from, message = url.parse(base)
  if not from then return nil, message end
  local problem = problem_of_text(reference)
  if problem then return nil, problem end
  local base_scheme, base_authority, base_path, base_query = split(base)
  local scheme, authority, path, query = split(reference)
  if not scheme and not authority then
    authority = base_authority
    if path == "" then
      path, query = base_path, query or base_query
    else
      path = merged(base_path, path)
    end
  end
  local text = (scheme or base_scheme) .. ":" .. (authority and "//" .. authority or "") .. path
    .. (query and "?" .. query or "")
  local parts
  parts, message = url.parse(text)
  if not parts then return nil, message end
  return text
end

--- A value as it may stand in a query. What a query may have unescaped, such as the ":" of a digest, stays.
---@param value string
---@return string
function url.escape(value)
  return (value:gsub("[^A-Za-z0-9._~:/,-]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- Appends a parameter to the query; what is there stays as it is. A fragment is dropped.
-- Source: registry rules RED8, AUTH3.
---@param text string  a URL
---@param name string
---@param value string
---@return string
function url.with_query(text, name, value)
  text = text:gsub("#.*$", "")
  local query = text:match("%?(.*)$")
  local sign = not query and "?" or (query == "" or query:sub(-1) == "&") and "" or "&"
  return text .. sign .. url.escape(name) .. "=" .. url.escape(value)
end

--- A URL as messages may show it: a query can have a signature, and a user name stands before a password.
-- Source: registry rules AUTH17.
---@param text string
---@return string
function url.shown(text)
  local parts, message = url.parse(text)
  if not parts then return "(" .. message .. ")" end
  return parts.origin .. parts.path .. (parts.query and "?..." or "")
end

-- ---- what a server may send us to ---------------------------------------------------------------------------------

---@alias strata.registry.Kind "redirect"|"upload"|"link"|"realm"|"foreign"|"mirror"

---@class strata.registry.MayGo
---@field class? "public"|"private"|"other"  of the address that the registry itself is connected to
---@field allow_hosts? string[]  "host" or "host:port", which may have private addresses
---@field trusted? string[]  hosts that uploads go to with the credentials of the registry
---@field trusted_realms? string[]  hosts of token servers that get the credentials of the registry
---@field insecure? string[]  hosts that may be gone to without TLS from a registry without TLS
---@field foreign? boolean  whether URLs of foreign layers are gone to
---@field location? "relative"  of a URL for an upload or of a page, only path and query count
---@field via? string  the URL that named this one, when it is not the registry's: no way leads from https to http

---@class strata.registry.Way
---@field url string  to go to: RED11 makes http https
---@field origin string
---@field addresses "public"|"private"|"any"  for the guard of strata.http
---@field credentials boolean  whether the registry's may be sent along
---@field advice? string  why they may not, and the option that would allow it

-- Token servers of registries that have another host. Those of ghcr.io, quay.io, ECR, ACR and GCR have the same.
local REALMS = {
  ["docker.io"] = "auth.docker.io",
  ["index.docker.io"] = "auth.docker.io",
  ["registry-1.docker.io"] = "auth.docker.io",
  ["registry.gitlab.com"] = "gitlab.com",
}

local WHAT = {
  redirect = "a redirect", upload = "an upload", link = "the next page", realm = "a token",
  foreign = "a foreign layer", mirror = "a mirror",
}

local function is_listed(list, to)
  for _, entry in ipairs(list or {}) do
    entry = entry:lower()
    if entry == to.host or entry == ("%s:%d"):format(to.host, to.port) then return true end
  end
  return false
end

local function same_place(from, to)
  return from.host == to.host and from.port == to.port
end

-- Rule 1, RED4, RED10, AUTH12, BLOB15: nil when the scheme is right.
local function problem_of_scheme(from, to, kind, opts)
  if to.scheme == "https" then return nil end
  if kind == "mirror" then return nil end -- the user has named it
  if kind == "foreign" then return "a foreign layer has to come over https" end
  local via = opts.via and url.parse(opts.via)
  if from.scheme == "https" or via and via.scheme == "https" then return "https must not become http" end
  if from.host == to.host then return nil end
  if (kind == "redirect" or kind == "upload") and is_listed(opts.insecure, to) then return nil end
  return "another host has to be reached over https"
end

-- Rule 3: up to which class the addresses of the target may be.
local function allowed_addresses(from, to, kind, opts)
  if kind == "mirror" then return "any" end
  if same_place(from, to) then return opts.class == "other" and "any" or "private" end
  if opts.class == "private" or opts.class == "other" or is_listed(opts.allow_hosts, to) then return "private" end
  return "public"
end

-- Rule 3 for what stands in the URL itself; the guard judges what a name leads to.
local function problem_of_literal(to, addresses)
  local _, class = address.of_host(to.host)
  if class == "other" and addresses ~= "any" then return "no server may name an address of this kind" end
  if class == "private" and addresses == "public" then
    return ('the address is a private one and the registry\'s is not; the option allow_hosts = {"%s"} would allow it')
      :format(to.host)
  end
  return nil
end

-- Rule 4.
local function problem_of_kind(from, to, kind, opts)
  if kind == "link" and from.origin ~= to.origin then return "pages come from the registry itself" end
  if kind == "foreign" and not opts.foreign then
    return "URLs of foreign layers are gone to with the option foreign = true only"
  end
  return nil
end

-- RED3, RED10, A1, NET9.
local function gets_credentials(from, to, kind, opts)
  if kind == "foreign" then return false end
  if kind == "realm" then
    if from.host == to.host or REALMS[from.host] == to.host or is_listed(opts.trusted_realms, to) then return true end
    return false, ('%s gets no credentials of %s; the option trusted_realms = {"%s"} would allow it')
      :format(to.host, from.host, to.host)
  end
  if from.origin == to.origin then return true end
  if kind ~= "upload" then return false end
  if is_listed(opts.trusted, to) then return true end
  return false, ('%s gets no credentials of %s; the option trusted = {"%s"} would allow it')
    :format(to.host, from.host, to.host)
end

-- RED11: a registry behind a proxy that ends TLS often believes that it is spoken to over http, or at another port.
local function at_registry(from, to, kind, opts)
  if kind ~= "upload" and kind ~= "link" then return nil end
  local upgrade = from.scheme == "https" and to.scheme == "http" and from.host == to.host
  if not upgrade and opts.location ~= "relative" then return nil end
  return from.origin .. to.path .. (to.query and "?" .. to.query or "")
end

--- The one decision about every URL that a server has named. Nothing is gone to before.
-- Source: registry rules 1.17; RED3, RED4, RED6, RED10, RED11, PAG1, AUTH12, BLOB15, NET9; A1 to A10, A20.
---@param from string  URL of the registry as its user has configured it, never that of the last hop
---@param to string  absolute, as url.resolve gives it
---@param kind strata.registry.Kind
---@param opts? strata.registry.MayGo
---@return strata.registry.Way? way
---@return string? message  without path and query, which can have secrets
---@return string? code  "EREDIRECT"
function url.may_go(from, to, kind, opts)
  opts = opts or {}
  if not WHAT[kind] then misuse("url.may_go: there is no kind %s", tostring(kind)) end
  local registry, problem = url.parse(from)
  if not registry then misuse("url.may_go: the registry's own URL: %s", problem) end
  local target
  target, problem = url.parse(to)
  if not target then
    return nil, ("%s: the URL for %s is refused: %s"):format(registry.origin, WHAT[kind], problem), "EREDIRECT"
  end
  to = at_registry(registry, target, kind, opts) or to:gsub("#.*$", "")
  target = url.parse(to)
  local addresses = allowed_addresses(registry, target, kind, opts)
  problem = problem_of_kind(registry, target, kind, opts) or problem_of_scheme(registry, target, kind, opts)
    or problem_of_literal(target, addresses)
  if problem then
    return nil, ("%s: the URL for %s, at %s, is refused: %s")
      :format(registry.origin, WHAT[kind], target.origin, problem), "EREDIRECT"
  end
  local credentials, advice = gets_credentials(registry, target, kind, opts)
  return { url = to, origin = target.origin, addresses = addresses, credentials = credentials, advice = advice }
end

return url

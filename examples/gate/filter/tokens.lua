--- Tokens for what is below filtered/.
--
-- docker asks a token server for the name that it pulls, filtered/NAME, which is none of the upstream's. So clients
-- reach the token server behind the gate through the gate, and this name is replaced by the repositories that an entry
-- reads: that of its image, and those of its bases.

local settings = require "filter.settings"

local tokens = {}

-- Where clients find the token server of --token-server.
local OWN = "/gate/token"

local function own_address()
  return ("%s://%s"):format(ngx.var.scheme, ngx.var.http_host or "")
end

-- What is asked for instead of a scope; nil: the scope itself.
local function scopes_of(scope)
  local name = scope:match("^repository:filtered/(.+):[%l*,]+$")
  if not settings.is_name(name) then return nil end
  local entry, repository = settings.find(name)
  if not entry or entry.upstream.name ~= "behind" then return nil end
  local names, seen, scopes = { repository }, {}, {}
  for _, side in ipairs(entry.rebase and { "from", "onto" } or {}) do
    names[#names + 1] = settings.base(entry.rebase[side])
  end
  for _, one in ipairs(names) do
    if not seen[one] then scopes[#scopes + 1] = ("repository:%s:pull"):format(one) end
    seen[one] = true
  end
  return scopes
end

-- A query or a form with other scopes. Several are several fields in a query, and several words of one in a form.
local function translate(text, glue)
  return (("&" .. text):gsub("&scope=([^&]*)", function(value)
    local words, is_other = {}, false
    for scope in ngx.unescape_uri(value):gmatch("%S+") do
      local scopes = scopes_of(scope)
      is_other = is_other or scopes ~= nil
      for _, one in ipairs(scopes or { scope }) do words[#words + 1] = ngx.escape_uri(one) end
    end
    return is_other and "&scope=" .. table.concat(words, glue) or nil
  end):sub(2))
end

--- Has the token server asked for what a name below filtered/ stands for. For access_by_lua.
function tokens.translate()
  if ngx.var.args then ngx.req.set_uri_args(translate(ngx.var.args, "&scope=")) end
  if ngx.req.get_method() ~= "POST" then return end
  ngx.req.read_body()
  local form = ngx.req.get_body_data()
  if form then ngx.req.set_body_data(translate(form, "%20")) end
end

--- Leads clients to the token server by the gate's own address. For header_filter_by_lua.
function tokens.lead()
  local challenge = ngx.header["WWW-Authenticate"]
  if type(challenge) ~= "string" or not settings.token_server then return end
  ngx.header["WWW-Authenticate"] = challenge:gsub('realm="([^"]*)"', function(realm)
    return realm == settings.token_server and ('realm="%s%s"'):format(own_address(), OWN) or nil
  end)
end

--- The challenge of an upstream for the image of a name, with a scope that gives all of its repositories when the
--- token server is reached through the gate.
---@param challenge string
---@param name string
---@return string
function tokens.challenge(challenge, name)
  local realm, own = challenge:match('realm="([^"]*)"'), own_address() .. "/"
  if not realm or realm ~= settings.token_server and realm:sub(1, #own) ~= own then return challenge end
  return (challenge:gsub('scope="[^"]*"', ('scope="repository:filtered/%s:pull"'):format(name)))
end

return tokens

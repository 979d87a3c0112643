--- Who may ask. The explorer listens on this machine only, but a browser on this
-- machine takes orders from any page that it shows. Two things keep those out:
--
-- The Host of every request has to be ours. A page whose name was made to lead
-- here (DNS rebinding) is of our origin as far as the browser knows, but the
-- name that it comes by is its own.
--
-- What changes something is taken from our own page only: a browser says where a
-- POST or DELETE comes from (Origin, Sec-Fetch-Site), and no page can keep it from
-- that. Programs like curl say nothing, and are let in.

local reply = require "explorer.reply"

local guard = {}

local LOCAL = { "127.0.0.1", "localhost", "[::1]" }

local function is_ours(host)
  local port = ngx.var.server_port
  for _, name in ipairs(LOCAL) do
    if host == name .. ":" .. port or (port == "80" and host == name) then return true end
  end
  for name in (os.getenv("STRATA_HOSTS") or ""):gmatch("%S+") do
    if host == name:lower() then return true end
  end
  return false
end

local READS = { GET = true, HEAD = true }

--- For access_by_lua.
function guard.check()
  local host = (ngx.var.http_host or ""):lower()
  if not is_ours(host) then return reply.fail("this is another host", "EPERM", 403) end
  if READS[ngx.req.get_method()] then return end
  local origin, site = ngx.var.http_origin, ngx.var.http_sec_fetch_site
  if (origin and origin:lower() ~= "http://" .. host) or (site and site ~= "same-origin" and site ~= "none") then
    return reply.fail("another site's page asks for it", "EPERM", 403)
  end
end

return guard

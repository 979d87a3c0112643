--- A manifest that is asked for by its digest: docker-registry serves blobs as manifests, too, which nobody has judged.

local push = require "gate.push"
local reply = require "gate.reply"
local route = require "gate.route"
local verdicts = require "gate.verdicts"

local pull = {}

-- A longer one is no manifest, and would have to be held in memory.
local MAX = 4 * 1024 * 1024

local function ask(method, address)
  return ngx.location.capture("/ask", { method = method, vars = { ask = address } })
end

-- Answers that say that it is no blob, or that this client may not read there.
local NO_BLOB = { [401] = true, [403] = true, [404] = true }

--- For content_by_lua. What is a blob as well is judged; what is none came by a PUT, or was there before the gate was.
function pull.answer()
  local repository, digest = route.by_digest(ngx.var.uri)
  local blob = ask(ngx.HTTP_HEAD, ("/v2/%s/blobs/%s"):format(repository, digest))
  if NO_BLOB[blob.status] then return ngx.exec "@pass" end
  local found = ask(ngx.HTTP_HEAD, ngx.var.request_uri)
  if found.status >= 300 then return ngx.exec "@pass" end
  local size = tonumber(found.header["Content-Length"]) or MAX + 1
  if size > MAX then
    return reply.refuse(403, "DENIED", "policy: a blob of more than 4 MiB is no manifest")
  end
  local manifest = { type = found.header["Content-Type"] or "", digest = digest }
  if size <= verdicts.QUICK then
    found = ask(ngx.HTTP_GET, ngx.var.request_uri)
    if found.status >= 300 then return ngx.exec "@pass" end
    manifest = { type = found.header["Content-Type"] or "", text = found.body }
  end
  local refusal, key = verdicts.known(manifest)
  local message, code
  if not refusal then refusal, message, code = verdicts.of(repository, manifest, key) end
  if not refusal then return push.fail(message, code) end
  if refusal ~= "" then return reply.refuse(403, "DENIED", "policy: " .. refusal) end
  return ngx.exec "@pass"
end

return pull

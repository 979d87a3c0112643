--- The PUT of a manifest: nginx reads its body, has it judged, and sends the registry behind the same.

local authorization = require "gate.authorization"
local gate = require "gate"
local reply = require "gate.reply"
local route = require "gate.route"
local verdicts = require "gate.verdicts"

local push = {}

local MAX = 4 * 1024 * 1024

-- Why a judgement has failed, as a status and a code of registries. All else is the image's own fault.
local STATUS = {
  ENOENT = { 400, "MANIFEST_BLOB_UNKNOWN" }, EAUTH = { 403, "DENIED" }, EDENIED = { 403, "DENIED" },
  ECANCELED = { 499, "DENIED" },
}
local OF_THE_IMAGE = {
  EFORMAT = true, EDIGEST = true, EUNSUPPORTED = true, ELIMIT = true, EAMBIGUOUS = true, EINVAL = true,
}

-- A header that a request may have once.
local function header(name)
  local value = ngx.req.get_headers(0)[name] -- 0: of however many
  return type(value) ~= "table" and value or nil, type(value) == "table"
end

--- For access_by_lua: reads the manifest, and answers the request when there is none that can be judged. One of more
--- than 4 MiB gets the same answer from nginx when it comes in chunks. It is judged in a later phase: in the one in
--- which a body is read, nginx may not see that the client goes away.
function push.read()
  local media_type, twice = header "content-type"
  if twice or not media_type then return reply.refuse(400, "MANIFEST_INVALID", "policy: one Content-Type is wanted") end
  if ngx.var.http_content_encoding then
    return reply.refuse(415, "UNSUPPORTED", "policy: a manifest is sent without Content-Encoding")
  end
  if (tonumber(ngx.var.http_content_length) or 0) > MAX then
    return reply.refuse(413, "SIZE_INVALID", "policy: the manifest is larger than 4 MiB")
  end
  ngx.req.read_body()
  local text, file = ngx.req.get_body_data(), ngx.req.get_body_file()
  if not file and (text or "") == "" then
    return reply.refuse(400, "MANIFEST_INVALID", "policy: there is no manifest")
  end
  ngx.ctx.manifest = { type = media_type, text = text, file = file }
end

-- Headers that nginx makes itself.
local OWN = { ["content-length"] = true, ["transfer-encoding"] = true, connection = true, date = true, server = true }

-- Passes an answer of the registry behind on.
local function relay(answer)
  ngx.status = answer.status
  for name, value in pairs(answer.header) do
    if not OWN[name:lower()] then ngx.header[name] = value end
  end
  ngx.print(answer.body)
  return ngx.exit(answer.status)
end

-- A message without the address of the registry behind, which is nobody's business.
local function without_address(message)
  local address = gate.settings.backend:gsub("%p", "%%%0")
  return (message:gsub("docker://" .. address .. "/", ""):gsub("https?://" .. address, "the registry"))
end

--- Answers that a manifest could not be judged.
---@param message string
---@param code string?
function push.fail(message, code)
  local known = STATUS[code]
  message = without_address(message)
  if known then return reply.refuse(known[1], known[2], "policy: cannot be judged: " .. message) end
  if OF_THE_IMAGE[code] then return reply.refuse(403, "DENIED", "policy: cannot be judged: " .. message) end
  return reply.refuse(503, "UNAVAILABLE", "policy: cannot be judged now: " .. message)
end

--- For content_by_lua: the manifest is judged, and goes on or is refused.
function push.answer()
  local _, repository = route.of("PUT", route.path())
  local manifest = ngx.ctx.manifest
  local refusal, key = verdicts.known(manifest)
  if refusal ~= "" then -- findings are for those who may push; what is let in goes on, and the registry asks itself
    local answer = authorization.refusal()
    if answer and answer.status >= 502 then return reply.gone() end
    if answer then return relay(answer) end
  end
  if not refusal then
    local message, code
    refusal, message, code = verdicts.of(repository, manifest, key)
    if not refusal then return push.fail(message, code) end
  end
  if refusal ~= "" then return reply.refuse(403, "DENIED", "policy: " .. refusal) end
  return ngx.exec "@forward" -- with the body that was read
end

return push

--- Answers: JSON, also of what went wrong.

local text = require "explorer.text"

local reply = {}

local STATUS = {
  ENOENT = 404, EINVAL = 400, EPERM = 403, EAMBIGUOUS = 409, EEXIST = 409, ENOTDIR = 409, EISDIR = 409, ELOOP = 409,
  EFBIG = 413, EFORMAT = 422, EDIGEST = 422, ELIMIT = 422, EUNSUPPORTED = 422, ECANCELED = 499,
  EAUTH = 403, EDENIED = 403, ENETWORK = 502, ETLS = 502, EREDIRECT = 502, ESERVER = 502, ERATE = 503,
  EBUSY = 503, ETIMEDOUT = 504, ENOSPC = 507, EDQUOT = 507,
}

--- Sends a text, of JSON unless it is told.
---@param status integer
---@param body string
---@param kind? string
function reply.send(status, body, kind)
  ngx.status = status
  ngx.header["Content-Type"] = kind or "application/json"
  ngx.header["Content-Length"] = #body
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(body)
  return ngx.exit(ngx.OK)
end

---@param status integer
---@param value table
function reply.json(status, value)
  return reply.send(status, text.json(value) .. "\n")
end

-- What to do about what is no image.
local HINT = "`docker save app | gzip > app.tar.gz` and `podman save app > app.tar` write archives that can be opened."

--- What went wrong, as strata says it. The paths of this machine in it are cut to their last part.
---@param message string
---@param code? string
---@param status? integer
function reply.fail(message, code, status)
  status = status or STATUS[code] or 500
  -- nginx writes no 499, and nobody is there to read it.
  if status == 499 then return ngx.exit(499) end
  if status == 503 then ngx.header["Retry-After"] = "5" end
  local prefix = ngx.config.prefix():gsub("%p", "%%%0")
  message = tostring(message):gsub("^%S+%.lua:%d+: ", "")
  message = message:gsub(prefix .. "images/%.strata/", ""):gsub(prefix .. "images/", "")
  local is_other = message:find("is not a container image", 1, true) or message:find("not an image archive", 1, true)
  local hint = is_other and HINT or nil
  return reply.json(status, { error = message, code = code, hint = hint })
end

local PAGES = {
  [400] = { "this is no request that can be understood", "EINVAL" }, [403] = { "this is not allowed", "EPERM" },
  [404] = { "there is nothing at this address", "ENOENT" },
  [405] = { "this address can only be read, with GET", "EINVAL" },
  [411] = { "the request should say how long its body is, or send it in chunks", "EINVAL" },
  [413] = { "the file is larger than this server takes", "EFBIG" },
  [414] = { "the address is too long", "EINVAL" }, [494] = { "the headers of the request are too long", "EINVAL" },
  [503] = { "too many requests at once: try again in a few seconds", "EBUSY" },
  [504] = { "it took too long", "ETIMEDOUT" },
}

--- For the error_page of what nginx itself refuses.
function reply.error_page()
  local status = tonumber(ngx.var.status) or 500
  local page = PAGES[status] or { "it did not work; the log of nginx says why", "EIO" }
  return reply.fail(page[1], page[2], status)
end

return reply

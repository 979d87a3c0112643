--- Answers: JSON, also of what went wrong.

local text = require "explorer.text"

local reply = {}

local STATUS = {
  ENOENT = 404, EINVAL = 400, EPERM = 403, EAMBIGUOUS = 409, EEXIST = 409, ENOTDIR = 409, EISDIR = 409, ELOOP = 409,
  EFBIG = 413, EFORMAT = 422, EDIGEST = 422, ELIMIT = 422, EUNSUPPORTED = 422, ECANCELED = 499,
  EBUSY = 503, ETIMEDOUT = 504, ENOSPC = 507, EDQUOT = 507,
}

local function send(status, kind, body)
  ngx.status = status
  ngx.header["Content-Type"] = kind
  ngx.header["Content-Length"] = #body
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(body)
  return ngx.exit(ngx.OK)
end

---@param status integer
---@param value table
function reply.json(status, value)
  return send(status, "application/json", text.json(value) .. "\n")
end

---@param status integer
---@param body string
function reply.text(status, body)
  return send(status, "text/plain; charset=utf-8", body)
end

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
  return reply.json(status, { error = message, code = code })
end

local PAGES = {
  [400] = { "this is no request", "EINVAL" }, [403] = { "not allowed", "EPERM" },
  [404] = { "there is nothing of that name", "ENOENT" }, [405] = { "this cannot be done with it", "EINVAL" },
  [413] = { "the body is too large", "EFBIG" }, [503] = { "too many at once", "EBUSY" },
}

--- For the error_page of what nginx itself refuses.
function reply.error_page()
  local status = tonumber(ngx.var.status) or 500
  local page = PAGES[status] or { "it did not work", "EIO" }
  return reply.fail(page[1], page[2], status)
end

return reply

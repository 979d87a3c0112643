--- The explorer: which handler answers which request.

local check = require "explorer.check"
local compare = require "explorer.compare"
local edit = require "explorer.edit"
local files = require "explorer.files"
local images = require "explorer.images"
local registry = require "explorer.registry"
local reply = require "explorer.reply"
local service = require "explorer.service"
local settings = require "explorer.settings"
local store = require "explorer.store"
local strip = require "explorer.strip"
local views = require "explorer.views"

local explorer = {}

-- Patterns of the request as it was sent: nginx's own $uri is decoded, and without
-- "..". More than one capture is decoded by the handlers.
local ROUTES = {
  { "^/images$", GET = images.list, POST = images.create, PUT = images.create }, -- PUT is how curl -T sends
  { "^/images/(%x+)$", GET = images.get, DELETE = images.remove },
  { "^/images/(%x+)/layers/(%d+)/entries$", GET = images.entries },
  { "^/images/(%x+)/files/?(.*)$", GET = files.get },
  { "^/images/(%x+)/largest$", GET = views.largest },
  { "^/images/(%x+)/paths$", GET = views.paths },
  { "^/images/(%x+)/waste$", GET = views.waste },
  { "^/images/(%x+)/edit$", POST = edit.make },
  { "^/images/(%x+)/download$", GET = images.download },
  { "^/compare$", POST = compare.run },
  { "^/tasks/(%x+)$", GET = compare.progress },
  { "^/settings$", POST = settings.check },
  { "^/registry$", POST = registry.open },
  { "^/strip$", POST = strip.run },
  { "^/check$", POST = check.run },
}

--- For init_worker_by_lua.
function explorer.start()
  service.surgery():warm()
  store.load()
end

local function allowed(route)
  local methods = {}
  for _, method in ipairs { "GET", "POST", "PUT", "DELETE" } do
    if route[method] then methods[#methods + 1] = method end
  end
  return methods
end

--- For content_by_lua.
function explorer.answer()
  local path = ngx.var.request_uri:match("^[^?]*")
  for _, route in ipairs(ROUTES) do
    local first, second = path:match(route[1])
    if first then
      local method = ngx.req.get_method()
      local handler = route[method == "HEAD" and "GET" or method]
      if handler then return handler(first, second) end
      local methods = allowed(route)
      ngx.header["Allow"] = table.concat(methods, ", ")
      return reply.fail(("this address takes %s, and no %s"):format(table.concat(methods, " and "), method), "EINVAL",
        405)
    end
  end
  return reply.fail("there is nothing at this address", "ENOENT")
end

return explorer

--- Ways to look at all paths of an image: its first layers, search, the largest files, and what is wasted.

local images = require "explorer.images"
local reply = require "explorer.reply"
local text = require "explorer.text"

local views = {}

local SORTS = { name = true, size = true }

-- A parameter of the query that is a number from 1 on, or nil.
local function number(query, name)
  local value = query[name]
  if value == nil then return nil end
  local given = type(value) == "string" and value:find("^%d+$") and #value < 10 and tonumber(value)
  if not given or given < 1 then return reply.fail(name .. " should be a whole number from 1 on", "EINVAL") end
  return given
end

--- What the query chooses of a tree: ?upto=2&hide=below,added&sort=size&find=name
---@return table  for the job "list"
function views.choice()
  local query = ngx.req.get_uri_args(20)
  local choice = { upto = number(query, "upto") }
  if type(query.hide) == "string" then
    choice.hide = {}
    for name in query.hide:gmatch("[^,]+") do choice.hide[#choice.hide + 1] = name end
  end
  if query.sort ~= nil then
    if not SORTS[query.sort] then return reply.fail("sort should be name or size", "EINVAL") end
    choice.sort = query.sort
  end
  if type(query.find) == "string" then choice.find = query.find end
  return choice
end

--- GET /images/:id/largest?count=100&upto=2: the largest files.
---@param id string
function views.largest(id)
  local query = ngx.req.get_uri_args(20)
  local page = images.run(images.find(id), "largest", {
    count = number(query, "count"), upto = number(query, "upto"),
  })
  for _, entry in ipairs(page.entries) do images.present(entry) end
  return reply.json(200, page)
end

--- GET /images/:id/waste?offset=0&limit=500: the files that no container sees.
---@param id string
function views.waste(id)
  local record = images.find(id)
  local offset, limit = images.page()
  local page = images.run(record, "waste", { offset = offset, limit = limit })
  for _, one in ipairs(page.paths) do images.present(one) end
  page.offset = offset
  return reply.json(200, page)
end

--- GET /images/:id/paths?from=...: all paths as text. The first line has how many are seen, and what the next part
-- begins from, when this is not the last. A job writes the lines: JSON of so many would hold up nginx.
---@param id string
function views.paths(id)
  local from = ngx.req.get_uri_args(20).from
  if from ~= nil and (type(from) ~= "string" or not from:find("^%d+:%d+$")) then
    return reply.fail("from should be what the part before has told", "EINVAL")
  end
  local part = images.run(images.find(id), "paths", { from = from })
  return reply.send(200, ("%d %s\n%s"):format(part.total, part.next or "", part.text), "text/plain; charset=utf-8")
end

--- Files that no container sees, as a request names them: true for all, or an array of {"path": ..., "layer": 2}.
---@param value any
---@return boolean
function views.is_waste(value)
  if type(value) ~= "table" then return value == true end
  for key, one in pairs(value) do
    local good = type(key) == "number" and type(one) == "table" and type(one.path) == "string" and text.decode(one.path)
    if not good or type(one.layer) ~= "number" then return false end
  end
  return true
end

--- The same for the job "edit".
---@param value boolean|table[]|nil
---@return boolean|table[]|nil
function views.waste_of(value)
  if type(value) ~= "table" then return value end
  local list = {}
  for i, one in ipairs(value) do list[i] = { path = text.decode(one.path), layer = one.layer } end
  return list[1] and list
end

return views

--- Two images side by side.

local body = require "explorer.body"
local images = require "explorer.images"
local reply = require "explorer.reply"
local service = require "explorer.service"
local store = require "explorer.store"

local compare = {}

-- An image by the names that users know, and not by the path of its file.
local function named(record)
  return { name = record.tags and record.tags[1] or record.name, file = record.name }
end

-- Rows of each list in an answer, at most; they are counted beyond.
local ROWS = 50000

--- POST /compare {"a": ID, "b": ID, "semantic": true}: what strata.diff tells.
function compare.run()
  local wanted = body.json()
  local a, b = images.find(tostring(wanted.a)), images.find(tostring(wanted.b))
  local facts = images.run(a, "diff", {
    other = { path = store.path(b), open = b.open }, limit = ROWS, diff = { semantic = wanted.semantic == true },
    module = "explorer.compare_text", args = { limit = ROWS, a = named(a), b = named(b) },
  })
  return reply.send(200, facts.text)
end

--- GET /tasks/NAME: how far the job is of a request that has this name in the header X-Strata-Task.
---@param name string
function compare.progress(name)
  return reply.json(200, service.surgery():progress(name) or {})
end

return compare

--- The answer to /compare as JSON. The job makes it in its own thread: for nginx's loop so many rows would be too much.

local text = require "explorer.text"

local LISTS = { "files", "config", "history", "layers" }

local function list_of(rows)
  local parts = {}
  for i, row in ipairs(rows) do
    if row.path then row.display, row.path = row.path, text.encode(row.path) end
    parts[i] = text.json(row)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

---@param facts strata.DiffFacts
---@param args {limit: integer, a: table, b: table}  the names of both images
---@return {text: string}
return function(facts, args)
  local parts = {}
  for i, name in ipairs(LISTS) do parts[i] = ('"%s":%s'):format(name, list_of(facts[name])) end
  for _, side in ipairs { "a", "b" } do
    facts[side].name, facts[side].file = args[side].name, args[side].file
  end
  parts[#parts + 1] = text.json({ a = facts.a, b = facts.b, counts = facts.counts, equal = facts.equal,
                                  semantic = facts.semantic, limit = args.limit }):sub(2, -2)
  return { text = "{" .. table.concat(parts, ",") .. "}\n" }
end

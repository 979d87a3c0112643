--- Drawing the merged tree for people.

local core = require "strata.core"
local job = require "strata.util.job"
local json = require "strata.util.json"

local draw = {}

-- How a path leads to another one: "->" for a symlink, "=" for a further name of a file, nil for what has a size.
local function link_of(kind, own, links)
  if own.type == "symlink" then return "->" end
  if own.type == "hardlink" and (links > 1 or kind == "hardlink") then return "=" end
  return nil -- also a link that is the last name of its file
end

local function describe(view, node, opts, totals)
  local kind, layer, _, links = view:info(node)
  local name, own = json.printable(view:name(node), 200), view:entry(node)
  local link = kind ~= "dir" and link_of(kind, own, links)
  if kind == "dir" then
    name = name .. "/"
    if totals then name = ("%s  (%s)"):format(name, core.human_size(totals[node])) end
  elseif link then
    name = ("%s %s %s"):format(name, link, json.printable(own.linkpath, 200))
  else
    name = ("%s  (%s)"):format(name, core.human_size(view:source(node).size))
  end
  return opts.layers and layer and ("%s  [%d]"):format(name, layer) or name
end

-- The children of a directory that are drawn, and how many are not.
local function children(view, node, limit)
  local list, more = {}, 0
  local child = view:first(node)
  while child do
    job.tick()
    if #list < limit then list[#list + 1] = child else more = more + 1 end
    child = view:next(child)
  end
  return list, more
end

--- Draws the contents of a directory.
---@param view userdata  the core's tree
---@param top integer  its node
---@param title string
---@param opts? strata.TreeOptions
---@param totals? table<integer, integer>  bytes below each directory, by node: they are told
---@return string
function draw.render(view, top, title, opts, totals)
  opts = opts or {}
  if totals then title = ("%s  (%s)"):format(title, core.human_size(totals[top])) end
  local lines = { title }
  local depth, width = opts.depth or 64, opts.width or math.huge
  -- The stack of directories that are being drawn, each with the children that are left.
  local stack = {}
  local function enter(node, indent)
    local list, more = children(view, node, #stack < depth and width or 0)
    stack[#stack + 1] = { list = list, more = more, at = 0, indent = indent }
  end
  enter(top, "")
  while #stack > 0 do
    job.tick()
    local here = stack[#stack]
    here.at = here.at + 1
    local child = here.list[here.at]
    if child then
      local last = here.at == #here.list and here.more == 0
      lines[#lines + 1] = here.indent .. (last and "└── " or "├── ") .. describe(view, child, opts, totals)
      local is_told = totals and #stack >= depth -- by its bytes: a line that says how many more would tell no more
      if view:first(child) and not is_told then enter(child, here.indent .. (last and "    " or "│   ")) end
    else
      if here.more > 0 then lines[#lines + 1] = ("%s└── … %d more"):format(here.indent, here.more) end
      stack[#stack] = nil
    end
  end
  return table.concat(lines, "\n")
end

return draw

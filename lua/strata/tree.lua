--- The file tree that layers add up to, drawn for people.

local core = require "strata.core"
local json = require "strata.json"

local tree = {}

local function parent_of(path)
  return path:match("^(.*)/[^/]*$") or "."
end

-- Removes a path and everything below it.
local function remove(nodes, path)
  local node = nodes[path]
  if not node then return end
  local todo = { path }
  while #todo > 0 do
    local at = table.remove(todo)
    for child in pairs(nodes[at] and nodes[at].children or {}) do todo[#todo + 1] = child end
    nodes[at] = nil
  end
  local parent = nodes[parent_of(path)]
  if parent then parent.children[path] = nil end
end

local function directory(nodes, path)
  if nodes[path] and nodes[path].type == "dir" then return nodes[path] end
  if nodes[path] then remove(nodes, path) end
  local node = { path = path, type = "dir", children = {} }
  nodes[path] = node
  if path ~= "." then directory(nodes, parent_of(path)).children[path] = true end
  return node
end

-- Whiteouts hide what lower layers hold, wherever they stand in the tar: first.
local function apply_whiteouts(nodes, layer)
  for entry in layer:entries() do
    if entry.opaque then
      local children = nodes[entry.opaque] and nodes[entry.opaque].children or {}
      local list = {}
      for child in pairs(children) do list[#list + 1] = child end
      for _, child in ipairs(list) do remove(nodes, child) end
    elseif entry.whiteout then
      remove(nodes, entry.whiteout)
    end
  end
end

local function apply(nodes, layer, number)
  apply_whiteouts(nodes, layer)
  for entry in layer:entries() do
    if not entry.opaque and not entry.whiteout and not entry.path:find("%.wh%.%.wh%.[^/]*$") then
      local path = entry.path
      local node
      if entry.type == "dir" then
        node = directory(nodes, path)
      else
        if nodes[path] then remove(nodes, path) end
        node = { path = path, type = entry.type, children = {}, size = entry.size,
                 linkpath = entry.linkpath }
        directory(nodes, parent_of(path)).children[path] = true
        nodes[path] = node
      end
      node.layer = number
    end
  end
end

local function describe(node)
  local name = json.printable(node.path:match("[^/]*$"), 200)
  if node.type == "dir" then return name .. "/" end
  if node.type == "symlink" then return name .. " -> " .. json.printable(node.linkpath, 200) end
  if node.type == "hardlink" then return name .. " = " .. json.printable(node.linkpath, 200) end
  return ("%s  (%s)"):format(name, core.human_size(node.size))
end

local function draw(lines, nodes, node, indent, depth, limits)
  local paths = {}
  for path in pairs(node.children) do paths[#paths + 1] = path end
  json.sort(paths)
  local shown = depth > limits.depth and 0 or math.min(#paths, limits.width)
  for i = 1, shown do
    local last, child = i == #paths, nodes[paths[i]]
    lines[#lines + 1] = indent .. (last and "└── " or "├── ") .. describe(child)
    draw(lines, nodes, child, indent .. (last and "    " or "│   "), depth + 1, limits)
  end
  if shown < #paths then
    lines[#lines + 1] = ("%s└── … %d more"):format(indent, #paths - shown)
  end
end

--- The merged tree of some layers.
---@param layers strata.Layer[]  base first
---@param opts? {depth?: integer, width?: integer}  levels, and names of one directory, to draw
---@return string
function tree.render(layers, opts)
  local nodes = {}
  directory(nodes, ".")
  for number, layer in ipairs(layers) do apply(nodes, layer, number) end
  local lines = { "/" }
  opts = opts or {}
  draw(lines, nodes, nodes["."], "", 1, { depth = opts.depth or 64, width = opts.width or math.huge })
  return table.concat(lines, "\n")
end

return tree

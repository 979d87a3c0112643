--- strata tree: the file system that a container sees, drawn.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local tree = {
  summary = "Draw the file tree, with sizes.",
  usage = "[OPTION ...] IMAGE [PATH]",
  example = "strata tree --depth 2 app.tar usr",
}

function tree.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "The directory to begin at."):target("path"):args("?")
  cmd:option("--depth", "Levels to show, 3 by default; 0 shows all."):argname("N"):convert(options.number(0))
  cmd:option("--width", "Names of one directory to draw."):argname("N"):convert(options.number(1))
  cmd:flag("--layers", "Say which layer each comes from.")
  options.layers(cmd, "The tree of layer N alone; 1 is the base.")
end

local function depth_of(path)
  return path == "." and 0 or select(2, path:gsub("/", "")) + 1
end

-- The rows down to a depth, with the bytes of the files below.
local function rows_of(root, top, depth)
  local rows, deepest = {}, depth + depth_of(top.path)
  local function visit(entry)
    if depth_of(entry.path) > deepest then return end
    rows[#rows + 1] = {
      path = entry.path, type = entry.type, bytes = problem.check(root:usage(entry.path)).bytes,
      layer = entry.layer and entry.layer.position,
    }
  end
  visit(top)
  for entry in root:walk(top.path) do visit(entry) end
  return rows
end

function tree.run(args, out)
  local img, depth = options.open(args, out), args.depth or 3
  local drawing = { path = args.path, depth = depth > 0 and depth or nil, width = args.width, sizes = true }
  if args.layer and not out.is_json then return out:say("%s", options.layer(img, args.layer):tree(drawing)) end
  if args.layer then problem.stop("tree --layer has no JSON: ls --layer %d --json", args.layer) end
  local root = options.rootfs(args, img)
  if out.is_json then
    local top = problem.check(root:stat(args.path or "/"))
    return out:value(rows_of(root, top, depth > 0 and depth or math.huge))
  end
  drawing.layers = args.layers
  out:say("%s", root:tree(drawing))
end

return tree

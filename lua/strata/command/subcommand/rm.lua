--- strata rm: paths go from every layer.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local rm = {
  summary = "Remove paths from every layer, or a layer.",
  description = "Remove paths, and all below them, from every layer; or a whole layer with its row of the history.",
  usage = "[OPTION ...] IMAGE (PATH ... | --layer N | --created-by TEXT)\n       (-o TO | --in-place)",
  writes = true,
  example = "strata rm app.tar usr/share/doc '**/*.pyc' -o slim.tar",
}

function rm.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "A path or a glob (*, ?, [a-z]; ** for any directories)."):target("path"):args("*")
  cmd:mutex(
    cmd:option("--layer", "Remove layer N; 1 is the base."):argname("N"):convert(options.number(1)),
    cmd:option("--created-by", "Remove the layers whose step in the history has TEXT."):argname("TEXT"))
  cmd:flag("--optional", "A path that matches nothing is no failure.")
  options.output(cmd)
end

local function remove_layers(args, out, img)
  local before = #img.layers
  if args.layer then options.layer(img, args.layer) end
  problem.check(img:remove_layer(args.layer or { created_by = args.created_by }, options.work(args, out)))
  options.tell(out, "removed %s of %d", output.counted(before - #img.layers, "layer"), before)
  options.save(args, out, img, { layers = #img.layers, before = before })
end

function rm.run(args, out)
  local is_layer = args.layer or args.created_by
  if is_layer and (args.path[1] or args.optional) then
    problem.stop("--layer and --created-by remove whole layers: they take neither PATH nor --optional")
  elseif not is_layer and not args.path[1] then
    problem.stop("what is to be removed? PATH ..., --layer N or --created-by TEXT")
  end
  local img = options.open(args, out)
  if is_layer then return remove_layers(args, out, img) end
  local _, removed = problem.check(img:remove(args.path, options.work(args, out, { optional = args.optional })))
  local bytes = 0
  for _, one in ipairs(removed) do bytes = bytes + one.size end
  options.tell(out, "removed %s with %s", output.counted(#removed, "entry", "entries"), output.size(bytes))
  options.save(args, out, img, { removed = removed, bytes = bytes })
end

return rm

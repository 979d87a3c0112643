--- strata waste: the bytes that an image carries and no container sees.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local waste = {
  summary = "Find the bytes that no container sees.",
  description = "Find the bytes that no container sees, or drop the files among them.",
  usage = "[OPTION ...] IMAGE [--drop (-o TO | --in-place)]",
  example = "strata waste --top 5 app.tar",
}

function waste.define(cmd)
  options.image(cmd)
  cmd:option("--top", "Paths to show, 20 by default; 0 shows all."):argname("N"):convert(options.number(0))
  cmd:flag("--drop", "Drop files that no container sees from the layers, and write the image.")
  options.output(cmd)
end

local function drop(args, out)
  options.check_target(args)
  local img = options.open(args, out)
  local bytes, removed = problem.check(img:drop_waste(nil, options.work(args, out)))
  options.tell(out, "dropped %s with %s", output.counted(#removed, "entry", "entries"), output.size(bytes))
  options.save(args, out, img, { removed = removed, bytes = bytes })
end

function waste.run(args, out)
  if args.drop then return drop(args, out) end
  if args.output or args.in_place or args.plan then problem.stop("waste writes nothing without --drop") end
  local img = options.open(args, out)
  local found = problem.check(img:waste(options.work(args, out)))
  if out.is_json then return out:value(found) end
  out:say("%s wasted, efficiency %.4f", out:paint(output.size(found.total), "bold"), found.efficiency)
  for i, bytes in ipairs(found.layers) do
    if bytes > 0 then out:say("  layer %-3d %9s", i, output.size(bytes)) end
  end
  local top = args.top or 20
  local count = math.min(#found.paths, top > 0 and top or math.huge)
  for i = 1, count do
    local one = found.paths[i]
    out:say("%9s  %s  (layer %d, %s by layer %d)", output.size(one.bytes), output.text(one.path), one.layer, one.why,
      one.by)
  end
  if count < #found.paths then out:say("  and %d more: --top 0", #found.paths - count) end
end

return waste

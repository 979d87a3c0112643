--- strata waste: the bytes that an image carries and no container sees.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local waste = {
  summary = "Find the bytes that no container sees.",
  usage = "[OPTION ...] IMAGE",
  example = "strata waste --top 5 app.tar",
}

function waste.define(cmd)
  options.image(cmd)
  cmd:option("--top", "Paths to show, 20 by default; 0 shows all."):argname("N"):convert(options.number(0))
end

function waste.run(args, out)
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

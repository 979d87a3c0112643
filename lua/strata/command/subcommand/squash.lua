--- strata squash: one layer of several, or of all.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local squash = {
  summary = "Make one layer of several, or of all.",
  description = "Make one layer of several, or of all. What was deleted stays deleted.",
  usage = "[OPTION ...] IMAGE (-o TO | --in-place)",
  example = "strata squash --above 1 app.tar -o flat.tar",
  writes = true,
}

local function range(text)
  local first, last = text:match("^(%d+)%-(%d+)$")
  if not first then return nil, ("'%s' is not FIRST-LAST, such as 2-4"):format(text) end
  if tonumber(first) == tonumber(last) then return nil, ("'%s' is one layer, with nothing to squash"):format(text) end
  return { tonumber(first), tonumber(last) }
end

function squash.define(cmd)
  options.image(cmd)
  cmd:mutex(
    cmd:option("--layers", "These: FIRST-LAST, from 1, the base. All when nothing is named."):argname("RANGE")
      :convert(range),
    cmd:option("--above", "All above a base: its number of layers, or its image."):argname("BASE"))
  options.output(cmd)
end

function squash.run(args, out)
  local img, work = options.open(args, out), options.work(args, out)
  local before = #img.layers
  if args.layers then
    problem.check(img:squash(args.layers[1], args.layers[2], work))
  elseif args.above then
    work.above = options.base(args, out, args.above)
    problem.check(img:squash(work))
  else
    problem.check(img:flatten(work))
  end
  options.tell(out, "%s, %d before", output.counted(#img.layers, "layer"), before)
  options.save(args, out, img, { layers = #img.layers, before = before })
end

return squash

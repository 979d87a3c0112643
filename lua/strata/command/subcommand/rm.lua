--- strata rm: paths go from every layer.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local rm = {
  summary = "Remove paths, and all below them, from every layer.",
  usage = "[OPTION ...] IMAGE PATH ... (-o TO | --in-place)",
  writes = true,
  example = "strata rm app.tar usr/share/doc '**/*.pyc' -o slim.tar",
}

function rm.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "A path or a glob (*, ?, [a-z]; ** for any directories)."):target("path"):args("+")
  cmd:flag("--optional", "A path that matches nothing is no failure.")
  options.output(cmd)
end

function rm.run(args, out)
  local img = options.open(args, out)
  local _, removed = problem.check(img:remove(args.path, options.work(args, out, { optional = args.optional })))
  local bytes = 0
  for _, one in ipairs(removed) do bytes = bytes + one.size end
  options.tell(out, "removed %s with %s", output.counted(#removed, "entry", "entries"), output.size(bytes))
  options.save(args, out, img, { removed = removed, bytes = bytes })
end

return rm

--- strata repair: findings of `strata check` are mended.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local repair = {
  summary = "Mend findings of check.",
  description = "Mend findings of check, where only one mending is right.",
  usage = "[OPTION ...] IMAGE [CODE ...] (-o TO | --in-place)",
  example = "strata repair app.tar duplicate-path -o mended.tar",
  writes = true,
}

function repair.define(cmd)
  options.image(cmd)
  cmd:argument("CODE", "The code of a finding, which stands in [ ]; all that can be mended when none is named.")
    :target("code"):args("*")
  cmd:flag("--optional", "What is named and cannot be mended is left, and told.")
  options.output(cmd)
end

function repair.run(args, out)
  local img = options.open(args, out)
  local report = problem.check(img:repair(args.code[1] and args.code or true, options.work(args, out, {
    optional = args.code[1] and args.optional or nil,
  })))
  options.tell(out, "%s", tostring(report))
  options.save(args, out, img, report)
end

return repair

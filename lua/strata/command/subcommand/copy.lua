--- strata copy: from any place to any other, and nothing of it changes.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local copy = {
  summary = "Copy an image or a whole index, unchanged.",
  description = "Copy an image, or an index with its images, attestations and artifacts, from any place to "
    .. "any other. Nothing of it changes but what the options ask for; on the way to a registry, layers that are not "
    .. "compressed are.",
  usage = "[OPTION ...] IMAGE TO",
  example = "strata copy app-layout docker://registry.example/team/app:1.4",
}

function copy.define(cmd)
  options.image(cmd)
  cmd:argument("TO", 'Where it goes: a file, a layout directory, "-" or docker://host/name:tag.'):target("output")
  cmd:option("--tag", "In a registry, a further tag."):argname("NAME"):count("*")
  cmd:flag("--referrers", "With signatures and the like that are about it; to a registry.")
  options.plan(cmd)
  options.writing(cmd)
end

-- The result as it would be; strata.copy itself has no plan.
local function plan(args, out, saving)
  local strata, opening = require "strata", options.opening(args, out, args.image)
  local source
  if not options.is_any(args) then
    opening.ref, opening.platform, opening.digest = args.ref, args.platform, args.digest
    source = options.opened(args.image, strata.open(args.image, opening))
  else
    source = options.opened(args.image, strata.open_index(args.image, opening))
  end
  if options.is_remote(args.output) then saving.to = args.output end
  return (problem.check(source:plan(saving)))
end

function copy.run(args, out)
  options.check_target(args)
  local is_push = options.is_remote(args.output)
  if not is_push and (args.tag[1] or args.referrers) then
    problem.stop("--tag and --referrers are for what goes to a registry")
  end
  local saved, lost
  local saving = options.saving(args, out, args.output, true)
  saving.registry = options.registry(args, args.image, args.output)
  if is_push then
    saving.referrers, saving.tags = args.referrers, args.tag[1] and args.tag or nil
  end
  if args.plan then
    if not is_push then saving.registry = nil end
    saved = plan(args, out, saving)
  else
    saving.ref, saving.platform, saving.digest = args.ref, args.platform, args.digest
    saved, lost = options.opened(args.image, require("strata").copy(args.image, args.output, saving))
  end
  options.report(out, args, args.output, saved, lost)
end

return copy

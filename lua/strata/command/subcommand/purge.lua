--- strata purge: secrets go for good.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local purge = {
  summary = "Remove secrets for good, and prove that they are gone.",
  description = "Remove paths from every layer and texts from the documents, and prove that they are gone. "
    .. "Status 1 when something is left in what surrounds the image, which is told.",
  usage = "[OPTION ...] IMAGE [PATH ...] (-o TO | --in-place)",
  example = "strata purge app.tar '**/.netrc' --env '^TOKEN=' --history s3cret --prove s3cret "
    .. "-o clean.tar",
  writes = true,
}

function purge.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "A path or a glob; with all below it, from every layer."):target("path"):args("*")
  cmd:option("--history", "What matches this Lua pattern in the history becomes ***."):argname("PATTERN")
  cmd:option("--env", "Variables go whose NAME=value matches."):argname("PATTERN")
  cmd:option("--labels", "Labels and annotations go whose name=value matches."):argname("PATTERN")
  cmd:option("--prove", "Text that must be nowhere in the end."):argname("TEXT"):count("*")
  cmd:flag("--optional", "A path that matches nothing is no failure.")
  options.output(cmd)
end

function purge.run(args, out)
  if not (args.path[1] or args.history or args.env or args.labels or args.prove[1]) then
    problem.stop("what is to go? PATH ..., --history, --env or --labels")
  end
  local img = options.open(args, out)
  local report = problem.check(img:purge(args.path[1] and args.path or nil, options.work(args, out, {
    history = args.history, env = args.env, labels = args.labels, prove = args.prove[1] and args.prove or nil,
    optional = args.optional,
  })))
  return options.save_what_leaves(args, out, img, report)
end

return purge

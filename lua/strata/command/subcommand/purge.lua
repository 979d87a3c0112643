--- strata purge: secrets go for good.

local options = require "strata.command.options"
local output = require "strata.command.output"
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

-- Whether the layout that was written into has blobs of before that nothing names, which is told: they may be those of
-- the image with its secrets.
local function has_old_blobs(args)
  if args.plan or not args.output or args.output == "-" or args.output:find("^docker://") then return false end
  local found = require("strata").gc(args.output)
  if not found or #found.blobs == 0 then return false end
  io.stderr:write(("strata: left: %s has %s that no image of it names; strata.gc removes such blobs\n"):format(
    output.one_line(args.output), output.counted(#found.blobs, "blob")))
  return true
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
  local status = options.save_what_leaves(args, out, img, report)
  return has_old_blobs(args) and 1 or status
end

return purge

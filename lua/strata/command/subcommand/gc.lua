--- strata gc: the blobs of a layout that nothing names.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local gc = {
  summary = "Find the blobs of a layout that nothing names.",
  description = "Find the blobs of a layout that no index, manifest or artifact names, or remove them. No other "
    .. "program than strata may write to the layout meanwhile.",
  usage = "[OPTION ...] LAYOUT [--remove]",
  example = "strata gc app-layout --remove",
}

function gc.define(cmd)
  cmd:argument("LAYOUT", "The directory."):target("layout")
  cmd:flag("--remove", "Remove them.")
end

function gc.run(args, out)
  if options.is_remote(args.layout) then
    problem.stop("a layout in a directory is wanted; registries collect their garbage themselves")
  end
  local report = problem.check(require("strata").gc(args.layout, { remove = args.remove }))
  if out.is_json then return out:value(report) end
  out:say("%s", tostring(report))
end

return gc

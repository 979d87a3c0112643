--- strata extract: the files of an image in a directory.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local extract = {
  summary = "Write the files that a container sees into a directory.",
  usage = "[OPTION ...] IMAGE DIRECTORY [PATH ...]",
  example = "strata extract app.tar rootfs",
}

function extract.define(cmd)
  options.image(cmd)
  cmd:argument("DIRECTORY", "Is made; has to be empty without --merge."):target("directory")
  cmd:argument("PATH", "Only these: paths or globs, with all below them."):target("path"):args("*")
  cmd:flag("--merge", "The directory may have something in it.")
  cmd:flag("--overlay", "A directory for each layer, and the lowerdir to mount them with.")
  cmd:flag("--rootless", "Record owners that cannot be set as user.rootlesscontainers.")
  cmd:flag("-n --plan", "Tell what would be extracted, and write nothing.")
  cmd:option("--threads", "At most N; else one per processor."):argname("N"):convert(options.number(1))
end

function extract.run(args, out)
  local img = options.open(args, out)
  if args.overlay and args.path[1] then problem.stop("--overlay extracts all: leave PATH out") end
  if args.plan then return options.tell_files(args, out, img, args.directory) end
  local how = options.work(args, out, { merge = args.merge, rootless = args.rootless })
  local result
  if args.path[1] then
    result = problem.check(problem.check(img:rootfs()):extract(args.path, args.directory, how))
  else
    how.mode = args.overlay and "overlay" or nil
    result = problem.check(img:extract(args.directory, how))
  end
  if out.is_json then return out:value(result) end
  out:say("%s", (tostring(result):gsub("(%d+ layers?), (%d+ %a+)", "%2 of %1")))
  if result.lowerdir then out:say("lowerdir=%s", result.lowerdir) end
end

return extract

--- strata diff: where two images differ.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local diff = {
  summary = "Compare two images; status 1 where they differ.",
  description = "Compare two images: files, config, history, layers. Status 1 where they differ.",
  usage = "[OPTION ...] IMAGE OTHER",
  example = "strata diff --semantic app-1.tar docker://registry.example/app:1",
}

function diff.define(cmd)
  options.image(cmd)
  cmd:argument("OTHER", "Another image."):target("other")
  cmd:option("--other-ref", "The tag or ID of one of several images in OTHER."):argname("REF")
  cmd:flag("--semantic", "Pass over what a rebuild changes by itself: times, names of owners, layers.")
  cmd:option("--exclude", "A path or glob that is not compared."):argname("PATH"):count("*")
  cmd:flag("--html", "A page of HTML.")
end

function diff.run(args, out)
  local strata = require "strata"
  local img = options.open(args, out)
  local other = options.image_of(args, out, args.other, args.other_ref)
  local found = problem.check(strata.diff(img, other, options.work(args, out, {
    semantic = args.semantic, exclude = args.exclude[1] and args.exclude or nil,
  })))
  if out.is_json then
    out:value { equal = found.equal, semantic = found.semantic, a = found.a, b = found.b, files = found.files,
                config = found.config, history = found.history, layers = found.layers }
  else
    out:say("%s", strata.diff_report(found, { format = args.html and "html" or "text", color = out.is_colored }))
  end
  return found.equal and 0 or 1
end

return diff

--- strata export: the files of an image as one tar, or the tar of one layer.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local export = {
  summary = "Write them as one tar, or the tar of a layer.",
  description = "Write the files that a container sees as one sorted tar, or the tar of one layer.",
  usage = "[OPTION ...] IMAGE [PATH ...] -o TO",
  example = "strata export app.tar -o rootfs.tar",
}

function export.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "Only these: paths or globs, with all below them."):target("path"):args("*")
  options.named(cmd:option("-o --output", 'The tar: a file, or "-".'):argname("TO"), "-o, --output TO")
  cmd:option("--layer", "The tar of layer N, as it is stored; 1 is the base."):argname("N"):convert(options.number(1))
  cmd:option("--compression", "Of the tar; none by default, of a layer as it is stored."):argname("KIND")
    :choices { "none", "gzip", "zstd" }
  cmd:option("--level", "Of the compression: gzip 0 to 9, zstd 1 to 19."):argname("N"):convert(options.number(0))
  options.plan(cmd)
  cmd:option("--threads", "At most N; else one per processor."):argname("N"):convert(options.number(1))
end

-- Tells what the tar of a layer would be: of one that is compressed anew nobody knows the size.
local function tell_layer(args, out, layer)
  local is_same = not args.compression or args.compression == layer.compression
  local size, compression = is_same and layer.size or nil, args.compression or layer.compression
  if out.is_json then
    return out:value { plan = true, path = args.output, layer = args.layer, compression = compression, size = size }
  end
  out:say("would write layer %d, %s, %s%s", args.layer, compression, size and output.size(size) or "of a new size",
    args.output and " to " .. output.text(args.output) or "")
end

function export.run(args, out)
  if not args.plan and not args.output then problem.stop("where does it go? -o TO (a file or -)") end
  options.check_target(args)
  local img = options.open(args, out)
  local how = options.work(args, out, { compression = args.compression, level = args.level })
  local layer = args.layer and options.layer(img, args.layer)
  if layer and args.path[1] then problem.stop("--layer takes no PATH") end
  if layer and args.plan then return tell_layer(args, out, layer) end
  if args.plan then return options.tell_files(args, out, img, args.output) end
  local result
  if layer then
    result = problem.check(layer:save(args.output, how))
  else
    how.which = args.path[1] and args.path or nil
    result = problem.check(problem.check(img:rootfs()):export(args.output, how))
  end
  if args.output == "-" then return end
  if out.is_json then return out:value(result) end
  out:say("%s", tostring(result))
end

return export

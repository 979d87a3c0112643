--- strata rechunk: layers that stay what they are from build to build.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local rechunk = {
  summary = "Make layers of what changes together.",
  description = "Divide an image anew: the files of a package lie in one layer, and which it is depends on the name of "
    .. "the package alone, so most layers of the next build have the same digests. Times count: normalize comes first. "
    .. "A container sees the same.",
  usage = "[OPTION ...] IMAGE (-o TO | --in-place)",
  example = "strata rechunk --chunks 24 --above 1 app.tar -o chunks.tar",
  writes = true,
}

function rechunk.define(cmd)
  options.image(cmd)
  cmd:option("--chunks", "Layers at most; 16 by default."):argname("N"):convert(options.number(1))
  cmd:option("--by", "What lies together: files of a package, or of a directory."):argname("KIND")
    :choices { "package", "directory" }
  cmd:option("--above", "Leave a base alone: its number of layers, or its image."):argname("BASE")
  options.output(cmd)
end

function rechunk.run(args, out)
  local img = options.open(args, out)
  local _, chunks = problem.check(img:rechunk(options.work(args, out, {
    chunks = args.chunks, by = args.by, above = args.above and options.base(args, out, args.above),
  })))
  options.save_chunks(args, out, img, chunks)
end

return rechunk

--- strata split: two layers, or more, of one.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local split = {
  summary = "Make two layers, or more, of one.",
  description = "Divide a layer. With PATH it becomes two: what is chosen is in the upper one. With --size it becomes "
    .. "as many as are needed. A container sees the same.",
  usage = "[OPTION ...] IMAGE --layer N (PATH ... | --size BYTES)\n       (-o TO | --in-place)",
  example = "strata split app.tar --layer 1 usr/share/doc -o split.tar",
  writes = true,
}

function split.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "A path or a glob (*, ?, [a-z]; ** for any directories)."):target("path"):args("*")
  cmd:option("--layer", "The layer that is divided; 1 is the base."):argname("N"):convert(options.number(1))
  cmd:option("--size", "Bytes of plain tar that a part has at most, unless one file is larger."):argname("BYTES")
    :convert(options.number(1))
  options.output(cmd)
end

function split.run(args, out)
  if not args.layer then problem.stop("which layer? --layer N; 1 is the base") end
  if (args.path[1] == nil) == (args.size == nil) then
    problem.stop("what goes into a layer of its own? PATH ..., or --size BYTES")
  end
  local img = options.open(args, out)
  options.layer(img, args.layer)
  local _, chunks = problem.check(img:split(args.layer, args.size and { size = args.size } or args.path,
    options.work(args, out)))
  options.save_chunks(args, out, img, chunks)
end

return split

--- strata new: an image without layers.

local options = require "strata.command.options"

local new = {
  summary = "Make an image without layers, for append and set.",
  description = "Make an image without layers, which append and set fill. Nothing in it depends on when it is made.",
  usage = "[OPTION ...] -o TO",
  example = "strata new -o - | strata append - ./public --tag site:1 -o site.tar",
  writes = true,
}

function new.define(cmd)
  cmd:option("--platform", "What it runs on; linux and this machine's architecture by default."):argname("OS/ARCH")
  options.target(cmd)
  options.tag(cmd, "Its name; in a registry, a further tag.")
  options.plan(cmd)
  options.registries(cmd)
  options.writing(cmd)
end

function new.run(args, out)
  options.save(args, out, require("strata").new { platform = args.platform })
end

return new

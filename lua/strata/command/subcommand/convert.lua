--- strata convert: the same image in another format or compression.

local options = require "strata.command.options"

local convert = {
  summary = "Write an image in another format or compression.",
  usage = "[OPTION ...] IMAGE (-o TO | --in-place)",
  example = "strata convert app.tar --format oci --compression zstd -o app-layout",
  writes = true,
}

function convert.define(cmd)
  options.image(cmd)
  options.output(cmd)
end

function convert.run(args, out)
  options.save(args, out, options.open(args, out))
end

return convert

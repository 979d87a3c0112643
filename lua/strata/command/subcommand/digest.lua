--- strata digest: the digest that a registry knows an image by.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local digest = {
  summary = "Print the digest of a manifest.",
  description = "Print the digest of the manifest, which a registry knows the image by. Of a reference it is that of "
    .. "what the tag leads to, an index or an image, in one request that no registry counts as a pull.",
  usage = "[OPTION ...] IMAGE",
  example = "strata digest docker://registry.example/team/app:1.4",
}

function digest.define(cmd)
  options.image(cmd)
end

function digest.run(args, out)
  local found
  if options.is_any(args) and options.is_remote(args.image) then
    found = problem.check(options.registry(args, args.image):digest(args.image))
  else
    found = options.open(args, out).digest
  end
  if not found then problem.stop("%s: the image has no manifest, and so no digest", args.image) end
  if out.is_json then return out:value { digest = found } end
  out:say("%s", found)
end

return digest

--- strata rebase: another base under the image's own layers.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local rebase = {
  summary = "Put the image's own layers onto another base.",
  usage = "[OPTION ...] IMAGE OLD_BASE NEW_BASE (-o TO | --in-place)",
  example = "strata rebase app.tar debian-12.1.tar debian-12.2.tar -o app-new.tar",
  writes = true,
}

function rebase.define(cmd)
  options.image(cmd)
  cmd:argument("OLD_BASE", "The image whose layers are the lowest ones now."):target("old_base")
  cmd:argument("NEW_BASE", "The image whose layers come in their place."):target("new_base")
  cmd:flag("--inherit", "Settings that are those of the old base become those of the new one.")
  cmd:flag("--force", "The new base may be for another platform.")
  options.output(cmd)
end

function rebase.run(args, out)
  local img = options.open(args, out)
  local old, new = options.image_of(args, out, args.old_base), options.image_of(args, out, args.new_base)
  problem.check(img:rebase(old, new, options.work(args, out, {
    config = args.inherit and "inherit" or nil, force = args.force,
  })))
  options.save(args, out, img)
end

return rebase

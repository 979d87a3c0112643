--- strata repl: the REPL with images opened.

local options = require "strata.command.options"

local repl = {
  summary = "Read Lua, evaluate it, and print the results.",
  usage = "[options] [IMAGE ...]",
  example = "strata repl app.tar",
}

function repl.define(cmd)
  options.image(cmd)
  local images = cmd._arguments[#cmd._arguments]
  images:args("*"):target("images")
  images:description("Images that are opened: the first is img, all are in imgs.")
end

function repl.run(args, out)
  local images = {}
  for i, place in ipairs(args.images) do
    args.image = place -- --ref and --platform are for each
    images[i] = options.open(args, out)
  end
  return require("strata.command.repl").run { images = images, paint = function(text, color)
    return out:paint(text, color)
  end }
end

return repl

--- strata repl: the REPL with images opened.

local core = require "strata.core"
local options = require "strata.command.options"
local problem = require "strata.command.problem"

local repl = {
  summary = "Type Lua, with the images as img and imgs.",
  description = "Type Lua, and see what it gives. strata is the module, img the first image, imgs has all of them "
    .. "where there are several, and _ is the last result.",
  usage = "[OPTION ...] [IMAGE ...]",
  example = "strata repl app.tar",
  is_bare = true,
}

function repl.define(cmd)
  options.image(cmd)
  cmd._arguments[#cmd._arguments]:args("*"):target("images"):description("Images: files, layout directories or "
    .. "docker://host/name:tag.")
end

function repl.run(args, out)
  local images = {}
  for i, place in ipairs(args.images) do
    if place == "-" then problem.stop("repl: standard input is what is typed, and cannot be an image") end
    images[i] = options.image_of(args, out, place, args.ref, args.digest)
  end
  out:clear()
  local function paint(text, color) -- of what goes to standard error
    return core.is_terminal(2) and out:paint(text, color) or text
  end
  return require("strata.command.repl").run { images = images, paint = paint }
end

return repl

--- strata cat: the content of files.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local cat = {
  summary = "Write the content of files to standard output.",
  usage = "[OPTION ...] IMAGE PATH ...",
  example = "strata cat app.tar etc/passwd",
}

function cat.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "A file in the image; symlinks are followed."):target("path"):args("+")
  options.layers(cmd, "The file as layer N has it, from 1: the base.")
end

local function copy(file, out)
  repeat
    local bytes, message = file:read(1024 * 1024)
    if message then problem.stop("%s", message) end
    out:write(bytes or "")
  until not bytes
end

function cat.run(args, out)
  if out.is_json then problem.stop("cat writes the bytes of files: it has no JSON") end
  local img = options.open(args, out)
  local layer, root = args.layer and options.layer(img, args.layer), nil
  if not layer then root = options.rootfs(args, img) end
  for _, path in ipairs(args.path) do
    if layer then
      out:write((problem.check(layer:read(path))))
    else
      copy(problem.check(root:open(path)), out)
    end
  end
end

return cat

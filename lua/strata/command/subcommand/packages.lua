--- strata packages: what dpkg and apk have installed.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local packages = {
  summary = "List the packages that dpkg or apk has installed.",
  usage = "[OPTION ...] IMAGE",
  example = "strata packages app.tar",
}

function packages.define(cmd)
  options.image(cmd)
end

function packages.run(args, out)
  local list = problem.check(options.rootfs(args, options.open(args, out)):packages())
  if out.is_json then return out:value(list) end
  for _, one in ipairs(list) do
    out:say("%s %s %s", output.text(one.name), output.text(one.version or "-"), output.text(one.architecture or "-"))
  end
end

return packages

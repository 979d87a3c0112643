--- strata check: what readers differ about in an image, and what some of them refuse.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local check = {
  summary = "Find what readers see in two ways; status 1 with findings.",
  description = "Find what readers of the image would see in two ways, and what some refuse. Status 1 with "
    .. "findings.",
  usage = "[OPTION ...] IMAGE",
  example = "strata check --severity note app.tar",
}

function check.define(cmd)
  options.image(cmd)
  cmd:option("--severity", "The least that is told; warning by default."):argname("KIND")
    :choices { "error", "warning", "note" }
  cmd:flag("--privileged", "Also note devices and files with set-id bits.")
end

local COLORS = { error = "red", warning = "yellow", note = "dim" }

function check.run(args, out)
  local img = options.open(args, out)
  local findings = problem.check(img:check { severity = args.severity, privileged = args.privileged })
  if out.is_json then
    out:value { findings = findings }
  elseif #findings == 0 then
    out:say("no findings")
  end
  for _, finding in ipairs(findings) do
    local rest = tostring(finding):match("^%a+(: .*)$")
    out:say("%s%s", out:paint(finding.severity, COLORS[finding.severity]), rest)
  end
  return #findings > 0 and 1 or 0
end

return check

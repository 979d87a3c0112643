--- strata check: what readers differ about in an image, and what some of them refuse.

local options = require "strata.command.options"
local output = require "strata.command.output"
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
  cmd:flag("--verify", "Also compare every digest; a damaged image is an error.")
end

local COLORS = { error = "red", warning = "yellow", note = "dim" }

function check.run(args, out)
  local img, findings = options.open(args, out), {}
  if args.verify then
    local ok, message, code = img:verify(options.work(args, out))
    if not ok and code ~= "EDIGEST" then problem.stop("%s", message) end
    if not ok then findings[1] = { severity = "error", code = "digest", where = "image", message = message } end
  end
  local report = findings[1] and {} or problem.check(img:check {
    severity = args.severity, privileged = args.privileged or nil,
  })
  for _, finding in ipairs(report) do findings[#findings + 1] = finding end
  if out.is_json then
    out:value { findings = findings }
  elseif #findings == 0 then
    out:say("no findings")
  end
  for _, finding in ipairs(findings) do
    local severity, rest = tostring(finding):match("^(%a+)(: .*)$")
    out:say("%s%s", out:paint(severity or finding.severity, COLORS[finding.severity]),
      rest or (": %s [digest]"):format(output.text(finding.message)))
  end
  return #findings > 0 and 1 or 0
end

return check

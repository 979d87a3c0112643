--- strata gate: lets an image pass, or not.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local gate = {
  summary = "Hold an image to a policy; status 1 when it does not pass.",
  description = "Verify every digest, look for errors as check does, and hold the image to the rules of a "
    .. "policy. Status 1 when it does not pass.",
  usage = "[OPTION ...] IMAGE [POLICY.lua]",
  example = "strata gate app.tar policy.lua",
}

function gate.define(cmd)
  options.image(cmd)
  cmd:argument("POLICY", "A Lua file that returns a table of rules. Set-id files, "
    .. "devices and root as the user are refused unless it allows them (setid, devices, root_user).")
    :target("policy"):args("?")
end

local function rules_of(path)
  if not path then return {} end
  local chunk = problem.check(loadfile(path))
  local ok, rules = pcall(chunk)
  if not ok then problem.stop("%s", tostring(rules)) end
  if type(rules) ~= "table" then problem.stop("%s: it should return a table of rules, not %s", path, type(rules)) end
  return rules
end

-- Everything that keeps the image from passing.
local function findings_of(img, rules, args, out)
  local findings = {}
  local ok, message, code = img:verify(options.work(args, out))
  if not ok and code ~= "EDIGEST" then problem.stop("%s", message) end
  if not ok then return { { rule = "verify", message = message } } end
  for _, one in ipairs(problem.check(img:check { severity = "error" })) do
    findings[#findings + 1] = { rule = "check", code = one.code, message = tostring(one), path = one.path,
                                layer = one.layer }
  end
  for _, one in ipairs(problem.check(require("strata.policy").check(img, rules))) do findings[#findings + 1] = one end
  return findings
end

function gate.run(args, out)
  local rules = rules_of(args.policy)
  local img = options.open(args, out)
  local findings = findings_of(img, rules, args, out)
  if out.is_json then
    out:value { id = img.id, passed = #findings == 0, findings = findings }
  end
  for _, one in ipairs(findings) do
    out:say("%s: %s%s", out:paint(one.rule, "red"), output.text(one.message),
      one.layer and one.rule ~= "check" and (" (layer %d)"):format(one.layer) or "")
  end
  out:say("%s: %s", img.id, #findings == 0 and out:paint("passed", "green")
    or output.counted(#findings, "finding"))
  return #findings > 0 and 1 or 0
end

return gate

--- strata repair: findings of `strata check` are mended.

local can_mend = require "strata.check.findings"
local options = require "strata.command.options"
local printed = require "strata.util.printed"
local problem = require "strata.command.problem"

local repair = {
  summary = "Mend findings of check; status 1 when some are left.",
  description = "Mend findings of check, where only one mending is right. The others are told, and the status is 1.",
  usage = "[OPTION ...] IMAGE [CODE ...] (-o TO | --in-place)",
  example = "strata repair app.tar -o mended.tar",
  writes = true,
}

function repair.define(cmd)
  options.image(cmd)
  cmd:argument("CODE", "The code of a finding, which stands in [ ]; all that can be mended when none is named.")
    :target("code"):args("*")
  cmd:flag("--optional", "A code that is not found, or cannot be mended, is no failure.")
  options.output(cmd)
end

-- The codes to mend: true for all. With --optional those that are never mended are left to the check afterwards.
local function codes_of(args)
  if not args.code[1] then return true end
  local codes = {}
  for _, code in ipairs(args.code) do
    if not (args.optional and type(can_mend[code]) == "string") then codes[#codes + 1] = code end
  end
  return codes
end

-- Adds to what the report has as left what a check still finds: of the codes that were named, or warnings and errors.
local function note_left(report, img, args)
  local wanted, left = {}, report.left or {}
  for _, code in ipairs(args.code) do wanted[code] = true end
  local is_known = {}
  for _, line in ipairs(left) do -- a finding, and why it is left in ( )
    for at in line:gmatch("() %(") do is_known[line:sub(1, at - 1)] = true end
  end
  for _, one in ipairs(problem.check(img:check { severity = args.code[1] and "note" or nil })) do
    local text, why = tostring(one), can_mend[one.code]
    if (wanted[one.code] or not args.code[1]) and not is_known[text] then
      left[#left + 1] = type(why) == "string" and ("%s (%s)"):format(text, why) or text
    end
  end
  report.left = left[1] and left
end

function repair.run(args, out)
  local img, codes = options.open(args, out), codes_of(args)
  local report = printed.by({ mended = {} }, printed.repair)
  if codes == true or codes[1] then
    report = problem.check(img:repair(codes, options.work(args, out, {
      optional = args.code[1] and args.optional or nil,
    })))
  end
  if report.absent and not args.optional then
    problem.stop("not found: %s (strata check --severity note shows the findings)", table.concat(report.absent, ", "))
  end
  note_left(report, img, args)
  return options.save_what_leaves(args, out, img, report)
end

return repair

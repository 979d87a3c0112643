--- Lets an image pass or not, for CI: lua5.4 examples/gate.lua IMAGE [POLICY.lua]
--
-- Every digest is verified, what two readers would see in two ways is an error, and the rules of a policy have to
-- be kept (strata.Policy; examples/openresty/policy.lua is one). Exit status: 0 passed, 1 findings, 2 unreadable.

local policy = require "strata.policy"
local strata = require "strata"

local function stop(message)
  io.stderr:write(message, "\n")
  os.exit(2)
end

local input, rules = ...
if not input then stop("usage: gate.lua IMAGE [POLICY.lua]") end

local function check(value, message)
  if value == nil then stop(message) end
  return value
end

local img = check(strata.open(input))
check(img:verify())

local count = 0
local function report(text)
  count = count + 1
  print(text)
end

for _, finding in ipairs(check(img:check { severity = "error" })) do report(tostring(finding)) end
for _, finding in ipairs(check(policy.check(img, rules and check(loadfile(rules))() or {}))) do
  local where = finding.layer and ("layer %d: "):format(finding.layer) or ""
  report(("%s: %s%s"):format(finding.rule, where, finding.message))
end
print(("%s: %s"):format(img.id, count == 0 and "passed" or count .. " findings"))
os.exit(count == 0 and 0 or 1)

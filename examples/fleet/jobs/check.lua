--- Holds an image to a policy; the findings are what the job fails with. It needs no target.
local policy = require "strata.policy"

local RULES = { secrets = { paths = { "**/id_rsa", "**/.npmrc" } }, max_size = 2e9 }

return function(img)
  local findings, message, code = policy.check(img, RULES)
  if not findings then return nil, message, code end
  if #findings == 0 then return true end
  return nil, tostring(findings):gsub("\n", "; "), "EPOLICY"
end, {}

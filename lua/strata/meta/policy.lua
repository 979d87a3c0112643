---@meta strata.policy

--- Rules that an image has to keep before it is let in somewhere.
---@class strata.policy
local policy = {}

--- What in an image breaks the rules; nothing of it: it keeps them. Throws for a rule that there is not.
---@param img strata.Image
---@param rules strata.Policy
---@return strata.PolicyFinding[]?
---@return string? message
---@return strata.errcode? code
function policy.check(img, rules) end

--- The rule that is broken, by its name in strata.Policy.
---@alias strata.PolicyRule
---| "setid"
---| "capabilities"
---| "devices"
---| "secrets"
---| "root_user"
---| "lowest_efficiency"
---| "highest_wasted_bytes"
---| "max_size"
---| "max_layers"
---| "denied_paths"
---| "denied_packages"
---| "base"
---| "check"

--- What breaks a rule.
---@class strata.PolicyFinding
---@field rule strata.PolicyRule
---@field message string
---@field path string?
---@field layer integer?

return policy

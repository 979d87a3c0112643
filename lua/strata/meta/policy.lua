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

--- What breaks a rule.
---@class strata.PolicyFinding
---@field rule "setid"|"capabilities"|"devices"|"secrets"|"root_user"|"check"
---@field message string
---@field path string?
---@field layer integer?

return policy

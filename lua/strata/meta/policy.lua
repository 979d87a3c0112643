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

--- The rules.
---@class strata.Policy
---@field setid? string[]|false  patterns of paths where set-id files may be; false: anywhere. Default: nowhere
---@field capabilities? string[]|false  the same for files with capabilities. Default: anywhere
---@field devices? string[]|false  the same for device nodes. Default: nowhere
---@field secrets? strata.PolicySecrets
---@field root_user? boolean  true: the image may run as root. Default false

--- What is a secret.
---@class strata.PolicySecrets
---@field paths? string[]  patterns of paths, also of files that upper layers hide
---@field env? string[]  Lua patterns of "NAME=value"
---@field history? string[]  Lua patterns of created_by

--- What breaks a rule.
---@class strata.PolicyFinding
---@field rule "setid"|"capabilities"|"devices"|"secrets"|"root_user"
---@field message string
---@field path string?
---@field layer integer?

return policy

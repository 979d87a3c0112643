---@meta strata.policy

--- Rules that an image has to keep before it is let in somewhere.
---@class strata.policy
local policy = {}

--- What in an image breaks the rules; an empty array: it keeps them. An unknown rule throws. Both views of the files
--- count. Without the rules `setid`, `devices` and `root_user`, set-id files, devices and root as the user are
--- findings.
---
--- `lowest_efficiency` is the score of dive, so a threshold of its CI rules can be taken over. `highest_wasted_bytes`
--- is the `total` of img:waste(): dive's number of that name counts the copy that is seen as well, and no deleted
--- directory. A database of packages that is not read, that of rpm, is a finding of `denied_packages`. `base` wants the
--- lowest layers to be those of an image; names and labels can be given to any image, layers cannot.
---
---```lua
---local policy = require "strata.policy"
---local base = assert(strata.open "base.tar")
---local findings = assert(policy.check(img, {
---  setid = { "usr/bin/su" },                       -- nowhere else; devices and capabilities in the same way
---  secrets = { paths = "**/id_rsa", env = { "TOKEN=." }, history = { "token=" } },
---  lowest_efficiency = 0.3, highest_wasted_bytes = 20e6,
---  max_size = 500e6, max_layers = 20,
---  denied_paths = { "usr/bin/curl", "**/*.pyc" },
---  denied_packages = { "telnetd", "openssh-*" },
---  base = { base.layers[#base.layers].chain_id },  -- or an image
---}))
---for _, finding in ipairs(findings) do print(finding.rule, finding.path) end  --> …
---```
---@param img strata.Image
---@param rules strata.Policy
---@return strata.PolicyFinding[]?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
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

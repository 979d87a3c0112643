--- Rules that an image has to keep before it is let in somewhere.

local core = require "strata.core"
local glob = require "strata.util.glob"
local options = require "strata.util.options"

local policy = {}

-- 04000 and 02000 of the mode.
local function is_setid(mode)
  return math.floor(mode / 1024) % 4 > 0
end

local function report(findings, rule, message, path, layer)
  findings[#findings + 1] = { rule = rule, message = message, path = path, layer = layer }
end

-- A function that tells whether a path is allowed by a list; nil when all are.
local function allowed(list, default)
  if list == nil then list = default end
  if list == false then return nil end
  return glob.matcher(list)
end

local function check_view(root, rules, findings)
  local setid, capable = allowed(rules.setid, {}), allowed(rules.capabilities, false)
  local device = allowed(rules.devices, {})
  for entry in root:walk() do
    local kind, path = entry.type, entry.path
    local number = entry.layer and entry.layer.index
    if kind == "file" and setid and is_setid(entry.mode) and not setid(path) then
      report(findings, "setid", ("%s: set-id file, mode %04o"):format(core.quote(path), entry.mode), path, number)
    end
    if kind == "file" and capable and entry.xattrs["security.capability"] and not capable(path) then
      report(findings, "capabilities", core.quote(path) .. ": file with capabilities", path, number)
    end
    if device and (kind == "char" or kind == "block") and not device(path) then
      report(findings, "devices", ("%s: %s device"):format(core.quote(path), kind), path, number)
    end
  end
end

-- What either view shows counts, since either may be what runs. An image that cannot be unpacked by the letter of the
-- specification has nothing to show there.
local function check_merged(img, rules, findings)
  local seen = {}
  for _, view in ipairs { "runtime", "spec" } do
    local root, message, code = img:rootfs { view = view }
    local is_unknown = view == "runtime" or code == "ENOMEM" or code == "ELIMIT"
    if not root and is_unknown then return nil, message, code end
    local found = {}
    if root then check_view(root, rules, found) end
    for _, finding in ipairs(found) do
      local key = finding.rule .. "\0" .. finding.path
      if not seen[key] then findings[#findings + 1] = finding end
      seen[key] = true
    end
  end
  return true
end

-- Looks at every layer: a file that an upper layer deletes can still be read.
local function check_layers(img, patterns, findings)
  local matches = glob.matcher(patterns)
  for i, layer in ipairs(img.layers) do
    for entry in layer:entries() do
      local path = entry.path
      if entry.type ~= "dir" and not entry.whiteout and not entry.opaque and matches(path) then
        report(findings, "secrets", ("%s: matches a secret's path"):format(core.quote(path)), path, i)
      end
    end
  end
end

local function check_texts(texts, patterns, what, findings)
  for _, text in ipairs(texts) do
    for _, pattern in ipairs(patterns) do
      if type(text) == "string" and text:find(pattern) then
        -- Not the value: findings are shown to people and kept in logs.
        local name = text:match("^([%w_.-]+)=")
        report(findings, "secrets", ("%s matches a secret's pattern"):format(name and what .. " " .. name or what))
        break
      end
    end
  end
end

local function check_config(img, rules, findings)
  local secrets = rules.secrets or {}
  if not rules.root_user then
    local user = img.config.User
    local name = type(user) == "string" and user:match("^[^:]*") or ""
    if name == "" or name == "root" or name:find("^0+$") then
      report(findings, "root_user", "the image runs as root")
    end
  end
  local steps = {}
  for _, row in ipairs(img:history()) do steps[#steps + 1] = row.created_by end
  local env = img.config.Env
  check_texts(type(env) == "table" and env or {}, secrets.env or {}, "variable", findings)
  check_texts(steps, secrets.history or {}, "a step of the history", findings)
end

--- Finds what breaks the rules.
---@param img strata.Image
---@param rules strata.Policy
---@return strata.PolicyFinding[]?  none: it keeps them
---@return string? message
---@return string? code
function policy.check(img, rules)
  options.check("policy", "Policy", rules)
  rules = rules or {}
  local findings = {}
  local ok, message, code = check_merged(img, rules, findings)
  if not ok then return nil, message, code end
  if rules.secrets and rules.secrets.paths then check_layers(img, rules.secrets.paths, findings) end
  check_config(img, rules, findings)
  return findings
end

return policy

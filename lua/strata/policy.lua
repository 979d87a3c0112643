--- Rules that an image has to keep before it is let in somewhere.

local choice = require "strata.util.choice"
local core = require "strata.core"
local elsewhere = require "strata.save.elsewhere"
local glob = require "strata.util.glob"
local image = require "strata.image"
local job = require "strata.util.job"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local waste = require "strata.waste"

local policy = {}

local CHAIN_ID = "^sha256:" .. ("[0-9a-f]"):rep(64) .. "$"

options.rules.chain_id = { words = "the chain_id of a layer", holds = function(value) return value:find(CHAIN_ID) end }

-- 04000 and 02000 of the mode.
local function is_setid(mode)
  return math.floor(mode / 1024) % 4 > 0
end

local function report(findings, rule, message, path, layer)
  findings[#findings + 1] = { rule = rule, message = message, path = path, layer = layer }
end

-- A function that tells whether a path is allowed by a list; nil when all are.
local function allowed(rule, list, default)
  if list == nil then list = default end
  if list == false then return nil end
  if type(list) == "table" and next(list) == nil then return function() return false end end
  local chosen = choice.new(list, "policy: " .. rule)
  return function(path) return chosen:covers(path) end
end

local function check_view(root, rules, findings)
  local setid, capable = allowed("setid", rules.setid, {}), allowed("capabilities", rules.capabilities, false)
  local device = allowed("devices", rules.devices, {})
  for entry in root:walk() do
    local kind, path = entry.type, entry.path
    local number = entry.layer and entry.layer.position
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

-- Symlinks that lead to a path are followed, as whoever runs the image follows them.
local function check_denied_paths(root, paths, findings)
  local function deny(entry)
    report(findings, "denied_paths", core.quote(entry.path) .. ": is not allowed", entry.path,
      entry.layer and entry.layer.position)
  end
  for _, given in ipairs(type(paths) == "table" and not paths.pattern and paths or { paths }) do
    if type(given) == "string" then
      local found, message, code = root:glob(given)
      if not found then return nil, message, code end
      for _, path in ipairs(found) do
        local entry
        entry, message, code = root:lstat(path)
        if not entry then return nil, message, code end
        deny(entry)
      end
    else
      local finds = choice.text(given.pattern, "policy: denied_paths: pattern")
      for entry in root:walk() do
        if finds(entry.path) then deny(entry) end
      end
    end
  end
  return true
end

-- What nobody has read may have any package.
local function check_denied_packages(root, names, findings)
  local list, databases, code = root:packages()
  if not list and code ~= "EUNSUPPORTED" then return nil, databases, code end
  if not list then report(findings, "denied_packages", databases) end
  for _, one in ipairs(list and databases or {}) do
    if not one.packages then
      local unread = ("%s: a database of %s, which is not read"):format(core.quote(one.path), one.manager)
      report(findings, "denied_packages", unread)
    end
  end
  for _, one in ipairs(list or {}) do
    for _, name in ipairs(names) do
      if core.glob_name(name, one.name) then
        report(findings, "denied_packages", ("%s %s is not allowed"):format(one.name, one.version or "?"))
        break
      end
    end
  end
  return true
end

local function check_denied(root, rules, findings)
  local ok, message, code = true, nil, nil
  if rules.denied_paths then ok, message, code = check_denied_paths(root, rules.denied_paths, findings) end
  if ok and rules.denied_packages then
    ok, message, code = check_denied_packages(root, rules.denied_packages, findings)
  end
  return ok, message, code
end

-- What either view shows counts, since either may be what runs. An image that cannot be unpacked by the letter of the
-- specification has nothing to show there.
local function check_merged(img, rules, findings)
  local seen = {}
  for _, view in ipairs { "runtime", "spec" } do
    local root, message, code = img:rootfs { view = view }
    local is_unknown = view == "runtime" or code == "ENOMEM" or code == "ELIMIT"
    if not root and is_unknown then return nil, message, code end
    local found, ok = {}, true
    if root then
      check_view(root, rules, found)
      ok, message, code = check_denied(root, rules, found)
      root:close()
    end
    if not ok then return nil, message, code end
    for _, finding in ipairs(found) do
      local key = finding.rule .. "\0" .. (finding.path or finding.message)
      if not seen[key] then findings[#findings + 1] = finding end
      seen[key] = true
    end
  end
  return true
end

-- ---- size, waste and base ------------------------------------------------------------------

-- The worse of the views counts.
local function check_waste(img, rules, findings)
  local lowest, highest = rules.lowest_efficiency, rules.highest_wasted_bytes
  if not lowest and not highest then return true end
  local score, bytes = 1, 0
  for _, view in ipairs { "runtime", "spec" } do
    local found, message, code = waste.of(img.layers, { view = view, why = false })
    local is_unknown = view == "runtime" or code == "ENOMEM" or code == "ELIMIT"
    if not found and is_unknown then return nil, message, code end
    if found then score, bytes = math.min(score, found.efficiency), math.max(bytes, found.total) end
  end
  if lowest and score < lowest then
    report(findings, "lowest_efficiency", ("efficiency %.4f, less than %g"):format(score, lowest))
  end
  if highest and bytes > highest then
    report(findings, "highest_wasted_bytes",
      ("%.0f bytes that no container sees, more than %.0f"):format(bytes, highest))
  end
  return true
end

local function check_size(img, rules, findings)
  local count, bytes = #img.layers, 0
  if rules.max_layers and count > rules.max_layers then
    report(findings, "max_layers", ("%s, more than %.0f"):format(printed.counted(count, "layer"), rules.max_layers))
  end
  if not rules.max_size then return end
  for entry in img:entries() do
    job.tick()
    if entry.type == "file" then bytes = bytes + entry.size end
  end
  if bytes > rules.max_size then
    report(findings, "max_size", ("%.0f bytes of files in all layers, more than %.0f"):format(bytes, rules.max_size))
  end
end

-- The chain_ids of bases, of which an image has to have one.
local function chains_of(base)
  if not image.is(base) then return type(base) == "table" and base or { base } end
  local top = base.layers[#base.layers]
  if not top then misuse("policy: base: an image without layers is below every other one") end
  return { top.chain_id }
end

local function check_base(img, wanted, findings)
  local is_wanted, shown = {}, {}
  for i, chain in ipairs(wanted) do is_wanted[chain], shown[i] = true, chain:sub(1, 19) end
  for _, one in ipairs(img.layers) do
    if is_wanted[one.chain_id] then return end
  end
  report(findings, "base", "the lowest layers are not those of a base that is allowed: " .. table.concat(shown, ", "))
end

-- Misuse is told before anything is read.
local function check_arguments(rules)
  if rules.denied_paths then choice.new(rules.denied_paths, "policy: denied_paths") end
  for _, rule in ipairs { "denied_packages", "base" } do
    local list = rules[rule]
    if type(list) == "table" and #list == 0 then misuse("policy: %s: one at least is wanted", rule) end
  end
  for _, name in ipairs(rules.denied_packages or {}) do
    local problem = name == "" and "it is empty" or name:find("/", 1, true) and "no package has a '/' in its name"
      or glob.problem(name)
    if problem then misuse("policy: denied_packages: %s is no glob of names: %s", core.quote(name), problem) end
  end
  return rules.base and chains_of(rules.base)
end

-- Looks at every layer: a file that an upper layer deletes can still be read.
local function check_layers(img, patterns, findings)
  local chosen = choice.new(patterns, "policy: secrets.paths")
  for i, layer in ipairs(img.layers) do
    for entry in layer:entries() do
      job.tick()
      local path = entry.path
      if entry.type ~= "dir" and not entry.whiteout and not entry.opaque and chosen:covers(path) then
        report(findings, "secrets", ("%s: matches a secret's path"):format(core.quote(path)), path, i)
      end
    end
  end
end

local function check_texts(texts, finders, what, findings)
  for _, text in ipairs(texts) do
    for _, finds in ipairs(finders) do
      if type(text) == "string" and finds(text) then
        -- Not the value: findings are shown to people and kept in logs.
        local name = text:match("^([%w_.-]+)=")
        report(findings, "secrets", ("%s matches a secret's pattern"):format(name and what .. " " .. name or what))
        break
      end
    end
  end
end

local function finders_of(patterns, rule)
  local finders = {}
  for i, pattern in ipairs(patterns or {}) do finders[i] = choice.text(pattern, "policy: secrets." .. rule) end
  return finders
end

local function texts_of(value)
  local texts = {}
  for i, text in ipairs(type(value) == "table" and value or { value }) do texts[i] = text end
  return texts
end

-- Labels as NAME=value, in the order of their names.
local function labels_of(value)
  local texts = {}
  for _, name in ipairs(type(value) == "table" and json.keys(value) or {}) do
    texts[#texts + 1] = ("%s=%s"):format(name, tostring(value[name]))
  end
  return texts
end

local function check_config(img, rules, secrets, findings)
  local cfg = img.config
  if not rules.root_user then
    local user = cfg.User
    local name = type(user) == "string" and user:match("^[^:]*") or ""
    if name == "" or name == "root" or name:find("^0+$") then
      report(findings, "root_user", "the image runs as root")
    end
  end
  local steps = {}
  for _, row in ipairs(img:history()) do
    steps[#steps + 1] = row.created_by
    steps[#steps + 1] = row.comment
  end
  check_texts(texts_of(cfg.Env), secrets.env, "variable", findings)
  check_texts(labels_of(cfg.Labels), secrets.env, "label", findings)
  check_texts(steps, secrets.history, "a step of the history", findings)
  -- What the classic builder of Docker left.
  check_texts(texts_of(cfg:get "/container_config/Env"), secrets.env, "variable of container_config", findings)
  check_texts(labels_of(cfg:get "/container_config/Labels"), secrets.env, "label of container_config", findings)
  check_texts(texts_of(cfg:get "/container_config/Cmd"), secrets.history, "the command of container_config", findings)
end

-- Annotations and attestations: what is published with the image.
local function check_around(img, secrets, finders, findings)
  local state, sought = image.state_of(img), { secrets = {}, patterns = {}, layers = {} }
  for _, patterns in ipairs { secrets.env or {}, secrets.history or {} } do
    for _, pattern in ipairs(patterns) do sought.patterns[#sought.patterns + 1] = pattern end
  end
  if not sought.patterns[1] then return true end
  local descriptors, message, code = elsewhere.descriptors(state)
  if not descriptors then return nil, message, code end
  local function check_annotations(text, what)
    local document = json.decode(text, state.hub.limits.json)
    for _, one in ipairs(elsewhere.annotated(document)) do
      check_texts(labels_of(one), finders.env, what .. ": annotation", findings)
    end
  end
  local manifest = state.manifest or { text = json.encode { annotations = json.object(state.annotations) } }
  check_annotations(manifest.text, "the manifest")
  for _, one in ipairs(descriptors) do check_annotations(one.text, one.name) end
  local lines
  lines, message, code = elsewhere.around(state, sought)
  if not lines then return nil, message, code end
  for _, line in ipairs(lines) do report(findings, "secrets", line) end
  return true
end

-- What readers differ about.
local function check_readers(img, severity, findings)
  local found, message, code = img:check { severity = severity }
  if not found then return nil, message, code end
  for _, one in ipairs(found) do
    findings[#findings + 1] = { rule = "check", message = tostring(one), path = one.path, layer = one.layer }
  end
  return true
end

--- Finds what breaks the rules.
---@param img strata.Image
---@param rules strata.Policy
---@return strata.PolicyFinding[]?  none: it keeps them
---@return string? message
---@return string? code
function policy.check(img, rules)
  if not image.is(img) then misuse("policy: an image is wanted, not %s", type(img)) end
  options.check("policy", "Policy", rules)
  rules = rules or {}
  local findings, secrets, chains = {}, rules.secrets or {}, check_arguments(rules)
  local finders = { env = finders_of(secrets.env, "env"), history = finders_of(secrets.history, "history") }
  local ok, message, code = check_merged(img, rules, findings)
  if not ok then return nil, message, code end
  ok, message, code = check_waste(img, rules, findings)
  if not ok then return nil, message, code end
  check_size(img, rules, findings)
  if chains then
    ok, message, code = image.settle(image.state_of(img))
    if not ok then return nil, message, code end
    check_base(img, chains, findings)
  end
  if secrets.paths then check_layers(img, secrets.paths, findings) end
  check_config(img, rules, finders, findings)
  ok, message, code = check_around(img, secrets, finders, findings)
  if ok and rules.check then ok, message, code = check_readers(img, rules.check, findings) end
  if not ok then return nil, message, code end
  return printed.list(findings, printed.finding)
end

return policy

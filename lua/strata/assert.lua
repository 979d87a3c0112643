--- Assertions about images, for busted and others on luassert: `require "strata.assert"` registers them.
--
-- A check gives true or false, the message of a failure, and that of a negated one. It throws when the image cannot be
-- read, so that a negated assertion fails then, too.

local found, luassert = pcall(require, "luassert")
if not found then
  error("strata.assert needs luassert, which comes with busted (Debian: apt install lua-busted; "
    .. "LuaRocks: luarocks install busted)", 0)
end

local argument = require "strata.util.argument"
local choice = require "strata.util.choice"
local core = require "strata.core"
local image = require "strata.image"
local json = require "strata.util.json"
local layer = require "strata.layer"
local misuse = require "strata.util.misuse"
local modes = require "strata.util.mode"
local options = require "strata.util.options"
local policy = require "strata.policy"
local removal = require "strata.edit.remove"
local spelling = require "strata.util.spelling"
local strata = require "strata"

-- Lines of a list that a message has, at most.
local SHOWN = 10

-- ---- telling ------------------------------------------------------------------------------------------------------

local quote = core.quote

-- What cannot be looked at, with its reason.
local Unreadable = {}

-- The first value, or an end of the assertion.
local function need(value, message, ...)
  if value == nil then error(setmetatable({ message = message }, Unreadable), 0) end
  return value, message, ...
end

local function name_of(img)
  return img.tags[1] or img.path or img.id:sub(1, 19)
end

local function lines_of(list, describe)
  local lines = {}
  for i = 1, math.min(#list, SHOWN) do lines[i] = "  " .. (describe or tostring)(list[i]) end
  if #list > SHOWN then lines[SHOWN + 1] = ("  and %d more"):format(#list - SHOWN) end
  return table.concat(lines, "\n")
end

local function names_of(list)
  local names = {}
  for i = 1, math.min(#list, SHOWN) do names[i] = quote(list[i]) end
  return table.concat(names, ", ") .. (#list > SHOWN and (" and %d more"):format(#list - SHOWN) or "")
end

-- A value of a config in one line.
local function shown(value)
  if value == nil then return "not there" end
  if type(value) == "string" then return quote(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts, is_array = {}, #value > 0 or next(value) == nil
  for _, key in ipairs(is_array and {} or json.keys(value)) do
    parts[#parts + 1] = ("%s = %s"):format(tostring(key), shown(value[key]))
  end
  for _, item in ipairs(is_array and value or {}) do parts[#parts + 1] = shown(item) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function are_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not are_same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local UNITS = { [""] = 1, B = 1, kB = 1e3, KB = 1e3, MB = 1e6, GB = 1e9, TB = 1e12,
                KiB = 1024, MiB = 1048576, GiB = 1073741824, TiB = 1099511627776 }

-- A number of bytes, or a text such as "5 MB".
local function bytes_of(size, fn)
  local number, unit = nil, nil
  if type(size) == "string" then number, unit = size:match("^(%d+%.?%d*) ?(%a*)$") end
  local bytes = type(size) == "number" and size or number and UNITS[unit] and tonumber(number) * UNITS[unit]
  if not bytes or bytes < 0 then
    misuse('%s: a number of bytes, or a size such as "5 MB" or "1.5 GiB" is wanted, not %s', fn, shown(size))
  end
  return bytes
end

local function human(bytes)
  return core.human_size(math.floor(bytes))
end

local function need_text(value, fn, what, optional)
  if type(value) ~= "string" and not (optional and value == nil) then
    misuse("%s: %s should be a string, not %s", fn, what, argument.kind_of(value))
  end
end

-- ---- files --------------------------------------------------------------------------------------------------------

-- What is there instead of a path: the names beside it, and which layer took it away.
local function instead_of(root, path)
  local lines, parent = {}, "/" .. path:gsub("^/+", ""):gsub("/+$", "")
  for _, row in ipairs(root:history(path) or {}) do
    if row.action == "deleted" or row.action == "hidden" then
      lines[1] = ("  layer %d has %s it"):format(row.layer.position, row.action)
    end
  end
  local missing
  repeat
    parent, missing = parent:match("^(.*)/([^/]*)$")
    local names = root:list(parent == "" and "/" or parent)
    if names then
      local where = parent:gsub("^/+", "")
      local likely = spelling.likely(missing, names)
      lines[#lines + 1] = ("  %s has %s%s"):format(where == "" and "the root" or quote(where),
        names[1] and names_of(names) or "nothing", likely and ("; did you mean %s?"):format(quote(likely)) or "")
      return table.concat(lines, "\n")
    end
  until parent == ""
  return table.concat(lines, "\n")
end

local function octal(mode)
  return ("%04o"):format(mode)
end

-- How a field of a file is told, where tostring() is not enough.
local TOLD = { mode = octal, content = quote, linkpath = quote }

-- The value of a field, as it is and as it should be.
local function values_of(entry, name, wanted)
  if name == "mode" then return entry.mode, modes.parse(wanted) end
  if name == "content" then return entry.type == "file" and need(entry:read()) or nil, wanted end
  if name == "digest" then return entry.type == "file" and need(entry:digest()) or nil, wanted end
  return entry[name], wanted
end

local function short(text)
  return #text > 200 and text:sub(1, 200) .. "..." or text
end

-- The fields that are not as they should be, a line each.
local function wrong_fields(entry, wanted)
  local lines = {}
  for _, name in ipairs(json.keys(wanted)) do
    if name == "matches" then
      local content = entry.type == "file" and need(entry:read()) or ""
      if not choice.text(wanted.matches, "has_file: matches")(content) then
        lines[#lines + 1] = ("  nothing in it matches %s: %s"):format(quote(wanted.matches), short(quote(content)))
      end
    else
      local is, should = values_of(entry, name, wanted[name])
      local tell = TOLD[name] or tostring
      if is ~= should then
        lines[#lines + 1] = ("  %s is %s, not %s"):format(name, is == nil and "not there" or short(tell(is)),
          short(tell(should)))
      end
    end
  end
  return lines
end

local checks = {}

---@param img strata.Image
---@param path string
---@param wanted? strata.WantedFile
function checks.has_file(img, path, wanted)
  argument.path(path, "has_file")
  options.check("has_file", "WantedFile", wanted)
  wanted = wanted or {}
  local root = need(img:rootfs())
  local is_link = wanted.type == "symlink" or wanted.linkpath ~= nil
  local entry, message, code = root[is_link and "lstat" or "stat"](root, path)
  local absent = code == "ENOENT" or code == "ENOTDIR" or code == "ELOOP"
  if not entry and absent then
    return false, ("%s has no file %s\n%s"):format(name_of(img), quote(path), instead_of(root, path))
  end
  need(entry, message)
  local lines = wrong_fields(entry, wanted)
  local from = entry.layer and (" (layer %d)"):format(entry.layer.position) or ""
  return #lines == 0,
    ("%s has %s%s, but\n%s"):format(name_of(img), quote(path), from, table.concat(lines, "\n")),
    ("%s has %s: %s %s %d:%d%s"):format(name_of(img), quote(path), entry.type, octal(entry.mode), entry.uid, entry.gid,
      from)
end

-- Adds what a container finds at a path by way of symlinks, which lead to an entry of another path.
local function add_led_to(list, root, path)
  for _, at in ipairs(need(root:glob(path))) do
    local entry = need(root:stat(at))
    if entry.path ~= at then
      list[#list + 1] = ("layer %s: %s %s, to which %s leads"):format(entry.layer and entry.layer.position or "?",
        entry.type, quote(entry.path), quote(at))
    end
  end
end

---@param img strata.Image
---@param which strata.Which
function checks.has_no_file(img, which)
  local chosen = choice.new(which, "has_no_file")
  local hub = image.state_of(img).hub
  need(layer.load(hub.layers))
  local list = need(removal.find(hub, chosen))
  local root = need(img:rootfs())
  for _, path in ipairs(type(which) == "table" and which or { which }) do
    if type(path) == "string" then add_led_to(list, root, path) end
  end
  return #list == 0,
    ("%s has what should be in no layer:\n%s"):format(name_of(img), lines_of(list)),
    ("%s has nothing of it in any layer"):format(name_of(img))
end

---@param img strata.Image
---@param other strata.Image|string
---@param opts? strata.DiffOptions
function checks.same_files_as(img, other, opts)
  local diff = need(strata.diff(other, img, opts))
  return #diff.files == 0,
    ("%s has other files than %s (+ added, - removed, ~ changed):\n%s"):format(name_of(img), diff.a.name,
      lines_of(diff.files)),
    ("%s has the same files as %s"):format(name_of(img), diff.a.name)
end

---@param img strata.Image
---@param name string
---@param version? string
function checks.package(img, name, version)
  need_text(name, "package", "the name")
  need_text(version, "package", "the version", true)
  local other
  for _, one in ipairs((need(need(img:rootfs()):packages()))) do
    if core.glob_name(name, one.name) then
      if version == nil or one.version == version then
        return true, nil, ("%s has the package %s %s"):format(name_of(img), one.name, one.version or "?")
      end
      other = one
    end
  end
  return false, other and ("%s has the package %s in version %s, not %s"):format(name_of(img), other.name,
    other.version or "?", version) or ("%s has no package %s"):format(name_of(img), quote(name))
end

-- ---- config -------------------------------------------------------------------------------------------------------

-- A named text: a variable, a label, an annotation.
local function check_named(img, what, name, is, wanted, names)
  need_text(name, what, "the name")
  need_text(wanted, what, "the value", true)
  local has = ("%s: the %s %s"):format(name_of(img), what == "env" and "variable" or what, quote(name))
  if is == nil then
    return false, ("%s is not set; set are: %s"):format(has, names[1] and names_of(names) or "none")
  end
  return wanted == nil or is == wanted,
    ("%s is %s, not %s"):format(has, quote(is), shown(wanted)), ("%s is %s"):format(has, quote(is))
end

---@param img strata.Image
---@param name string
---@param value? string
function checks.env(img, name, value)
  local names = {}
  for _, pair in ipairs(img.config.Env or {}) do names[#names + 1] = pair:match("^[^=]*") end
  return check_named(img, "env", name, type(name) == "string" and img.config:get_env(name) or nil, value, names)
end

---@param img strata.Image
---@param name string
---@param value? string
function checks.label(img, name, value)
  local labels = img.config.Labels or {}
  return check_named(img, "label", name, labels[name], value, json.keys(labels))
end

---@param img strata.Image
---@param name string
---@param value? string
function checks.annotation(img, name, value)
  local annotations = img.annotations
  return check_named(img, "annotation", name, annotations[name], value, json.keys(annotations))
end

---@param img strata.Image
---@param key string
---@param value any
function checks.config(img, key, value)
  need_text(key, "config", "the key")
  local is = img.config
  if key:sub(1, 1) == "/" then is = is:get(key) else is = is[key] end
  local has = ("%s: %s of the config is %s"):format(name_of(img), key, shown(is))
  return are_same(is, value), ("%s, not %s"):format(has, shown(value)), has
end

---@param img strata.Image
---@param ref string
function checks.tag(img, ref)
  need_text(ref, "tag", "the tag")
  for _, tag in ipairs(img.tags) do
    if tag == ref then return true, nil, ("the image has the tag %s"):format(quote(ref)) end
  end
  return false, ("the image has no tag %s; it has: %s"):format(quote(ref), img.tags[1] and names_of(img.tags) or "none")
end

---@param img strata.Image
---@param wanted string
function checks.platform(img, wanted)
  need_text(wanted, "platform", "the platform")
  local is = tostring(img.platform)
  return is == wanted, ("%s is for %s, not for %s"):format(name_of(img), is, wanted),
    ("%s is for %s"):format(name_of(img), is)
end

-- The number that a name has in the image's etc/passwd; nil when it is not there.
local function uid_of(img, name)
  for line in (img:read "etc/passwd" or ""):gmatch "[^\n]+" do
    local user, uid = line:match "^([^:]*):[^:]*:(%d+):"
    if user == name then return uid end
  end
end

---@param img strata.Image
function checks.runs_as_non_root(img)
  local name = (img.config.User or ""):match "^[^:]*"
  if name == "" then return false, name_of(img) .. ": no user is set, so it runs as root" end
  local uid = name:match "^%d+$" or uid_of(img, name)
  local user = ("%s: the user is %s%s"):format(name_of(img), quote(name),
    uid and uid ~= name and (", %s in etc/passwd"):format(uid) or "")
  return name ~= "root" and tonumber(uid) ~= 0, user, user
end

-- ---- the whole ----------------------------------------------------------------------------------------------------

---@param img strata.Image
---@param size number|string
function checks.wastes_less_than(img, size)
  local limit = bytes_of(size, "wastes_less_than")
  local waste = need(img:waste())
  local wastes = ("%s has %s that no container sees"):format(name_of(img), human(waste.total))
  return waste.total < limit,
    ("%s, %s and more were not expected\n%s"):format(wastes, human(limit), lines_of(waste.paths)), wastes
end

---@param img strata.Image
---@param size number|string
function checks.smaller_than(img, size)
  local limit = bytes_of(size, "smaller_than")
  local is = ("%s has %s of layers"):format(name_of(img), human(img.size))
  local largest = {}
  for i, one in ipairs(img.layers) do largest[i] = one end
  table.sort(largest, function(a, b) -- numbers
    if a.size ~= b.size then return a.size > b.size end
    return a.position < b.position
  end)
  return img.size < limit, ("%s, %s and more were not expected\n%s"):format(is, human(limit),
    lines_of(largest, function(one)
      return ("layer %d: %s  %s"):format(one.position, human(one.size), json.printable(one.created_by or "", 80))
    end)), is
end

-- What is not as its digest says is a failure; what cannot be read is none.
---@param img strata.Image
function checks.verifies(img)
  local ok, message, code = img:verify()
  if not ok and code ~= "EDIGEST" and code ~= "EFORMAT" then need(ok, message) end
  return ok == true, message, ("every digest of %s is right"):format(name_of(img))
end

---@param img strata.Image
---@param rules strata.Policy
function checks.passes(img, rules)
  if type(rules) ~= "table" then misuse("passes: rules of a policy are wanted, not %s", argument.kind_of(rules)) end
  local findings = need(policy.check(img, rules))
  return #findings == 0, ("%s breaks the policy:\n%s"):format(name_of(img), lines_of(findings)),
    ("%s keeps the policy"):format(name_of(img))
end

---@param img strata.Image
---@param severity? string
function checks.no_findings(img, severity)
  local findings = need(img:check { severity = severity })
  return #findings == 0, ("%s: check has findings:\n%s"):format(name_of(img), lines_of(findings)),
    ("%s: check has no findings"):format(name_of(img))
end

-- ---- registering --------------------------------------------------------------------------------------------------

-- An image as it was given, or opened for this assertion alone.
local function open(given, name)
  if image.is(given) then return given end
  if type(given) ~= "string" then
    misuse("%s: an image, a path or a reference is wanted, not %s", name, argument.kind_of(given))
  end
  return need(strata.open(given)), true
end

local function look(name, check, given, ...)
  local img, is_own = open(given, name)
  local passed, failure, negated = check(img, ...)
  if is_own then img:close() end
  return passed, failure, negated
end

-- What misuse of strata looks like from here: it is reported at luassert, which calls the assertion.
local PLACE = "^" .. debug.getinfo(getmetatable(luassert).__call, "S").short_src:gsub("%p", "%%%0") .. ":%d+: "

local unpack = table.unpack or unpack

-- As luassert wants it: `level` is that of the caller.
local function callback_of(name, check)
  return function(state, arguments, level)
    local ok, passed, failure, negated = pcall(look, name, check, unpack(arguments, 1, arguments.n))
    if not ok then
      local problem = passed
      if getmetatable(problem) == Unreadable then problem = problem.message end
      if type(problem) == "string" then problem = problem:gsub(PLACE, "") end
      error(problem, (level or 1) + 1)
    end
    for i = 1, arguments.n do arguments[i] = nil end
    arguments[1], arguments.n, arguments.nofmt = state.mod and failure or negated, 1, { true }
    return passed
  end
end

local MESSAGE = "strata.assert.message"
require("say"):set(MESSAGE, "%s")

---@class strata.assert
local assertions = {}

for _, name in ipairs(json.keys(checks)) do
  luassert:register("assertion", name, callback_of(name, checks[name]), MESSAGE, MESSAGE)
  assertions[name] = function(...) return luassert[name](...) end -- a tail call: luassert looks for the caller's line
end

return assertions

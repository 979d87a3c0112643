--- What the filter is set to: the edits that edits.lua declares, their upstreams, and numbers from the environment.

local jobs = require "strata.jobs"
local strata = require "strata"

local settings = {}

---@class filter.Upstream
---@field name string
---@field base string  what nginx proxies to
---@field host string  "127.0.0.1:5000", as references have it
---@field plain boolean  it is spoken to over http
---@field ca string?  the file of certificates that it is trusted by

---@class filter.Entry
---@field name string
---@field prefix string?  of names, when it is for all below one
---@field upstream filter.Upstream
---@field repository string
---@field platforms table<string, boolean>?
---@field rebase {from: string, onto: string}?
---@field edit table  the rest of it, as jobs take it
---@field text string  what tells it from others

local function number(name)
  return tonumber(os.getenv(name))
end

-- Bytes that the cache may have, images in it, and seconds for which a pull keeps an image from making way; what `run`
-- has set for the threads.
local function read_numbers()
  settings.bytes = number "GATE_CACHE_BYTES"
  settings.images = number "GATE_CACHE_IMAGES"
  settings.hold = number "GATE_CACHE_HOLD"
  settings.threads = number "GATE_THREADS"
  settings.queue = number "GATE_QUEUE"
  settings.deadline = number "GATE_DEADLINE"
  settings.layer_bytes = number "GATE_BYTES"
  settings.temp = os.getenv("GATE_TEMP")
  settings.token_server = os.getenv("GATE_TOKENS")
  if settings.token_server == "" then settings.token_server = nil end
end

-- The name of the file with the edits.
local file_name

-- What keeps nginx from starting.
local function fail(text, ...)
  error(("gate: %s: %s"):format(file_name, text:format(...)), 0)
end

-- A text that tells plain values from others.
local function text_of(value, where)
  local kind = type(value)
  if kind ~= "table" then
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then fail("%s is a %s", where, kind) end
    return ("%s %q"):format(kind, tostring(value))
  end
  local keys, parts = {}, {}
  for key in pairs(value) do
    if type(key) ~= "string" and type(key) ~= "number" then fail("%s has a %s as a key", where, type(key)) end
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  for i, key in ipairs(keys) do
    parts[i] = ("[%s] = %s"):format(text_of(key, where), text_of(value[key], where .. "." .. tostring(key)))
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- Whether a text is a repository's name.
---@param name any
---@return boolean
function settings.is_name(name)
  if type(name) ~= "string" or #name > 200 or name == "" then return false end
  for part in (name .. "/"):gmatch("([^/]*)/") do
    if not part:find("^[a-z0-9][a-z0-9._-]*$") or part:find("[._-]$") then return false end
  end
  return true
end

--- The repository of a base of `rebase`.
---@param text string  with a tag or a digest
---@return string
function settings.base(text)
  return (text:gsub("@sha256:%x+$", ""):gsub(":[%w_][%w_.-]*$", ""))
end

local function upstreams_of(given)
  local scheme, host = os.getenv("GATE_BACKEND"):match("^(https?)://(.+)$")
  local ca = os.getenv("GATE_CA")
  local found = { behind = { name = "behind", base = scheme .. "://backend", host = host, plain = scheme == "http",
                             ca = ca ~= "" and ca or nil } }
  for name, url in pairs(given or {}) do
    local address = type(url) == "string" and url:match("^http://(%d+%.%d+%.%d+%.%d+:%d+)/?$")
    if not address then fail("upstreams.%s should be http://ADDRESS:PORT, with an address of IPv4", tostring(name)) end
    if found[name] then fail("upstreams.%s is the registry behind the gate", name) end
    found[name] = { name = name, base = "http://" .. address, host = address, plain = true }
  end
  return found
end

-- The source of a module that an edit names, so that a changed one is another edit.
local function source_of(module, where)
  local path = package.searchpath and package.searchpath(module, package.path)
  for template in (path and "" or package.path):gmatch("[^;]+") do
    local tried = template:gsub("%?", (module:gsub("%.", "/")))
    local there = not path and io.open(tried, "rb")
    if there then
      there:close()
      path = tried
    end
  end
  local file = path and io.open(path, "rb")
  if not file then fail("%s.module: there is no module %s", where, module) end
  local text = file:read("*a")
  file:close()
  return text
end

local OWN = { name = true, upstream = true, repository = true, platforms = true, rebase = true }

local function check_base(entry, where)
  if entry.rebase == nil then return end
  if type(entry.rebase) ~= "table" then fail('%s.rebase should be {from = "NAME:TAG", onto = "NAME:TAG"}', where) end
  for _, field in ipairs { "from", "onto" } do
    local text = entry.rebase[field]
    local name = type(text) == "string" and settings.base(text)
    if not settings.is_name(name) or name == text then
      fail("%s.rebase.%s should be a repository with a tag or a digest", where, field)
    end
  end
end

-- Whether jobs take an edit: a file that is not there is all that may be wrong.
local function check_edit(edit, rebase, where)
  local all = {}
  for name, value in pairs(edit) do all[name] = value end
  all.rebase = rebase
  local _, message, code = jobs.run("edit", { path = "/dev/null/none", to = "/dev/null/none", edit = all })
  if code == "EINVAL" then
    fail("%s: %s", where, (message:gsub("^edit: edit has", "it has"):gsub("^edit: edit%.", "")))
  end
end

local function entry_of(given, i, upstreams)
  local where = ("entry %d"):format(i)
  if type(given) ~= "table" then fail("%s should be a table", where) end
  local prefix = type(given.name) == "string" and given.name:match("^(.*/)%*$")
  if not settings.is_name(prefix and prefix:sub(1, -2) or given.name) then
    fail("%s: name should be a repository, or one with /* behind it", where)
  end
  where = ("%s (%s)"):format(where, given.name)
  local upstream = upstreams[given.upstream or "behind"]
  if not upstream then fail("%s: upstreams has no %s", where, tostring(given.upstream)) end
  local repository = given.repository or given.name
  local below = type(repository) == "string" and repository:match("^(.*/)%*$")
  local is_right = settings.is_name(below and below:sub(1, -2) or repository)
  if not is_right or (below ~= nil) ~= (prefix ~= nil and prefix ~= false) then
    fail("%s: repository should be one, with /* behind it when the name has that", where)
  end
  if given.tags ~= nil then fail("%s: tags are those of the upstream", where) end
  check_base(given, where)
  local edit, platforms = {}, nil
  for name, value in pairs(given) do
    if not OWN[name] then edit[name] = value end
  end
  for _, platform in ipairs(type(given.platforms) == "table" and given.platforms or {}) do
    platforms = platforms or {}
    platforms[tostring(platform)] = true
  end
  if given.platforms ~= nil and not platforms then fail('%s: platforms should be as {"linux/amd64"}', where) end
  check_edit(edit, given.rebase, where)
  return {
    name = given.name, prefix = prefix or nil, upstream = upstream, repository = repository, platforms = platforms,
    rebase = given.rebase, edit = edit,
    text = text_of(given, where) .. (edit.module and source_of(edit.module, where) or ""),
  }
end

-- What the file with the edits returns.
local function read_edits()
  local path = os.getenv("GATE_EDITS")
  file_name = path:match("[^/]*$")
  local file, message = io.open(path, "rb")
  if not file then error("gate: the edits cannot be read: " .. message, 0) end
  local text = file:read("*a")
  file:close()
  local chunk, ok, list
  chunk, message = load(text, "@" .. file_name)
  if not chunk then error("gate: " .. message, 0) end
  ok, list = pcall(chunk)
  if not ok then error("gate: " .. tostring(list), 0) end
  return list
end

--- Reads the edits. What is wrong with them is thrown, so that nginx does not start. For init_by_lua.
function settings.read()
  read_numbers()
  local list = read_edits()
  if type(list) ~= "table" then fail("it should return a table") end
  for key in pairs(list) do
    if type(key) ~= "number" and key ~= "upstreams" then
      fail("there is no %s; edits are without keys", tostring(key))
    end
  end
  settings.upstreams = upstreams_of(list.upstreams)
  settings.entries = {}
  for i, given in ipairs(list) do settings.entries[i] = entry_of(given, i, settings.upstreams) end
  settings.versions = text_of(strata.versions(), "versions")
end

--- The entry for a name, and the repository that it means.
---@param name string
---@return filter.Entry?
---@return string? repository
function settings.find(name)
  for _, entry in ipairs(settings.entries) do
    if entry.name == name then return entry, entry.repository end
    if entry.prefix and name:sub(1, #entry.prefix) == entry.prefix then
      return entry, entry.repository:sub(1, -2) .. name:sub(#entry.prefix + 1)
    end
  end
  return nil
end

return settings

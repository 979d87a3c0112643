--- The config of an image: a JSON document with the ways of the image-spec.
--
-- Fields read and assign its keys: a name that begins with a capital is a key
-- of the document's "config" object, any other one of the document itself.
-- What is read is a copy. An edit changes its own span of the text and nothing
-- else, and none at all when the document says the same already.

local config_schema = require "strata.document.config_schema"
local config_values = require "strata.document.config_values"
local core = require "strata.core"
local fail = require "strata.util.fail"
local frozen = require "strata.util.frozen"
local json = require "strata.util.json"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"

local config = {}

---@class strata.Config
local methods = {}

local new, state_of, is

local function pointer_of(key)
  return (key:find("^[A-Z]") and "/config" or "") .. json.part(key)
end

-- How a place of the document is called in a message.
local function place(pointer)
  local key = pointer:match("^/config/([A-Z]%w*)$") or pointer:match("^/(%l[%w_]*)$")
  return key and "config." .. key or "config " .. json.printable(pointer, 80)
end

-- ---- editing ---------------------------------------------------------------

-- After an edit: passes the core's error on, or tells those who want to know.
local function edited(state, pointer, changed, message, code)
  if changed == nil then return nil, message, code end
  if changed then
    if pointer:find("^/history/[^/]*/") then
      if pointer:find("^/history/[^/]*/empty_layer") then config.rows_changed(state.rows) end
    elseif pointer:find("^/history/") or pointer == "/history" then
      state.rows = nil
    end
    if state.changed then state.changed() end
  end
  return true
end

-- Sets or deletes what stands at pointer.
local function assign(state, pointer, value)
  local doc, problem = state.doc, config_schema.protected(pointer)
  if not problem and value == nil then return edited(state, pointer, doc:remove(pointer)) end
  local text
  if not problem then value, problem = config_schema.accept(pointer, value) end
  if not problem then
    text, problem = json.try_encode(value, function(path) return config_values.empty_at(doc, pointer .. path) end)
  end
  if problem then misuse(place(pointer) .. ": " .. problem) end
  if config_values.same(doc, pointer, value) then return true end
  return edited(state, pointer, config_values.set_text(doc, pointer, text))
end

-- A method's result: the object itself, or nil, message, code.
local function chain(self, ok, message, code)
  if ok then return self end
  return nil, message, code
end

local function check_string(value, method, what)
  if type(value) ~= "string" or value == "" then
    misuse(("config:%s: %s must be a string that is not empty"):format(method, what))
  end
  return value
end

-- A value for the environment or a label; numbers are written out.
local function check_value(value, method)
  if type(value) == "number" then value = json.number(value) end
  if type(value) ~= "string" then
    misuse(("config:%s: the value must be a string"):format(method))
  end
  return value
end

local function check_pointer(pointer, method)
  if not json.is_pointer(pointer) then
    misuse(("config:%s: '%s' is no JSON pointer"):format(method, tostring(pointer)))
  end
end

-- ---- any value -------------------------------------------------------------

--- The value at a JSON pointer, a copy; nil when it is absent or null.
---@param pointer string  e.g. "/config/Env/0"
---@return any value
function methods:get(pointer)
  local state = state_of(self)
  check_pointer(pointer, "get")
  local value, kind, raw = state.doc:get(pointer)
  if kind == "array" or kind == "object" then return (json.decode(raw)) end
  return value
end

--- Sets the value at a JSON pointer; nil deletes it, even if it is a null, and
-- strata.null is a null.
---@param pointer string
---@param value any
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:set(pointer, value)
  local state = state_of(self)
  check_pointer(pointer, "set")
  return chain(self, assign(state, pointer, value))
end

--- Iterates in the order of the document: over the names and values of Env,
-- Labels and other objects, over the indices and values of arrays.
---@param key string
---@return fun(): any, any
function methods:each(key)
  local doc = state_of(self).doc
  local pointer = pointer_of(check_string(key, "each", "key"))
  local kind, names, values, i = doc:type(pointer), nil, {}, 0
  if kind == "array" or kind == "object" then
    names = doc:keys(pointer)
    values = json.decode(doc:raw(pointer))
  elseif kind ~= nil and kind ~= "null" then
    misuse(("config:each: %s is a %s"):format(place(pointer), kind))
  end
  return function()
    i = i + 1
    if names then return names[i], values[names[i]] end
    local value = values[i]
    if value == nil then return nil end
    if key ~= "Env" or type(value) ~= "string" then return i, value end
    local name, text = value:match("^([^=]*)=(.*)$")
    return name or value, text
  end
end

--- The text of the document as it stands now.
---@return string
function methods:text()
  return (state_of(self).doc:text())
end

--- The whole document as plain tables, a copy.
---@return table
function methods:totable()
  return (json.decode(state_of(self).doc:text()))
end

-- The answer to who wants to remove what is not there.
local function absent(method, what, name)
  return fail("ENOENT", "config:%s: there is no %s %s", method, what, core.quote(name))
end

-- ---- environment -----------------------------------------------------------

local ENV = "/config/Env"

local function environment(doc)
  local kind = doc:type(ENV)
  if kind == nil or kind == "null" then return {} end
  if kind == "array" then return (json.decode(doc:raw(ENV))) end
  return nil, "config.Env is no array", "EFORMAT"
end

-- The values of the variables by their names, read once for each revision of the document: a loop that asks for every
-- variable reads the list once. The last one of a name counts when a container is started.
local function values_of(state)
  local doc, known = state.doc, state.variables
  local revision = doc:revision()
  if known and known.of == doc and known.revision == revision then return known.values end
  local list, message, code = environment(doc)
  if not list then return nil, message, code end
  local values = {}
  for _, element in ipairs(list) do
    local name, value
    if type(element) == "string" then name, value = element:match("^([^=]*)=(.*)$") end
    if name then values[name] = value end
  end
  state.variables = { of = doc, revision = revision, values = values }
  return values
end

local function check_variable(name, method)
  check_string(name, method, "name")
  if name:find("=", 1, true) or name:find("\0", 1, true) then
    misuse(("config:%s: a variable's name cannot contain '=' or NUL"):format(method))
  end
end

local function is_variable(element, name)
  return type(element) == "string" and element:sub(1, #name + 1) == name .. "="
end

-- Whether the text shows without being decoded that no element begins with a name: a list that is set up one by one is
-- looked through as often as it has elements.
local function has_none(doc, name)
  local raw = doc:type(ENV) == "array" and doc:raw(ENV)
  return raw and name:find("^[%w_.-]+$") and not raw:find("\\", 1, true) and not raw:find('"' .. name .. "=", 1, true)
end

-- The last one counts when a container is started.
local function find_variable(list, name)
  for i = #list, 1, -1 do
    if is_variable(list[i], name) then return i end
  end
  return nil
end

--- The value of an environment variable, nil when it is not set.
---@param name string
---@return string? value
---@return string? message
---@return string? code
function methods:get_env(name)
  local state = state_of(self)
  check_variable(name, "get_env")
  local values, message, code = values_of(state)
  if not values then return nil, message, code end
  return values[name]
end

--- Sets an environment variable, in its place or behind the others.
---@param name string
---@param value string|number
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:set_env(name, value)
  local state = state_of(self)
  check_variable(name, "set_env")
  value = check_value(value, "set_env")
  if value:find("\0", 1, true) then misuse("config:set_env: a value cannot contain NUL") end
  local list, message, code = {}, nil, nil
  if not has_none(state.doc, name) then list, message, code = environment(state.doc) end
  if not list then return nil, message, code end
  local at, text = find_variable(list, name), name .. "=" .. value
  if at and list[at] == text then return self end
  local quoted
  quoted, message, code = core.json_quote(text)
  if not quoted then return nil, message, code end
  if state.doc:type(ENV) ~= "array" then
    return chain(self, edited(state, ENV, config_values.set_text(state.doc, ENV, "[" .. quoted .. "]")))
  end
  local pointer = ENV .. json.part(at and at - 1 or "-")
  return chain(self, edited(state, ENV, state.doc:set(pointer, quoted)))
end

--- Removes an environment variable, wherever it stands.
---@param name string
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:remove_env(name)
  local state = state_of(self)
  check_variable(name, "remove_env")
  local list, message, code = environment(state.doc)
  if not list then return nil, message, code end
  if not find_variable(list, name) then return absent("remove_env", "variable", name) end
  return chain(self, edited(state, ENV, json.edit_elements(state.doc, ENV, function(_, i)
    if is_variable(list[i], name) then return false end
  end)))
end

-- ---- labels, ports, volumes ------------------------------------------------

local function set_member(self, pointer, text)
  local state = state_of(self)
  return chain(self, edited(state, pointer, config_values.set_text(state.doc, pointer, text)))
end

local function remove_member(self, pointer, method, what, name)
  local state = state_of(self)
  if not state.doc:type(pointer) then return absent(method, what, name) end
  return chain(self, edited(state, pointer, state.doc:remove(pointer)))
end

--- The value of a label, nil when it is not set.
---@param name string
---@return string? value
function methods:get_label(name)
  local doc = state_of(self).doc
  return (doc:get("/config/Labels" .. json.part(check_string(name, "get_label", "name"))))
end

--- Sets a label, in its place or behind the others.
---@param name string
---@param value string|number
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:set_label(name, value)
  local doc = state_of(self).doc
  local pointer = "/config/Labels" .. json.part(check_string(name, "set_label", "name"))
  value = check_value(value, "set_label")
  if doc:get(pointer) == value then return self end
  local text, message, code = core.json_quote(value)
  if not text then return nil, message, code end
  return set_member(self, pointer, text)
end

--- Removes a label.
---@param name string
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:remove_label(name)
  local pointer = "/config/Labels" .. json.part(check_string(name, "remove_label", "name"))
  return remove_member(self, pointer, "remove_label", "label", name)
end

local PROTOCOLS = { tcp = true, udp = true, sctp = true }

local function check_port(port, method)
  if type(port) == "number" then port = json.number(port) end
  local number, protocol = tostring(port):match("^(%d+)(.*)$")
  if protocol == "" then protocol = "/tcp" end
  protocol = protocol and protocol:match("^/(%a+)$")
  protocol = protocol and protocol:lower()
  number = tonumber(number)
  if not PROTOCOLS[protocol] or number < 1 or number > 65535 then
    misuse("config:%s: '%s' is no port: say 8080, \"8080/tcp\" or \"53/udp\"", method, tostring(port))
  end
  return ("%d/%s"):format(number, protocol)
end

--- Declares a port: 8080, "8080" (tcp) or "53/udp".
---@param port string|integer
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:add_port(port)
  local pointer = "/config/ExposedPorts" .. json.part(check_port(port, "add_port"))
  if state_of(self).doc:type(pointer) then return self end
  return set_member(self, pointer, "{}")
end

--- Removes a declared port.
---@param port string|integer
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:remove_port(port)
  local name = check_port(port, "remove_port")
  local doc = state_of(self).doc
  local pointer = "/config/ExposedPorts" .. json.part(name)
  local short = "/config/ExposedPorts" .. json.part(name:gsub("/tcp$", ""))
  if not doc:type(pointer) and doc:type(short) then pointer = short end
  return remove_member(self, pointer, "remove_port", "port", name)
end

local function check_volume(path, method)
  check_string(path, method, "path")
  if not path:find("^/") and not path:find("^%a:[/\\]") then
    misuse(("config:%s: '%s' is no absolute path"):format(method, path))
  end
  return "/config/Volumes" .. json.part(path)
end

--- Declares a volume.
---@param path string  absolute
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:add_volume(path)
  local pointer = check_volume(path, "add_volume")
  if state_of(self).doc:type(pointer) then return self end
  return set_member(self, pointer, "{}")
end

--- Removes a declared volume.
---@param path string
---@return strata.Config? self
---@return string? message
---@return string? code
function methods:remove_volume(path)
  return remove_member(self, check_volume(path, "remove_volume"), "remove_volume", "volume", path)
end

-- ---- the class -------------------------------------------------------------

local hooks = {
  fields = {}, set = {},
  hint = "; config:get(pointer) and config:set(pointer, value) take any key, as in \"/config/MyKey\"",
}

-- What to do instead of changing a copy of a value.
local ADVICE = {
  Env = "use config:set_env and config:remove_env, or assign config.Env as a whole",
  Labels = "use config:set_label and config:remove_label, or assign config.Labels as a whole",
  ExposedPorts = "use config:add_port and config:remove_port, or assign config.ExposedPorts as a whole",
  Volumes = "use config:add_volume and config:remove_volume, or assign config.Volumes as a whole",
}

local function read_field(state, key, self)
  local advice = ADVICE[key] or
    ("assign config.%s as a whole, or use config:set(\"%s\", value)"):format(key, pointer_of(key))
  return frozen.copy(state, key, methods.get(self, pointer_of(key)), "config." .. key, advice)
end

local function write_field(state, key, value)
  local pointer = pointer_of(key)
  -- null reads as nil, so `config.X = config.X` must leave it alone
  if value == nil and state.doc:type(pointer) == "null" then return end
  local ok, message = assign(state, pointer, value)
  if not ok then misuse(message) end
end

for _, name in ipairs(config_schema.names()) do
  hooks.fields[name] = function(state, self) return read_field(state, name, self) end
  hooks.set[name] = function(state, value) return write_field(state, name, value) end
end

-- Other keys are fields when the document has them.
local function is_key(state, key)
  return type(key) == "string" and key ~= "" and state.doc:type(pointer_of(key)) ~= nil
end

function hooks.index(state, key, self)
  if not is_key(state, key) then return false end
  return true, read_field(state, key, self)
end

function hooks.newindex(state, key, value)
  if not is_key(state, key) then return false end
  write_field(state, key, value)
end

function hooks.names(state)
  local names = {}
  for _, key in ipairs(state.doc:keys("") or {}) do
    if key:find("^%U") then names[#names + 1] = key end
  end
  for _, key in ipairs(state.doc:keys("/config") or {}) do
    if key:find("^%u") then names[#names + 1] = key end
  end
  return names
end

function hooks.tostring(state)
  local doc = state.doc
  local function shown(pointer) return json.printable(doc:get(pointer) or "?", 20) end
  return ("strata.Config(%s/%s, %d bytes)"):format(shown("/os"), shown("/architecture"), #doc:text())
end

new, state_of, is = object.class("strata.Config", methods, hooks)

--- Makes a Config of a document's bytes.
---@param text string
---@param options? {changed?: fun(), limits?: table}  changed is called after each
--   edit that changed bytes
---@return strata.Config?
---@return string? message
---@return string? code
function config.new(text, options)
  options = options or {}
  local doc, message, code = core.json(text, options.limits)
  if not doc then return nil, "config: " .. message, code end
  local problem, why = config_schema.problem(doc)
  if problem then return nil, "config " .. problem, why end
  return new { doc = doc, changed = options.changed, limits = options.limits }
end

--- Whether a value is a Config.
---@param value any
---@return boolean
function config.is(value)
  return is(value)
end

--- The document behind a Config, for the modules of strata. Who edits it calls
-- config.touch.
---@param self strata.Config
---@return strata.JSON
function config.document(self)
  return state_of(self).doc
end

--- Throws when a table that the Config has handed out has been changed.
---@param self strata.Config
function config.check(self)
  frozen.check(state_of(self))
end

--- Tells a Config that its document was edited.
---@param self strata.Config
function config.touch(self)
  local state = state_of(self)
  if state.changed then state.changed() end
end

---@class strata.HistoryIndex
---@field ids integer[]  of the rows, in their order
---@field kept integer[]?  those of an edit that may have to go back to them
---@field last integer  the highest id that was given
---@field places? table<integer, integer>  from an id to the row's place
---@field empties? boolean[]  which rows are marked as empty layers
---@field numbers? table<integer, integer>  from a row's place to its layer's number
---@field of_layers? integer[]  from a layer's number to its row's place

--- What strata.history knows about the rows of the history. A new one begins
-- when the history is set as a whole.
---@param self strata.Config
---@return strata.HistoryIndex
function config.rows(self)
  local state = state_of(self)
  if not state.rows then
    local ids = {}
    for i = 1, state.doc:count("/history") or 0 do ids[i] = i end
    state.rows = { ids = ids, last = #ids }
  end
  return state.rows
end

--- Makes it the Config of another text.
---@param self strata.Config
---@param text string
---@return boolean? ok
---@return string? message
---@return string? code
function config.replace(self, text)
  local state = state_of(self)
  local doc, message, code = core.json(text, state.limits)
  if not doc then return nil, message, code end
  state.doc, state.rows = doc, nil
  config.touch(self)
  return true
end

-- Another document of the same text, to go back to. Edits that leave the config alone share one.
local function spare_of(state)
  local spare, revision = state.spare, state.doc:revision()
  if spare and spare.of == state.doc and spare.revision == revision then return spare end
  local doc, message, code = state.doc:copy()
  if not doc then return nil, message, code end
  state.spare = { of = state.doc, revision = revision, doc = doc }
  return state.spare
end

--- A function that brings the document back to what it is now; nil, message, code when that cannot be kept.
---@param self strata.Config
---@return (fun())? restore
---@return string? message
---@return string? code
function config.keep(self)
  local state = state_of(self)
  local spare, message, code = spare_of(state)
  if not spare then return nil, message, code end
  local rows = state.rows
  local ids = rows and rows.ids
  if rows then rows.kept = ids end
  return function()
    if state.doc == spare.of and state.doc:revision() == spare.revision then return end
    state.doc, state.rows, state.spare = spare.doc, rows, nil
    if rows then rows.ids = ids end
    config.rows_changed(rows)
    config.touch(self)
  end
end

--- The ids of rows, which are going to be changed: a copy, when an edit may have to go back to those that are there.
---@param rows strata.HistoryIndex
---@return integer[]
function config.own_ids(rows)
  if rows.kept == rows.ids then
    local ids = {}
    for i, id in ipairs(rows.ids) do ids[i] = id end
    rows.ids = ids
  end
  return rows.ids
end

--- Drops what was worked out from the rows as they were.
---@param rows strata.HistoryIndex?
---@param change? fun(empties: boolean[])  how the list of what is marked as empty changes; nil: it is to be read again
function config.rows_changed(rows, change)
  if not rows then return end
  rows.places, rows.numbers, rows.of_layers = nil, nil, nil
  if change and rows.empties then change(rows.empties) else rows.empties = nil end
end

return config

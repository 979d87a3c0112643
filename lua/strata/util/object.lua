--- Classes of userdata with their behaviour in Lua.
--
-- An object is a userdata that carries a state table; code outside the class
-- cannot reach the state. Misuse (a wrong self, an unknown field) throws.

local core = require "strata.core"

local object = {}

---@class strata.ClassHooks
---@field index? fun(state: table, key: any, self: userdata): any  a field that is no method
---@field newindex? fun(state: table, key: any, value: any, self: userdata)
---@field tostring fun(state: table, self: userdata): string
---@field close? fun(state: table)  runs once, by close() or __close
---@field call? fun(state: table, self: userdata, ...): ...
---@field len? fun(state: table): integer
---@field eq? fun(a: userdata, b: userdata): boolean

local function reader(name, methods, hooks, state_of)
  return function(self, key)
    local method = methods[key]
    if method ~= nil then return method end
    local state = state_of(self)
    if state.closed then
      error("attempt to use a closed " .. name, 2)
    end
    if hooks.index then return hooks.index(state, key, self) end
    return nil
  end
end

local function writer(name, methods, hooks, state_of)
  return function(self, key, value)
    local state = state_of(self)
    if state.closed then
      error("attempt to use a closed " .. name, 2)
    end
    if methods[key] ~= nil or not hooks.newindex then
      error(("cannot assign to field '%s' of a %s"):format(tostring(key), name), 2)
    end
    hooks.newindex(state, key, value, self)
  end
end

--- Makes a class.
---@param name string  e.g. "strata.Config"
---@param methods table<string, function>  called as obj:method(...)
---@param hooks strata.ClassHooks
---@return fun(state: table): userdata new
---@return fun(obj: userdata): table state_of  throws when obj is no such object, or closed
---@return fun(value: any): boolean is
function object.class(name, methods, hooks)
  local mt = { __name = name }
  local new, state_of, is = core.object_type(mt)

  mt.__index = reader(name, methods, hooks, state_of)
  mt.__newindex = writer(name, methods, hooks, state_of)
  mt.__tostring = function(self)
    local state = state_of(self)
    if state.closed then return name .. "(closed)" end
    return hooks.tostring(state, self)
  end
  if hooks.close then
    local function close(self)
      local state = state_of(self)
      if not state.closed then
        state.closed = true
        hooks.close(state)
      end
    end
    -- There is no __gc: a resource is a userdata of its own with its own finaliser, and a layer,
    -- an entry or a running save may still use it when this object is collected.
    methods.close = close
    mt.__close = close
  end
  if hooks.call then
    mt.__call = function(self, ...) return hooks.call(state_of(self), self, ...) end
  end
  if hooks.len then
    mt.__len = function(self) return hooks.len(state_of(self)) end
  end
  mt.__eq = hooks.eq

  local function live(self)
    local state = state_of(self)
    if state.closed then error("attempt to use a closed " .. name, 3) end
    return state
  end
  return new, live, is
end

return object

--- A tar that is pushed: bytes in, events out.
--
--   local p = strata.stream.tar { data = false }
--   for chunk in chunks do
--     assert(p:feed(chunk))
--     for event in p:events() do
--       if event.type == "entry" then print(event.entry.path, event.entry.size) end
--     end
--   end
--   assert(p:finish())

local core = require "strata.core"
local input = require "strata.stream.input"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local options = require "strata.util.options"

local tar = {}

---@class strata.TarStream
local methods = {}

local new, state_of

local function fail(state, message, code)
  state.failure = { message, code }
  state.input:close()
  state.parser:close()
  return nil, message, code
end

--- Adds bytes. What comes of them is told by next() or events(), also what is wrong with them.
---@param chunk string
---@return boolean? ok
---@return string? message  of a failure before
---@return string? code
function methods:feed(chunk)
  local state = state_of(self)
  if type(chunk) ~= "string" then
    misuse(("bad argument #1 to 'feed' (string expected, got %s)"):format(type(chunk)))
  end
  if state.finished then misuse("feed: the stream is finished") end
  if state.failure then return nil, state.failure[1], state.failure[2] end
  state.input:feed(chunk)
  return true
end

local function event_of(kind, what, offset)
  if kind == "entry" then return { type = kind, entry = what, offset = offset } end
  if kind == "data" then return { type = kind, data = what, offset = offset } end
  if kind == "global" then return { type = kind, pax = what.pax, offset = offset } end
  return { type = kind, offset = what } -- the end
end

local function step(state)
  while true do
    local kind, what, more = state.parser:next()
    if kind then return event_of(kind, what, more) end
    if what then return fail(state, what, more) end
    local bytes, message, code = state.input:read()
    if message then return fail(state, message, code) end
    if not bytes then return nil end
    state.parser:feed(bytes)
  end
end

--- The next event.
---@return strata.TarEvent? event  nil: more has to be fed
---@return string? message
---@return string? code
function methods:next()
  local state = state_of(self)
  if state.failure then return nil, state.failure[1], state.failure[2] end
  if state.finished then return nil end
  return step(state)
end

--- Iterates over the events that are there by now. Throws what is wrong with the bytes.
---@return fun(): strata.TarEvent?
function methods:events()
  state_of(self)
  return function()
    local event, message = self:next()
    if message then error(message, 0) end
    return event
  end
end

--- The input has ended; all events have to be taken before.
---@return boolean? ok
---@return string? message
---@return string? code
function methods:finish()
  local state = state_of(self)
  if state.failure then return nil, state.failure[1], state.failure[2] end
  if state.finished then return true end
  state.input:stop()
  local event, message, code = step(state)
  if event then misuse("finish: events are left that have not been taken") end
  if message then return nil, message, code end
  local ok
  ok, message, code = state.input:finish()
  if ok then ok, message, code = state.parser:finish() end
  if not ok then return fail(state, message, code) end
  state.finished = true
  state.input:close()
  state.parser:close()
  return true
end

new, state_of = object.class("strata.TarStream", methods, {
  fields = { compression = function(state) return state.input.compression end },
  tostring = function(state)
    return ("strata.TarStream(%s)"):format(state.failure and "failed" or state.finished and "finished" or
      state.input.compression or "new")
  end,
  close = function(state)
    state.input:close()
    state.parser:close()
  end,
})

--- A parser for a tar that is pushed.
---@param opts? strata.StreamTarOptions
---@return strata.TarStream
function tar.new(opts)
  options.check("strata.stream.tar", "StreamTarOptions", opts)
  opts = opts or {}
  local given = limits.resolve(opts.limits)
  local parser, message = core.push_tar(limits.add(given, { data = opts.data }))
  if not parser then misuse(message) end
  return new { parser = parser, input = input.new(opts.compression, given) }
end

return tar

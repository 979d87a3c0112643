--- The REPL: reads Lua, evaluates it, prints the results, until the input ends.

local complete = require "strata.command.repl.complete"
local terminal = require "strata.terminal"
local job = require "strata.util.job"
local line = require "strata.command.repl.line"
local show = require "strata.command.repl.show"
local strata = require "strata"

local repl = {}

local CHUNK = "repl"

-- Lua 5.1 has other functions for it; LuaJIT has both.
local function compile(code, env)
  local set_environment, load_text = rawget(_G, "setfenv"), rawget(_G, "loadstring")
  if not set_environment then return load(code, "=" .. CHUNK, "t", env) end
  local fn, message = load_text(code, "=" .. CHUNK)
  return fn and set_environment(fn, env), message
end

local function pack(...)
  return { n = select("#", ...), ... }
end

-- A function of code that is an expression or statements, which packs its results; or what is wrong with it, and
-- whether more may mend that. An expression is an argument: in a return it would be a tail call, and an error of a
-- function of the library would not find the line that has called it.
local function understand(code, env)
  local expression = code:gsub("^%s*=", "", 1):gsub(";%s*$", "")
  local fn, message = compile("return " .. expression, env)
  local inner = fn and compile("return (...)(" .. expression .. "\n)", env)
  if inner then return function() return inner(pack) end end
  if not fn then fn, message = compile(code, env) end
  if fn then return function() return pack(fn()) end end
  return nil, message, message:find("<eof>'?$") ~= nil
end

local function is_interrupt(thrown)
  return type(thrown) == "string" and thrown:find("interrupted!$") ~= nil
end

-- The message of an error without the name of the chunk; the line is told where there are several.
local function without_chunk(thrown, code)
  if type(thrown) ~= "string" then return thrown end
  local number, message = thrown:match("^" .. CHUNK .. ":(%d+): (.*)$")
  if not number then return thrown end
  return code:find("\n") and ("line %s: %s"):format(number, message) or message
end

-- Words with which other programs end, or help, with the answer to them.
local HINTS = {
  exit = "Ctrl-D ends the session.", quit = "Ctrl-D ends the session.",
  help = "strata.help() lists what the module has, strata.help(img) what img has; strata.help \"save\" tells more.",
}

local function hint_for(code, env)
  local word = code:match("^%s*(%a+)%s*[%(%);]*%s*$")
  return word and env[word] == nil and HINTS[word] or nil
end

---@class strata.repl.Options
---@field images? strata.Image[]  become img and imgs
---@field env? table  the globals. Default: _G
---@field paint? fun(text: string, color: string): string

local function environment(opts)
  local env, images = opts.env or _G, opts.images or {}
  env.strata, env.img, env.imgs = strata, images[1], #images > 1 and images or nil
  return env
end

local function greeting(reader, has_image)
  local rest = reader.completes and "Tab completes, " or ""
  local lines = { ("%s, %s. %sstrata.help(%s) helps, Ctrl-D ends."):format(strata._VERSION, _VERSION,
    rest, has_image and "img" or "") }
  if not reader.completes then lines[2] = "Without lua-readline nothing completes: apt install lua-readline" end
  return table.concat(lines, "\n") .. "\n"
end

-- ---- a session ------------------------------------------------------------------------------------------------

local Session = {}
Session.__index = Session

-- What was thrown, or returned as a failure, goes to standard error.
function Session:complain(lines)
  io.stdout:flush()
  io.stderr:write(self.paint("error: " .. table.concat(lines, "\n"), "red"), "\n")
end

function Session:print_results(code, count, ...)
  -- What a call gives behind its last value, where that is no nil that was typed, tells nothing.
  local is_typed = code:find("%f[%w_]nil[%s;]*$")
  while not is_typed and (...) ~= nil and count > 1 and (select(count, ...)) == nil do count = count - 1 end
  local lines, is_failure = show.values(count, ...)
  local field = count == 1 and type((...)) == "number" and code:match("%.([%a_]+)%s*$")
  if field then lines = show.field((...), field) end
  if is_failure then
    self.failed = true
    self:complain(lines)
  elseif count > 0 then
    io.stdout:write(table.concat(lines, "\n"), "\n")
    io.stdout:flush()
    self.env._ = (...)
  end
end

-- Evaluates code and prints what comes of it; gives true when more of it is wanted.
function Session:evaluate(code)
  local fn, message, is_unfinished = understand(code, self.env)
  if is_unfinished then return true end
  self.memo = {}
  local ok, results = false, message
  if fn then ok, results = pcall(fn) end
  if ok then
    self:print_results(code, results.n, (table.unpack or unpack)(results, 1, results.n))
  elseif is_interrupt(results) then
    error(results, 0)
  else
    self.failed = true
    self:complain(show.thrown(without_chunk(results, code)))
  end
end

-- Takes one line; gives false at the end of the input.
function Session:step()
  local text = self.reader:read(self.buffer == "" and "> " or ">> ")
  if not text then
    if self.buffer ~= "" then
      self.failed = true
      self:complain { "the input ends within a statement" }
    end
    return false
  end
  local code = self.buffer .. text
  self.buffer = ""
  local hint = hint_for(code, self.env)
  if hint then
    io.stdout:write(hint, "\n")
  elseif code:find("%S") and self:evaluate(code) then
    self.buffer = code .. "\n"
  end
  return true
end

-- The standalone interpreter makes an error of Ctrl-C, once: what it does then is put back after each line.
function Session:loop()
  local on_interrupt, going = terminal.interrupt(), true
  while going do
    local ok, result = pcall(self.step, self)
    terminal.interrupt(on_interrupt)
    if ok then
      going = result
    elseif is_interrupt(result) then
      self.buffer = ""
      collectgarbage() -- stops the work that was left
      self:complain { "interrupted" }
    else
      self:complain(show.thrown(result))
    end
  end
end

--- Runs until the input ends.
---@param opts? strata.repl.Options
---@return integer status  2 when something failed that did not come from a terminal
function repl.run(opts)
  opts = opts or {}
  local session = setmetatable({
    env = environment(opts), paint = opts.paint or function(text) return text end,
    buffer = "", -- lines that are no statement yet
    memo = {}, -- of completion
    failed = false,
  }, Session)
  session.reader = line.reader(function(text, cursor)
    local before = session.buffer
    local from, list = complete(before .. text, #before + cursor, session.env, session.memo)
    return from - #before, list
  end)
  local is_terminal = session.reader.is_terminal
  if is_terminal then
    io.stdout:setvbuf("line")
    io.stdout:write(greeting(session.reader, session.env.img ~= nil))
  end
  -- Work is waited for in Lua, where Ctrl-C is noticed; what LuaJIT has compiled would not notice it.
  local before, jit = job.on_wait(function() end), rawget(_G, "jit")
  if jit then jit.off() end
  session:loop()
  if jit then jit.on() end
  job.on_wait(before)
  if is_terminal then io.stdout:write("\n") end
  return session.failed and not is_terminal and 2 or 0
end

return repl

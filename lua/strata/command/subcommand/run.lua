--- strata run: a Lua script that has the module.

local problem = require "strata.command.problem"

local run = {
  summary = "Run a Lua script that can require strata.",
  usage = "SCRIPT.lua [ARGUMENT ...]",
  example = "strata run slim.lua app.tar slim.tar",
  is_bare = true,
}

function run.define(cmd)
  cmd:argument("SCRIPT", "The script; - is standard input."):target("script")
  cmd:argument("ARGUMENT", "What it finds in arg and ..., as with lua."):target("arguments"):args("*")
  cmd:handle_options(false)
end

function run.run(args)
  local words = args.arguments
  words[0] = args.script
  rawset(_G, "arg", words)
  local chunk = problem.check(loadfile(args.script ~= "-" and args.script or nil))
  local status, message = chunk((table.unpack or unpack)(words))
  -- As of `return img:save("app.tar")`: what failed is told, since nobody else would.
  if not status and type(message) == "string" then problem.stop("%s", message) end
  return type(status) == "number" and status or 0
end

return run

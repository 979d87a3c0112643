--- The command strata: words to a call of the module, and its result to lines, JSON and an exit status.
--
-- Each subcommand is a file of strata.command.subcommand, loaded when it is asked for: a table with `summary`, for the
-- list of all, `description`, where the help of its own says more, `usage` (what follows its name), `example`,
-- `define(cmd)`, which adds arguments to a command of argparse, `writes` where an image goes to --output, `is_bare`
-- where it takes none of the options that all have, and `run(args, out)`, which gives the exit status, nil for 0.
--
-- 0 is success, 1 findings or differences, 2 misuse and failure.

local argparse = require "argparse"
local core = require "strata.core"
local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"
local spelling = require "strata.util.spelling"

local command = {}

-- In the order of the help.
local GROUPS = {
  { "Look inside", { "inspect", "ls", "tree", "cat", "history", "packages", "serve" } },
  { "Judge", { "waste", "diff", "check", "gate" } },
  { "Change", { "rm", "set", "append", "squash", "split", "rechunk", "rebase", "purge", "normalize", "repair" } },
  { "Write elsewhere", { "new", "convert", "copy", "extract", "export" } },
  { "Layouts and registries", { "index", "artifact", "tags", "digest", "delete", "gc" } },
  { "Use Lua", { "run", "repl" } },
}

-- Names that other tools have for subcommands.
local ELSEWHERE = {
  flatten = "squash", merge = "squash", mutate = "set", mod = "set", info = "inspect", show = "inspect",
  stat = "inspect", config = "inspect --config", manifest = "inspect --manifest", validate = "check", verify = "check",
  pull = "copy", push = "copy", cp = "copy", tag = "copy", sync = "copy", save = "copy", load = "copy",
  unpack = "extract", blob = "export --layer", find = "ls", du = "tree", layers = "history", filter = "rm",
  remove = "rm", add = "append", import = "append", repack = "append", init = "new", ["list-tags"] = "tags",
  images = "index list", untag = "delete", prune = "gc", sbom = "packages", pkgs = "packages", attach = "artifact add",
  referrers = "artifact list", discover = "artifact list",
}

local FOLDER = "strata.command.subcommand."

local WIDTH = 80

local function each_name()
  local names = {}
  for _, group in ipairs(GROUPS) do
    for _, name in ipairs(group[2]) do names[#names + 1] = name end
  end
  return names
end

local function define(parser, name)
  local sub = require(FOLDER .. name)
  local cmd = parser:command(name, sub.description or sub.summary)
  cmd:summary(sub.summary):help_description_margin(27)
    :usage(("Usage: strata %s %s"):format(name, sub.usage)):epilog("Example:\n   " .. sub.example)
  cmd:add_help { name = "-h --help", description = "Show this help." }
  sub.define(cmd)
  if not sub.is_bare then options.common(cmd) end
  return cmd
end

--- The parser of the command's words: of all subcommands, or of one.
---@param only? string
---@return table # argparse's
function command.parser(only)
  local parser = argparse("strata", "Surgery on container images.")
    :usage("Usage: strata SUBCOMMAND IMAGE ... [-o TO]")
    :epilog("IMAGE is a file (docker save, an OCI archive), a layout directory, - for standard input, or "
      .. "docker://host/name:tag. `strata help SUBCOMMAND` tells more.\n"
      .. "Exit status: 0 success, 1 findings or differences, 2 misuse or failure.")
    :command_target("subcommand"):add_help { name = "-h --help", description = "Show this help." }
    :help_max_width(WIDTH):help_description_margin(17)
  parser:flag("--version", "Show the version.")
  for _, group in ipairs(GROUPS) do
    local cmds = {}
    for _, name in ipairs(group[2]) do
      if not only or only == name then cmds[#cmds + 1] = define(parser, name) end
    end
    if cmds[1] then parser:group(group[1], (table.unpack or unpack)(cmds)) end
  end
  return parser
end

-- The text that answers by itself: the version, or a help.
local function told(words, name)
  if name == "--version" then return "strata " .. core._VERSION end
  local word = words[name and 2 or 1]
  if word ~= "--help" and word ~= "-h" then return nil end
  return name and command.parser(name)._commands[1]:get_help() or command.parser():get_help()
end

-- The subcommand that the words ask for, nil when the parser has to say that there is none.
local function chosen(words)
  if words[1] == "help" then
    table.remove(words, 1)
    words[#words + 1] = "--help"
  end
  local name = words[1]
  if not name then
    io.stderr:write(command.parser():get_help(), "\n")
    os.exit(2)
  end
  if name:find("^%-") then return name == "--version" and name or nil end
  for _, one in ipairs(each_name()) do
    if one == name then return name end
  end
  local likely = ELSEWHERE[name] or spelling.likely(name, each_name())
  problem.stop("there is no subcommand '%s'; %s", output.text(name), likely and ("did you mean '%s'?"):format(likely)
    or "strata --help lists them")
end

-- Subcommands with actions, which have helps of their own.
local ACTIONS = {
  index = { list = true, create = true, add = true, remove = true },
  artifact = { list = true, inspect = true, cat = true, add = true },
}

local function run(state, words)
  local name = chosen(words)
  local text = told(words, name)
  state.out = output.of { color = "never" }
  if text then
    state.out:write(text, "\n")
    state.out:flush()
    return 0
  end
  local ok, args = command.parser(name):pparse(words)
  if not ok then
    args = args:gsub("\nDid you mean", "; did you mean"):gsub("a command is required", "a subcommand is wanted")
      :gsub("unknown command", "unknown subcommand")
    if args:find("^unknown option '%-[^%-]") then args = args:gsub("; did you mean.*", "") end -- all letters are near
    if ACTIONS[name] and ACTIONS[name][words[2]] then name = name .. " " .. words[2] end
    problem.stop("%s%s%s", name and name .. ": " or "", output.text(args),
      name and (" (strata %s --help)"):format(name) or "")
  end
  state.out = output.of(args)
  local sub = require(FOLDER .. name)
  if sub.writes then
    options.check_target(args)
    options.format_of(args, args.output)
  end
  local status = sub.run(args, state.out)
  state.out:flush()
  return status or 0
end

-- Options of the module that messages give with a value, and which the command has, too.
local OPTIONS = { format = true, index = true, attestations = true, exists = true }

-- Calls that messages of the module advise, as Lua patterns, and what does the same here.
local CALLS = {
  { "strata%.copy%(archive, directory, {.-}%) makes", "strata copy ARCHIVE DIRECTORY --format oci makes" },
  { "strata%.save%({%.%.%.}, to.-%) makes", "strata index create makes" },
  { "choose by its ref", "choose one with --ref" },
  { ", which strata%.open opens; img:referrers%(%) lists", ": strata artifact list shows" },
}

-- Methods that have the name of no subcommand.
local METHODS = { remove = true, flatten = true, read = true, remove_layer = true, save = true }

-- Messages of the module name options as Lua has them: "replace = true" is --replace here.
local function in_shell(message)
  for _, one in ipairs(CALLS) do message = message:gsub(one[1], one[2]) end
  message = message:gsub("^%l+:[%l_]+: ", "")
  local method = message:match("^([%l_]+): ")
  if method and (METHODS[method] or message:find("^[%l_]+: docker://")) then message = message:sub(#method + 3) end
  message = message:gsub("choose one with ([%l, ]+)", function(list)
    return "choose one with " .. list:gsub("%l+", function(name) return name ~= "or" and "--" .. name or nil end)
  end)
  message = message:gsub("%(there are no credentials for (%S+)%)",
    "(there are no credentials for %1: docker login %1, or podman login)")
  message = message:gsub('%f[%w](%l+) = "([%w.-]+)"', function(name, value)
    return OPTIONS[name] and ("--%s %s"):format(name, value)
  end)
  return (message:gsub("%f[%w]([%l_]+) = true%f[%W]", function(name) return "--" .. name:gsub("_", "-") end))
end

-- The message of an error, and the status. Misuse of the module is told at the line of the script that calls it, which
-- says nothing here.
local function explain(err, script)
  if problem.is(err) then
    -- As of what SIGPIPE ends.
    if err.message:find("^standard output: .*Broken pipe$") then return "", 141 end
    return in_shell(err.message), 2
  end
  local text = type(err) == "string" and err or tostring(err)
  if text:find("interrupted!$") then return "interrupted", 130 end
  local place, message = text:match("^(.-):%d+: (.*)$")
  if place == script then return in_shell(message), 2 end
  local is_own = place and place:find("strata/.*%.lua$") or text:find("^attempt to ") -- of ipairs, for one
  if not is_own then return text, 2 end
  return ("internal error: %s (STRATA_DEBUG=1 shows where)"):format(text), 2
end

-- Standard input, output or error that is closed becomes /dev/null, opened so that writing fails. Otherwise a file
-- of an image would be opened in its place, and get what is printed.
local function hold_closed()
  local held = {}
  for i = 1, 3 do held[i] = io.open("/dev/null") end
  return held
end

--- Runs the command.
---@param words string[]
---@param script string  the chunk that calls, as debug.getinfo has it in short_src
---@return integer status  for os.exit
function command.main(words, script)
  local state, trace = { held = hold_closed() }, nil
  io.stdout:setvbuf("full")
  local ok, result = xpcall(run, function(err)
    trace = debug.traceback(nil, 2)
    return err
  end, state, words)
  if ok then return result end
  local message, status = explain(result, script)
  pcall(io.stdout.flush, io.stdout)
  if state.out then state.out:clear() end
  if message ~= "" then io.stderr:write("strata: ", output.one_line(message), "\n") end
  if os.getenv "STRATA_DEBUG" then io.stderr:write(trace, "\n") end
  return status
end

return command

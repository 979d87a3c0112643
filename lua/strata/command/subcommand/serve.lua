--- strata serve: the explorer, a web page on which images are looked at and edited.

local core = require "strata.core"
local options = require "strata.command.options"
local problem = require "strata.command.problem"

local serve = {
  summary = "Explore images in a browser.",
  description = "Explore images in a browser: a page that nginx serves, until Ctrl-C.",
  usage = "[--port N] [--bind ADDRESS] [DIRECTORY]",
  example = "strata serve --port 8000 images",
  is_bare = true,
}

local function address(text)
  if text:find("^[%x.:]+$") then return text end
  return nil, ("'%s' is no IP address"):format(text)
end

function serve.define(cmd)
  cmd:argument("DIRECTORY", "Has the images; those that are uploaded or made go below it. Default: images, which is "
    .. "made."):target("directory"):args("?")
  cmd:option("--port", "Default: 8080."):argname("N"):convert(options.number(1))
  cmd:option("--bind", "The address to listen on. Default: 127.0.0.1, which this machine alone can reach. Whoever "
    .. "can reach it can do all that the page does."):argname("ADDRESS"):convert(address)
  cmd:option("--host", "A name, with the port, by which browsers may come: box.lan:8080."):argname("NAME"):count("*")
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- The program that starts the explorer: in a checkout, beside the installed module, or beside the installed command.
local function starter()
  local modules = debug.getinfo(1, "S").source:match("^@(.*)/strata/command/subcommand/[^/]*$")
  local bin = (arg and arg[0] or ""):match("^(.*)/[^/]*$") or "."
  local places = {}
  if modules then places = { modules .. "/../examples/openresty", modules .. "/../../strata/explorer" } end
  places[#places + 1] = bin .. "/../share/strata/explorer"
  for _, place in ipairs(places) do
    if exists(place .. "/run") then return place .. "/run" end
  end
  problem.stop("the explorer is not installed: there is no %s", places[#places])
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- It ends with this process, whatever ends that: setpriv (util-linux) asks the kernel for it.
local SCRIPT = [[
if command -v setpriv >/dev/null; then exec setpriv --pdeathsig TERM -- %s; fi
exec %s
]]

function serve.run(args)
  local dir, message, code = core.open_dir(args.directory or ".")
  if dir then dir:close() elseif code ~= "ENOENT" then problem.stop("%s", message) end
  local words = { "env", "STRATA_RUN_AS=strata" }
  if args.bind then words[#words + 1] = "STRATA_BIND=" .. args.bind end
  if #args.host > 0 then words[#words + 1] = "STRATA_HOSTS=" .. table.concat(args.host, " ") end
  words[#words + 1] = starter()
  words[#words + 1] = ("%d"):format(args.port or 8080)
  words[#words + 1] = args.directory
  for i, word in ipairs(words) do words[i] = quoted(word) end
  local line = table.concat(words, " ")
  local ok, _, status = os.execute(SCRIPT:format(line, line))
  if ok == true or status == 130 or status == 143 then return 0 end -- it was told to end
  return 2
end

return serve

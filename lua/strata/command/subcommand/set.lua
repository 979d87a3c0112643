--- strata set: how an image runs, and what it is called.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local set = {
  summary = "Change environment, labels, user, command, annotations ...",
  usage = "[OPTION ...] IMAGE (-o TO | --in-place)",
  example = "strata set app.tar -o out.tar --env TZ=UTC --label stage=prod --user 1000 --tag app:2",
  writes = true,
}

-- ["/app", "-v"] as JSON, or words with blanks between.
local function words(text)
  local strata, json = require "strata", require "strata.util.json"
  if text:find("^%s*%[") then
    local list = json.decode(text)
    if not json.is_array(list) then return nil, ("'%s' is no JSON array"):format(text) end
    return strata.array(list)
  end
  if text:find("[\"'\\$;|&<>`]") then
    return nil, ("'%s' needs a shell: give a JSON array, such as [\"/bin/sh\",\"-c\",\"...\"]"):format(text)
  end
  local list = strata.array {}
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

local function pointer_pair(text)
  local pointer, value = text:match("^(/[^=]*)=(.*)$")
  local decoded, message
  if pointer then decoded, message = require("strata.util.json").decode(value) end
  if message then return nil, ("'%s': %s"):format(text, message) end
  if not pointer then return nil, ("'%s' is not /POINTER=JSON"):format(text) end
  if value:find("^%s*{%s*}%s*$") then decoded = require("strata").object {} end
  if value:find("^%s*%[%s*%]%s*$") then decoded = require("strata").array {} end
  return { name = pointer, value = decoded }
end

local function key_setter(key)
  return function(img, value) img.config[key] = value end
end

local function method(name)
  return function(img, value)
    local config = img.config
    if type(value) == "table" then return config[name](config, value.name, value.value) end
    return config[name](config, value)
  end
end

local function annotation(img, pair) return img:set_annotation(pair.name, pair.value) end

-- Option, what it takes, how that is read, what it does, what help says.
local SETTINGS = {
  { "--env", "NAME=VALUE", options.pair, method "set_env", "Set an environment variable." },
  { "--unset-env", "NAME", nil, method "remove_env", "Remove an environment variable." },
  { "--label", "NAME=VALUE", options.pair, method "set_label", "Set a label." },
  { "--unset-label", "NAME", nil, method "remove_label", "Remove a label." },
  { "--user", "USER", nil, key_setter "User", "Run as USER: a name or a number, with :GROUP." },
  { "--workdir", "DIR", nil, key_setter "WorkingDir", "Run in DIR." },
  { "--entrypoint", "WORDS", words, key_setter "Entrypoint", 'Words, or a JSON array: \'["/app","-v"]\'. Cmd stays.' },
  { "--cmd", "WORDS", words, key_setter "Cmd", "The same for what follows the entrypoint." },
  { "--stop-signal", "SIGNAL", nil, key_setter "StopSignal", "What stops a container, such as SIGTERM." },
  { "--port", "PORT", nil, method "add_port", "Declare a port: 8080 or 53/udp." },
  { "--unset-port", "PORT", nil, method "remove_port", "Remove a declared port." },
  { "--volume", "DIR", nil, method "add_volume", "Declare a volume." },
  { "--unset-volume", "DIR", nil, method "remove_volume", "Remove a declared volume." },
  { "--annotation", "NAME=VALUE", options.pair, annotation, "Set an annotation of the manifest." },
  { "--unset-annotation", "NAME", nil, function(img, name) return img:remove_annotation(name) end,
    "Remove an annotation of the manifest." },
  { "--add-tag", "NAME", nil, function(img, name) return img:tag(name) end, "A further name (--tag replaces them)." },
  { "--unset-tag", "NAME", nil, function(img, name) return img:untag(name) end, "Take a name away." },
  { "--config", "/POINTER=JSON", pointer_pair, method "set", "Any value of the config, by a JSON Pointer." },
}

-- What --unset takes, and the key that goes.
local KEYS = { user = "User", workdir = "WorkingDir", entrypoint = "Entrypoint", cmd = "Cmd",
               healthcheck = "Healthcheck", ["stop-signal"] = "StopSignal", shell = "Shell", onbuild = "OnBuild" }

local function unset(img, name) img.config[KEYS[name]] = nil end

function set.define(cmd)
  options.image(cmd)
  -- All go into one list, for they are carried out in the order in which they are given.
  local function keep(apply)
    return function(args, _, value)
      args.settings = args.settings or {}
      table.insert(args.settings, { apply = apply, value = value })
    end
  end
  for _, one in ipairs(SETTINGS) do
    local option = cmd:option(one[1], one[5]):argname(one[2]):count("*"):action(keep(one[4]))
    if one[3] then option:convert(one[3]) end
  end
  cmd:option("--unset", "Remove a setting: user, workdir, entrypoint, cmd, healthcheck, stop-signal, shell or onbuild.")
    :argname("SETTING"):count("*"):action(keep(unset))
    :choices { "user", "workdir", "entrypoint", "cmd", "healthcheck", "stop-signal", "shell", "onbuild" }
  options.output(cmd)
end

function set.run(args, out)
  if not args.settings and not args.tag[1] then problem.stop("what is to be set? strata set --help has the options") end
  local img = options.open(args, out)
  for _, one in ipairs(args.settings or {}) do
    local _, message = one.apply(img, one.value)
    if message then problem.stop("%s", (message:gsub("^[%l:_]+: ", ""))) end
  end
  options.save(args, out, img)
end

return set

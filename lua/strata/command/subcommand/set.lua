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

local function absolute(text)
  if text:find("^/") or text:find("^%a:[/\\]") then return text end
  return nil, ("'%s' is no absolute path"):format(text)
end

local SIGNALS = {}
for name in ([[ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT RTMAX RTMIN SEGV STKFLT
  STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ]]):gmatch("%S+") do SIGNALS[name] = true end

local function signal(text)
  local name = text:gsub("^SIG", ""):gsub("^(RTM%u%u)[+-]%d+$", "%1")
  local number = text:find("^%d+$") and tonumber(text)
  if SIGNALS[name] or number and number >= 1 and number <= 64 then return text end
  return nil, ("'%s' is no signal, such as SIGTERM"):format(text)
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
  { "--workdir", "DIR", absolute, key_setter "WorkingDir", "Run in DIR." },
  { "--entrypoint", "WORDS", words, key_setter "Entrypoint", 'Words, or a JSON array: \'["/app","-v"]\'. Cmd stays.' },
  { "--cmd", "WORDS", words, key_setter "Cmd", "The same for what follows the entrypoint." },
  { "--stop-signal", "SIGNAL", signal, key_setter "StopSignal", "What stops a container, such as SIGTERM." },
  { "--port", "PORT", nil, method "add_port", "Declare a port: 8080 or 53/udp." },
  { "--unset-port", "PORT", nil, method "remove_port", "Remove a declared port." },
  { "--volume", "DIR", nil, method "add_volume", "Declare a volume." },
  { "--unset-volume", "DIR", nil, method "remove_volume", "Remove a declared volume." },
  { "--annotation", "NAME=VALUE", options.pair, annotation, "Set an annotation of the manifest." },
  { "--unset-annotation", "NAME", nil, function(img, name) return img:remove_annotation(name) end,
    "Remove an annotation of the manifest." },
  { "--add-tag", "NAME", nil, function(img, name) return img:tag(name) end,
    "A further name; --tag replaces those that it had." },
  { "--unset-tag", "NAME", nil, function(img, name) return img:untag(name) end, "Take a name away." },
  { "--config", "/POINTER=JSON", pointer_pair, method "set", "Any value of the config, by a JSON Pointer." },
}

-- The names that --unset takes, and the key that goes.
local KEYS = { user = "User", workdir = "WorkingDir", entrypoint = "Entrypoint", cmd = "Cmd",
               healthcheck = "Healthcheck", ["stop-signal"] = "StopSignal", shell = "Shell", onbuild = "OnBuild" }

local function unset(img, name) img.config[KEYS[name]] = nil end

function set.define(cmd)
  options.image(cmd)
  -- All go into one list, for they are carried out in the order in which they are given.
  local function keep(apply, name)
    return function(args, _, value)
      args.settings, args.sets = args.settings or {}, args.sets or {}
      args.sets[name] = true
      table.insert(args.settings, { apply = apply, value = value })
    end
  end
  for _, one in ipairs(SETTINGS) do
    local option = cmd:option(one[1], one[5]):argname(one[2]):count("*"):action(keep(one[4], one[1]))
    if one[3] then option:convert(one[3]) end
  end
  cmd:option("--unset", "Remove a setting: user, workdir, entrypoint, cmd, healthcheck, stop-signal, shell or onbuild.")
    :argname("SETTING"):count("*"):action(keep(unset, "--unset"))
    :choices { "user", "workdir", "entrypoint", "cmd", "healthcheck", "stop-signal", "shell", "onbuild" }
  options.output(cmd)
end

-- Fails for what is asked for and could not be kept where the image goes, before anything is written.
local function check_kept(args, img)
  local to = args.in_place and args.image or args.output
  if to and to:find("^docker://") then
    if args.sets["--add-tag"] or args.sets["--unset-tag"] then
      problem.stop("--add-tag and --unset-tag are for the names in a file; in a registry, --tag adds one")
    end
    return
  end
  if not args.sets["--annotation"] then return end
  if args.format == "docker-legacy" or not args.format and not img.digest then
    problem.stop("an annotation is kept by a manifest, which %s has not: --format docker writes one for docker load, "
      .. "--format oci-archive or oci one for others", args.format or "this archive")
  end
end

function set.run(args, out)
  if not args.sets and not args.tag[1] then problem.stop("what is to be set? strata set --help has the options") end
  local img = options.open(args, out)
  if args.sets then check_kept(args, img) end
  local to = args.in_place and args.image or args.output
  if args.tag[1] and not (to and to:find("^docker://")) then img.tags, args.tag = args.tag, {} end
  for _, one in ipairs(args.settings or {}) do
    local _, message = one.apply(img, one.value)
    if message then problem.stop("%s", (message:gsub("^[%l:_]+: ", ""))) end
  end
  options.save(args, out, img)
end

return set

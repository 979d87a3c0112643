--- strata inspect: what an image is.

local config_schema = require "strata.document.config_schema"
local core = require "strata.core"
local image = require "strata.image"
local json = require "strata.util.json"
local listing = require "strata.command.listing"
local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local inspect = {
  summary = "Show what an image is: layers, history, settings.",
  usage = "[OPTION ...] IMAGE",
  example = "strata inspect app.tar",
}

function inspect.define(cmd)
  options.image(cmd)
  cmd:mutex(
    cmd:flag("--config", "The config, byte for byte."),
    cmd:flag("--manifest", "The manifest, byte for byte; of a reference what its tag leads to, which may be an index."))
end

local function layers_of(img)
  local list = {}
  for i, layer in ipairs(img.layers) do
    list[i] = {
      diff_id = layer.diff_id, digest = layer.digest, size = layer.size, compression = layer.compression,
      media_type = layer.media_type, created_by = layer.created_by,
    }
  end
  return list
end

local function as_table(img)
  local tags, digests, annotations = {}, {}, {}
  for i, tag in ipairs(img.tags) do tags[i] = tag end
  for i, digest in ipairs(img.repo_digests) do digests[i] = digest end
  for name, value in pairs(img.annotations) do annotations[name] = value end
  return {
    id = img.id, digest = img.digest, tags = tags, repo_digests = digests, platform = tostring(img.platform),
    size = img.size, layers = layers_of(img), config = img.config:totable(), annotations = json.object(annotations),
  }
end

-- What an empty table of the config is.
local function like_config(pointer)
  local inner = pointer:match("^/config(/.*)$")
  return inner and (config_schema.empty((inner:gsub("^/container_config/", "/config/"))) or "object")
end

local function text(value)
  return output.text(tostring(value))
end

local function say_about(img, out)
  local tags = {}
  for i, tag in ipairs(img.tags) do tags[i] = text(tag) end
  local function line(name, value) out:say("%-9s %s", name, value or "none") end
  line("tags", tags[1] and table.concat(tags, ", "))
  line("id", img.id)
  if img.digest then line("digest", img.digest) end
  line("platform", text(img.platform))
  line("created", img.config.created and text(img.config.created))
  line("size", ("%s in %s"):format(output.size(img.size), output.counted(#img.layers, "layer")))
end

local KEYS = { "Entrypoint", "Cmd", "User", "WorkingDir", "StopSignal", "Healthcheck" }

-- A line for each setting.
local function settings_of(img)
  local config, lines = img.config, {}
  local function add(name, value) lines[#lines + 1] = ("%-11s %s"):format(name, value) end
  for _, key in ipairs(KEYS) do
    local value = config[key]
    if value ~= nil and value ~= "" then add(key, text(type(value) == "table" and output.json(value) or value)) end
  end
  for _, one in ipairs(config.Env or {}) do add("Env", text(one)) end
  for name in config:each("ExposedPorts") do add("Port", text(name)) end
  for name in config:each("Volumes") do add("Volume", text(name)) end
  for name, value in config:each("Labels") do add("Label", text(name) .. "=" .. text(value)) end
  for name, value in require("strata").pairs(img.annotations) do add("Annotation", text(name) .. "=" .. text(value)) end
  return lines
end

-- The bytes of the document that the digest is the hash of.
local function manifest_of(args, out)
  if options.is_any(args) and options.is_remote(args.image) then
    return problem.check(options.registry(args, args.image):manifest(args.image)).text
  end
  local manifest = image.state_of(options.open(args, out)).manifest
  if not manifest then problem.stop("%s: the image came without a manifest: --config shows what it has", args.image) end
  return manifest.text
end

function inspect.run(args, out)
  if args.manifest then return out:write(manifest_of(args, out), core.is_terminal(1) and "\n" or "") end
  local img = options.open(args, out)
  if args.config then return out:write(img.config:text(), core.is_terminal(1) and "\n" or "") end
  if out.is_json then return out:value(as_table(img), like_config) end
  say_about(img, out)
  out:say("\n%s", out:paint("layers, the base first", "bold"))
  listing.history(out, img)
  local settings = settings_of(img)
  if settings[1] then out:say("\n%s\n%s", out:paint("settings", "bold"), table.concat(settings, "\n")) end
end

return inspect

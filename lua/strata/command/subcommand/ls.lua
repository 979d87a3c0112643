--- strata ls: the files of an image as a container sees them, or those of one layer.

local json = require "strata.util.json"
local listing = require "strata.command.listing"
local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local ls = {
  summary = "List files: those that a container sees, or of a layer.",
  description = "List files: those that a container sees, or all that a layer has.",
  usage = "[OPTION ...] IMAGE [PATH ...]",
  example = "strata ls -l app.tar etc 'usr/bin/*'",
}

function ls.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "A directory, a file or a glob (*, ?, [a-z]; ** for any directories)."):target("path"):args("*")
  cmd:flag("-l --long", "With mode, owner, size and time (UTC), as tar -tv.")
  cmd:flag("-r -R --recursive", "With all that is below.")
  cmd:option("--layer", "All that layer N has, whiteouts (.wh.) included; 1 is the base."):argname("N")
    :convert(options.number(1))
  cmd:option("--sort", "By name, or the largest first."):argname("KEY"):choices { "name", "size" }
  cmd:flag("--numeric", "Users and groups as numbers.")
end

-- Adds what is in a directory, or the entry itself when it is none.
local function add(found, root, path, is_recursive)
  local entry = problem.check(root:stat(path))
  if entry.type ~= "dir" then
    found[#found + 1] = problem.check(root:lstat(path))
  elseif is_recursive then
    for one in root:walk(path) do found[#found + 1] = one end
  else
    for _, name in ipairs(problem.check(root:list(path))) do
      found[#found + 1] = problem.check(root:lstat(path .. "/" .. name))
    end
  end
end

local function matches(found, root, pattern, is_recursive)
  local paths = problem.check(root:glob(pattern))
  if #paths == 0 then problem.stop("'%s' matches nothing", output.text(pattern)) end
  for _, path in ipairs(paths) do
    local entry = problem.check(root:lstat(path))
    found[#found + 1] = entry
    if is_recursive and entry.type == "dir" then
      for one in root:walk(path) do found[#found + 1] = one end
    end
  end
end

local function of_image(img, args)
  local root, found = problem.check(img:rootfs()), {}
  for _, path in ipairs(args.path[1] and args.path or { "/" }) do
    if path:find("[*?[]") then
      matches(found, root, path, args.recursive)
    else
      add(found, root, path, args.recursive)
    end
  end
  return found
end

local function of_layer(layer, args)
  local chosen, found = args.path[1] and require("strata").matcher(args.path), {}
  for entry in layer:entries() do
    if not chosen or chosen(entry.path) then found[#found + 1] = entry end
  end
  if chosen and #found == 0 then problem.stop("layer %d has nothing of these paths", layer.position) end
  return found
end

-- A layer may have a path several times; the merged view has not.
local function order(key, is_layer)
  return function(a, b)
    if key == "size" and a.size ~= b.size then return a.size > b.size end
    if a.path ~= b.path then return json.before(a.path, b.path) end
    return is_layer and a.position < b.position
  end
end

local FIELDS = { "path", "type", "uid", "gid", "uname", "gname", "size", "mtime", "linkpath", "whiteout", "opaque" }

-- An entry of a layer as JSON; one of the merged view has that itself.
local function json_of(entry, layer)
  if not layer then return entry:json() end
  local fields = { mode = ("%04o"):format(entry.mode), layer = layer }
  for _, name in ipairs(FIELDS) do fields[name] = entry[name] end
  return output.json(fields)
end

function ls.run(args, out)
  local img = options.open(args, out)
  local layer = args.layer and options.layer(img, args.layer)
  local entries = layer and of_layer(layer, args) or of_image(img, args)
  if args.sort then table.sort(entries, order(args.sort, layer ~= nil)) end -- numbers, and paths by json.before
  if not out.is_json then return listing.write(out, entries, args.long, args.numeric) end
  local i = 0
  out:list(function()
    i = i + 1
    return entries[i] and json_of(entries[i], args.layer)
  end)
end

return ls

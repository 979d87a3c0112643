--- strata ls: the files of an image as a container sees them, or those of one layer.

local choice = require "strata.util.choice"
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
  options.layers(cmd, "All that layer N has, whiteouts (.wh.) included; 1 is the base.")
  cmd:option("--sort", "By name, or the largest first."):argname("KEY"):choices { "name", "size" }
  cmd:flag("--numeric", "Users and groups as numbers.")
end

-- The paths that are meant, each with what is there; all have to be there before anything is written.
local function starts_of(root, paths)
  local starts = {}
  for _, path in ipairs(paths[1] and paths or { "/" }) do
    if not path:find("[*?[]") then
      local is_dir = problem.check(root:stat(path)).type == "dir"
      starts[#starts + 1] = { path = path, is_dir = is_dir, is_listed = is_dir }
    else
      local found = problem.check(root:glob(path))
      if #found == 0 then problem.stop("'%s' matches nothing", output.text(path)) end
      for _, one in ipairs(found) do
        starts[#starts + 1] = { path = one, is_dir = problem.check(root:lstat(one)).type == "dir" }
      end
    end
  end
  return starts
end

-- Calls visit for what a container sees: what is in a directory that was named, or what a glob matches.
local function each_of_image(root, args, visit)
  for _, start in ipairs(starts_of(root, args.path)) do
    if not start.is_listed then visit((problem.check(root:lstat(start.path)))) end
    if start.is_dir and args.recursive then
      for entry in root:walk(start.path) do visit(entry) end
    elseif start.is_listed then
      for _, name in ipairs(problem.check(root:list(start.path))) do
        visit((problem.check(root:lstat(start.path .. "/" .. name))))
      end
    end
  end
end

-- The same for what a layer has, in the order of its tar.
local function each_of_layer(layer, args, visit)
  local chosen, list = args.path[1] and choice.new(args.path, "ls"), {}
  for entry in layer:entries() do
    if not chosen or chosen:covers(entry.path) then list[#list + 1] = entry end
  end
  local unused = chosen and chosen:unused()
  if unused then problem.stop("layer %d: %s", layer.position, unused) end
  for _, entry in ipairs(list) do visit(entry) end
end

local FIELDS = { "path", "type", "uid", "gid", "uname", "gname", "size", "mtime", "linkpath", "whiteout", "opaque" }

-- An entry of a layer as JSON; one of the merged view has that itself.
local function json_of(entry, layer)
  if not layer then return entry:json() end
  local fields = { mode = ("%04o"):format(entry.mode), layer = layer }
  for _, name in ipairs(FIELDS) do fields[name] = entry[name] end
  return output.json(fields)
end

-- A layer may have a path several times, which stay in their order.
local function order(key)
  return function(a, b)
    if key == "size" and a.size ~= b.size then return a.size > b.size end
    if a.path ~= b.path then return json.before(a.path, b.path) end
    return a.place < b.place
  end
end

-- The function that takes the row of each entry; with a key it waits until all are there, and is sorted by it.
local function sorter(args, write)
  if not args.sort then return write, function() end end
  local rows = {}
  local function keep(row, entry)
    rows[#rows + 1] = { row = row, path = entry.path, size = entry.size, place = #rows }
  end
  return keep, function()
    table.sort(rows, order(args.sort)) -- numbers, and paths by json.before
    for _, one in ipairs(rows) do write(one.row) end
  end
end

function ls.run(args, out)
  local img = options.open(args, out)
  local layer = args.layer and options.layer(img, args.layer)
  local write, finish
  if out.is_json then
    write, finish = out:list()
  else
    write, finish = listing.writer(out, args.long)
  end
  local take, sort = sorter(args, write)
  local function visit(entry)
    if out.is_json then return take(json_of(entry, args.layer), entry) end
    take(listing.row(out, entry, args.long, args.numeric), entry)
  end
  if layer then
    each_of_layer(layer, args, visit)
  else
    each_of_image(options.rootfs(args, img), args, visit)
  end
  sort()
  finish()
end

return ls

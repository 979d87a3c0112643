--- strata append: one more layer.

local core = require "strata.core"
local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local append = {
  summary = "Add a layer of a directory, a file, a tar or an archive.",
  usage = "[OPTION ...] IMAGE SOURCE (-o TO | --in-place)",
  example = "strata append app.tar ./public --to /srv/www -o site.tar",
  writes = true,
}

local function owner(text)
  if text == "keep" then return text end
  local uid, gid = text:match("^(%d+):(%d+)$")
  if not uid then return nil, ("'%s' is not UID:GID, and not keep"):format(text) end
  return { uid = tonumber(uid), gid = tonumber(gid) }
end

function append.define(cmd)
  options.image(cmd)
  cmd:argument("SOURCE", "A directory, whose content goes into the layer; a tar (.tar, .tgz, .tar.zst ...), as it is; "
    .. "an archive (.deb, .rpm, .cpio, .zip ...); or any other file."):target("source")
  cmd:option("--to", "The directory that it goes into; / by default."):argname("DIR")
  cmd:option("--as", "What SOURCE is, where its name does not say it; overlay is the upper directory of a mount.")
    :argname("KIND"):choices { "dir", "file", "tar", "archive", "overlay" }
  cmd:option("--lower", "SOURCE is DIR with changes, and the layer has these alone."):argname("DIR")
  cmd:option("--owner", "Whose it is: UID:GID, or keep. By default 0:0 for a directory or a file, else keep.")
    :argname("OWNER"):convert(owner)
  cmd:option("--exclude", "A path or glob of the source that is left out."):argname("PATH"):count("*")
  cmd:option("--mtime", "The time of all entries, in seconds since 1970."):argname("SECONDS"):convert(options.number(0))
  cmd:option("--at", "Its number afterwards; the topmost by default."):argname("N"):convert(options.number(1))
  cmd:option("--created-by", "What the history says."):argname("TEXT")
  options.output(cmd)
end

local TARS, ARCHIVES = { tar = true, tgz = true, tzst = true, txz = true },
  { deb = true, rpm = true, cpio = true, zip = true, iso = true, apk = true, ["7z"] = true, ar = true }

local function kind_of(path)
  local dir = core.open_dir(path)
  if dir then dir:close() end
  local name = path:lower():gsub("%.gz$", ""):gsub("%.zst$", ""):gsub("%.xz$", ""):gsub("%.bz2$", "")
  local suffix = name:match("%.([^./]+)$")
  return dir and "dir" or TARS[suffix] and "tar" or ARCHIVES[suffix] and "archive" or "file"
end

-- A file is a directory with everything else left out.
local function add_file(spec, path)
  local dir, name = path:match("^(.*)/([^/]+)$")
  spec.dir, name = dir == "" and "/" or dir or ".", name or path
  spec.exclude = function(inside) return inside ~= name end
end

-- The lines about sources that were left out. Where the file is alone in its directory, nothing else had to be
-- excluded.
local function told(skipped, kind)
  local list = {}
  for _, line in ipairs(skipped) do
    if kind ~= "file" or not line:find("^exclude: ") then list[#list + 1] = line end
  end
  return list
end

-- The options of img:append, without those that name the source.
local function spec_of(args, kind, out)
  local is_of_host = (kind == "dir" or kind == "file") and not args.lower
  local spec = options.work(args, out, { to = args.to, at = args.at, created_by = args.created_by, mtime = args.mtime })
  if args.exclude[1] then spec.exclude = args.exclude end
  local new_owner = args.owner or is_of_host and { uid = 0, gid = 0 }
  if new_owner ~= "keep" then spec.owner = new_owner or nil end
  return spec
end

-- Appends what has changed in a directory, compressed as the layers of the image are.
local function append_changes(img, spec, args)
  local top = img.digest and img.layers[#img.layers]
  local layer, skipped = problem.check(require("strata").layer {
    lower = args.lower, upper = args.lower and args.source, overlay_upper = not args.lower and args.source or nil,
    to = spec.to, mtime = spec.mtime, owner = spec.owner, exclude = spec.exclude, threads = spec.threads,
    progress = spec.progress, compression = top and top.compression or nil,
  })
  problem.check(img:append { layer = layer, at = spec.at, created_by = spec.created_by })
  return skipped
end

local function append_source(img, spec, kind, args)
  if kind == "file" then
    if args.exclude[1] then problem.stop("--exclude is for directories and archives") end
    problem.check(io.open(args.source)):close()
    add_file(spec, args.source)
  else
    spec[kind] = args.source
  end
  local _, skipped, _, moved = problem.check(img:append(spec))
  return skipped, moved
end

function append.run(args, out)
  local kind = args.as or kind_of(args.source)
  if args.lower and kind ~= "dir" then problem.stop("--lower is for a directory as SOURCE") end
  if kind == "tar" and not args.as and require("strata").open_index(args.source) then
    problem.stop("%s is an image, and not the tar of a layer: --as tar takes it as one all the same", args.source)
  end
  local spec, img = spec_of(args, kind, out), options.open(args, out)
  local skipped, moved
  if args.lower or kind == "overlay" then
    skipped = append_changes(img, spec, args)
  else
    skipped, moved = append_source(img, spec, kind, args)
  end
  skipped = told(skipped or {}, kind)
  for _, line in ipairs(skipped) do out:warn("left out: %s", output.text(line)) end
  for _, one in ipairs(moved or {}) do
    out:warn("%s is a link: %s has it", output.text(one.from), output.text(one.to))
  end
  local layer = img.layers[args.at or #img.layers]
  options.tell(out, "layer %d of %d: %s", layer.position, #img.layers,
    output.counted(layer.count, "entry", "entries"))
  options.save(args, out, img, { layer = layer.position, entries = layer.count, skipped = skipped,
                                 moved = moved or {} })
end

return append

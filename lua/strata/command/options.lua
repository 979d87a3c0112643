--- Arguments and options that subcommands share, and what follows from them: opening an image, writing one.

local core = require "strata.core"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local options = {}

-- ---- values ----------------------------------------------------------------------------------

--- Converts a whole number from `least` on.
---@param least integer
---@return fun(text: string): integer?, string?
function options.number(least)
  return function(text)
    local value = text:find("^%d+$") and #text < 16 and tonumber(text)
    if value and value >= least then return value end
    return nil, ("'%s' is no whole number from %d on"):format(text, least)
  end
end

--- Converts "NAME=VALUE".
---@param text string
---@return {name: string, value: string}?
---@return string? message
function options.pair(text)
  local name, value = text:match("^([^=]+)=(.*)$")
  if name then return { name = name, value = value } end
  return nil, ("'%s' is not NAME=VALUE"):format(text)
end

-- ---- what subcommands share ------------------------------------------------------------------

--- Makes help show an option in one line, and not its names below each other.
---@param option table  argparse's
---@param label string
---@return table option
function options.named(option, label)
  option._get_label_lines = function() return { label } end
  return option
end

local named = options.named

-- Options that no group has yet become the first group, so that what is a subcommand's own comes first in its help.
local function group_rest(cmd)
  local grouped, rest = {}, { name = "Options" }
  for _, group in ipairs(cmd._groups) do
    for _, element in ipairs(group) do grouped[element] = true end
  end
  for _, option in ipairs(cmd._options) do
    if not grouped[option] then rest[#rest + 1] = option end
  end
  table.insert(cmd._groups, 1, rest)
end

--- Adds what every subcommand takes; called when it has all else.
---@param cmd table  argparse's
function options.common(cmd)
  group_rest(cmd)
  cmd:group("Output",
    cmd:flag("--json", "Print JSON, in the shape of doc/command.md."),
    cmd:option("--color", "Colours: auto is on a terminal, and not with NO_COLOR."):argname("WHEN")
      :choices { "auto", "always", "never" },
    cmd:flag("-q --quiet", "Print nothing but errors."))
end

--- Adds an action of a subcommand, with a help of its own.
---@param cmd table
---@param name string  "index add"
---@param summary string
---@param usage string
---@return table # argparse's
function options.action(cmd, name, summary, usage)
  return cmd:command(name:match("%S+$"), summary):usage(("Usage: strata %s %s"):format(name, usage))
    :add_help { name = "-h --help", description = "Show this help." }
end

-- The options for places in a registry.
local function registry_options(cmd)
  return cmd:option("--plain-http", "Speak http to this registry."):argname("HOST"):count("*"),
    cmd:option("--insecure", "Do not check the certificate of this registry."):argname("HOST"):count("*"),
    cmd:option("--ca", "Trust the certificates in FILE, too."):argname("FILE"),
    cmd:flag("--foreign", "Fetch layers that the registry has not from the URLs in the manifest.")
end

local SHOWN_PLACES = 'a file, a layout directory, "-" or docker://host/name:tag'

--- Adds the options for places in a registry.
---@param cmd table
function options.registries(cmd)
  cmd:group("Registry", registry_options(cmd))
end

--- Adds an argument that is a place, and the options for one in a registry.
---@param cmd table
---@param name string  what help calls it
---@param text string
---@return table argument
function options.place(cmd, name, text)
  options.registries(cmd)
  return cmd:argument(name, text):target("image")
end

--- Adds an argument that is a place, of which all images are meant.
---@param cmd table
---@param name string  what help calls it
function options.images(cmd, name)
  options.place(cmd, name, ("The images: %s."):format(SHOWN_PLACES))
end

--- Adds an argument that is an image, and the options that say which one is meant.
---@param cmd table
---@param name? string  what help calls it. Default: "IMAGE"
function options.image(cmd, name)
  cmd:argument(name or "IMAGE", ("The image: %s."):format(SHOWN_PLACES)):target("image")
  cmd:group("Which image",
    cmd:option("--ref", "The tag or ID of one of several images."):argname("REF"),
    cmd:option("--platform", "One of several platforms, such as linux/arm64."):argname("OS/ARCH"),
    cmd:option("--digest", "The digest of its manifest."):argname("DIGEST"),
    registry_options(cmd))
end

--- Adds the options that say of which layers the files are.
---@param cmd table
---@param text string  of --layer
function options.layers(cmd, text)
  cmd:mutex(
    cmd:option("--layer", text):argname("N"):convert(options.number(1)),
    cmd:option("--upto", "The files as layers 1 to N make them."):argname("N"):convert(options.number(1)))
end

--- Adds the option that says where an image goes.
---@param cmd table
---@param more? string  about it
---@return table option
function options.target(cmd, more)
  return named(cmd:option("-o --output", ("Write to TO: %s.%s"):format(SHOWN_PLACES, more or "")):argname("TO"),
    "-o, --output TO")
end

--- Adds the option that names what is written.
---@param cmd table
---@param text string
function options.tag(cmd, text)
  named(cmd:option("-t --tag", text):argname("NAME"):count("*"), "-t, --tag NAME")
end

--- Adds the options of a subcommand that changes an image and writes it.
---@param cmd table
function options.output(cmd)
  cmd:mutex(
    options.target(cmd, " What is in a layout goes into a layout, or into an archive where TO ends in .tar."),
    cmd:flag("-i --in-place", "Write over IMAGE."))
  options.tag(cmd, "Name the result so, instead of what it is called; in a registry, a further tag.")
  options.plan(cmd)
  options.writing(cmd)
end

--- Adds the option for those who want to see first.
---@param cmd table
function options.plan(cmd)
  cmd:flag("-n --plan", "Tell what would be written, and write nothing.")
end

--- Adds the options that say how an image is written.
---@param cmd table
function options.writing(cmd)
  cmd:group("How it is written",
    cmd:option("--format", "As it came, when none is given."):argname("FORMAT")
      :choices { "docker", "docker-legacy", "oci", "oci-archive" },
    cmd:option("--compression", "Of the layers; keep leaves untouched ones as they are."):argname("KIND")
      :choices { "keep", "gzip", "zstd", "none" },
    cmd:option("--level", "Of the compression: gzip 0 to 9, zstd 1 to 19."):argname("N"):convert(options.number(0)),
    cmd:flag("--reproducible", "The same compressed bytes on every machine."),
    cmd:option("--threads", "At most N; else one per processor."):argname("N"):convert(options.number(1)),
    cmd:option("--attestations", "Keep or drop those of the image, or refuse to leave one behind."):argname("HOW")
      :choices { "keep", "drop", "refuse" },
    cmd:option("--expect", "Push only where the tag has this digest now; none: where it is not there.")
      :argname("DIGEST"),
    cmd:option("--exists", "Whether the registry is asked for each blob before it is sent."):argname("WHEN")
      :choices { "auto", "check", "never" })
end

-- ---- what follows from them ------------------------------------------------------------------

local function is_dir(path)
  local dir = path ~= "-" and core.open_dir(path)
  if dir then dir:close() end
  return dir and true or false
end

--- Whether a place is in a registry.
---@param place any
---@return boolean
function options.is_remote(place)
  return type(place) == "string" and place:find("^docker://") ~= nil
end

local is_remote = options.is_remote

--- The client of registries that the options ask for; nil when no place is in a registry.
---@param args table
---@param ... string  places
---@return strata.Registry?
function options.registry(args, ...)
  local wanted = false
  for i = 1, select("#", ...) do wanted = wanted or is_remote((select(i, ...))) end
  if not wanted then return nil end
  if args.client then return args.client end
  local hosts = {}
  local function host(name)
    hosts[name] = hosts[name] or { ca = args.ca }
    return hosts[name]
  end
  for _, name in ipairs(args.plain_http) do host(name).plain = true end
  for _, name in ipairs(args.insecure) do host(name).insecure = true end
  for i = 1, args.ca and select("#", ...) or 0 do
    local name = is_remote((select(i, ...))) and select(i, ...):match("^docker://([^/]+)/")
    if name then host(name).ca = args.ca end
  end
  local strata = require "strata"
  args.client = problem.check(strata.registry { helpers = true, hosts = hosts, foreign = args.foreign })
  return args.client
end

--- How a place is opened.
---@param args table
---@param out table
---@param place string
---@return strata.IndexOptions
function options.opening(args, out, place)
  return { registry = options.registry(args, place), progress = out:progress(), threads = args.threads }
end

-- Formats that skopeo's commands have in front of a path.
local SKOPEO = { ["docker-archive:"] = true, ["oci:"] = true, ["oci-archive:"] = true, ["dir:"] = true }

local function transport_of(place)
  local transport = place:match("^(%l[%l-]*:)")
  return SKOPEO[transport] and transport
end

-- Images that a message lists; of more than that it says how they are listed.
local MANY = 4

--- A message about an image or an index that is not there, without a long list of those that are.
---@param message string
---@param place string
---@return string
function options.shortened(message, place)
  local head, list = message:match("^(.-)[;,] [and ]*there are: (.*)$")
  if not head then head, list = message:match("^(.* choose one with [%l, ]+): (.*)$") end
  if not list or select(2, list:gsub("[;,] ", "")) < MANY then return message end
  return ("%s: strata index list %s shows them"):format(head, place)
end

--- Gives what opening a place has given, or ends the command.
---@param place string
---@param value any  nil: it has failed
---@param message string?
---@param ... any
---@return any ...
function options.opened(place, value, message, ...)
  if value ~= nil then return value, message, ... end
  local transport = transport_of(place)
  if transport then
    problem.stop("'%s': formats are told by content: the path alone, without %s", place, transport)
  end
  problem.stop("%s", options.shortened(message, place))
end

--- Whether nothing says which of several images is meant.
---@param args table
---@return boolean
function options.is_any(args)
  return not (args.ref or args.platform or args.digest)
end

--- Opens a further image, for the platform of `--platform`, or ends the command.
---@param args table
---@param out table
---@param place string
---@param ref? string
---@param digest? string
---@return strata.Image
function options.image_of(args, out, place, ref, digest)
  local opening = options.opening(args, out, place)
  opening.ref, opening.platform, opening.digest = ref, args.platform, digest
  if place == "-" then
    if args.has_read then problem.stop("standard input can be read once: give one of the images as a file") end
    args.has_read = true
  end
  return (options.opened(place, require("strata").open(place, opening)))
end

--- Opens the image that the arguments name, or ends the command.
---@param args table
---@param out table
---@return strata.Image
function options.open(args, out)
  return options.image_of(args, out, args.image, args.ref, args.digest)
end

--- The layer of that number, or the end of the command.
---@param img strata.Image
---@param number integer
---@return strata.Layer
function options.layer(img, number)
  local layer = img.layers[number]
  if not layer then problem.stop("there is no layer %d: the image has %d, from 1, the base", number, #img.layers) end
  return layer
end

--- The files that a container sees, or those that the layers up to `--upto` make.
---@param args table
---@param img strata.Image
---@return strata.Rootfs
function options.rootfs(args, img)
  if args.upto then options.layer(img, args.upto) end
  return (problem.check(img:rootfs(args.upto and { upto = args.upto } or nil)))
end

--- A base that is a number of layers, or a place that has its image.
---@param args table
---@param out table
---@param text string
---@return strata.Image|integer
function options.base(args, out, text)
  return text:find("^%d+$") and tonumber(text) or options.image_of(args, out, text)
end

--- Tells how many files an extraction of some paths would write, and how many bytes.
---@param args table
---@param out table
---@param img strata.Image
---@param to string?
function options.tell_files(args, out, img, to)
  local chosen, count, bytes = args.path[1] and require("strata").matcher(args.path), 0, 0
  local counted = {} -- files that have several names
  for entry in problem.check(img:rootfs()):walk() do
    if not chosen or chosen(entry.path) then
      count = count + 1
      local inode = entry.type == "file" and entry.inode
      if entry.type == "file" and not counted[inode] then bytes = bytes + entry.size end
      if inode then counted[inode] = true end
    end
  end
  if count == 0 and chosen then problem.stop("nothing matches %s", table.concat(args.path, ", ")) end
  if out.is_json then return out:value { plan = true, path = to, entries = count, bytes = bytes } end
  out:say("would write %s with %s%s", output.counted(count, "path"), output.size(bytes), to and " to " .. to or "")
end

--- Options of calls that only work, and may take long.
---@param args table
---@param out table
---@param more? table
---@return table
function options.work(args, out, more)
  local work = more or {}
  work.threads, work.progress = args.threads, out:progress()
  return work
end

--- Ends the command when an image is to be written and nothing says where, before any work is done.
---@param args table
function options.check_target(args)
  local to = args.output
  if args.in_place and args.image == "-" then
    problem.stop("what comes from standard input cannot be written in place: -o TO")
  elseif not to and not args.in_place and not args.plan then
    problem.stop("where does it go? -o TO (a file, a directory, - or docker://...)%s",
      args.image and ", or --in-place" or "")
  elseif to and transport_of(to) then
    problem.stop("'%s': the path alone, without %s, and --format FORMAT; './%s' is a file of that name", to,
      transport_of(to), to)
  elseif to == "-" and args.json and not args.plan then
    problem.stop("--json and -o - both want standard output")
  elseif to == "-" and not args.plan and core.is_terminal(1) then
    problem.stop("standard output is a terminal: -o FILE, or a pipe behind it")
  elseif (args.expect or args.exists) and not is_remote(to or args.in_place and args.image) then
    problem.stop("--expect and --exists are for what goes to a registry")
  end
end

--- The format that the options ask for, or the name of the target: what a directory has goes into a directory, but
-- not into one that is called a tar. Where an edit of one of several images goes into a tar, nothing says whether the
-- others are to go along, and the command ends.
---@param args table
---@param to string?
---@param is_whole? boolean  all images that are there
---@return string?
function options.format_of(args, to, is_whole)
  local name = (to or ""):gsub("%.gz$", ""):gsub("%.zst$", ""):gsub("%.xz$", ""):gsub("%.bz2$", "")
  local is_tar = name:find("%.tar$") or name:find("%.tgz$")
  local is_from_dir = args.image and is_dir(args.image)
  if args.format or not is_tar or is_remote(to) or not is_from_dir or is_dir(to) then return args.format end
  local whole = not is_whole and require("strata").open_index(args.image)
  if whole and #whole.manifests > 1 then
    problem.stop("%s: what is in a layout stays in one: --format oci-archive writes an archive of this image alone, "
      .. "--format oci a layout", to)
  end
  return "oci-archive"
end

--- How the options say that an image is written.
---@param args table
---@param out table
---@param to string?
---@param is_whole? boolean  all images that are there
---@return table
function options.saving(args, out, to, is_whole)
  local saving = options.work(args, out, {
    format = options.format_of(args, to, is_whole), compression = args.compression, level = args.level,
    reproducible = args.reproducible, attestations = args.attestations,
  })
  if is_remote(to) then
    saving.registry, saving.exists, saving.expect = options.registry(args, to), args.exists, args.expect
    if args.expect == "none" then saving.expect = false end
  end
  return saving
end

-- A line of a result, which says of a plan what is going to happen.
local function line_of(one, is_plan)
  local line = tostring(one):match("^[^\n]*"):gsub(" and skipped", ", there already")
  if not is_plan then return line end
  line = line:gsub("(%d+) uploaded, (%d+) mounted, ", "%1 to upload, %2 to mount, "):gsub(", not written yet", "")
  return (line:gsub(" and sent", ", to upload"):gsub(" and mounted", ", to mount"))
end

-- The lines about an image that was saved: one about itself, and one for each layer that is not as before.
local function saved_text(saved, is_plan)
  local lines, copied = { line_of(saved, is_plan) }, 0
  for i, one in ipairs(saved.layers) do
    if one.action == "copied" then
      copied = copied + 1
    else
      lines[#lines + 1] = ("  layer %d: %s"):format(i, line_of(one, is_plan))
    end
  end
  if copied > 0 then lines[#lines + 1] = ("  %s as before"):format(output.counted(copied, "layer")) end
  for _, one in ipairs(saved.images or {}) do
    lines[#lines + 1] = "  " .. saved_text(one, is_plan):gsub("^[%l-]+, image ", "image "):gsub("\n", "\n  ")
  end
  return table.concat(lines, "\n")
end

--- Prints what a save has written, or would write.
---@param out table
---@param args table
---@param to string?
---@param saved strata.SaveResult
---@param lost string[]?
---@param report? table  what the edit tells, for --json
function options.report(out, args, to, saved, lost, report)
  for _, line in ipairs(lost or {}) do io.stderr:write("strata: not kept: ", line, "\n") end
  for _, line in ipairs(saved.warnings or {}) do out:warn("the registry says: %s", line) end
  if to == "-" and not args.plan then return end -- the image itself is there
  if out.is_json then
    out:value { plan = args.plan or false, saved = saved, lost = lost or {}, report = report }
  else
    local where = args.plan and to and not saved.path and output.one_line(to) .. ": " or ""
    out:say("%s%s%s", args.plan and "would write " or "", where, saved_text(saved, args.plan))
  end
end

--- Keeps a line for people about an edit until the image is written: what fails has done nothing.
---@param out table
---@param text string
---@param ... any  for string.format
function options.tell(out, text, ...)
  out.told = out.told or {}
  table.insert(out.told, text:format(...))
end

--- Writes an image, or tells what would be written, and prints that.
---@param args table
---@param out table
---@param img strata.Image|strata.Index
---@param report? table  what the edit tells, for --json
function options.save(args, out, img, report)
  local to = args.in_place and args.image or args.output
  local saving = options.saving(args, out, to, args.action ~= nil)
  local tags, saved, lost = args.tag or {}
  if tags[1] and is_remote(to) then saving.tags = tags elseif tags[1] then img.tags = tags end
  if args.plan then
    if is_remote(to) then saving.to = to end
    saved = problem.check(img:plan(saving))
  else
    saved, lost = problem.check(img:save(to, saving))
  end
  for _, line in ipairs(out.told or {}) do
    if to == "-" and not args.plan then out:warn("%s", line) else out:say("%s", line) end
  end
  options.report(out, args, to, saved, lost, report)
end

--- The same for an edit that has made new layers of others.
---@param args table
---@param out table
---@param img strata.Image
---@param chunks strata.Chunk[]  prints itself
function options.save_chunks(args, out, img, chunks)
  options.tell(out, "%s", tostring(chunks))
  options.save(args, out, img, { chunks = chunks })
end

--- The same for an edit that may leave something of what was to go: all of it is told, and the status is 1.
---@param args table
---@param out table
---@param img strata.Image
---@param report {left: string[]?}  prints itself
---@return integer status
function options.save_what_leaves(args, out, img, report)
  local left = report.left
  report.left = nil
  options.tell(out, "%s", tostring(report))
  report.left = left
  options.save(args, out, img, report)
  for _, one in ipairs(left or {}) do io.stderr:write("strata: left: ", output.one_line(one), "\n") end
  return left and 1 or 0
end

return options

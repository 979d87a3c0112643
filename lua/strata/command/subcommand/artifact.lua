--- strata artifact: signatures, lists of contents and the like that are about an image.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"
local reference = require "strata.document.reference"

local artifact = {
  summary = "List, show and add what is about an image.",
  description = "List, show and add artifacts: signatures, lists of contents and the like that are about an image.",
  usage = "(list | inspect | cat | add) ...",
  example = "strata artifact list docker://registry.example/team/app:1.4",
  is_bare = true,
}

-- ---- words -----------------------------------------------------------------------------------

local function of_image(sub)
  options.image(sub)
  sub:flag("--of-index", "About the index that the image belongs to, and not about the image.")
end

local function one_artifact(sub)
  options.place(sub, "ARTIFACT", "A file, a layout directory or docker://host/name@sha256:....")
  sub:group("Which artifact",
    sub:option("--ref", "Its tag, where several are there."):argname("REF"),
    sub:option("--digest", "The digest of its manifest."):argname("DIGEST"))
end

function artifact.define(cmd)
  cmd:command_target("action"):require_command(true)
  local list = options.action(cmd, "artifact list", "List the artifacts that are about an image.", "[OPTION ...] IMAGE")
  of_image(list)
  list:option("--type", "Those of this type alone."):argname("TYPE")
  options.common(list)
  local inspect = options.action(cmd, "artifact inspect", "Show what an artifact is, and its files.",
    "[OPTION ...] ARTIFACT")
  one_artifact(inspect)
  options.common(inspect)
  local cat = options.action(cmd, "artifact cat", "Write the content of its files to standard output.",
    "[OPTION ...] ARTIFACT [FILE ...]")
  one_artifact(cat)
  cat:argument("FILE", "A file of it; all of them when none is named."):target("files"):args("*")
  options.common(cat)
  local add = options.action(cmd, "artifact add", "Add an artifact of files, beside the image.",
    "[OPTION ...] IMAGE FILE ... --type TYPE")
  of_image(add)
  add:argument("FILE", "A file of this machine."):target("files"):args("+")
  add:option("--type", "What it is, such as application/spdx+json."):argname("TYPE")
  add:option("--media-type", "Of the files; application/octet-stream by default."):argname("TYPE")
  add:option("--annotation", "Of the artifact."):argname("NAME=VALUE"):convert(options.pair):count("*")
  add:flag("-n --plan", "Tell what would be added, and write nothing.")
  options.common(add)
end

-- ---- work ------------------------------------------------------------------------------------

-- What an empty table is in JSON.
local function like(pointer)
  return pointer:find("/annotations$") and "object"
end

-- The index that an image belongs to, as artifacts name what they are about.
local function index_of(img)
  if not img.index then problem.stop("the image belongs to no index") end
  return img.index
end

local function list(args, out)
  local img = options.open(args, out)
  local rows
  if args.of_index then
    local digest = index_of(img).digest
    local whole = options.opened(args.image,
      require("strata").open_index(args.image, options.opening(args, out, args.image)))
    rows = problem.check(whole:referrers {
      digest = not options.is_remote(args.image) and digest or nil, type = args.type,
    })
  else
    rows = problem.check(img:referrers { type = args.type })
  end
  if out.is_json then return out:value(rows, like) end
  for _, one in ipairs(rows) do
    out:say("%s  %s", one.digest, output.text(one.artifact_type or "of no type"))
  end
end

local function open(args, out)
  local opening = options.opening(args, out, args.image)
  opening.ref, opening.digest = args.ref, args.digest
  return (options.opened(args.image, require("strata").open_artifact(args.image, opening)))
end

local function inspect(args, out)
  local found = open(args, out)
  if out.is_json then
    return out:value({ type = found.type, digest = found.digest, media_type = found.media_type, files = found.files,
                       subject = found.subject, annotations = found.annotations }, like)
  end
  local function line(name, value) out:say("%-10s %s", name, value and output.text(value) or "none") end
  line("type", found.type)
  line("digest", found.digest)
  line("subject", found.subject and found.subject.digest)
  for name, value in require("strata").pairs(found.annotations) do line("annotation", name .. "=" .. value) end
  for _, file in ipairs(found.files) do
    out:say("%-10s %s, %s, %s", "file", output.text(file.name or file.digest),
      output.text(file.media_type or "of no type"), output.size(file.size))
  end
end

-- Of any size: who asks for a file wants all of it.
local function cat(args, out)
  if out.is_json then problem.stop("artifact cat writes the bytes of files: it has no JSON") end
  local found = open(args, out)
  local sizes = {}
  for i, file in ipairs(found.files) do
    sizes[i] = file.size
    if file.name then sizes[file.name] = file.size end
  end
  for i in ipairs(args.files[1] and args.files or found.files) do
    local which = args.files[i] or i
    out:write((problem.check(found:read(which, sizes[which]))))
  end
end

-- Where it goes: beside the image. Under the tag of the image it would take the place of the image.
local function target_of(place)
  local parts = options.is_remote(place) and reference.of_registry(place)
  return parts and "docker://" .. parts.name or place
end

local function add(args, out)
  if not args.type then problem.stop("what is it? --type TYPE, such as application/spdx+json") end
  if args.image == "-" then problem.stop("what comes from standard input has no place beside it") end
  local img, files, annotations = options.open(args, out), {}, {}
  for _, path in ipairs(args.files) do
    local name = path:match("[^/]+$") or path
    if files[name] then problem.stop("two files are called '%s'", output.text(name)) end
    files[name] = { path = path, media_type = args.media_type }
  end
  for _, one in ipairs(args.annotation) do annotations[one.name] = one.value end
  local made = problem.check(require("strata").artifact {
    type = args.type, files = files, subject = args.of_index and index_of(img) or img, annotations = annotations,
  })
  local saved
  if not args.plan then
    local work = options.work(args, out, { registry = options.registry(args, args.image) })
    saved = problem.check(made:save(target_of(args.image), work))
  end
  if out.is_json then return out:value { plan = args.plan or false, digest = made.digest, saved = saved } end
  out:say("%s%s", args.plan and "would add " or "added ", made.digest)
end

local ACTIONS = { list = list, inspect = inspect, cat = cat, add = add }

function artifact.run(args, out)
  return ACTIONS[args.action](args, out)
end

return artifact

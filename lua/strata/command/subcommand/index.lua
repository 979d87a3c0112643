--- strata index: the images of a layout, an archive or an index of a registry.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local index = {
  summary = "List, create and edit indexes of images.",
  description = "List, add and remove the images of an index or a layout, or create an index of images.",
  usage = "(list | create | add | remove) ...",
  example = "strata index add app-layout app-arm64.tar --in-place",
  is_bare = true,
}

function index.define(cmd)
  cmd:command_target("action"):require_command(true)
  local function action(name, summary, usage)
    return options.action(cmd, "index " .. name, summary, usage)
  end
  local list = action("list", "List images, attestations and artifacts.", "[OPTION ...] INDEX")
  options.images(list, "INDEX")
  options.common(list)
  local create = action("create", "Create an index of images, one for each platform.",
    "[OPTION ...] IMAGE ... -o TO [--tag NAME]")
  options.place(create, "IMAGE", "An image that the index lists."):target("images"):args("+")
  options.target(create)
  options.tag(create, "Its name in a file or a layout; in a registry, a further tag.")
  options.writing(create)
  options.common(create)
  local add = action("add", "Add images.", "[OPTION ...] INDEX IMAGE ... (-o TO | --in-place)")
  options.images(add, "INDEX")
  add:argument("IMAGE", "An image to add."):target("images"):args("+")
  add:flag("--replace", "An image for the same platform, or of the same name, makes way.")
  add:option("--index", "The name or digest of the index that gets them."):argname("REF")
  options.output(add)
  options.common(add)
  local remove = action("remove", "Remove images.", "[OPTION ...] INDEX WHICH ... (-o TO | --in-place)")
  options.images(remove, "INDEX")
  remove:argument("WHICH", "A platform such as linux/arm64, a tag or a digest."):target("which"):args("+")
  options.output(remove)
  options.common(remove)
end

local function list(whole, out)
  if out.is_json then return out:value(whole.manifests) end
  local width = 1
  for _, one in ipairs(whole.manifests) do width = math.max(width, #(one.digest or "")) end
  local form = ("%%-11s %%-16s %%-%ds  %%s%%s"):format(width)
  for _, one in ipairs(whole.manifests) do
    local what = one.problem or one.missing and "not all of it is here" or nil
    out:say(form, one.kind, one.platform and output.text(tostring(one.platform)) or "-", one.digest or "-",
      output.text(table.concat(one.tags, ", ")), what and (" (%s)"):format(output.text(what)) or "")
  end
end

local function create(args, out)
  local to, images = args.output, {}
  local is_push = options.is_remote(to)
  if not is_push and #args.tag ~= 1 then problem.stop("what is it called? --tag NAME, once") end
  for i, place in ipairs(args.images) do images[i] = options.image_of(args, out, place) end
  local saving = options.saving(args, out, to, true)
  if is_push then saving.tags = args.tag[1] and args.tag else saving.index = args.tag[1] end
  local saved, lost = problem.check(require("strata").save(images, to, saving))
  options.report(out, args, to, saved, lost)
end

local function is_platform(text)
  return text:find("^%l[%w]*/%w[%w/]*$") ~= nil
end

local function edit(args, out, whole)
  if args.action == "remove" then
    local which = {}
    for i, one in ipairs(args.which) do which[i] = is_platform(one) and { platform = one } or one end
    local done, removed = whole:remove(which)
    if not done then problem.stop("%s", (removed:gsub("{platform=([^}]*)}", "%1"))) end
    return "removed", removed
  end
  local added = {}
  for _, place in ipairs(args.images) do
    local img = problem.check(require("strata").open(place, options.opening(args, out, place)))
    local done, replaced = whole:add(img, { replace = args.replace, index = args.index })
    if not done then problem.stop("%s", options.shortened((replaced:gsub("^add: ", "")), args.image)) end
    for _, one in ipairs(replaced or {}) do options.tell(out, "replaced %s", tostring(one)) end
    added[#added + 1] = img
  end
  return "added", added
end

function index.run(args, out)
  if args.action ~= "list" then options.check_target(args) end
  if args.action == "create" then return create(args, out) end
  local opening = options.opening(args, out, args.image)
  local whole = options.opened(args.image, require("strata").open_index(args.image, opening))
  if args.action == "list" then return list(whole, out) end
  local verb, what = edit(args, out, whole)
  for _, one in ipairs(what) do options.tell(out, "%s %s", verb, tostring(one)) end
  options.save(args, out, whole)
end

return index

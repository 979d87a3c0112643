--- strata tags: the names under which images can be had.

local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local tags = {
  summary = "List the tags of a repository, or names in a file.",
  description = "List the tags of a repository in a registry, or the names of the images in a file or a layout.",
  usage = "[OPTION ...] REPOSITORY",
  example = "strata tags docker://registry.example/team/app",
}

function tags.define(cmd)
  options.place(cmd, "REPOSITORY", 'docker://host/name, or else a file, a layout directory or "-".')
end

-- The names in a store, each once, in the order of its images.
local function names_of(whole)
  local names, is_known = {}, {}
  for _, one in ipairs(whole.manifests) do
    for _, name in ipairs(one.tags) do
      if not is_known[name] then names[#names + 1] = name end
      is_known[name] = true
    end
  end
  return names
end

function tags.run(args, out)
  local place, names = args.image
  if options.is_remote(place) then
    names = problem.check(options.registry(args, place):tags(place))
  else
    names = names_of(options.opened(place, require("strata").open_index(place, options.opening(args, out, place))))
  end
  if out.is_json then return out:value(names) end
  for _, name in ipairs(names) do out:say("%s", output.text(name)) end
end

return tags

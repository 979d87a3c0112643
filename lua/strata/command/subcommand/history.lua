--- strata history: the steps of the build, or what the layers have done to a path.

local listing = require "strata.command.listing"
local options = require "strata.command.options"
local output = require "strata.command.output"
local problem = require "strata.command.problem"

local history = {
  summary = "Show the steps of the build, or what happened to a path.",
  description = "Show the steps of the build beside the layers, or what each layer has done to a path.",
  usage = "[OPTION ...] IMAGE [PATH]",
  example = "strata history app.tar etc/passwd",
}

function history.define(cmd)
  options.image(cmd)
  cmd:argument("PATH", "Which layers have added, changed or removed it."):target("path"):args("?")
end

local FIELDS = { "created", "created_by", "author", "comment", "empty_layer" }

local function of_image(img)
  local rows = {}
  for i, row in ipairs(img:history()) do
    local one = { layer = row.layer and row.layer.position, diff_id = row.layer and row.layer.diff_id,
                  size = row.layer and row.layer.size }
    for _, name in ipairs(FIELDS) do one[name] = row[name] end
    rows[i] = one
  end
  return rows
end

local function of_path(img, path)
  local root, rows = problem.check(img:rootfs()), {}
  for i, row in ipairs(problem.check(root:history(path))) do
    rows[i] = { action = row.action, layer = row.layer.position, created_by = row.layer.created_by }
  end
  if #rows == 0 then problem.stop("no layer has anything to do with '%s'", output.text(path)) end
  return rows
end

function history.run(args, out)
  local img = options.open(args, out)
  if not args.path then
    if out.is_json then return out:value(of_image(img)) end
    return listing.history(out, img)
  end
  local rows = of_path(img, args.path)
  if out.is_json then return out:value(rows) end
  for _, row in ipairs(rows) do
    out:say("%-9s layer %d  %s", row.action, row.layer, output.text(row.created_by or ""))
  end
end

return history

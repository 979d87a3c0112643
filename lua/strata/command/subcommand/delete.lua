--- strata delete: manifests and tags of a registry.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local delete = {
  summary = "Delete tags or manifests of a registry.",
  description = "Delete manifests of a registry by their digests, each with all of its tags; or tags, where the "
    .. "registry can do that. In a file or a layout, strata index remove does so.",
  usage = "[OPTION ...] REFERENCE ...",
  example = "strata delete docker://registry.example/team/app:1.3",
}

function delete.define(cmd)
  options.place(cmd, "REFERENCE", "docker://host/name@sha256:... or docker://host/name:tag."):args("+")
  cmd:flag("-n --plan", "Tell what would be deleted, and delete nothing.")
end

local function remove(client, one)
  local ok, message, code = client:delete(one.reference)
  if code ~= "EUNSUPPORTED" or one.reference:find("@", 1, true) then return problem.check(ok, message) end
  problem.stop("%s; %s@%s is the manifest, which goes with all of its tags", message,
    (one.reference:gsub(":[^:/]*$", "")), one.digest)
end

function delete.run(args, out)
  for _, place in ipairs(args.image) do
    if not options.is_remote(place) then
      problem.stop("%s is in no registry: strata index remove takes images from a file or a layout", place)
    elseif not place:find("[:@][^/]*$") then
      problem.stop("%s has neither tag nor digest", place)
    end
  end
  local client, rows = options.registry(args, (table.unpack or unpack)(args.image)), {}
  for i, place in ipairs(args.image) do
    rows[i] = { reference = place, digest = problem.check(client:digest(place)) }
  end
  for _, one in ipairs(rows) do
    if not args.plan then remove(client, one) end
    out:say("%s %s, %s", args.plan and "would delete" or "deleted", one.reference, one.digest)
  end
  if out.is_json then out:value { plan = args.plan or false, deleted = rows } end
end

return delete

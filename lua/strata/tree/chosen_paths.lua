--- The paths of a merged tree that a caller chooses.

local choice = require "strata.util.choice"
local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local merge = require "strata.tree.merge"
local misuse = require "strata.util.misuse"
local parent_of = require("strata.util.path").parent
local tree_entry = require "strata.tree.entry"

local chosen_paths = {}

-- Calls fn(path, node) for all that is below the root.
local function each(tree, fn)
  local node = merge.after(tree, 0, 0)
  while node do
    job.tick()
    fn(tree:path(node), node)
    node = merge.after(tree, node, 0)
  end
end

-- Where symlinks lead from a path that has chosen nothing, for a message.
local function hint(tree, which)
  for _, given in ipairs(type(which) == "table" and not which.pattern and which or { which }) do
    local node = type(given) == "string" and tree:find(given, false)
    local path = node and tree:path(node)
    if path and path ~= core.normalise(given) then
      return ("; symlinks are not followed: %s is %s"):format(core.quote(given), core.quote(path))
    end
  end
  return ""
end

--- The paths that are chosen, with those of the directories that they are in.
---@param tree userdata  the core's
---@param layers strata.Layer[]  that it is made of
---@param which strata.Which  a function gets a strata.RootEntry
---@param opts {fn: string, optional: boolean?}  the method's name; what matches nothing is no error
---@return table<string, boolean>?
---@return string? message
---@return string? code  "ENOENT"
function chosen_paths.find(tree, layers, which, opts)
  local fn = opts.fn
  local chosen, wanted = choice.new(which, fn), {}
  if chosen.call then
    each(tree, function(path, node) chosen:ask(path, tree_entry.new(tree, node, layers)) end)
    if not tree:current() then misuse("%s: the function has edited a layer", fn) end
  end
  each(tree, function(path)
    if not chosen:covers(path) then return end
    while path and not wanted[path] do
      wanted[path] = true
      path = parent_of(path)
    end
  end)
  local unused = not opts.optional and chosen:unused()
  if unused then return fail("ENOENT", "%s: %s%s", fn, unused, hint(tree, which)) end
  return wanted
end

return chosen_paths

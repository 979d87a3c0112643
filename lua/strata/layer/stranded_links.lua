--- Hardlinks whose file is in a lower layer.
--
-- Inside a layer the core keeps links and files together. A link can also name a
-- file that only a lower layer holds, and then nothing takes that file's place.

local core = require "strata.core"
local layer = require "strata.layer"
local literal_tree = require "strata.layer.literal_tree"

local stranded_links = {}

-- The hardlinks that stay and whose file is in no entry of their own layer, by layer; nil: none.
local function find_dangling(states)
  local found
  for i, state in ipairs(states) do
    for entry in i > 1 and state.index:entries() or function() end do
      if entry.dangling and not entry.marked then
        found = found or {}
        found[i] = found[i] or {}
        table.insert(found[i], entry)
      end
    end
  end
  return found
end

--- Finds a link that would be left without its file when marked entries go. The file is looked for by the name in the
-- link, and where that leads through symlinks.
---@param states {index: userdata}[]  of all layers, base first, scanned
---@return string? message
function stranded_links.find(states)
  local dangling, message = find_dangling(states), nil
  if not dangling then return nil end
  local function look(entry, number, lower, file)
    if file and file.marked and not message then
      message = ("layer %d: hardlink %s shares the file %s%s, which is to be dropped; drop both or none")
        :format(number, core.quote(entry.path), core.quote(file.path), lower and (" of layer %d"):format(lower) or "")
    end
  end
  literal_tree.each(states, false, function(i, tree)
    for _, entry in ipairs(dangling[i] or {}) do
      local target = core.normalise(entry.linkpath)
      local lower, file = layer.find_below(states, i, target)
      look(entry, i, lower, file)
      local node = tree:find(target, false)
      if node then
        file, lower = tree:source(node)
        look(entry, i, lower, file)
      end
    end
  end)
  return message
end

return stranded_links

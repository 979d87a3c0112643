--- Hardlinks whose file is in a lower layer.
--
-- Inside a layer the core keeps links and files together. A link can also name a
-- file that only a lower layer holds, and then nothing takes that file's place.

local core = require "strata.core"
local layer = require "strata.layer"

local stranded_links = {}

--- Finds a link that would be left without its file when marked entries go.
---@param states {index: userdata}[]  of all layers, base first, scanned
---@return string? message
function stranded_links.find(states)
  for i, state in ipairs(states) do
    if i > 1 then
      for entry in state.index:entries() do
        if entry.dangling and not entry.marked then
          local lower, file = layer.find_below(states, i, core.normalise(entry.linkpath))
          if file and file.marked then
            return ("layer %d: hardlink %s shares the file %s of layer %d, which is to be dropped; drop both or none")
              :format(i, core.quote(entry.path), core.quote(file.path), lower)
          end
        end
      end
    end
  end
  return nil
end

return stranded_links

--- Hardlinks that an edit would leave without their file.
--
-- Inside a layer the core keeps a file and the hardlinks that name it together. The file of other hardlinks is in a
-- lower layer, or where symlinks lead, and the path there can be dropped, renamed or moved without the link.

local core = require "strata.core"
local growing_tree = require "strata.layer.growing_tree"
local holders = require "strata.layer.holders"

local stranded_links = {}

--- A hardlink that stands in a merged tree, with the file that it names there.
---@class strata.FoundLink
---@field view "runtime"|"spec"
---@field link table  the state of its layer
---@field layer integer  the number of its layer
---@field number integer  its place in the layer
---@field path string
---@field linkpath string
---@field holder table?  the state of the file's layer; nil: it finds none
---@field holder_layer integer?
---@field file integer?  the place of the file in that layer
---@field file_path string?

-- The hardlink as it is in the tree of its layer and those below; nil when something else has taken its path.
local function find_link(states, i, tree, entry)
  local node = tree:find(entry.path, false)
  local own = node and tree:entry(node)
  if not own or own.position ~= entry.position or select(2, tree:info(node)) ~= i then return nil end
  local found = { link = states[i], layer = i, number = entry.position, path = entry.path, linkpath = entry.linkpath }
  local file, from = tree:source(node)
  if file and not (from == i and file.position == entry.position) then
    found.holder, found.holder_layer, found.file, found.file_path = states[from], from, file.position, file.path
  end
  return found
end

--- Finds the hardlinks whose file is in no entry of their layer by the name in the link, in both views.
---@param states {index: userdata?, hub: strata.Hub?}[]  of all layers, base first, scanned
---@param opts strata.GrowingTreeOptions
---@return strata.FoundLink[]?
---@return string? message
---@return string? code
function stranded_links.find(states, opts)
  local dangling, list, any = {}, {}, false
  for i, state in ipairs(states) do
    local index = opts.indexes and opts.indexes[i] or state.index
    dangling[i] = index and index:dangling() or {}
    any = any or dangling[i][1] ~= nil
  end
  if not any then return list end
  for _, view in ipairs { "runtime", "spec" } do
    local ok, message, code = growing_tree.each(states, {
      view = view, drops_marked = opts.drops_marked, indexes = opts.indexes,
    }, function(i, tree)
      for _, entry in ipairs(dangling[i]) do
        local found = not (opts.drops_marked and entry.marked) and find_link(states, i, tree, entry)
        if found then
          found.view = view
          list[#list + 1] = found
        end
      end
    end)
    if not ok then return nil, message, code end
  end
  return list
end

--- The first hardlink that stays and finds another file, or none. One whose linkpath was assigned has the file that was
-- asked for.
---@param before strata.FoundLink[]
---@param after strata.FoundLink[]
---@return strata.FoundLink?  as it was before
function stranded_links.compare(before, after)
  local now = {}
  for _, one in ipairs(after) do
    local links = now[one.link] or {}
    now[one.link] = links
    links[one.view .. one.number] = one
  end
  for _, one in ipairs(before) do
    local same = one.holder and now[one.link] and now[one.link][one.view .. one.number]
    if same and same.linkpath == one.linkpath and (same.holder ~= one.holder or same.file ~= one.file) then
      return one
    end
  end
  return nil
end

local function explain(one)
  local file = one.holder.index:entry(one.file)
  local why
  if not file or file.marked then
    why = "which is to be dropped; drop both or none"
  elseif file.path ~= one.file_path then
    why = ("which is called %s now; assign it to the linkpath of the hardlink, too"):format(core.quote(file.path))
  else
    why = ("to which %s does not lead any more"):format(core.quote(one.linkpath))
  end
  local where = one.holder_layer ~= one.layer and (" of layer %d"):format(one.holder_layer) or ""
  return ("layer %d: hardlink %s shares the file %s%s, %s"):format(one.layer, core.quote(one.path),
    core.quote(one.file_path), where, why)
end

--- Whether a layer has hardlinks that may be left without their file.
---@param states {index: userdata?, hub: strata.Hub?}[]  of all layers, base first; those that are not scanned do not
---  count
---@return boolean
function stranded_links.possible(states)
  return holders.links(states)
end

--- Refuses edits, marks among them, that leave a hardlink without the file that it named when the layers were scanned.
---@param states {index: userdata?, hub: strata.Hub?}[]  of all layers, base first, scanned
---@return boolean? ok
---@return string? message
---@return string? code  "EINVAL"
function stranded_links.check(states)
  if not stranded_links.possible(states) then return true end
  local originals, message, code = {}, nil, nil
  for i, state in ipairs(states) do
    if state.index then originals[i], message, code = state.index:as_scanned() end
    if state.index and not originals[i] then return nil, message, code end
  end
  local before, after
  before, message, code = stranded_links.find(states, { indexes = originals })
  if before then after, message, code = stranded_links.find(states, { drops_marked = true }) end
  for _, index in pairs(originals) do index:close() end
  if not after then return nil, message, code end
  local lost = stranded_links.compare(before, after)
  if lost then return nil, explain(lost), "EINVAL" end
  return true
end

return stranded_links

--- The methods of an image that work on its list of layers.

local append = require "strata.edit.append"
local dedup = require "strata.edit.dedup"
local layer_list = require "strata.edit.layer_list"
local options = require "strata.util.options"
local purge = require "strata.edit.purge"
local rebase = require "strata.edit.rebase"

local edit_methods = {}

--- Makes the methods.
---@param operand fun(self: strata.Image): strata.Operand
---@return table<string, function>
function edit_methods.of(operand)
  local methods = {}

  -- Runs one of strata.layers on the image. A failure sticks: an image that lacks the
  -- edit must not be saved.
  local function operate(self, name, ...)
    local image = operand(self)
    local result, message, code = layer_list[name](image, ...)
    if not result then return image.sticky(nil, message, code) end
    return result == true and self or result
  end

  --- Makes one layer of several: `squash(2, 4)`, or of all above a base:
  -- `squash{above = base}`, where that is an image or its number of layers.
  ---@param first integer|strata.SquashOptions
  ---@param last? integer
  ---@param opts? strata.WorkOptions
  ---@return strata.Image? self
  ---@return string? message
  ---@return string? code
  function methods:squash(first, last, opts)
    if type(first) ~= "table" then
      options.check("squash", "WorkOptions", opts, 2)
      return operate(self, "squash", first, last, opts)
    end
    options.check("squash", "SquashOptions", first, 2)
    local base = first.above
    if type(base) == "userdata" then
      local count, message, code = operate(self, "count_base", base)
      if not count then return nil, message, code end
      base = count
    end
    if base == #self.layers then return self end
    return operate(self, "squash", base + 1, #self.layers, first)
  end

  --- Makes one layer of all.
  ---@param opts? strata.WorkOptions
  ---@return strata.Image? self
  ---@return string? message
  ---@return string? code
  function methods:flatten(opts)
    options.check("flatten", "WorkOptions", opts, 2)
    if #self.layers == 0 then return self end
    return operate(self, "squash", 1, #self.layers, opts)
  end

  --- Adds a layer made of files, a directory, a tar, another archive, or one that is
  -- there already; on top, or at a place between the others.
  ---@param spec strata.AppendOptions  exactly one of files, dir, tar, archive, layer
  ---@return strata.Image? self
  ---@return string[]|string|nil skipped  what cannot be in a layer; nil for nothing | message
  ---@return string? code
  function methods:append(spec)
    local image = operand(self)
    local ok, skipped, code = append.run(image, spec, 2)
    if not ok then return image.sticky(nil, skipped, code) end
    return self, skipped[1] and skipped or nil
  end

  --- Removes a layer, or all that were created by what matches a Lua pattern.
  ---@param which integer|string
  ---@param opts? strata.WorkOptions
  ---@return strata.Image? self
  ---@return string? message
  ---@return string? code
  function methods:remove_layer(which, opts)
    options.check("remove_layer", "WorkOptions", opts, 2)
    return operate(self, "remove", which, opts)
  end

  --- Moves a layer; its row of the history goes along.
  ---@param from integer
  ---@param to integer  its number afterwards
  ---@param opts? strata.WorkOptions
  ---@return strata.Image? self
  ---@return string? message
  ---@return string? code
  function methods:move_layer(from, to, opts)
    options.check("move_layer", "WorkOptions", opts, 2)
    return operate(self, "move", from, to, opts)
  end

  --- Puts the layers above one base onto another. Refused where the layers of the old base
  -- are not the lowest ones.
  ---@param old_base strata.Image
  ---@param new_base strata.Image
  ---@param opts? strata.RebaseOptions
  ---@return strata.Image? self
  ---@return string? message
  ---@return string? code  "EINVAL"
  function methods:rebase(old_base, new_base, opts)
    options.check("rebase", "RebaseOptions", opts, 2)
    local image = operand(self)
    local function digest_of() return new_base.digest end
    local ok, message, code = rebase.run(image, operand(old_base), operand(new_base), digest_of, opts)
    if not ok then return image.sticky(nil, message, code) end
    return self
  end

  --- Drops entries that repeat the content of a lower layer with other metadata, which the
  -- lower one takes. A container sees the same.
  ---@param opts? strata.FoldOptions
  ---@return integer? bytes  that the plain tars have less
  ---@return strata.Folded[]|string  folded | message
  ---@return string? code
  function methods:fold(opts)
    options.check("fold", "FoldOptions", opts, 2)
    local image = operand(self)
    local bytes, folded, code = dedup.run(image, opts)
    if not bytes then return image.sticky(nil, folded, code) end
    if opts and opts.prune and #folded > 0 then
      local ok, message, how = self:prune()
      if not ok then return nil, message, how end
    end
    return bytes, folded
  end

  --- Writes the file system that a container sees as one tar, sorted, hardlinks
  -- behind their files.
  ---@param path string
  ---@param opts? strata.ExportOptions
  ---@return {path: string, size: integer, digest: string, diff_id: string, entries: integer}?
  ---@return string? message
  ---@return string? code
  function methods:export(path, opts)
    options.check("export", "ExportOptions", opts, 2)
    return layer_list.export(operand(self), path, opts)
  end

  --- Removes paths from every layer for good, with whiteouts that are needless then,
  -- and proves it by reading all again; hardlinks to them stay, with the content.
  ---@param which string|fun(entry: strata.Entry, layer: strata.Layer): boolean?  a Lua pattern of paths
  ---@param opts? strata.PurgeOptions
  ---@return strata.PurgeReport?
  ---@return string? message
  ---@return string? code  "EEXIST": something is left
  function methods:purge(which, opts)
    options.check("purge", "PurgeOptions", opts, 2)
    local image = operand(self)
    local state = image.state
    local report, message, code = purge.run(image, which, opts)
    if not report then
      image.sticky(nil, message, code)
      if code == "EEXIST" then state.unproven = state.failure end
      return nil, message, code
    end
    -- What a purge before it has left is gone now.
    if state.failure and state.failure == state.unproven then state.failure = nil end
    return report
  end

  return methods
end

return edit_methods

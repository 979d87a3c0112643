--- Applying layers to a directory.

local argument = require "strata.util.argument"
local core = require "strata.core"
local limits = require "strata.util.limits"
local media_types = require "strata.document.media_types"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local run_job = require("strata.util.job").run

local extract = {}

--- Completes the options; throws for misuse.
---@param dir string
---@param opts strata.ExtractOptions?
---@param method "extract"|"apply"
---@param class? "ExtractOptions"|"RootExtractOptions"  the first one
---@return strata.ExtractOptions
function extract.check(dir, opts, method, class)
  argument.host_path(dir, method)
  options.check(method, class or "ExtractOptions", opts)
  local complete = {}
  for key, value in pairs(opts or {}) do complete[key] = value end
  if method == "apply" and complete.merge == nil then complete.merge = true end
  if method == "apply" and complete.mode == "overlay" then misuse("a layer is applied flat only") end
  return complete
end

local function target_options(opts, given)
  local limited = limits.resolve(opts.limits, given)
  local unprivileged = opts.unprivileged
  if unprivileged == nil then unprivileged = not core.is_root() end
  return limits.add(limited, {
    view = opts.view, overlay = opts.mode == "overlay", merge = opts.merge, keep_partial = opts.keep_partial,
    user_xattrs = opts.xattrs == "user" or (opts.xattrs == nil and unprivileged),
    unprivileged = unprivileged, rootless = opts.rootless,
    max_depth = limited.depth, max_removals = limited.removals, max_steps = limited.steps,
  })
end

local function add_layers(target, items)
  for _, item in ipairs(items) do
    local now = item.current
    if now.missing then return nil, item.label .. ": its blob is not there", "ENOENT" end
    if not media_types.COMPRESSIONS[now.compression] then
      return nil, ("%s: compressed with %s, which is not supported"):format(item.label, now.compression), "EUNSUPPORTED"
    end
    local ok, message, code = target:add {
      label = item.label, file = now.file, offset = now.offset, size = now.size, compression = now.compression,
      digest = now.digest, diff_id = now.diff_id, index = item.index,
    }
    if not ok then return nil, message, code end
  end
  return true
end

-- Directories as mount takes them: a list from the top down, with ":", "," and "\" escaped.
local function lowerdir(directories)
  local list = {}
  for i = #directories, 1, -1 do list[#list + 1] = (directories[i]:gsub("[\\:,]", "\\%0")) end
  return table.concat(list, ":")
end

local function describe(target, dir, opts, count)
  local result = target:result()
  result.path, result.layers, result.mode = dir, count, opts.mode or "flat"
  if result.mode == "overlay" then
    result.directories = {}
    for i = 1, count do result.directories[i] = ("%s/%d"):format(dir, i) end
    result.lowerdir = lowerdir(result.directories)
  end
  printed.list(result.skipped, printed.skipped)
  return printed.by(result, printed.extract)
end

--- Applies layers in order. After a failure nothing is left of a directory that
-- was empty or not there before.
---@param items {label: string, current: table}[]  the base first; `current` as layer.current() tells
---@param dir string
---@param opts strata.ExtractOptions
---@param given table  the limits of the image
---@return strata.ExtractResult?
---@return string? message
---@return string? code
function extract.run(items, dir, opts, given)
  dir = dir:match("^(.-)/*$")
  if dir == "" then dir = "/" end -- it was nothing but slashes
  local target, message, code = core.apply(dir, target_options(opts, given))
  if not target then return nil, message, code end
  local ok
  ok, message, code = add_layers(target, items)
  local job = core.job()
  if ok then
    job:apply { label = "extracting to " .. core.quote(dir), apply = target }
    ok, message, code = run_job(job, opts, "extracting")
  end
  job:close()
  local result = ok and describe(target, dir, opts, #items) or nil
  target:close()
  if not result then return nil, message, code end
  return result
end

return extract

--- The bytes of layers in another compression than the one they are stored with.

local core = require "strata.core"
local layer = require "strata.layer"
local work = require "strata.work"

local recode = {}

-- Runs one task per compressed layer; `add` puts it into the job.
local function run(todo, opts, add)
  local job = core.job()
  for _, item in ipairs(todo) do add(job, item) end
  local ok, message, code = work.run(job, opts)
  for i, item in ipairs(ok and todo or {}) do item.done = job:task(i) end
  job:close()
  return ok, message, code
end

--- Layers as plain tars: those that are compressed are inflated into unnamed
-- temporary files, side by side, and compared with their diff_id.
---@param states table[]  of layers, settled
---@param opts {temp_dir?: string, threads?: integer, progress?: function}
---@return strata.Segment[]? parts  one per layer, in their order; digest is the diff_id
---@return string? message
---@return string? code
function recode.plain(states, opts)
  local parts, todo = {}, {}
  for i, one in ipairs(states) do
    local now, label = layer.current(one), layer.label(one)
    if now.compression == "none" then
      parts[i] = { file = now.file, offset = now.offset, size = now.size, digest = now.diff_id, label = label }
    elseif now.compression ~= "gzip" and now.compression ~= "zstd" then
      return nil, ("%s: compressed with %s, which is not supported"):format(label, now.compression),
        "EUNSUPPORTED"
    else
      local file, message, code = core.temp_file(opts.temp_dir)
      if not file then return nil, message, code end
      todo[#todo + 1] = { place = i, now = now, label = label, file = file,
                          index = core.index(now.file, now.offset, now.size, now.compression) }
    end
  end
  if #todo == 0 then return parts end
  local ok, message, code = run(todo, { threads = opts.threads }, function(job, item)
    job:scan { label = item.label, index = item.index, diff_id = item.now.diff_id }
  end)
  if ok then
    ok, message, code = run(todo, opts, function(job, item)
      job:write { label = item.label, index = item.index, to = item.file, compression = "none",
                  temp_dir = opts.temp_dir, diff_id = item.now.diff_id, digest = item.now.digest }
    end)
  end
  if not ok then return nil, message, code end
  for _, item in ipairs(todo) do
    parts[item.place] = { file = item.file, offset = 0, size = item.done.size,
                          digest = item.done.diff_id, label = item.label }
    item.index:close()
  end
  return parts
end

return recode

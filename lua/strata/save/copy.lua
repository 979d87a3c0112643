--- Saving images without edits: as a copy of their file, which the kernel makes.

local core = require "strata.core"
local docker = require "strata.dialect.docker.read"
local limits = require "strata.util.limits"
local run_job = require("strata.util.job").run

local copy = {}

-- The layers that are hashed in a copy of an archive: those of the saved images, and of the others in manifest.json.
local function layers_to_hash(self)
  local list, seen = {}, {}
  local function add(one)
    if not seen[one.offset] then list[#list + 1] = one end
    seen[one.offset] = true
  end
  local first = self.images[1]
  for _, image in ipairs(self.images) do
    for _, one in ipairs(image.layers) do
      if not one.missing then add(one) end
    end
  end
  local is_docker = first and first.source.kind == "docker"
  local given = is_docker and first.source.limits
  for number = 0, is_docker and #first.source.items - 1 or -1 do
    for _, one in ipairs(docker.stated_layers(self.store, first.source.items, number, given)) do
      add { label = one.label, offset = one.member.offset, size = one.member.size, compression = one.compression,
            digest = one.digest, diff_id = one.diff_id }
    end
  end
  return list
end

-- Adds the blobs of a layout that belong to other images.
local function hash_other_blobs(job, out, store, layers)
  local own = {}
  for _, one in ipairs(layers) do own[one.digest or ""] = true end
  for _, member in ipairs(store.list) do
    local digest = store:stated_digest(member)
    if digest and not own[digest] then
      job:hash { label = member.name, file = store.original and store.file or out.out, offset = member.offset,
                 size = member.size, digest = digest }
    end
  end
end

--- Writes the copy. It is hashed.
---@param self strata.Save
---@param out strata.FileTarget
---@return integer? size
---@return string? message
---@return string? code
function copy.write(self, out)
  local store, opts = self.store, self.opts
  local file = store.original or store.file
  local size = file:size()
  local copying = core.job()
  copying:copy { label = "archive", file = file, offset = 0, size = size, to = out.out, to_offset = 0 }
  local ok, message, code = run_job(copying, opts, "writing")
  copying:close()
  if not ok then return nil, message, code end
  if opts.verify == false then return size end
  local job, layers = core.job(), layers_to_hash(self)
  for _, one in ipairs(layers) do
    job:hash(limits.add(self.limits, {
      label = one.label, file = store.original and store.file or out.out, offset = one.offset, size = one.size,
      compression = one.compression, plain = not one.digest, digest = one.digest,
      diff_id = not one.digest and one.diff_id or nil,
    }))
  end
  if self.catalog then hash_other_blobs(job, out, store, layers) end
  ok, message, code = run_job(job, opts, "hashing")
  job:close()
  if not ok then return nil, message, code end
  return size
end

return copy

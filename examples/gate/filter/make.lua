--- Making the image of a name: the edit of what its upstream has, as files and the record of them for the cache.
--
-- Jobs of strata do it in nginx's threads. Layers that an edit does not touch stay in the upstream: `sparse` leaves
-- them out.

local cache = require "filter.cache"
local cjson = require("cjson.safe").new()
local lfs = require "lfs"
local service = require "filter.service"
local settings = require "filter.settings"
local upstream = require "filter.upstream"

local make = {}

-- So many images of an index are made, at most.
local IMAGES = 64

local OCI_INDEX = "application/vnd.oci.image.index.v1+json"

--- What is to be made.
---@class filter.Wanted
---@field key string  of the record
---@field name string
---@field entry filter.Entry
---@field repository string
---@field digest string  that the tag has in the upstream
---@field bases {from: string, onto: string, repository: string}?  references, and where the new base is
---@field registry table  options of jobs, with the rights of the client
---@field public boolean

local function fail(code, text, ...)
  return nil, text:format(...), code
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

-- ---- one image -----------------------------------------------------------------------------------------

-- Where the blobs of a layout are that an edit has made: in it, or where they were.
local function note_blobs(want, made, layout, saved, blobs, files)
  local path = layout .. "/blobs/sha256/"
  local manifest = cjson.decode(read(path .. saved.digest:sub(8)) or "")
  if not manifest then return fail("EFORMAT", "%s: the manifest that was made cannot be read", saved.digest) end
  local where = { upstream = want.entry.upstream.name, repository = want.repository }
  for i, layer in ipairs(manifest.layers) do
    local one = saved.layers[i]
    if one.moved == "left" then
      local repository = one.action == "added" and want.bases and want.bases.repository or where.repository
      blobs[layer.digest] = { size = layer.size, upstream = where.upstream, repository = repository }
    else
      blobs[layer.digest] = { size = layer.size }
      files[layer.digest] = path .. layer.digest:sub(8)
    end
  end
  blobs[manifest.config.digest] = { size = manifest.config.size }
  files[manifest.config.digest] = path .. manifest.config.digest:sub(8)
  made.size = lfs.attributes(path .. saved.digest:sub(8), "size")
  made.media_type, made.digest = manifest.mediaType, saved.digest
  made.config = cjson.decode(read(files[manifest.config.digest]) or "") or {}
  blobs[saved.digest] = { size = made.size, media_type = made.media_type }
  files[saved.digest] = path .. saved.digest:sub(8)
  return made
end

local function edit_one(want, digest, layout, ending, blobs, files)
  local edit = {}
  for name, value in pairs(want.entry.edit) do edit[name] = value end
  if want.bases then
    edit.rebase = {}
    for name, value in pairs(want.entry.rebase) do edit.rebase[name] = value end
    edit.rebase.from, edit.rebase.onto = want.bases.from, want.bases.onto
  end
  local saved, message, code = service.run("edit", {
    path = upstream.reference(want.entry.upstream, want.repository, digest), registry = want.registry, to = layout,
    open = { temp_dir = settings.temp, limits = { bytes = settings.layer_bytes } }, edit = edit,
    save = { format = "oci", sparse = true, reproducible = true, attestations = "drop" },
  }, ending - ngx.now())
  if not saved then return nil, message, code end
  return note_blobs(want, {}, layout, saved, blobs, files)
end

-- ---- an index ------------------------------------------------------------------------------------------

local function quoted(text)
  return (cjson.encode(tostring(text)):gsub("\\/", "/"))
end

-- What a config says that its image runs on, as descriptors have it.
local function platform_of(config)
  local parts = {}
  for _, name in ipairs { "architecture", "os", "os.version", "variant" } do
    if type(config[name]) == "string" and config[name] ~= "" then
      parts[#parts + 1] = ("%s:%s"):format(quoted(name), quoted(config[name]))
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- The index of the images that were made, in the order of the upstream's.
local function add_index(list, dir, blobs, files)
  local texts = {}
  for i, made in ipairs(list) do
    texts[i] = ('{"digest":%s,"mediaType":%s,"platform":%s,"size":%d}'):format(quoted(made.digest),
      quoted(made.media_type), platform_of(made.config), made.size)
  end
  local text = ('{"manifests":[%s],"mediaType":%s,"schemaVersion":2}'):format(table.concat(texts, ","),
    quoted(OCI_INDEX))
  local path = dir .. "/index"
  local file, message = io.open(path, "wb")
  if not file then return fail("EIO", "%s", message) end
  local ok = file:write(text)
  if not file:close() or not ok then return fail("ENOSPC", "the index cannot be written") end
  local digest, code
  digest, message, code = service.digest(path)
  if not digest then return nil, message, code end
  blobs[digest], files[digest] = { size = #text, media_type = OCI_INDEX }, path
  return digest
end

-- The images that are wanted of what the upstream has, and whether it has an index.
local function choose(want, ending)
  local listed, message, code = service.run("index", {
    path = upstream.reference(want.entry.upstream, want.repository, want.digest), registry = want.registry,
  }, ending - ngx.now())
  if not listed then return nil, message, code end
  local platforms, chosen, is_index = want.entry.platforms, {}, true
  for _, one in ipairs(listed.manifests) do
    is_index = is_index and one.digest ~= want.digest
    local is_wanted = not platforms or platforms[one.platform or ""]
    if one.kind == "image" and is_wanted and not one.missing then chosen[#chosen + 1] = one end
  end
  if #chosen > IMAGES then
    return fail("ELIMIT", "%s: the upstream has %d images for it, and %d are made at most: name platforms in edits.lua",
      want.name, #chosen, IMAGES)
  end
  if not chosen[1] then
    return fail("ENOENT", "%s: the upstream has no image for a platform of edits.lua", want.name)
  end
  return chosen, is_index
end

-- ---- the whole -----------------------------------------------------------------------------------------

local function make_in(want, dir)
  local ending = ngx.now() + settings.deadline
  local chosen, is_index, code = choose(want, ending)
  if not chosen then return nil, is_index, code end
  local blobs, files, list, seen = {}, {}, {}, {}
  for i, one in ipairs(chosen) do
    if not seen[one.digest] then
      local made, message, how = edit_one(want, one.digest, ("%s/%d"):format(dir, i), ending, blobs, files)
      if not made then return nil, message, how end
      list[#list + 1] = made
    end
    seen[one.digest] = true
  end
  local digest, message = list[1].digest, nil
  if is_index then digest, message, code = add_index(list, dir, blobs, files) end
  if not digest then return nil, message, code end
  local source = { upstream = want.entry.upstream.name, repository = want.repository, digest = want.digest }
  return cache.publish({ key = want.key, name = want.name, source = source, public = want.public or nil,
                         digest = digest, blobs = blobs }, files)
end

--- Makes an image, and puts it into the cache.
---@param want filter.Wanted
---@return boolean? ok
---@return string? message
---@return string? code
function make.run(want)
  local dir, message, code = cache.begin()
  if not dir then return nil, message, code end
  local ok
  local good, err = pcall(function() ok, message, code = make_in(want, dir) end)
  cache.finish(dir)
  if not good then return nil, tostring(err), "EIO" end
  return ok, message, code
end

return make

--- strata: surgery on container images.
--
--   local strata = require "strata"
--   local img = assert(strata.open("app.tar"))
--   img:remove { "usr/share/doc", "**/*.pyc" }
--   assert(img:save("app-slim.tar"))
--
-- What can fail although the script is right (files, images, limits) returns nil, message, code;
-- misuse throws.

local argument = require "strata.util.argument"
local choice = require "strata.util.choice"
local choose = require "strata.dialect.choose"
local config_schema = require "strata.document.config_schema"
local core = require "strata.core"
local detect = require "strata.dialect.detect"
local fail = require "strata.util.fail"
local image = require "strata.image"
local job = require "strata.util.job"
local json = require "strata.util.json"
local later = require "strata.util.later"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local platform = require "strata.document.platform"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"
local target = require "strata.save.target"

-- What few scripts need is loaded when somebody asks for it. Each of these modules adds to strata.Image or
-- strata.Layer.
local function add_later()
  local images, layers = image.methods, layer.methods
  local function annotations() require "strata.edit.annotations" end
  local function tags() require "strata.edit.tags" end
  local names = "set_annotation remove_annotation"
  later.add(images, names .. " set_descriptor_annotation remove_descriptor_annotation", annotations)
  later.add(layers, names, annotations)
  for _, list in ipairs { image.fields, image.set } do
    later.add(list, "annotations descriptor_annotations", annotations)
    later.add(list, "tags", tags)
  end
  for _, list in ipairs { layer.fields, layer.set } do later.add(list, "annotations", annotations) end
  later.add(images, "append", function() require "strata.edit.append" end)
  later.add(images, "check", function() require "strata.check" end)
  later.add(images, "drop_waste", function() require "strata.edit.drop_waste" end)
  later.add(images, "export", function() require "strata.edit.export" end)
  later.add(images, "filter rewrite", function() require "strata.edit.entries" end)
  later.add(images, "fold", function() require "strata.edit.fold" end)
  later.add(images, "normalize", function() require "strata.edit.normalize" end)
  later.add(images, "purge", function() require "strata.edit.purge" end)
  later.add(images, "rebase", function() require "strata.edit.rebase" end)
  later.add(images, "rechunk", function() require "strata.edit.rechunk" end)
  later.add(images, "referrers", function() require "strata.artifact" end)
  later.add(images, "remove", function() require "strata.edit.remove" end)
  later.add(images, "remove_layer move_layer prune", function() require "strata.edit.layer_list" end)
  later.add(images, "repair", function() require "strata.repair" end)
  later.add(images, "scrub_history", function() require "strata.edit.scrub" end)
  later.add(images, "split", function() require "strata.edit.split" end)
  later.add(images, "squash flatten", function() require "strata.edit.squash" end)
  later.add(images, "tag untag", tags)
  later.add_to_class("strata.Rootfs", "export extract", function() require "strata.edit.export" end)
  later.add(layers, "check", function() require "strata.check" end)
  later.add(layers, "filter rewrite remove", function() require "strata.layer.edit_entries" end)
  later.add(layers, "list", function() require "strata.tree.layer_listing" end)
  later.add(layers, "save", function() require "strata.layer.save" end)
  later.add(layers, "tree", function() require "strata.rootfs" end)
end

add_later()

local strata = {
  _VERSION = "strata " .. core._VERSION,
  null = json.null,
  array = json.array,
  object = json.object,
  limits = limits.defaults,
}

-- Throws for a place that nothing can be read from.
local function check_source(what, fn)
  argument.stream(what, fn)
  local problem = reference.is_remote(what) and select(2, reference.of_registry(what))
  if type(problem) == "string" then misuse("%s: %s: %s", fn, reference.shown(what), problem) end
end

-- Throws for a manifest that no digest says which one it is.
local function check_manifest(what, opts)
  if not opts or not opts.manifest then return end
  local ref = reference.is_remote(what) and reference.of_registry(what)
  if not ref or not ref.digest then misuse "open: manifest wants a reference by digest: docker://host/name@sha256:…" end
end

-- The candidate that the options mean. A document that could not be read does not count as missing.
local function chosen(listing, opts)
  local candidate, message, code = choose.one(listing.candidates, listing.store.path, opts)
  local failure, how = listing.store:take_failure()
  if failure then return nil, failure, how end
  return candidate, message, code
end

-- Opens a store and lists its images.
local function list(what, opts)
  local listing, message, code = detect.open(what, opts)
  if not listing then return nil, message, code end
  listing.strict = listing.strict and require("strata.check").strict
  return listing
end

-- Whether a store has nothing beside an image but what is said about it.
local function is_alone(candidates)
  local others = -1
  for _, one in ipairs(candidates) do
    if one.kind ~= "attestation" then others = others + 1 end
  end
  return others <= 0
end

-- Opens the image that the options mean. The fourth result: whether it is the only one there.
local function open_one(what, opts)
  local listing, message, code = list(what, opts)
  if not listing then return nil, message, code end
  local candidate, img
  candidate, message, code = chosen(listing, opts)
  if candidate then img, message, code = image.open(listing, candidate) end
  listing.store:release()
  return img, message, code, is_alone(listing.candidates)
end

--- Opens an image: an archive of docker save, an OCI layout as a directory or an
-- archive, or skopeo's dir:, told apart by content.
---@param what string|file*  a path, "-" for standard input, or an open Lua file
---@param opts? strata.OpenOptions
---@return strata.Image?
---@return string? message
---@return string? code
function strata.open(what, opts)
  check_source(what, "open")
  options.check("open", "OpenOptions", opts)
  check_manifest(what, opts)
  local img, message, code = open_one(what, limits.options(opts))
  if not img then return nil, message, code end
  return img
end

--- Every image of a file, one after the other. The iterator throws when one
-- cannot be read; those of which a part is not here, or not what the index says, are left
-- out, but not when that is all there is.
---@param what string|file*
---@param opts? strata.OpenOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return string? code
---@return table? closing  releases the file when a loop is left early
function strata.images(what, opts)
  check_source(what, "images")
  options.check("images", "OpenOptions", opts)
  check_manifest(what, opts)
  opts = limits.options(opts)
  local listing, message, code = list(what, opts)
  if not listing then return nil, message, code end
  local all, number = choose.all(listing.candidates, opts), 0
  local problem = choose.problem(all)
  if problem then
    listing.store:release()
    return nil, problem[1], problem[2]
  end
  if (opts.ref or opts.platform or opts.digest) and not choose.has_image(all) then
    if #all == 0 then
      all, message, code = chosen(listing, opts)
    elseif all[1].kind ~= "image" then
      all, message, code = image.open(listing, all[1])
    else
      all, message, code = fail("ENOENT", "%s: not all of it is here: %s", listing.store.path, choose.describe(all))
    end
    listing.store:release()
    return all, message, code
  end
  local function finish()
    if listing then listing.store:release() end
    listing = nil
  end
  local function next_image()
    while listing and number < #all do
      number = number + 1
      local candidate = all[number]
      if candidate.kind == "image" and not candidate.missing then
        local img, why = image.open(listing, candidate)
        if not img then
          finish()
          error(why, 0)
        end
        return img
      end
    end
    finish()
    return nil
  end
  -- A loop that is left early closes the fourth value where Lua has to-be-closed variables, as it does for io.lines.
  return next_image, nil, nil, setmetatable({}, { __close = finish })
end

--- An image without layers. Nothing in it depends on when or where it is made.
---@param opts? strata.NewOptions
---@return strata.Image
function strata.new(opts)
  options.check("new", "NewOptions", opts)
  opts = opts or {}
  local wanted = platform.parse(opts.platform or "linux/amd64")
  local fields = {
    architecture = wanted.architecture, os = wanted.os, variant = wanted.variant,
    created = opts.created or config_schema.EPOCH, config = json.object {}, history = json.array {},
    rootfs = { type = "layers", diff_ids = json.array {} },
  }
  local img, message = image.from_model { config_text = json.encode(fields), layers = {}, tags = {} }
  if not img then misuse(message) end
  return img
end

--- Makes a layer that belongs to no image yet, of a directory, of the difference of
-- two, of the upper directory of an overlay mount, of files, a tar or another archive.
---@param spec strata.LayerOptions
---@return strata.Layer?
---@return string[]|string|nil skipped  what cannot be in a layer; nil for nothing | message
---@return string? code
function strata.layer(spec)
  local made, skipped, code = require("strata.layer.new").layer(spec)
  if not made then return nil, skipped, code end
  return made, skipped
end

-- The name of the index that images become when several are saved. Throws what does not fit together.
local function index_name(what, opts)
  local is_push, name = reference.is_remote(what), type(opts) == "table" and opts.index or nil
  if is_push and name ~= nil then
    misuse("save: in a registry the reference is the name of the index; leave the option index out")
  end
  options.check("save", is_push and "PushOptions" or "SaveImagesOptions", opts)
  if name and opts.format and not opts.format:find("^oci") then
    misuse("save: an archive for docker load has no index; the formats oci and oci-archive have")
  end
  return name and reference.complete(name)
end

--- Writes several images into one archive or layout, or as an index for several platforms; layers that they share are
-- stored once. Throws for the same image twice, and for a name or a platform that only one of them can have.
---@param images strata.Image[]
---@param what string|file*
---@param opts? strata.SaveImagesOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function strata.save(images, what, opts)
  if type(images) ~= "table" or #images == 0 then
    misuse("bad argument #1 to 'save' (array of images expected)")
  end
  argument.stream(what, "save")
  local name = index_name(what, opts)
  target.check(what, opts, "save", nil, "SaveImagesOptions")
  local requests, message, code = image.requests(images)
  if not requests then return nil, message, code end
  local save = require "strata.save"
  local problem = save.clash(requests, what, opts or {}, name)
  if problem then misuse("save: %s", problem) end
  return save.images(requests, what, opts or {}, nil, name)
end

--- Opens all images of a layout or archive, to be edited and saved together.
---@param what string|file*
---@param opts? strata.OpenOptions
---@return strata.Index?
---@return string? message
---@return string? code
function strata.open_index(what, opts)
  check_source(what, "open_index")
  options.check("open_index", "IndexOptions", opts)
  opts = limits.options(opts)
  local listing, message, code = list(what, opts)
  if not listing then return nil, message, code end
  return require("strata.index").new(listing)
end

--- Makes an artifact of files, such as a signature, or a list of the contents of an image.
---@param spec strata.ArtifactOptions
---@return strata.Artifact?
---@return string? message
---@return string? code
function strata.artifact(spec)
  local made, message, code = require("strata.artifact").make(spec)
  if not made then return nil, message, code end
  return made
end

--- Opens an artifact of a layout, an archive or a registry.
---@param what string|file*
---@param opts? strata.ArtifactOpenOptions
---@return strata.Artifact?
---@return string? message
---@return string? code
function strata.open_artifact(what, opts)
  argument.stream(what, "open_artifact")
  options.check("open_artifact", "ArtifactOpenOptions", opts)
  opts = limits.options(opts)
  local listing, message, code = list(what, opts)
  if not listing then return nil, message, code end
  local opened
  opened, message, code = require("strata.artifact").open(listing, opts)
  listing.store:release()
  if not opened then return nil, message, code end
  return opened
end

-- Throws what is neither an image nor where one is.
local function check_compared(what)
  if type(what) == "string" then argument.host_path(what, "diff") else image.given(what, "diff") end
end

--- Compares two images: their files, configs, histories and layers.
---@param a strata.Image|string  or a path, or a reference
---@param b strata.Image|string
---@param opts? strata.DiffOptions
---@return strata.Diff?
---@return string? message
---@return string? code
function strata.diff(a, b, opts)
  options.check("diff", "DiffOptions", opts)
  check_compared(a)
  check_compared(b)
  opts = opts or {}
  if opts.exclude then choice.matcher(opts.exclude, "diff: exclude") end
  local left, right, result, message, code = a, b, nil, nil, nil
  if type(a) == "string" then left, message, code = strata.open(a, opts.open) end
  if left and type(b) == "string" then right, message, code = strata.open(b, opts.open) end
  if left and right then result, message, code = require("strata.diff").of(left, right, opts) end
  if left and left ~= a then left:close() end
  if left and right and right ~= b then right:close() end
  if not result then return nil, message, code end
  return result
end

--- What strata.diff gives as text for people, or as a page of HTML. Names and values of the images are escaped.
---@param diff strata.Diff
---@param opts? strata.DiffReportOptions
---@return string
function strata.diff_report(diff, opts)
  options.check("diff_report", "DiffReportOptions", opts)
  local text = require("strata.diff").report(diff, opts)
  return text -- no tail call: misuse is the caller's
end

--- A client of registries with settings of its own, for the option `registry`. Without it all calls share one.
---@param opts? strata.RegistryOptions
---@return strata.Registry?
---@return string? message
---@return string? code
function strata.registry(opts)
  options.check("registry", "RegistryOptions", opts)
  local client, message, code = require("strata.registry").new(opts)
  if not client then return nil, message, code end
  return client
end

-- The options of a class among those that another one has as well.
local function only(opts, class)
  local some = {}
  for name in options.each(class) do some[name] = opts[name] end
  return some
end

-- Whether two paths are one file or one directory.
local function is_same_place(a, b)
  if a == b then return true end
  local id = core.identity(a)
  if id ~= nil and id == core.identity(b) then return true end
  local one, other = core.open_dir(a), core.open_dir(b)
  local same = one ~= nil and other ~= nil and one:same(other)
  if one then one:close() end
  if other then other:close() end
  return same
end

local function is_local_path(what)
  return type(what) == "string" and what ~= "-" and not reference.is_remote(what)
end

-- The index that a name or a digest means, of a layout: what is left of the layout without all others. nil without a
-- message: it means none.
local function named_index(from, to, opts)
  if not is_local_path(from) or opts.platform then return nil end
  local whole, message, code = strata.open_index(from, only(opts, "IndexOptions"))
  if not whole then return nil, message, code end
  local found = 0
  local function is_meant(row)
    if row.index or row.kind ~= "index" then return false end
    local is_named = not opts.ref or reference.find(row.tags, opts.ref) or choose.digest_of(opts.ref) == row.digest
    return is_named and (not opts.digest or opts.digest == row.digest)
  end
  local can_edit = whole:remove(function(row)
    found = found + (is_meant(row) and 1 or 0)
    return false
  end, { optional = true })
  local ok
  if can_edit and found == 1 and type(to) == "string" and is_same_place(from, to) then
    message, code = ("copy: %s is where the index already is; all else in it would be lost"):format(to), "EINVAL"
  elseif can_edit and found == 1 then
    ok, message, code = whole:remove(function(row) return not row.index and not is_meant(row) end,
      { optional = true, attestations = "keep" })
    if ok then return whole end
  end
  whole:close()
  return nil, message, code
end

-- The save of one image, without all else that its store has.
local function save_of_one(from, to, opts, save_options)
  local img, message, code, is_all = open_one(from, limits.options(only(opts, "OpenOptions")))
  if not img then return nil, message, code end
  local saved
  if not is_all and is_local_path(from) and is_local_path(to) and is_same_place(from, to) then
    message, code = ("copy: %s is where the image already is; others in it would be lost"):format(to), "EINVAL"
  else
    local requests = image.requests { img }
    requests[1].alone = not is_all
    saved, message, code = require("strata.save").images(requests, to, save_options)
  end
  img:close()
  return saved, message, code
end

--- Copies an image, or an index with its images, attestations and artifacts, from any place to any other: nothing of it
-- changes. With ref, digest or platform one image is copied; of a layout, ref and digest may mean an index in it.
---@param from string|file*
---@param to string|file*
---@param opts? strata.CopyOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost | message
---@return string? code
function strata.copy(from, to, opts)
  check_source(from, "copy")
  target.check(to, opts, "copy", "CopyPushOptions", "CopyOptions")
  opts = opts or {}
  local source, saved, message, code
  local is_push, is_one = reference.is_remote(to), opts.ref or opts.digest or opts.platform
  if is_one and opts.referrers then misuse("copy: referrers go with all that is copied, and not with one image") end
  local requests = (is_push or reference.is_remote(from)) and require("strata.registry").counter(opts.registry)
  local save_options = only(opts, is_push and "PushOptions" or "SaveOptions")
  if is_one then
    source, message, code = named_index(from, to, opts)
  else
    source, message, code = strata.open_index(from, only(opts, "IndexOptions"))
  end
  if source then
    saved, message, code = source:save(to, save_options)
    source:close()
  elseif not message then
    saved, message, code = save_of_one(from, to, opts, save_options)
  end
  if not saved then return nil, message, code end
  if requests then saved.requests = requests() end
  return saved, message
end

--- The blobs of a layout in a directory that no index, manifest, or manifest about one of these names; with `remove`
-- they are removed. A save into the same layout at the same time loses nothing; other programs must not write then.
---@param layout string  the path of a directory
---@param opts? strata.GcOptions
---@return strata.GarbageReport?
---@return string? message
---@return string? code
function strata.gc(layout, opts)
  argument.host_path(layout, "gc")
  options.check("gc", "GcOptions", opts)
  if reference.is_remote(layout) then misuse("gc: a layout in a directory is wanted; registries do this themselves") end
  return require("strata.dialect.oci.garbage").collect(layout, limits.options(opts))
end

--- What readers differ about in a tar file, plain or compressed with gzip or zstd.
---@param path string
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return string? code
function strata.check_tar(path, opts)
  argument.host_path(path, "check_tar")
  options.check("check_tar", "CheckOptions", opts)
  return require("strata.check").tar(path, opts)
end

--- A function that tells whether paths choose a path, by themselves or as a directory that it is in: `*`, `?` and
-- `[a-z]` within a name, `**` for any directories between.
---@param paths strata.Paths  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function strata.matcher(paths)
  local matches = choice.matcher(paths, "matcher")
  return function(path)
    argument.path(path, "matcher")
    return matches(path)
  end
end

--- A progress function that draws a bar on a terminal, for the option `progress`.
---@param out? file*  default: standard error
---@return fun(done: integer, total: integer, what: string)
function strata.progress(out)
  return require("strata.util.progress").bar(out)
end

--- Has a function called before work starts and now and then while it goes on, in all calls of this Lua state. An error
-- that it throws ends the call, and is thrown by it.
---@param fn? fun()  nil: none
---@return fun()? before
function strata.on_wait(fn)
  if fn ~= nil and type(fn) ~= "function" then
    misuse("bad argument #1 to 'on_wait' (function expected, got %s)", argument.kind_of(fn))
  end
  return job.on_wait(fn)
end

--- The versions of strata and of what it is built on. strata._VERSION is that of strata alone.
---@return table<string, string>
function strata.versions()
  local versions = core.libraries()
  versions.strata = core._VERSION
  versions.lua = rawget(_G, "jit") and rawget(_G, "jit").version or _VERSION
  versions.cjson = require("cjson")._VERSION
  return printed.by(versions, printed.copy)
end

--- pairs() of an object, of strata.limits, or of a table. On Lua 5.1 and LuaJIT their own pairs() asks no object.
---@param value any
---@return function
---@return any state
function strata.pairs(value)
  local mt = getmetatable(value)
  if type(mt) == "table" and mt.__pairs then
    local step, state = mt.__pairs(value)
    return step, state -- and they begin with nil
  end
  if type(value) ~= "table" then misuse("pairs: an object or a table is wanted, not %s", type(value)) end
  local step, state = pairs(value)
  return step, state
end

--- What can be done with a value of strata, as text for a REPL.
---@param value? any  an object, a function, a name, or "limits"
---@param name? string  of a method or a field of the object
---@return string
function strata.help(value, name)
  return require("strata.util.help").text(value, name)
end

-- What few need is loaded when somebody does.
return setmetatable(strata, {
  __index = function(self, key)
    if key ~= "stream" then return nil end
    self.stream = require "strata.stream"
    return self.stream
  end,
})

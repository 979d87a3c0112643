--- An image: ordered layers and a config, opened from an archive or made anew.
--
-- Everything here happens in memory; the file it came from is only read, and
-- nothing is written until save.

local argument = require "strata.util.argument"
local change = require "strata.image.change"
local config = require "strata.config"
local core = require "strata.core"
local extract = require "strata.layer.extract"
local frozen = require "strata.util.frozen"
local file_list = require "strata.store.file_list"
local history = require "strata.history"
local inspect = require "strata.document.inspect"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local object = require "strata.util.object"
local options = require "strata.util.options"
local reference = require "strata.document.reference"
local target = require "strata.save.target"

local image = {}

---@class strata.Image
local methods = {}

--- The methods of the class. Modules that need images themselves add to it: edit/ its operations,
-- strata.check check().
image.methods = methods

local new, state_of, is

--- An image as it was opened; nothing is written to it afterwards.
---@class strata.OpenedImage
---@field config_text string
---@field tags string[]
---@field layers strata.OpenedLayer[]
---@field handles strata.Layer[]
---@field manifest strata.ImageManifest?
---@field descriptor_text string?

---@class strata.OpenedLayer
---@field diff_id string
---@field digest string?  nil: its store does not tell it
---@field size integer  as it is stored

--- The state of an image. What has no writer named is written once, by from_model.
---@class strata.ImageState
---@field handle strata.Image  its object
---@field hub strata.Hub  what its layers know of it
---@field source strata.Source?  that it was opened from; nil: it was made anew
---@field opened strata.OpenedImage
---@field manifest strata.ImageManifest?  nil: it had none. Written by edit_manifest
---@field descriptors {of: strata.ImageManifest, spans: integer[]}?  where those of the layers lie in the manifest
---@field manifest_document {of: strata.ImageManifest, doc: strata.JSON}?  of the manifest that was edited last. Written
---  by edit_manifest
---@field annotations table<string, string>?  those that the first manifest of an image without one gets, nil for none.
---  Written by edit_manifest
---@field descriptor_text string?  the descriptor that led to the manifest; without one what is known of the first. Also
---  written by edit/scrub and edit/annotations
---@field index table?  the nested index that the manifest was found in
---@field config strata.Config
---@field layers strata.Layer[]  the base first. Written by edit/layer_list, which then renumbers
---@field tags string[]  also written by edit/tags
---@field known_tags table?  the tags as reference.comparable has them; `list` is `tags`. Written by edit/tags
---@field scrubs strata.Scrub[]?  of documents that repeat the config, and of descriptors: to be carried out by save.
---  Written by edit/scrub and edit/annotations
---@field settled strata.Settled?  nil: it was never asked, or its config is another one. Written by settle()
---@field kept table?  the lists that an edit that goes on may have to go back to, and what it has to undo. Written by
---  edit()
---@field failure {[1]: string, [2]: string}?  message and code of an edit that cannot be taken back, or goes on.
---  Written by edit()

--- What the layers of an image, or a layer without one, have in common.
---@class strata.Hub
---@field limits strata.Limits
---@field strict table?  the functions that refuse what the option `strict` does not let pass
---@field image strata.ImageState?  nil: the layer is in none
---@field layers strata.LayerState[]  the base first. A new array whenever the list of layers changes
---@field standalone boolean?  the layer is in no image
---@field closed boolean?  the image is
---@field alone boolean?  layers are scanned one by one, since scanning them together failed. Written by layer
---@field edit? fun(name: string, fn: function): any, ...  carries out an edit whole or not at all; see change.edit
---@field edits userdata  counts the edits of the layers' entries
---@field loads integer?  counts the layers that were scanned. Written by layer
---@field scanned strata.LayerState[]?  `layers`, once all of them are scanned. Written by layer
---@field holders strata.Holders?  what strata.layer.holders has found
---@field merged {tree: userdata, indexes: userdata[], edits: integer}?  the tree that the next layer is added to.
---  Written by tree/merge
---@field settle fun(): strata.Settled  carries out pending edits, so that digests are known; throws when it cannot
---@field row fun(position: integer): strata.HistoryRow?  the row of the history for a layer
---@field descriptor fun(origin: integer): string?  the descriptor that the manifest had for a layer

-- ---- what the layers need of their image ------------------------------------

-- Writes the diff_ids of edited layers into the config.
local function sync_diff_ids(state)
  local layers = state.hub.layers
  local changed = json.edit_elements(config.document(state.config), "/rootfs/diff_ids", function(raw, i)
    job.tick()
    local quoted = core.json_quote(layer.current(layers[i]).diff_id)
    return raw ~= quoted and quoted or nil
  end)
  if changed then config.touch(state.config) end
end

--- What settling has found.
---@class strata.Settled
---@field layers strata.LayerState[]  the hub's
---@field edits integer  what the counter of edits said
---@field chains string[]  the chain_ids of the lowest layers, as far as somebody has asked

-- What was found last, when nothing was edited since.
local function settled(state)
  local last, hub = state.settled, state.hub
  return last and last.layers == hub.layers and last.edits == hub.edits:count() and last or nil
end

--- Carries out pending edits of layers, so that digests are known.
---@param state strata.ImageState
---@param opts? table  as layer.settle takes them
---@return boolean? ok
---@return string? message
---@return string? code
function image.settle(state, opts)
  layer.check_copies(state.hub.layers)
  if settled(state) and not (opts and opts.exact) then return true end
  job.poll() -- all layers are looked at
  local ok, message, code = layer.settle(state.hub.layers, opts)
  if not ok then return nil, message, code end
  sync_diff_ids(state)
  state.settled = { layers = state.hub.layers, edits = state.hub.edits:count(), chains = {} }
  return true
end

local function new_hub(state, model)
  state.hub = {
    image = state, limits = model.limits or limits.resolve(), strict = model.strict,
    edit = function(name, fn) return change.edit(state, name, fn) end,
    edits = core.edit_counter(),
    settle = function()
      job.tick()
      local ok, message = image.settle(state)
      if not ok then error(message, 0) end
      return state.settled
    end,
    row = function(position) return history.layer_row(state.config, position, state.layers) end,
    -- The descriptor that the manifest has for the layer that was opened at a place.
    descriptor = function(origin)
      local manifest, known = state.manifest, state.descriptors
      if not manifest then return nil end
      if not known or known.of ~= manifest then
        local doc = core.json(manifest.text)
        known = { of = manifest, spans = doc and doc:spans "/layers" or {} }
        state.descriptors = known
      end
      local first = known.spans[2 * origin - 1]
      return first and manifest.text:sub(first, known.spans[2 * origin])
    end,
  }
end

local function is_edited(state)
  local opened, layers = state.opened, state.hub.layers
  if state.source == nil or state.scrubs or state.manifest ~= opened.manifest or state.annotations or
    #layers ~= #opened.layers or not reference.same_list(state.tags, opened.tags) or
    state.config:text() ~= opened.config_text then
    return true
  end
  for i, one in ipairs(layers) do
    if one.origin ~= i or one.annotated or layer.is_edited(one) then return true end
  end
  return false
end

-- ---- making -----------------------------------------------------------------

--- Makes the object from what a dialect has read.
---@param model strata.ImageModel
---@return strata.Image?
---@return string? message
---@return string? code
function image.from_model(model)
  local opened = { config_text = model.config_text, tags = {}, layers = {} }
  local state = {
    source = model.source, opened = opened, tags = model.tags, manifest = model.manifest, index = model.index,
    descriptor_text = model.descriptor_text,
  }
  for i, tag in ipairs(model.tags) do opened.tags[i] = tag end
  new_hub(state, model)
  local message, code
  state.config, message, code = config.new(model.config_text, { limits = state.hub.limits.json })
  if not state.config then return nil, message, code end
  local diff_ids = state.config:get("/rootfs/diff_ids")
  if type(diff_ids) ~= "table" then diff_ids = {} end -- absent or null: an image without layers
  if #diff_ids ~= #model.layers then
    return nil, ("the image has %d layers, but its config has %d diff_ids"):format(#model.layers,
      #diff_ids), "EFORMAT"
  end
  local handles = {}
  for i, one in ipairs(model.layers) do
    one.hub, one.diff_id, one.origin = state.hub, diff_ids[i], i
    if one.blob.compression == "none" then one.digest = one.digest or one.diff_id end
    opened.layers[i] = { diff_id = one.diff_id, digest = one.digest, size = one.blob.size }
    handles[i] = layer.new(one)
  end
  state.layers, opened.handles = handles, change.copy_of(handles)
  opened.manifest, opened.descriptor_text = state.manifest, state.descriptor_text
  change.renumber(state)
  local refused = model.strict and model.strict.documents(state)
  if refused then return nil, refused, "EFORMAT" end
  state.handle = new(state)
  return state.handle
end

--- Reads an image that was listed; it uses the store from then on.
---@param listing strata.Listing
---@param candidate strata.Candidate
---@return strata.Image?
---@return string? message
---@return string? code
function image.open(listing, candidate)
  local model, message, code = candidate.read()
  if not model then return nil, message, code end
  model.strict = listing.strict
  local img
  img, message, code = image.from_model(model)
  if not img then return nil, ("%s: %s"):format(listing.store.path, message), code end
  listing.store:use()
  return img
end

-- ---- looking ----------------------------------------------------------------

--- The history, oldest first: rows beside the layers that they made.
---@return strata.HistoryRow[]
function methods:history()
  local state = state_of(self)
  return frozen.copy(state, "history()", history.rows(state.config, state.layers), "img:history()",
    "assign fields of its rows, or use row:remove, img:clear_history and img.config.history")
end

--- Drops the whole history, which is optional.
---@return strata.Image self
function methods:clear_history()
  history.clear(state_of(self).config)
  return self
end

--- A plain table like that of `docker image inspect`.
---@return table
function methods:inspect()
  return inspect.image(self)
end

--- The file system that a container sees.
---@param opts? strata.RootfsOptions
---@return strata.Rootfs?
---@return string? message
---@return string? code
function methods:rootfs(opts)
  options.check("rootfs", "RootfsOptions", opts)
  local root, message, code = require("strata.rootfs").of(state_of(self).layers, opts)
  if not root then return nil, message, code end
  return root
end

--- The merged tree of all layers, for people.
---@param opts? strata.ImageTreeOptions
---@return string
function methods:tree(opts)
  options.check("tree", "ImageTreeOptions", opts)
  local root, message = self:rootfs { view = opts and opts.view }
  if not root then error(message, 0) end
  local text = require("strata.rootfs").draw(root, opts)
  root:close()
  return text
end

--- Bytes of files that no container sees: replaced, deleted or hidden by upper
-- layers, or repeated for other metadata.
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return string? code
function methods:waste(opts)
  options.check("waste", "WasteOptions", opts)
  return require("strata.waste").of(state_of(self).layers, opts)
end

-- Adds all layers that are there, to be compared with their digests.
local function add_hashes(state, tasks)
  for _, one in ipairs(state.hub.layers) do
    local now = layer.current(one)
    if now.missing and not one.foreign then
      return nil, ("%s: its blob is not there"):format(layer.label(one)), "ENOENT"
    elseif not now.missing then
      layer.add_hash(tasks, one, true)
    end
  end
  return true
end

--- Reads everything and compares every digest and diff_id.
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message  names the first that differs
---@return string? code  "EDIGEST"
function methods:verify(opts)
  options.check("verify", "WorkOptions", opts)
  local state = state_of(self)
  local ok, message, code = image.settle(state, opts)
  if not ok then return nil, message, code end
  if state.source and state.source.verify_documents then
    ok, message, code = state.source:verify_documents()
    if not ok then return nil, message, code end
  end
  ok, message, code = layer.bring(state.hub.layers, opts)
  if not ok then return nil, message, code end
  local tasks = core.job()
  ok, message, code = add_hashes(state, tasks)
  if ok then
    ok, message, code = job.run(tasks, opts, "hashing")
  end
  tasks:close()
  if not ok then return nil, message, code end
  return true
end

--- The members of the archive with their SHA-256; none for an image of a registry.
---@return {name: string, type: string, size: integer, digest: string?, role: string?}[]?
---@return string? message
---@return string? code
function methods:files()
  local source = state_of(self).source
  if not source or source.store.remote then return {} end
  return file_list.files(source.store, source:roles())
end

-- ---- editing ----------------------------------------------------------------

--- Takes all edits back: the image is what was opened. Entries that were read from edited layers are no longer valid.
---@return strata.Image? self
---@return string? message
---@return string? code
function methods:revert()
  local state = state_of(self)
  local opened, going_on = state.opened, state.failure
  if going_on and going_on.is_within and going_on.thread == coroutine.running() then
    misuse("revert: %s goes on, which a function cannot take back that it calls", going_on.name)
  end
  local ok, message, code = config.replace(state.config, opened.config_text)
  if not ok then return nil, message, code end
  state.layers, state.tags = change.copy_of(opened.handles), change.copy_of(opened.tags)
  state.manifest = opened.manifest
  state.descriptor_text, state.annotations, state.scrubs = opened.descriptor_text, nil, nil
  state.failure, state.kept, state.settled, state.hub.scanned = nil, nil, nil, nil
  for _, handle in ipairs(state.layers) do layer.forget_edits(layer.state_of(handle)) end
  change.renumber(state)
  return self
end

-- What save needs of an image.
local function request_of(state)
  frozen.check(state)
  config.check(state.config)
  for _, one in ipairs(state.hub.layers) do frozen.check(one) end
  layer.check_copies(state.hub.layers)
  return { state = state, edited = is_edited(state), settle = function(opts) return image.settle(state, opts) end }
end

--- The state of an image that is an argument.
---@param value any
---@param fn string  the method
---@return strata.ImageState
function image.given(value, fn)
  if not is(value) then misuse("%s: an image is wanted, not %s", fn, argument.kind_of(value)) end
  return state_of(value)
end

--- The requests of images that are to be saved together.
---@param images strata.Image[]
---@return strata.SaveRequest[]?
---@return string? message
---@return string? code
function image.requests(images)
  local list = {}
  for i, one in ipairs(images) do
    local state = image.given(one, "save")
    if state.failure then return nil, state.failure[1], state.failure[2] end
    list[i] = request_of(state)
  end
  return list
end

--- Writes the image, in the way that it was stored or in another format. The
-- output appears whole or not at all; it may be what the image came from.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.SaveOptions
---@return strata.SaveResult? result
---@return string[]|string|nil lost  what the format cannot hold | message
---@return string? code
function methods:save(what, opts)
  local state = state_of(self)
  target.check(what, opts, "save")
  if state.failure then return nil, state.failure[1], state.failure[2] end
  return require("strata.save").images({ request_of(state) }, what, opts or {})
end

--- What img:save with these options would write: the same table. Digests and sizes that only compressing would tell
-- are nil.
---@param opts? strata.SaveOptions
---@return strata.SaveResult?
---@return string? message
---@return string? code
function methods:plan(opts)
  local to = type(opts) == "table" and opts.to
  options.check("plan", to and "PlanOptions" or "SaveOptions", opts)
  if to then target.of(to, opts, "plan") end
  local state = state_of(self)
  if state.failure then return nil, state.failure[1], state.failure[2] end
  return require("strata.save").plan(request_of(state), opts or {})
end

--- The entries of all layers, the base first, each with its layer. Throws when a layer cannot be read.
---@return fun(): strata.Entry?, strata.Layer?
function methods:entries()
  local layers, i, next_entry = state_of(self).layers, 0, nil
  return function()
    while true do
      local entry = next_entry and next_entry()
      if entry then return entry, layers[i] end
      i = i + 1
      if not layers[i] then return nil end
      next_entry = layers[i]:entries()
    end
  end
end

--- The content of a file as a container sees it.
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are ELIMIT
---@return string? content
---@return string? message
---@return string? code
function methods:read(path, max)
  argument.path(path, "read")
  argument.count(max, "read", "max")
  local root, message, code = self:rootfs()
  if not root then return nil, message, code end
  local content
  content, message, code = root:read(path, max)
  root:close()
  if not content then return nil, message, code end
  return content -- and nothing behind it: io.write takes no nil
end

--- Applies all layers to a directory, which is made when it is not there. Every
-- digest is checked on the way; after a failure nothing is left of it.
---@param dir string  must be empty, unless opts.merge
---@param opts? strata.ExtractOptions
---@return strata.ExtractResult? result
---@return string? message
---@return string? code
function methods:extract(dir, opts)
  local state = state_of(self)
  opts = extract.check(dir, opts, "extract")
  if state.failure then return nil, state.failure[1], state.failure[2] end
  local ok, message, code = layer.vet(state.hub.layers)
  if ok then ok, message, code = image.settle(state, opts) end
  if not ok then return nil, message, code end
  local items = {}
  ok, message, code = layer.bring(state.hub.layers, opts)
  if not ok then return nil, message, code end
  for i, one in ipairs(state.hub.layers) do items[i] = layer.item(one) end
  return extract.run(items, dir, opts, state.hub.limits)
end

-- The bytes of all layers as they are stored, those with edits that wait as they were, and whether there are such.
local function stored_size(state)
  local size, pending = 0, false
  for _, one in ipairs(state.hub.layers) do
    pending = pending or layer.is_pending(one)
    size = size + (layer.is_pending(one) and one.blob.size or layer.current(one).size)
  end
  return size, pending
end

-- img.layers is the array, and img:layers() iterates over it.
local function each_layer(list)
  local i = 0
  return function()
    i = i + 1
    if list[i] then return i, list[i] end
  end
end

local fields = {
  id = function(state)
    state.hub.settle()
    return core.sha256(state.config:text())
  end,
  platform = function(state)
    return require("strata.document.platform").of(state.config)
  end,
  config = function(state) return state.config end,
  layers = function(state)
    return frozen.list(state, "layers", function() return state.layers end, "img.layers",
      "use img:remove_layer, img:move_layer or img:append", each_layer)
  end,
  path = function(state)
    local store = state.source and state.source.store
    return store and not store.spooled and store.path or nil
  end,
  repo_digests = function(state)
    local store, list = state.source and state.source.store or {}, {}
    local name = store.remote and reference.familiar(store.host .. "/" .. store.repository)
    if name then list[1] = name .. "@" .. store.root_digest end
    return frozen.copy(state, "repo_digests", list, "img.repo_digests", "they say where the image was opened")
  end,
  edited = function(state) return is_edited(state) end,
  size = function(state)
    state.hub.settle()
    return (stored_size(state))
  end,
  digest = function(state)
    local digest, message = require("strata.save").digest(request_of(state))
    if message then error(message, 0) end
    return digest
  end,
  index = function(state)
    return state.index and frozen.table(state.index, "img.index", "index:set_annotation edits its annotations")
  end,
}

local function describe(state)
  local size, pending = stored_size(state)
  local id = pending and "edited" or core.sha256(state.config:text()):sub(1, 19)
  return ("strata.Image(%s, %s, %d layer%s, %s, %s)"):format(
    state.tags[1] and json.printable(state.tags[1], 80) or "<none>",
    json.printable(tostring(require("strata.document.platform").of(state.config)), 40),
    #state.layers, #state.layers == 1 and "" or "s", core.human_size(size), id)
end

--- What can be read and assigned by name. Modules that add methods add to these, too.
image.fields, image.set = fields, {}

new, state_of, is = object.class("strata.Image", methods, {
  fields = fields,
  costly = { id = true, digest = true, size = true },
  set = image.set,
  tostring = describe,
  close = function(state)
    state.hub.closed = true
    if state.hub.merged then state.hub.merged.tree:close() end
    for _, one in ipairs(state.hub.layers) do
      if one.index then one.index:close() end
      if one.own then one.blob.file:close() end
      if one.result and one.result.file then one.result.file:close() end
    end
    if state.source then state.source.store:release() end
  end,
})

image.is, image.state_of = is, state_of
image.edit, image.edit_manifest, image.own, image.undo, image.renumber = change.edit, change.edit_manifest,
  change.own, change.undo, change.renumber -- for those who edit

return image

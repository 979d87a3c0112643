--- Putting the layers of an image onto another base.

local config = require "strata.config"
local core = require "strata.core"
local fail = require "strata.util.fail"
local image = require "strata.image"
local job = require "strata.util.job"
local json = require "strata.util.json"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge = require "strata.tree.merge"
local options = require "strata.util.options"
local rebase_config = require "strata.edit.rebase.config"
local rebase_history = require "strata.edit.rebase.history"
local reference = require "strata.document.reference"
local scan = require "strata.layer.scan"

local BASE_DIGEST = "org.opencontainers.image.base.digest"
local BASE_NAME = "org.opencontainers.image.base.name"

-- The base's layers have to be the lowest ones of the image.
local function check_base(states, base)
  for i, one in ipairs(base) do
    local wanted = layer.current(one).diff_id
    if not states[i] then
      return fail("EINVAL", "rebase: the old base has %d layers, the image only %d", #base, #states)
    end
    local found = layer.current(states[i]).diff_id
    if found ~= wanted then
      return fail("EINVAL", "rebase: layer %d of the old base, %s, is not layer %d of the image, %s", i, wanted, i,
        found)
    end
  end
  return true
end

local function check_platform(state, new_base)
  for _, key in ipairs { "os", "architecture" } do
    local mine, other = state.config[key], new_base.config[key]
    if mine ~= other then
      return fail("EINVAL", "rebase: the %s of the image is %s, that of the new base %s; force does it all the same",
        key, core.quote(tostring(mine)), core.quote(tostring(other)))
    end
  end
  return true
end

-- ---- hardlinks into the base -------------------------------------------------------

-- Links of the image's own layers whose file only the base has: entry and path of the file.
local function find_links(states, count)
  local links = {}
  for i = count + 1, #states do
    for entry in states[i].index:entries() do
      job.tick()
      if entry.dangling then
        local path = core.normalise(entry.linkpath)
        if not scan.find_below(states, i, path, count + 1) then
          links[#links + 1] = { layer = states[i], entry = entry, path = path }
        end
      end
    end
  end
  return links
end

local function load_and_merge(states, opts)
  local ok, message, code = layer.load(states, opts)
  if not ok then return nil, message, code end
  return merge.of_states(states, { view = "spec" }) -- which has hardlinks into lower layers
end

local function has_file(tree, path)
  local node = tree:find(path, false)
  local kind = node and tree:info(node)
  return node ~= nil and kind ~= "dir"
end

-- A link that finds its file in the old base has to find one in the new base.
local function check_links(states, base, new_base, opts)
  local own = {}
  for i = #base + 1, #states do own[#own + 1] = states[i] end
  local ok, message, code = layer.load(own, opts)
  if not ok then return nil, message, code end
  local links = find_links(states, #base)
  if #links == 0 then return true end
  local before, after
  before, message, code = load_and_merge(base, opts)
  if not before then return nil, message, code end
  after, message, code = load_and_merge(new_base, opts)
  if not after then
    before:close()
    return nil, message, code
  end
  local stranded
  for _, link in ipairs(links) do
    if not stranded and has_file(before, link.path) and not has_file(after, link.path) then stranded = link end
  end
  before:close()
  after:close()
  if stranded then
    return fail("EINVAL", "%s: hardlink %s is another name of %s, which the new base does not have",
      layer.label(stranded.layer), core.quote(stranded.entry.path), core.quote(stranded.path))
  end
  return true
end

-- ---- the layers ----------------------------------------------------------------------

local function replace_layers(state, count, states)
  local handles = {}
  for i, one in ipairs(states) do
    local copy = layer.copy(one)
    copy.hub = state.hub
    handles[i] = layer.new(copy)
  end
  for i = count, 1, -1 do layer_list.take_out(state, i) end
  for i, handle in ipairs(handles) do layer_list.put_in(state, i, handle, layer.state_of(handle).diff_id) end
  layer_list.finish(state)
end

-- ---- annotations -----------------------------------------------------------------------

-- Updates the annotations that name the base; those that cannot be told of the new base are removed.
local function edit_annotations(doc, new_base)
  if doc:type("/annotations") ~= "object" then return end
  local function follow(key, value_of)
    local at = "/annotations" .. json.part(key)
    if not doc:type(at) then return end
    local value = value_of()
    if value then doc:set(at, core.json_quote(value)) else doc:remove(at) end
  end
  follow(BASE_DIGEST, function() return new_base.handle.digest end)
  follow(BASE_NAME, function()
    local name = new_base.tags[1]
    return name and reference.full(name)
  end)
  if doc:count("/annotations") == 0 then doc:remove("/annotations") end
end

-- ---- the whole ---------------------------------------------------------------------------

local function check(state, old_base, new_base, opts)
  for _, one in ipairs { old_base, new_base, state } do
    if one ~= state and one.failure then return nil, one.failure[1], one.failure[2] end
    local ok, message, code = image.settle(one, { threads = opts.threads, progress = opts.progress })
    if not ok then return nil, message, code end
  end
  local states, base = state.hub.layers, old_base.hub.layers
  local ok, message, code = check_base(states, base)
  if not ok then return nil, message, code end
  if not opts.force then
    ok, message, code = check_platform(state, new_base)
    if not ok then return nil, message, code end
  end
  return check_links(states, base, new_base.hub.layers, opts)
end

local function run(state, old_base, new_base, opts)
  local ok, message, code = check(state, old_base, new_base, opts)
  if not ok then return nil, message, code end
  local cfg, old, new = state.config, old_base.config, new_base.config
  local count, states = #old_base.hub.layers, new_base.hub.layers
  local counts = { image = #state.hub.layers, old = count, new = #states }
  ok, message, code = rebase_history.replace(cfg, counts, old, new)
  if ok and opts.config == "inherit" then ok, message, code = rebase_config.inherit(cfg, old, new) end
  if not ok then return nil, message, code end
  replace_layers(state, count, states)
  image.edit_manifest(state, function(doc) edit_annotations(doc, new_base) end)
  config.touch(cfg)
  return true
end

--- Puts the layers above one base onto another, and the history of that base below their
-- own. Refused where the layers of the old base are not the lowest ones.
---@param old_base strata.Image
---@param new_base strata.Image
---@param opts? strata.RebaseOptions
---@return strata.Image? self
---@return string? message
---@return string? code  "EINVAL"
function image.methods:rebase(old_base, new_base, opts)
  options.check("rebase", "RebaseOptions", opts)
  local state, from, to = image.state_of(self), image.given(old_base, "rebase"), image.given(new_base, "rebase")
  local ok, message, code = image.edit(state, "rebase", function() return run(state, from, to, opts or {}) end)
  if not ok then return nil, message, code end
  return self
end

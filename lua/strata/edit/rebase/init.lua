--- Putting the layers of an image onto another base.

local config = require "strata.config"
local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local merge = require "strata.tree.merge"
local rebase_config = require "strata.edit.rebase.config"
local rebase_history = require "strata.edit.rebase.history"
local reference = require "strata.document.reference"

local rebase = {}

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

local function check_platform(image, new_base)
  for _, key in ipairs { "os", "architecture" } do
    local mine, other = image.state.config[key], new_base.state.config[key]
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
      if entry.dangling then
        local path = core.normalise(entry.linkpath)
        if not layer.find_below(states, i, path, count + 1) then
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
  return merge.of_states(states)
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

local function replace_layers(image, count, states)
  local handles = {}
  for i, state in ipairs(states) do
    local copy = layer.copy(state)
    copy.hub = image.state.hub
    handles[i] = layer.new(copy)
  end
  for i = count, 1, -1 do layer_list.take_out(image, i) end
  for i, handle in ipairs(handles) do layer_list.put_in(image, i, handle, layer.state_of(handle).diff_id) end
  layer_list.finish(image)
end

-- ---- annotations -----------------------------------------------------------------------

-- What the manifest says of the base: where that cannot be told of the new one, it goes.
local function edit_annotations(image, new_base, digest_of)
  local manifest = image.state.manifest
  local doc = manifest and core.json(manifest.text)
  if not doc or doc:type("/annotations") ~= "object" then return end
  local function follow(key, value_of)
    local at = "/annotations" .. json.part(key)
    if not doc:type(at) then return end
    local value = value_of()
    if value then doc:set(at, core.json_quote(value)) else doc:remove(at) end
  end
  follow(BASE_DIGEST, digest_of)
  follow(BASE_NAME, function()
    local name = new_base.state.tags[1]
    return name and reference.full(name)
  end)
  if doc:count("/annotations") == 0 then doc:remove("/annotations") end
  image.state.manifest = { text = doc:text(), digest = manifest.digest, media_type = manifest.media_type,
                           config_digest = manifest.config_digest }
end

-- ---- the whole ---------------------------------------------------------------------------

local function check(image, old_base, new_base, opts)
  for _, one in ipairs { old_base, new_base, image } do
    if one.state.failure then return nil, one.state.failure[1], one.state.failure[2] end
    local ok, message, code = one.settle { threads = opts.threads, progress = opts.progress }
    if not ok then return nil, message, code end
  end
  local states, base = image.states(), old_base.states()
  local ok, message, code = check_base(states, base)
  if not ok then return nil, message, code end
  if not opts.force then
    ok, message, code = check_platform(image, new_base)
    if not ok then return nil, message, code end
  end
  return check_links(states, base, new_base.states(), opts)
end

--- Replaces the layers of one base by those of another, and what the history has of it.
---@param image strata.Operand
---@param old_base strata.Operand
---@param new_base strata.Operand
---@param digest_of fun(): string?  of the new base's manifest
---@param opts? strata.RebaseOptions
---@return boolean? ok
---@return string? message
---@return string? code
function rebase.run(image, old_base, new_base, digest_of, opts)
  opts = opts or {}
  local ok, message, code = check(image, old_base, new_base, opts)
  if not ok then return nil, message, code end
  local cfg, old, new = image.state.config, old_base.state.config, new_base.state.config
  local count, new_states = #old_base.states(), new_base.states()
  local counts = { image = #image.states(), old = count, new = #new_states }
  ok, message, code = rebase_history.replace(cfg, counts, old, new)
  if ok and opts.config == "inherit" then ok, message, code = rebase_config.inherit(cfg, old, new) end
  if not ok then return nil, message, code end
  replace_layers(image, count, new_states)
  edit_annotations(image, new_base, digest_of)
  config.touch(cfg)
  return true
end

return rebase

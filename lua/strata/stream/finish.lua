--- The end of a stream. The archive is read from its map as from a file, the results of
-- the layers are put into the image, and the documents are edited as by a save. The bytes
-- that have gone out are compared with what a save would have written.

local archive = require "strata.store.archive"
local archive_edits = require "strata.dialect.archive_edits"
local classify = require "strata.stream.classify"
local choose = require "strata.dialect.choose"
local core = require "strata.core"
local detect = require "strata.dialect.detect"
local digests = require "strata.util.digests"
local docker_edit = require "strata.dialect.docker.edit"
local docker_v1 = require "strata.dialect.docker_v1.read"
local fail = require "strata.util.fail"
local image = require "strata.image"
local json = require "strata.util.json"
local layer = require "strata.layer"
local needless_whiteouts = require "strata.layer.needless_whiteouts"
local lost = require "strata.save.lost"
local save_image = require "strata.save.image"
local stranded_links = require "strata.layer.stranded_links"

local finish = {}

local function unsupported()
  return fail("EUNSUPPORTED", "stream: only archives with a manifest.json can be edited in one pass; use strata.open")
end

-- The one image that the archive holds, or that the options mean. The map has but the first bytes of layers: nobody
-- may look for documents there, and a dialect that would read layers is refused before it does.
local function open_map(self)
  local opts = self.opts
  local store, message, code = archive.index(self.map, "stream", self.limits)
  if not store then return nil, message, code end
  store:use()
  self.store = store
  store.digests, store.holes = {}, {}
  for _, member in ipairs(self.list) do
    store.digests[member.position] = member.digest
    store.holes[member.position] = member.role ~= "hold" and member.size > classify.HEAD
  end
  if not store:has("manifest.json") and (store:has("index.json") or docker_v1.matches(store)) then
    return unsupported()
  end
  local choice = { limits = opts.limits, prefer = opts.prefer, ref = opts.ref, platform = opts.platform }
  local candidates, candidate, model
  candidates, message, code = detect.candidates(store, choice)
  if not candidates then return nil, message, code end
  candidate, message, code = choose.one(candidates, store.path, choice)
  if not candidate then return nil, message, code end
  model, message, code = candidate.read()
  if not model then return nil, message, code end
  if model.source.kind ~= "docker" then return unsupported() end
  self.source = model.source
  return image.from_model(model)
end

-- ---- layers -------------------------------------------------------------------------

local function check_digest(state, what, expected, got)
  if not expected or not got or expected == got then return true end
  return fail("EDIGEST", "%s: %s should be %s, but the bytes give %s", layer.label(state), what, expected, got)
end

-- The member of each layer of the image, verified.
local function layers_of(self, img)
  local list = {}
  for i, handle in img.layers() do
    local state = layer.state_of(handle)
    local member = self.list[self.source.layers[i].member.position]
    if member.role == "hold" then
      local bytes, message, code = self.map:read(member.data_offset, member.size)
      if not bytes then return nil, message, code end
      member.digest, member.problem = digests.of(bytes, state.digest), "it is no tar"
      member.diff_id, self.written[member.name] = core.sha256(bytes), member.digest
    end
    local ok, message, code = check_digest(state, "digest", state.digest, member.digest)
    if ok then ok, message, code = check_digest(state, "diff_id", state.diff_id, member.diff_id) end
    if not ok then return nil, message, code end
    local one = member.layer
    if self.edits_layers and member.size > 0 and not (one and not one.problem) then
      if state.blob.compression ~= "none" and not one then
        return fail("EUNSUPPORTED", "%s: compressed with %s, which is not supported", layer.label(state),
          state.blob.compression)
      end
      return fail("EFORMAT", "%s: %s", layer.label(state), one and one.problem or member.problem or "it is no tar")
    end
    list[i] = { state = state, member = member, layer = one }
  end
  return list
end

-- The layers as edits look at them. The entry index of a layer without bytes is empty.
local function indexes_of(self, list, index_of)
  local layers = {}
  for i, item in ipairs(list) do
    local index = item.layer and index_of(item.layer)
    if not index then
      index = core.entry_index(self.map, 0, 0, "none")
      index:scan()
    end
    layers[i] = { index = index, hub = self }
  end
  return layers
end

local function marked_whiteouts(index)
  local count = 0
  for entry in index:entries() do
    if entry.marked and (entry.whiteout or entry.opaque) then count = count + 1 end
  end
  return count
end

-- Marks needless whiteouts, now that the order of the layers is known.
local function decide(self, list)
  if not self.opts.filter then return true end
  local layers, uses, before = indexes_of(self, list, function(one) return one.copy or one.index end), {}, {}
  for _, item in ipairs(list) do
    if item.layer then uses[item.layer] = (uses[item.layer] or 0) + 1 end
  end
  for _, one in ipairs(self.waiting) do before[one] = marked_whiteouts(one.index) end
  local ok, message, code = needless_whiteouts.mark(layers)
  if not ok then return nil, message, code end
  for _, one in ipairs(self.waiting) do
    if (uses[one] or 0) > 1 and marked_whiteouts(one.index) ~= before[one] then
      return fail("EUNSUPPORTED", "layer %s is in the image several times, and what its whiteouts hide is dropped "
        .. "below one of them: that cannot be done in one pass; use strata.open", core.quote(one.member.stored_name))
    end
  end
  return true
end

local function finish_waiting(self, list, finish_layer)
  local used = {}
  for _, item in ipairs(list) do used[item.layer or 0] = true end
  for _, one in ipairs(self.waiting) do
    local ok, message, code = finish_layer(self, one, used[one])
    if not ok then return nil, message, code end
  end
  self.waiting = {}
  return true
end

-- Checks hardlinks against all that was dropped and renamed.
local function check_links(self, list)
  if not self.edits_layers then return true end
  return stranded_links.check(indexes_of(self, list, function(one) return one:known() end))
end

-- ---- what a save would write ----------------------------------------------------------

local function differs(name)
  return fail("EUNSUPPORTED", "%s cannot be written in one pass as a save would write it; use strata.open",
    core.quote(name))
end

-- The names and digests of the layers' files after a save.
local function expected_of(list, change)
  local expected, places = {}, {}
  for _, item in ipairs(list) do
    local member = item.member
    local edit = change.by_position[member.position]
    places[member.position] = true
    if not edit then
      expected[member.name] = member.digest
    elseif not edit.drop then
      expected[core.normalise(edit.name or member.stored_name)] = edit.part and edit.part.digest or member.digest
    end
  end
  for _, added in ipairs(change.added) do
    if added.part then expected[core.normalise(added.name)] = added.part.digest end
  end
  return expected, places
end

-- Compares the layers that have gone out with those that a save would write.
local function check(self, list, change)
  local expected, places = expected_of(list, change)
  for position, member in ipairs(self.list) do
    local edit = not places[position] and change.by_position[position]
    if edit and (edit.part or member.role ~= "hold") then return differs(member.stored_name) end
  end
  for _, name in ipairs(json.keys(expected)) do
    if self.written[name] ~= expected[name] then return differs(name) end
  end
  for _, member in ipairs(self.list) do
    local changed = member.changed
    if changed and not (places[member.position] and expected[changed.name] == changed.digest) then
      return differs(member.stored_name)
    end
  end
  return true
end

-- Works out the edits of the documents.
local function work_out(self, list)
  local request = image.requests({ self.img })[1]
  local made, message, code = save_image.make(request, { digests = true })
  if not made then return nil, message, code end
  local change
  if request.edited then
    self.lost = {}
    change, message, code = docker_edit.edits({ made }, { attestations = self.opts.attestations }, self.lost)
    if not change then return nil, message, code end
    local request_of_lost = { images = { made }, format = "docker", native = true, opts = self.opts }
    for _, line in ipairs(lost(request_of_lost)) do self.lost[#self.lost + 1] = line end
  else
    change = archive_edits.new(self.store)
  end
  local ok
  ok, message, code = check(self, list, change)
  if not ok then return nil, message, code end
  message, code = self.store:take_failure()
  if message then return nil, message, code end
  self.change = change
  return true
end

--- All members have been seen.
---@param self strata.ImageStream
---@param finish_layer function  hands out a layer
---@return boolean? ok
---@return string? message
---@return string? code
function finish.conclude(self, finish_layer)
  local img, message, code = open_map(self)
  if not img then return nil, message, code end
  self.img = img
  local list, ok
  list, message, code = layers_of(self, img)
  if not list then return nil, message, code end
  ok, message, code = decide(self, list)
  if ok then ok, message, code = finish_waiting(self, list, finish_layer) end
  if ok then ok, message, code = check_links(self, list) end
  if not ok then return nil, message, code end
  for _, item in ipairs(list) do layer.carry_out(item.state, item.member.digest, item.member.changed) end
  if self.opts.tags then img.tags = self.opts.tags end
  if self.opts.config then self.opts.config(img.config) end
  return work_out(self, list)
end

--- Hands out the rest: documents, links, the end of the archive.
---@param self strata.ImageStream
---@return boolean? ok
---@return string? message
---@return string? code
function finish.documents(self)
  local written = {}
  for _, member in ipairs(self.list) do written[member.position] = member.role ~= "hold" end
  local segments, message, code = self.change:segments(written)
  if not segments then return nil, message, code end
  for _, segment in ipairs(segments) do
    if segment.bytes then
      self.out:bytes(segment.bytes)
    else
      self.out:file(segment.file, segment.offset, segment.size)
    end
  end
  return true
end

return finish

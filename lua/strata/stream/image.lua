--- An archive of docker save that is pushed: bytes in, bytes of the edited archive out.
--
-- All bytes but the content of layers go into a temporary file, the map, at the offsets
-- that they have in the archive. In the end the map is read as an archive with holes in
-- the place of layers. Layers go out one by one when they are done; the documents that
-- depend on them (config, manifests) follow when everything is verified.

local archive = require "strata.store.archive"
local classify = require "strata.stream.classify"
local core = require "strata.core"
local digests = require "strata.util.digests"
local docker_edit = require "strata.dialect.docker.edit"
local finish = require "strata.stream.finish"
local hasher = require "strata.stream.hasher"
local input = require "strata.stream.input"
local layer = require "strata.stream.layer"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local needless_whiteouts = require "strata.layer.needless_whiteouts"
local object = require "strata.util.object"
local options = require "strata.util.options"
local output = require "strata.stream.output"
local spool = require "strata.stream.spool"

local image = {}

-- How much one call gives out at most, unless it is fed more.
local PIECE = 256 * 1024

--- A member of the archive, as its bytes come. Written by this module, unless another one is named.
---@class strata.StreamMember: strata.Member
---@field data_offset integer  where its content begins
---@field raw_end integer  where the next member begins
---@field head string?  its first bytes, until they tell its role
---@field role "hold"|"pass"|"layer"|nil  see classify.role; nil: not known yet
---@field compression "none"|"gzip"|"zstd"|nil  of what can be a layer
---@field got integer  how many bytes of its content have come
---@field taken integer  how many of them went where its role says
---@field hash strata.Hasher?  until all bytes have come
---@field digest string?  of the content; of a held layer by finish
---@field diff_id string?
---@field problem string?  why it is no layer
---@field layer strata.SpooledLayer?
---@field changed table?  the layer as it went out: name, and fields as layer.current gives them

--- A transform. Written by this module, unless another one is named.
---@class strata.ImageStream
---@field opts strata.StreamImageOptions
---@field limits strata.Limits
---@field input strata.StreamInput
---@field parser userdata
---@field out strata.StreamOutput
---@field room strata.SpoolRoom
---@field map userdata  the temporary file with all bytes but layers
---@field mapped integer  the offset in the archive up to which bytes are in the map, or in a layer
---@field held integer  how many bytes are in the map
---@field piece string  the plain bytes that are being parsed
---@field base integer  their offset in the archive
---@field list strata.StreamMember[]
---@field member strata.StreamMember?  whose content is coming
---@field known strata.KnownLayers?
---@field at table<integer, strata.SpooledLayer>  by their place in the image: layers that are decided about
---@field waiting strata.SpooledLayer[]  layers that wait for a layer below them
---@field written table<string, string>  digests of what went out, by name
---@field renamed table<string, boolean>  names of changed layers
---@field edits_layers boolean
---@field raw boolean  without edits: the bytes go out as they come
---@field recoded boolean  without edits, but to be compressed in another way
---@field store strata.ArchiveStore?  the map as an archive. Written by finish
---@field source strata.DockerSource?  of the image. Written by finish
---@field img strata.Image?  Written by finish
---@field change strata.Edits?  of the documents. Written by finish
---@field lost string[]?  what could not be kept. Written by finish
---@field failure {[1]: string, [2]: string}?

-- ---- the map ----------------------------------------------------------------------

local function put_in_map(self, offset, bytes)
  if bytes == "" then return true end
  self.held = self.held + #bytes
  if self.held > self.max_held then
    return nil, ("what is no layer takes more than limits.held (%.0f bytes)"):format(self.max_held), "ELIMIT"
  end
  return self.map:write(offset, bytes)
end

-- Puts the rest of the present piece up to an offset into the map.
local function map_upto(self, offset)
  if offset <= self.mapped then return true end
  local bytes = self.piece:sub(self.mapped - self.base + 1, offset - self.base)
  local at = self.mapped
  self.mapped = offset
  return put_in_map(self, at, bytes)
end

-- ---- handing out --------------------------------------------------------------------

local function put_raw(self, from, upto)
  if self.raw or upto <= from then return true end
  local bytes, message, code = self.map:read(from, upto - from)
  if not bytes then return nil, message, code end
  self.out:bytes(bytes)
  return true
end

-- Hands out the padding behind the content of a member. The archive can end within it.
local function put_tail(self, member)
  local ok, message, code = put_raw(self, member.data_offset + member.size, member.raw_end)
  if ok and not self.raw then self.out:bytes(archive.padding(member.raw_end)) end
  return ok, message, code
end

-- Hands out a layer without changes.
local function put_unchanged(self, one)
  local member, kept = one.member, one.spool
  if self.written[member.name] == member.digest and self.renamed[member.name] then
    kept:close() -- a changed layer is the same and has this name
    return true
  end
  self.written[member.name] = member.digest
  local ok, message, code = put_raw(self, member.header_offset, member.data_offset)
  if not ok then return nil, message, code end
  self.out:file(kept.file, 0, kept.size, function() kept:close() end)
  return put_tail(self, member)
end

local function put_changed(self, one, result)
  local member, made = one.member, result.spool
  local stored = docker_edit.new_name(member.stored_name, { diff_id = one.diff_id, digest = one.digest },
    result.digest)
  local name = core.normalise(stored)
  member.changed = { name = name, size = result.size, digest = result.digest, diff_id = result.diff_id,
                     file = made.file, offset = 0, compression = one.compression }
  one.spool:close()
  if self.written[name] then
    made:close() -- the same blob has gone out; finish.lua compares the digests
    return true
  end
  self.written[name], self.renamed[name] = result.digest, true
  local raw, message, code = self.map:read(member.header_offset, member.data_offset - member.header_offset)
  if not raw then return nil, message, code end
  local header
  header, message, code = core.patch_header(raw, { name = stored ~= member.stored_name and stored or nil,
                                                   size = result.size })
  if not header then return nil, message, code end
  self.out:bytes(header)
  self.out:file(made.file, 0, made.size, function() made:close() end)
  self.out:bytes(archive.padding(made.size))
  return true
end

-- ---- layers -------------------------------------------------------------------------

--- Hands out a layer about which everything is decided.
local function finish_layer(self, one, edit)
  local result = { changed = false }
  if edit and one.index then
    local message, code
    result, message, code = one:settle(self.opts.rewrite)
    if not result then return nil, message, code end
  end
  one:forget()
  if result.changed then return put_changed(self, one, result) end
  return put_unchanged(self, one)
end

-- Whether all layers below it are known, which its whiteouts depend on.
local function is_decidable(self, one)
  local place = one.handle.position
  if not one.whiteouts then return true end
  if not place then return false end
  for i = 1, place - 1 do
    if not self.at[i] then return false end
  end
  return true
end

local function decide(self, one)
  local place = one.handle.position
  local ok, message, code
  if one.whiteouts and place > 1 then
    local layers = {}
    for i = 1, place - 1 do layers[i] = { index = self.at[i].copy, hub = self } end
    layers[place] = one
    ok, message, code = needless_whiteouts.mark(layers)
    if not ok then return nil, message, code end
  end
  ok, message, code = one:remember()
  if not ok then return nil, message, code end
  if place then self.at[place] = one end
  return finish_layer(self, one, true)
end

-- Decides about the layers that have waited for a layer below them.
local function decide_waiting(self)
  local again = true
  while again do
    again = false
    for i, one in ipairs(self.waiting) do
      if is_decidable(self, one) then
        table.remove(self.waiting, i)
        local ok, message, code = decide(self, one)
        if not ok then return nil, message, code end
        again = true
        break
      end
    end
  end
  return true
end

-- All bytes of a layer have come.
local function end_layer(self, member)
  local one = member.layer
  local ok, message, code = one:scan(member.digest, member.diff_id)
  if not ok then return nil, message, code end
  if one.problem then return put_unchanged(self, one) end
  member.diff_id = one.diff_id
  local places = self.known and self.known.places[member.name]
  one.handle.position = places and #places == 1 and places[1] or nil
  if not self.opts.filter then return finish_layer(self, one, true) end
  one:filter(self.opts.filter)
  if not is_decidable(self, one) then
    -- What lower layers have to know of it does not depend on its whiteouts.
    self.waiting[#self.waiting + 1] = one
    return true
  end
  ok, message, code = decide(self, one)
  if not ok then return nil, message, code end
  return decide_waiting(self)
end

-- ---- members ------------------------------------------------------------------------

local function begin_role(self, member, head)
  local role, message, code = classify.role(member, head, self.known, self.max_json)
  if not role then return nil, message, code end
  member.role, member.compression = role, message
  if member.role == "layer" and not self.edits_layers then member.role = "pass" end
  if member.role == "hold" then return true end
  local ok
  ok, message, code = put_in_map(self, member.data_offset, head:sub(1, classify.HEAD))
  if not ok then return nil, message, code end
  local compression = member.compression
  local stated = digests.in_member(member)
  -- The diff_id of a compressed layer comes from its scan; a blob with a known digest needs none.
  local needs_diff_id = compression == "none" or (member.role == "pass" and compression and not stated)
  if member.type == "file" then
    member.hash, message, code = hasher.new(needs_diff_id and compression or nil, stated, self.limits)
    if not member.hash then return nil, message, code end
  end
  if member.role == "pass" then return put_raw(self, member.header_offset, member.data_offset) end
  member.layer, message, code = layer.new(self, member, compression)
  return member.layer ~= nil, message, code
end

local function take_bytes(self, member, bytes)
  local at = member.data_offset + member.taken
  member.taken = member.taken + #bytes
  if member.role == "hold" then return put_in_map(self, at, bytes) end
  if member.hash then
    local ok, message, code = member.hash:update(bytes)
    if not ok then return nil, message, code end
  end
  if member.role == "layer" then return member.layer:write(bytes) end
  if not self.raw then self.out:bytes(bytes) end
  return true
end

local function on_data(self, bytes, offset)
  local member = self.member
  local ok, message, code = map_upto(self, offset)
  if not ok then return nil, message, code end
  self.mapped = offset + #bytes
  member.got = member.got + #bytes
  if not member.role then
    member.head = member.head .. bytes
    if #member.head < classify.HEAD and member.got < member.size then return true end
    bytes, member.head = member.head, nil
    ok, message, code = begin_role(self, member, bytes)
    if not ok then return nil, message, code end
  end
  return take_bytes(self, member, bytes)
end

local function end_pass(self, member)
  self.written[member.name] = member.digest
  return put_tail(self, member)
end

-- All bytes of the present member have come, with the padding up to raw_end.
local function end_member(self, raw_end)
  local member = self.member
  self.member = nil
  if not member then return put_raw(self, 0, raw_end) end
  member.raw_end = raw_end
  if not member.role then
    local ok, message, code = begin_role(self, member, "")
    if not ok then return nil, message, code end
  end
  if member.hash then
    local diff_id, code
    member.digest, diff_id, code = member.hash:final()
    if not member.digest then return nil, diff_id, code end
    member.diff_id = diff_id
    member.problem, member.hash = member.hash.problem, nil
    local stated = digests.in_member(member)
    if stated and stated ~= member.digest then
      return nil, ("%s should be %s, but the bytes give %s"):format(core.quote(member.stored_name), stated,
        member.digest), "EDIGEST"
    end
  end
  if member.role == "layer" then return end_layer(self, member) end
  if member.role == "pass" then return end_pass(self, member) end
  if member.name == "manifest.json" and not self.known then
    local text, message, code = self.map:read(member.data_offset, member.size)
    if not text then return nil, message, code end
    self.known = classify.known(text, self.max_json)
  end
  return true
end

local function on_entry(self, entry)
  local ok, message, code = map_upto(self, entry.data_offset)
  if ok then ok, message, code = end_member(self, entry.header_offset) end
  if not ok then return nil, message, code end
  self.member = {
    position = #self.list + 1, name = entry.path, stored_name = entry.name, type = entry.type, size = entry.stored,
    header_offset = entry.header_offset, data_offset = entry.data_offset, sparse = entry.sparse,
    got = 0, taken = 0, head = "",
  }
  self.list[#self.list + 1] = self.member
  return true
end

-- All members have come: decides about waiting layers, edits the config and the documents.
local function conclude(self, end_offset)
  local ok, message, code = end_member(self, end_offset)
  if not ok then return nil, message, code end
  self.concluded = true
  return finish.conclude(self, finish_layer)
end

local function on_end(self, offset)
  local ok, message, code = map_upto(self, offset)
  if not ok then return nil, message, code end
  return conclude(self, offset - 2 * classify.HEAD)
end

local function on_event(self, kind, what, offset)
  if kind == "entry" then return on_entry(self, what) end
  if kind == "data" then return on_data(self, what, offset) end
  if kind == "end" then return on_end(self, what) end
  return true -- a global header belongs to what is before it
end

-- Without edits the bytes are only compressed in another way. They go out a piece late, so that
-- the last piece goes out when everything is verified.
local function put_recoded(self, bytes)
  self.out:bytes(self.last_piece or "")
  self.last_piece = bytes
end

-- Parses all bytes that were fed.
local function pump(self)
  while true do
    local kind, what, offset = self.parser:next()
    local ok, message, code
    if kind then
      ok, message, code = on_event(self, kind, what, offset)
    elseif what then
      ok, message, code = nil, limits.of_members(what, offset), offset
    else
      ok, message, code = map_upto(self, self.base + #self.piece)
      self.base, self.piece = self.base + #self.piece, ""
      local bytes
      if ok then bytes, message, code = self.input:read() end
      if ok and not bytes and not message then return true end
      ok = bytes ~= nil
      self.piece = bytes or ""
      if ok then self.parser:feed(bytes) end
      if ok and self.recoded then put_recoded(self, bytes) end
    end
    if not ok then return nil, message, code end
  end
end

-- ---- the transform ------------------------------------------------------------------

local function close(self)
  if self.released then return end
  self.released = true
  if self.img then self.img:close() end
  self.out:close()
  spool.close(self.room)
  for _, member in ipairs(self.list) do
    local one = member.layer
    if one then
      one:forget()
      one:close()
    end
  end
  self.list, self.waiting, self.at, self.last_chunk = {}, {}, {}, nil
  self.input:close()
  self.parser:close()
  self.map:close()
end

local function fail(self, message, code)
  self.failure = { "stream: " .. message:gsub("^stream: ", ""), code }
  close(self)
  return nil, self.failure[1], self.failure[2]
end

-- Chooses the compression of the result as soon as that of the input is known.
local function choose_compression(self)
  local wanted, found = self.opts.compression or "keep", self.input.compression
  if not found then return end
  self.out.compression = wanted == "keep" and found or wanted
end

-- Without edits each chunk goes out as it came, one call later: the last one when everything is verified.
local function step_raw(self, chunk)
  local out = self.last_chunk or ""
  self.last_chunk = chunk
  return out, false
end

local function step(self, chunk)
  self.input:feed(chunk)
  local ok, message, code = pump(self)
  if not ok then return fail(self, message, code) end
  if self.raw and not self.recoded then return step_raw(self, chunk) end
  choose_compression(self)
  local out
  out, message, code = self.out:take(math.max(PIECE, 2 * #chunk))
  if not out then return fail(self, message, code) end
  return out, self.out.waiting > 0
end

local function end_stream(self)
  self.input:stop()
  local ok, message, code = pump(self)
  local end_offset
  if ok then end_offset, message, code = self.parser:finish() end
  if end_offset then ok, message, code = self.input:finish() else ok = nil end
  if ok and self.map:size() < self.base then ok, message, code = self.map:write(self.base - 1, "\0") end
  if ok and not self.concluded then ok, message, code = conclude(self, end_offset) end
  if ok and not self.raw then ok, message, code = finish.documents(self) end
  if not ok then return fail(self, message, code) end
  choose_compression(self)
  local out, rest = self.last_chunk, ""
  if self.recoded then put_recoded(self) end
  if self.recoded or not self.raw then
    out, message, code = self.out:take(math.huge)
    if out then rest, message, code = self.out:finish() end
    if not out or not rest then return fail(self, message, code) end
  end
  self.finished = true
  close(self)
  return (out or "") .. rest, false, self.lost and self.lost[1] and self.lost or nil
end

-- out, more = t(chunk), and out, false, lost = t(nil) at the end.
local function transform(self, _, chunk)
  if chunk ~= nil and type(chunk) ~= "string" then
    misuse(("bad argument #1 to the transform (string or nil expected, got %s)"):format(type(chunk)))
  end
  if self.closed then misuse("attempt to use a closed strata.Transform") end
  if self.busy then misuse("the transform is at work, or an error was thrown in it") end
  if self.failure then return nil, self.failure[1], self.failure[2] end
  if self.finished then misuse("the transform is finished") end
  self.busy = true -- and stays so when a callback throws
  local out, more, third
  if chunk then out, more, third = step(self, chunk) else out, more, third = end_stream(self) end
  self.busy = false
  return out, more, third
end

local new = object.class("strata.Transform", {}, {
  call = transform,
  close = close,
  tostring = function(self)
    local state = self.failure and "failed" or self.finished and "finished" or "open"
    return ("strata.Transform(%s)"):format(state)
  end,
})

local function check(opts)
  if opts == nil then misuse("strata.stream.image wants a table of options") end
  -- What a check finds stands all over an archive: to pass some of it on already would be lax.
  if type(opts) == "table" and opts.strict then
    misuse("strict is no option of a stream: open the archive with it")
  end
  options.check("strata.stream.image", "StreamImageOptions", opts)
end

--- A transform of an archive of docker save. Each call takes some bytes of the
-- archive and gives some of the edited one, a string that may be empty; nil ends
-- it. A second result of true says that there is more to take, by t(""): who does
-- so never has more than 256 KiB at a time, or twice what is fed. The end has a third
-- result, as a save has a second one: what could not be kept. What fails gives
-- nil, message, code, then and ever after.
---@param opts strata.StreamImageOptions
---@return strata.Transform? transform
---@return string? message
---@return string? code
function image.new(opts)
  check(opts)
  opts = limits.options(opts)
  local given = opts.limits
  local self = {
    opts = opts, limits = given, max_json = given.json.max_bytes, max_held = given.held,
    edits_layers = opts.filter ~= nil or opts.rewrite ~= nil,
    raw = not (opts.filter or opts.rewrite or opts.config or opts.tags),
    room = spool.room(given.spool, opts.temp_dir), out = output.new(opts.level), input = input.new("auto", given),
    list = {}, waiting = {}, at = {}, written = {}, renamed = {},
    piece = "", base = 0, mapped = 0, held = 0,
  }
  self.recoded = self.raw and (opts.compression or "keep") ~= "keep"
  local message, code
  self.parser, message, code = core.push_tar(limits.add_for_members(given, {}))
  if not self.parser then return nil, message, code end
  self.map, message, code = core.temp_file(opts.temp_dir)
  if not self.map then return nil, message, code end
  return new(self)
end

return image

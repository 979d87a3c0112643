--- img:repair: mends findings of img:check that have one right answer.
--
-- It goes in rounds. Each looks for what was asked for, notes for every finding what is to become of the layer or the
-- document, writes the layers anew that it has to, and compares what default runtimes show before and after. What a
-- mend has brought to light is the next round's. In the end a check finds nothing of what was asked for, or it is told.

local check = require "strata.check"
local core = require "strata.core"
local documents = require "strata.repair.documents"
local entries = require "strata.repair.entries"
local fail = require "strata.util.fail"
local findings = require "strata.check.findings"
local image = require "strata.image"
local json = require "strata.util.json"
local layer = require "strata.layer"
local layer_list = require "strata.edit.layer_list"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local report = require "strata.check.report"
local same = require "strata.repair.same"
local second_reader = require "strata.check.tar"
local spelling = require "strata.util.spelling"
local tar = require "strata.repair.tar"

-- Rounds after which what is still found is left.
local MAX_ROUNDS = 5
-- Examples in a message.
local MAX_TOLD = 3

---@class strata.Repair
---@field state strata.ImageState
---@field opts strata.RepairOptions
---@field only table<string, true>  the codes that are asked for
---@field mended strata.Mended[]
---@field left {finding: strata.Finding, why: string}[]
---@field is_left table<string, integer>  how many of what is the same in each round
---@field tried table<string, integer>  the round in which a finding was mended last
---@field round integer
---@field tars table<integer, strata.MendedTar>  by layer, of this round
---@field layers table<integer, strata.MendedLayer>  the same for what keeps its tar
---@field dropped strata.MendedTar[]  those that were given up
local Repair = {}
Repair.__index = Repair

-- ---- what is found -----------------------------------------------------------------------

local function key_of(finding)
  return ("%s\0%s\0%s\0%s"):format(finding.code, tostring(finding.layer), tostring(finding.path), finding.message)
end

-- Findings because of which a check does not look at a layer.
local BLINDING = { "digest", "limit", "missing-blob", "unreadable" }
-- Findings about stored bytes, for which they have to be looked at.
local OF_BYTES = { ["digest"] = true, ["gzip-padding"] = true, ["zstd-skippable"] = true }

-- The codes that are looked for: those that were asked for, and what would keep a layer from being looked at for them.
local function sought(only)
  local codes, needs_layers = {}, false
  for code in pairs(only) do
    codes[code] = true
    needs_layers = needs_layers or entries.mends[code] ~= nil or OF_BYTES[code] ~= nil
  end
  for _, code in ipairs(needs_layers and BLINDING or {}) do codes[code] = true end
  return codes
end

-- Findings that were asked for, without those that are left. Headers come before attributes, which are taken from them.
function Repair:find()
  local made = report.new("note", sought(self.only))
  local ok, message, code = check.image(self.state, made, {
    limits = self.state.hub.limits, brief = false, temp_dir = self.opts.temp_dir,
    second_reader = self.only["parser-differential"] or false,
  })
  if not ok then return nil, message, code end
  local list, last, seen = {}, {}, {}
  for _, finding in ipairs(made:finish()) do
    local key = key_of(finding)
    seen[key] = (seen[key] or 0) + 1
    if not self.only[finding.code] then
      if not self.is_left[key] then self:leave(finding, "what it has is not known") end
    elseif seen[key] > (self.is_left[key] or 0) then
      local late = finding.code == "hardlink-metadata"
      table.insert(late and last or list, { finding = finding, details = made.details[finding] })
    end
  end
  for _, one in ipairs(last) do list[#list + 1] = one end
  return list
end

function Repair:leave(finding, why)
  self.left[#self.left + 1] = { finding = finding, why = why }
  local key = key_of(finding)
  self.is_left[key] = (self.is_left[key] or 0) + 1
end

-- ---- what is to be done ------------------------------------------------------------------

-- The layer that a finding is about, to be mended without its tar; nil: it is about no layer.
function Repair:layer(number)
  local state = number and self.state.hub.layers[number]
  if state and not self.layers[number] then self.layers[number] = { state = state, edits = {} } end
  return state and self.layers[number]
end

function Repair:tar(number)
  if not self.tars[number] then
    local state = self.state.hub.layers[number]
    local expected = layer.current(state).diff_id
    if self.layers[number] and self.layers[number].diff_id then expected = nil end
    local made, message, code = tar.open(state, expected, self.opts)
    if not made then return nil, message, code end
    self.tars[number] = made
  end
  return self.tars[number]
end

-- Notes what is to be done about a finding in a tar. Gives what that is in words; nil and why not; and a code when that
-- ends the whole.
function Repair:plan_entry(one)
  local finding = one.finding
  if not finding.layer then return nil, "it is about the archive, and not about a layer of the image" end
  local made, message, code = self:tar(finding.layer)
  if not made then return nil, message, code end
  local is_global = finding.code:find("^global")
  local entry = finding.entry and (made.index:entry(finding.entry) or is_global and { position = finding.entry })
  if not entry and not entries.whole[finding.code] then return nil, "it is about no entry" end
  if made.header_of[finding.entry] == nil and finding.code == "hardlink-metadata" and next(made.fresh) then
    return false -- once the headers are written, and what they say is said in one way
  end
  return entries.mends[finding.code](made, entry, one.details, self.round)
end

-- Notes what is to be done about all findings. Gives how many.
function Repair:plan(list)
  local count = 0
  for _, one in ipairs(list) do
    local finding, key = one.finding, key_of(one.finding)
    local how, why, code
    if self.tried[key] and self.tried[key] < self.round then
      why = "it is still there, whatever was done"
    elseif documents.mends[finding.code] then
      how, why, code = documents.mends[finding.code](self, self:layer(finding.layer))
    else
      how, why, code = self:plan_entry(one)
    end
    if code then return nil, why, code end
    if how then
      count, self.tried[key] = count + 1, self.round
      self.mended[#self.mended + 1] = printed.by({
        code = finding.code, where = finding.where, layer = finding.layer, path = finding.path, entry = finding.entry,
        how = how, round = self.round, finding = finding,
      }, printed.mended)
    elseif how == nil then
      self:leave(finding, why)
    else
      count = count + 1
    end
  end
  return count
end

-- ---- carrying it out ---------------------------------------------------------------------

-- The descriptor of a mended layer, nil where the manifest has none.
local function descriptor_of(state, mended)
  local text = layer.descriptor(state)
  if not text then return nil end
  local doc = core.json(text)
  if mended.media_type then doc:set("/mediaType", core.json_quote(mended.media_type)) end
  for _, edit in ipairs(mended.edits) do edit(doc) end
  return doc:text()
end

-- The state of a layer with other bytes, or with other things said about them.
local function replacement(state, mended, blob, digests)
  local made = layer.copy(state)
  made.media_type = mended.media_type or made.media_type or state.media_type
  made.foreign = state.foreign
  made.descriptor_text = descriptor_of(state, mended)
  if blob then
    if made.blob.file then made.blob.file:close() end
    made.blob = { file = blob.file, offset = blob.offset or 0, size = blob.size, compression = made.blob.compression }
  end
  made.diff_id, made.digest = digests.diff_id, digests.digest
  return made
end

function Repair:mended_tar(number, mended)
  local state, made = self.state.hub.layers[number], self.tars[number]
  local done, message, code = made:write(self.opts)
  if not done then return nil, message, code end
  local new = replacement(state, mended, done, done)
  new.taken, new.own, new.made = nil, nil, true
  return new
end

function Repair:mended_layer(number, mended)
  local state, opts = self.state.hub.layers[number], self.opts
  local now, blob = layer.current(state), nil
  local digests = { digest = now.digest, diff_id = mended.diff_id or now.diff_id }
  if mended.trim then
    local done, code
    blob, done, code = documents.trimmed(state, opts)
    if not blob then return nil, done, code end
    if done.diff_id ~= now.diff_id and not mended.diff_id then
      return fail("EDIGEST", "%s: its tar has the diff_id %s", layer.label(state), done.diff_id)
    end
    digests.digest = done.digest
  end
  return replacement(state, mended, blob and { file = blob.file:share(), offset = blob.offset, size = blob.size },
    digests)
end

-- Makes a state that of a layer of the image.
function Repair:adopt(number, made)
  made.hub, made.position = self.state.hub, number
  layer.new(made)
end

-- The new states of the layers that are mended, by their numbers.
function Repair:write()
  local new = {}
  for number = 1, #self.state.hub.layers do
    local mended, made, message, code = self.layers[number] or { edits = {} }, nil, nil, nil
    if self.tars[number] then
      made, message, code = self:mended_tar(number, mended)
    elseif self.layers[number] and not self:is_idle(number) then
      made, message, code = self:mended_layer(number, mended)
    end
    if message then return nil, message, code end
    if made then
      self:adopt(number, made)
      new[number] = made
    end
  end
  return new
end

-- Whether nothing was noted for a layer: its findings are left.
function Repair:is_idle(number)
  local mended = self.layers[number]
  return not (mended.media_type or mended.diff_id or mended.trim or mended.edits[1])
end

function Repair:swap(new)
  for number = 1, #self.state.hub.layers do
    if new[number] then
      layer_list.take_out(self.state, number)
      layer_list.put_in(self.state, number, new[number].handle, new[number].diff_id)
    end
  end
  layer_list.finish(self.state)
end

-- ---- comparing ---------------------------------------------------------------------------

-- The entry indexes of all layers before and after, nil for those that are not here.
function Repair:indexes(new)
  local before, after, origins = {}, {}, {}
  for number, state in ipairs(self.state.hub.layers) do
    local index = self.tars[number] and self.tars[number].index or state.loaded and state.index
    if not index and not state.blob.missing and not (new[number] and self.layers[number].diff_id) then
      local ok, message, code = layer.load({ state }, { lenient = true })
      if not ok then return nil, message, code end
      index = state.index
    end
    before[number], after[number] = index, index
    if new[number] and self.tars[number] then
      local ok, message, code = layer.load({ new[number] }, { lenient = true })
      if not ok then return nil, message, code end
      after[number], origins[number] = new[number].index, self.tars[number].origins
    end
  end
  return before, after, origins
end

-- Leaves all findings of a layer's tar, as mending them would change what is shown.
function Repair:give_up(number, new, path)
  local kept = {}
  self.dropped[#self.dropped + 1] = self.tars[number]
  self.tars[number], new[number] = nil, nil
  if self.layers[number] and not self:is_idle(number) then
    local made, message, code = self:mended_layer(number, self.layers[number])
    if not made then return nil, message, code end
    self:adopt(number, made)
    new[number] = made
  end
  for _, one in ipairs(self.mended) do
    local is_lost = one.round == self.round and one.layer == number and entries.mends[one.code]
    if is_lost then
      self:leave(one.finding, ("what is shown at %s would be another thing"):format(core.quote(path)))
    else
      kept[#kept + 1] = one
    end
  end
  self.mended = kept
  return true
end

-- The indexes of some layers before and after, without those that are not here.
local function stack_of(numbers, before, after, origins)
  local one, other, by_place = {}, {}, {}
  for _, number in ipairs(numbers) do
    if before[number] then
      one[#one + 1], other[#other + 1] = before[number], after[number]
      by_place[#one] = origins[number]
    end
  end
  return one, other, by_place
end

-- Gives up layers whose stack shows something else, the topmost first. `numbers` are the layers of the stack.
function Repair:give_up_unlike(numbers, new, before, after, origins)
  local steps, at = self.state.hub.limits.steps, #numbers
  while true do
    local one, other, by_place = stack_of(numbers, before, after, origins)
    local path, message, code = same.difference(one, other, by_place, steps)
    if not path then return path ~= nil, message, code end
    while at > 0 and not self.tars[numbers[at]] do at = at - 1 end
    if at == 0 then return fail("EINVAL", "what is shown at %s would be another thing", core.quote(path)) end
    local number = numbers[at]
    after[number], origins[number] = before[number], nil
    local ok
    ok, message, code = self:give_up(number, new, path)
    if not ok then return nil, message, code end
  end
end

-- Each layer over the lowest one, which whiteouts are told from by, and then all of them show what they did.
function Repair:compare(new)
  if not next(self.tars) then return true end
  local before, after, origins = self:indexes(new)
  if not before then return nil, after, origins end
  local numbers, ok, message, code = {}, true, nil, nil
  for number = 1, #self.state.hub.layers do
    numbers[number] = number
    if ok and self.tars[number] then
      ok, message, code = self:give_up_unlike(number == 1 and { 1 } or { 1, number }, new, before, after, origins)
    end
  end
  if ok then ok, message, code = self:give_up_unlike(numbers, new, before, after, origins) end
  return ok or nil, message, code
end

-- ---- the whole ---------------------------------------------------------------------------

function Repair:close_tars()
  for _, made in pairs(self.tars) do made:close() end
  for _, made in ipairs(self.dropped) do made:close() end
end

-- One round; gives how many findings it has mended.
function Repair:run_round(list)
  self.tars, self.layers, self.dropped = {}, {}, {}
  local count, message, code = self:plan(list)
  local ok = count
  if ok and count > 0 then
    local new
    new, message, code = self:write()
    ok = new
    if ok then ok, message, code = self:compare(new) end
    if ok then self:swap(new) end
  end
  self:close_tars()
  if not ok then return nil, message, code end
  return count
end

function Repair:run()
  local ok, message, code = image.settle(self.state, {
    threads = self.opts.threads, progress = self.opts.progress, temp_dir = self.opts.temp_dir,
  })
  if not ok then return nil, message, code end
  local list
  repeat
    list, message, code = self:find()
    if not list then return nil, message, code end
    self.round = self.round + 1
    if not list[1] then break end
    if self.round > MAX_ROUNDS then
      for _, one in ipairs(list) do self:leave(one.finding, "it is still there, whatever was done") end
      break
    end
    local count
    count, message, code = self:run_round(list)
    if not count then return nil, message, code end
  until count == 0
  return true
end

-- The findings that are left, for a message.
local function lines_of(left)
  local lines = {}
  for i = 1, math.min(MAX_TOLD, #left) do
    lines[i] = ("%s (%s)"):format(tostring(left[i].finding), left[i].why)
  end
  if #left > MAX_TOLD then lines[#lines + 1] = ("and %d more"):format(#left - MAX_TOLD) end
  return table.concat(lines, "; ")
end

-- The names that were asked for and not found.
function Repair:absent(asked)
  local found, absent = {}, {}
  for _, one in ipairs(self.mended) do found[one.code] = true end
  for _, one in ipairs(self.left) do found[one.finding.code] = true end
  for _, name in ipairs(asked) do
    if not found[name] then absent[#absent + 1] = name end
  end
  return absent[1] and absent
end

function Repair:report(asked)
  local left, mended = {}, {}
  for i, one in ipairs(self.left) do left[i] = ("%s (%s)"):format(tostring(one.finding), one.why) end
  for _, one in ipairs(self.mended) do
    if not self.is_left[key_of(one.finding)] then mended[#mended + 1] = one end
  end
  for _, one in ipairs(mended) do one.round, one.finding = nil, nil end
  return printed.by({
    mended = printed.list(mended), left = left[1] and printed.list(left), absent = asked and self:absent(asked),
  }, printed.repair)
end

-- The codes that are asked for, and the same as a list when they were named.
local function codes_of(which)
  local only = {}
  if which == true then
    for _, name in ipairs(json.keys(findings)) do only[name] = findings[name] == true or nil end
    if not second_reader.has_second_reader() then only["parser-differential"] = nil end
    return only
  end
  local list = type(which) == "string" and { which } or which
  if type(list) ~= "table" or #list == 0 or #list ~= #json.keys(list) then
    misuse("repair: wants codes of findings as img:check tells them, such as \"duplicate-path\", or true for all that "
      .. "can be mended")
  end
  for _, name in ipairs(list) do
    if findings[name] == nil then
      local likely = type(name) == "string" and spelling.likely(name, json.keys(findings))
      local shown = type(name) == "string" and core.quote(name) or tostring(name)
      misuse("repair: there is no finding %s%s", shown, likely and ("; did you mean '%s'?"):format(likely) or "")
    elseif findings[name] ~= true then
      misuse("repair: '%s' is not mended: %s", name, findings[name])
    end
    only[name] = true
  end
  return only, list
end

--- Mends findings of img:check: those whose codes are named, or all that can be mended. A container sees the same, and
--- what is not named keeps its bytes. Whole or not at all: a finding that is named and cannot be mended is "EINVAL",
--- unless `optional` has it left. One that is not there is no failure, for none is there afterwards: the report tells.
---@param which string|string[]|boolean  true: all that can be mended
---@param opts? strata.RepairOptions
---@return strata.RepairReport?
---@return string? message
---@return string? code
function image.methods:repair(which, opts)
  options.check("repair", "RepairOptions", opts)
  local only, asked = codes_of(which)
  opts = opts or {}
  if only["parser-differential"] and not second_reader.has_second_reader() then
    return fail("EUNSUPPORTED", "repair: only strata.archive finds a parser-differential, which is not built")
  end
  local state = image.state_of(self)
  return image.edit(state, "repair", function()
    local work = setmetatable({
      state = state, opts = opts, only = only, mended = {}, left = {}, is_left = {}, tried = {}, round = 0,
    }, Repair)
    local ok, message, code = work:run()
    if not ok then return nil, message, code end
    if asked and not opts.optional and work.left[1] then
      return fail("EINVAL", "repair: not mended: %s", lines_of(work.left))
    end
    return work:report(asked)
  end)
end

--- Pushing: blobs first, then the manifest by its digest or its first tag, and other tags last, so that a reader of a
-- tag sees the old image or the whole new one.
--
-- No blob is asked for that is known to be there: every digest that a manifest of the repository lists is. Of the
-- others those of the same registry are mounted, and those of another one go through without touching the disk.

local blobs = require "strata.registry.blobs"
local fail = require "strata.util.fail"
local json = require "strata.util.json"
local manifests = require "strata.registry.manifests"
local referrers = require "strata.registry.referrers"
local uploads = require "strata.registry.uploads"

local push = {}

-- From this size on it is asked for whether a blob is there, which costs a request and may save an upload.
local WORTH_ASKING = 262144
-- So many blobs are remembered of all repositories of a registry: some 2 MB of memory.
local MAX_KNOWN = 10000
-- More bytes than that registries do not take: PUTM5.
local MAX_MANIFEST = 4 * 2 ^ 20

--- A blob that an image needs, and where its bytes are.
---@class strata.PushedBlob: strata.Upload
---@field label string
---@field origin {session: strata.RegistrySession, repository: string}?  the repository that has it
---@field is_about boolean?  of a manifest that is about another one
---@field way "skip"|"mount"|"send"|"pipe"|nil  written by plan()

--- A manifest or an index that is put.
---@class strata.PushedManifest
---@field text string
---@field digest string
---@field media_type string
---@field is_kept boolean?  it came so from where it was read
---@field is_about boolean?  it is about another one, and nothing leads to it
---@field is_there boolean?  the repository has it. Written by look_for_referrers()

--- What is pushed.
---@class strata.Push
---@field client strata.RegistryClient
---@field session strata.RegistrySession
---@field repository string
---@field blobs strata.PushedBlob[]
---@field children strata.PushedManifest[]?  that the manifest leads to, those that others name first
---@field manifest strata.PushedManifest
---@field tags string[]  none: by its digest alone
---@field expect string?  the digest that the first tag has to have, unless it has that of `manifest`; "" for none
---@field exists "auto"|"check"|"never"
---@field known table<string, boolean>  digests of blobs that are in the repository
---@field limits strata.JsonLimits
---@field is_home boolean?  the image came from this repository, whose blobs are known
---@field opened string?  the digest that the first tag had when the image was opened, as far as that is known
---@field current string?  the digest that the first tag has. Written by look()
---@field looked boolean?  that is known. Written by look()

-- A table of digests that counts them in its session.
local function new_known(session)
  return setmetatable({}, { __newindex = function(digests, digest, value)
    session.known_count = session.known_count + 1
    rawset(digests, digest, value)
  end })
end

--- The blobs that a repository is known to have: this session has pushed them, or read of them in a manifest. A session
-- that has too many of them begins anew: they save requests, and nothing else.
---@param session strata.RegistrySession
---@param repository string
---@return table<string, boolean>
function push.known(session, repository)
  if not session.known or session.known_count > MAX_KNOWN then session.known, session.known_count = {}, 0 end
  session.known[repository] = session.known[repository] or new_known(session)
  return session.known[repository]
end

-- The blobs that a manifest lists are in its repository.
local function note_blobs(known, text, limits)
  local document = json.decode(text, limits)
  if type(document) ~= "table" then return end
  local function note(descriptor)
    if type(descriptor) == "table" and type(descriptor.digest) == "string" and json.or_nil(descriptor.urls) == nil then
      known[descriptor.digest] = true
    end
  end
  note(document.config)
  for _, descriptor in ipairs(json.is_array(json.or_nil(document.layers) or {}) and document.layers or {}) do
    note(descriptor)
  end
end
push.note_blobs = note_blobs

-- Looks at what the first tag is now: for `expect`, for a push that changes nothing, and for the blobs that are there.
local function look(this)
  local tag = this.tags[1]
  if not tag then return true end
  local got, message, code = manifests.get(this.session, this.repository, tag, this.limits)
  if not got and code ~= "ENOENT" then return nil, message, code end
  this.current = got and got.digest
  if got then note_blobs(this.known, got.text, this.limits) end
  return true
end

-- Fails when the tag is not what it has to be: PUTM9. A tag that has what is pushed already is right, too: a save that
-- is made again, because nobody knows how the first one ended, succeeds.
local function check_expected(this)
  if this.expect == nil or this.current == (this.expect ~= "" and this.expect or nil) then return true end
  if this.current == this.manifest.digest then return true end
  return fail("ESTALE", "%s:%s is %s, and not %s", this.repository, this.tags[1], this.current or "not there",
    this.expect ~= "" and this.expect or "nothing")
end

-- How each blob gets there. Each is moved once, however often an image has it: UP21. With exists = "check" nothing is
-- taken to be there: a manifest may list what the registry has lost.
local function plan(this)
  local list, seen, is_checked = {}, {}, this.exists == "check"
  for _, blob in ipairs(this.blobs) do
    if not seen[blob.digest] then
      seen[blob.digest] = true
      list[#list + 1] = blob
      local same_host = blob.origin and blob.origin.session == this.session
      local same_place = same_host and blob.origin.repository == this.repository
      local is_there = same_place or this.known[blob.digest]
      blob.way = is_there and not is_checked and "skip" or same_host and not same_place and "mount" or
        blob.origin and not blob.file and not blob.bytes and "pipe" or "send"
      blob.mount = blob.way == "mount" and blob.origin.repository or nil
      blob.from = blob.origin and not blob.file and not blob.bytes and blob.origin.places or nil
    end
  end
  return list
end

local function scopes_of(this, list)
  local mounts, seen = {}, {}
  for _, blob in ipairs(list) do
    if blob.mount and not seen[blob.mount] then mounts[#mounts + 1] = blob.mount end
    if blob.mount then seen[blob.mount] = true end
  end
  return uploads.push_scopes(this.repository, mounts)
end

-- Whether it is worth a request to ask whether a blob is there.
local function is_worth_asking(this, blob)
  if this.exists ~= "auto" then return this.exists == "check" end
  return blob.way ~= "mount" and blob.size >= WORTH_ASKING
end

-- The task that gets one blob there.
local function move(this, blob, scopes)
  return function(flow)
    if is_worth_asking(this, blob) then
      local there, message, code = blobs.exists(this.session, this.repository, blob.digest, scopes)
      if there == nil then return nil, ("%s: %s"):format(blob.label, message), code end
      if there then
        blob.way = "skip"
        flow:moved(blob.size)
        return true
      end
    end
    local ok, message, code = uploads.send(flow, this.session, this.repository, blob, scopes)
    return ok, message and ("%s: %s"):format(blob.label, message), code
  end
end

-- Gives up what was begun: the registry keeps no half uploads of a push that failed.
local function cancel_all(this, list, scopes)
  local tasks = {}
  for _, blob in ipairs(list) do
    if blob.location then
      tasks[#tasks + 1] = function() return uploads.cancel(this.session, blob, scopes) end
    end
  end
  this.client:run(tasks, nil, "pushing")
end

local function move_all(this, list, scopes, opts)
  local tasks, total = {}, 0
  for _, blob in ipairs(list) do
    if blob.way ~= "skip" then
      tasks[#tasks + 1] = move(this, blob, scopes)
      total = total + blob.size
    end
  end
  local done, message, code = this.client:run(tasks, opts, "pushing", total)
  if done then return true end
  cancel_all(this, list, scopes)
  return nil, message, code
end

-- Moves blobs once more that are not there, although a manifest lists them or they were mounted: PUTM4.
local function repair(this, list, scopes, missing, opts)
  local again = {}
  for _, blob in ipairs(list) do
    if missing[blob.digest] then
      blob.way, blob.mount = blob.from and "pipe" or "send", nil
      again[#again + 1] = blob
    end
  end
  if #again == 0 then return false end
  return move_all(this, again, scopes, opts)
end

-- Has a manifest listed that is about another one, unless the registry has said that it does so: RFR6.
local function list_referrer(this, made, answer, scopes)
  local descriptor, subject = referrers.descriptor(made, this.limits)
  if not descriptor or answer.subject == subject then return answer end
  local ok, message, code = referrers.register(this.session, this.repository, subject, descriptor, this.limits, scopes)
  if not ok then return nil, message, code end
  return answer
end

-- Puts a manifest.
local function put(this, made, list, scopes, reference, how, opts)
  local answer, message, code, missing
  for attempt = 1, 2 do
    answer, message, code = this.client:call(function()
      local got, why, code_of
      got, why, code_of, missing = manifests.put(this.session, this.repository, reference, made.text,
        made.media_type, { scopes = scopes, expect = how.expect, tags = how.tags })
      if not got then return nil, why, code_of end
      return list_referrer(this, made, got, scopes)
    end, opts, "pushing")
    if answer or not missing or attempt == 2 then break end
    local ok, why, code_of = repair(this, list, scopes, missing, opts)
    if ok == nil then return nil, why, code_of end
    if not ok then break end
  end
  return answer, message, code
end

-- The tags that no answer has shown to be set.
local function left_of(tags, first, set)
  local is_set, left = {}, {}
  for _, tag in ipairs(set) do is_set[tag] = true end
  for i = first, #tags do
    if not is_set[tags[i]] then left[#left + 1] = tags[i] end
  end
  return left
end

-- The digest that the first tag has, "" for none. A GET is sent for a tag that should not be there: a 404 in answer to
-- a HEAD may have to be asked once more (MAN9).
local function digest_of_tag(this)
  local found, message, code
  if this.expect == "" then
    found, message, code = manifests.get(this.session, this.repository, this.tags[1], this.limits)
    if code == "ENOENT" then return "" end
    found = found and found.digest
  else
    found, message, code = manifests.digest(this.session, this.repository, this.tags[1], this.limits)
  end
  if not found and message then return nil, message, code end
  return found or ""
end

-- Compares the first tag just before it moves: PUTM9.
local function look_again(this, opts)
  local digest, message, code = this.client:call(function() return digest_of_tag(this) end, opts, "asking")
  if not digest then return nil, message, code end
  this.current = digest ~= "" and digest or nil
  return check_expected(this)
end

-- Looks which of the manifests that are about others are there: a tag that is right says nothing of them. -> whether
-- some are missing
local function look_for_referrers(this, opts)
  local tasks, asked = {}, {}
  for _, child in ipairs(this.children or {}) do
    if child.is_about and not (this.is_home and child.is_kept) then
      asked[#asked + 1] = child
      tasks[#tasks + 1] = function()
        local found, message, code = manifests.digest(this.session, this.repository, child.digest, this.limits)
        if message then return nil, message, code end
        return found or ""
      end
    end
  end
  local values, message, code = this.client:run(tasks, opts, "asking")
  if not values then return nil, message, code end
  local some_missing = false
  for i, child in ipairs(asked) do
    child.is_there = values[i][1] == child.digest
    some_missing = some_missing or not child.is_there
  end
  return some_missing
end

-- Leaves out what a tag that has the manifest already leads to. -> whether something has to be moved all the same
local function leave_what_is_there(this, list, opts)
  local some_missing, message, code = look_for_referrers(this, opts)
  if some_missing == nil then return nil, message, code end
  for _, blob in ipairs(list) do
    if not (some_missing and blob.is_about) then blob.way = "skip" end
  end
  for _, child in ipairs(this.children or {}) do child.is_there = child.is_there or not child.is_about end
  return some_missing
end

-- Puts what the manifest leads to, by digest: PUTM1. What the repository has already is not put again.
local function put_children(this, list, scopes, opts)
  for _, child in ipairs(this.children or {}) do
    if not (this.is_home and child.is_kept) and not child.is_there then
      local ok, message, code = put(this, child, list, scopes, child.digest, {}, opts)
      if not ok then return nil, message, code end
    end
  end
  return true
end

-- Puts it under each tag, the first one first. Where that answer shows that the registry sets several at once, the
-- others are one request: PUTM6.
local function put_all(this, list, scopes, opts)
  local tags, made, set = this.tags, this.manifest, {}
  if not tags[1] then return put(this, made, list, scopes, made.digest, {}, opts) end
  local answer, message, code
  if this.current ~= made.digest then
    local expect = this.expect ~= "" and this.expect or nil
    answer, message, code = put(this, made, list, scopes, tags[1], { expect = expect }, opts)
    if not answer then return nil, message, code end
    set = answer.tags
  end
  local left = left_of(tags, 2, set)
  if #set > 0 and #left > 1 then
    answer, message, code = put(this, made, list, scopes, made.digest, { tags = left }, opts)
    if not answer then return nil, message, code end
    left = left_of(left, 1, answer.tags)
  end
  for _, tag in ipairs(left) do
    answer, message, code = put(this, made, list, scopes, tag, {}, opts)
    if not answer then return nil, message, code end
  end
  return true
end

--- Looks at what the first tag is, unless that is known: whether the push has anything to do.
---@param this strata.Push
---@param opts {progress: function?, wait: function?}
---@return boolean? done  true: the tag has the manifest already
---@return string? message
---@return string? code
function push.look(this, opts)
  if this.looked then return this.current == this.manifest.digest and #this.tags == 1 end
  local ok, message, code = true, nil, nil
  if this.expect ~= nil or not this.is_home then
    ok, message, code = this.client:call(function() return look(this) end, opts, "asking")
  end
  if ok then ok, message, code = check_expected(this) end
  if not ok then return nil, message, code end
  this.looked = true
  return this.current == this.manifest.digest and #this.tags == 1
end

-- What a push has to send before the tag moves: blobs, bytes, and whether all of them are sent from here.
local function load_of(this, list)
  local count, bytes, is_here = 0, 0, true
  for _, blob in ipairs(list) do
    if blob.way ~= "skip" then
      count, bytes, is_here = count + 1, bytes + blob.size, is_here and blob.way == "send"
    end
  end
  for _, child in ipairs(this.children or {}) do
    if not (this.is_home and child.is_kept) then count, bytes = count + 1, bytes + #child.text end
  end
  return count, bytes, is_here
end

-- Whether it is soon enough to look at the tag just before it moves: little is sent before that, a look would tell of
-- no blob that is not known anyway, and nothing speaks for another digest than the expected one.
local function looks_late(this, list)
  if not this.expect or not this.is_home or this.looked or this.exists == "check" then return false end
  if this.expect == this.manifest.digest or this.opened and this.opened ~= this.expect then return false end
  local count, bytes, is_here = load_of(this, list)
  return count > 0 and is_here and bytes < WORTH_ASKING
end

--- What a push did.
---@class strata.Pushed
---@field moved strata.PushedBlob[]  with way and result

--- Pushes an image.
---@param this strata.Push
---@param opts {progress: function?, wait: function?}
---@return strata.Pushed?
---@return string? message
---@return string? code
function push.run(this, opts)
  if #this.manifest.text > MAX_MANIFEST then
    return fail("ELIMIT", "a manifest of %d bytes, more than registries take", #this.manifest.text)
  end
  local list, has_to_move = plan(this), true
  local is_late = looks_late(this, list)
  local ok, message, code
  if not is_late then
    ok, message, code = push.look(this, opts)
    if ok == nil then return nil, message, code end
    list = plan(this)
  end
  local scopes = scopes_of(this, list)
  if this.current == this.manifest.digest and this.exists ~= "check" then
    has_to_move, message, code = leave_what_is_there(this, list, opts)
    if has_to_move == nil then return nil, message, code end
  end
  if has_to_move then
    local is_done = load_of(this, list) == 0
    ok, message, code = move_all(this, list, scopes, opts)
    if ok then ok, message, code = put_children(this, list, scopes, opts) end
    if not ok then return nil, message, code end
    if this.expect and not is_done then ok, message, code = look_again(this, opts) end
    if not ok then return nil, message, code end
  end
  ok, message, code = put_all(this, list, scopes, opts)
  if not ok then return nil, message, code end
  for _, blob in ipairs(list) do this.known[blob.digest] = true end
  return { moved = list }
end

--- How blobs would get there: nothing is moved.
---@param this strata.Push
---@param opts {progress: function?, wait: function?}
---@return strata.PushedBlob[]?  with their ways
---@return string? message
---@return string? code
function push.plan(this, opts)
  local done, message, code = push.look(this, opts)
  if done == nil then return nil, message, code end
  local list = plan(this)
  if this.exists ~= "check" then
    for _, blob in ipairs(this.current == this.manifest.digest and list or {}) do blob.way = "skip" end
    return list
  end
  local tasks, scopes = {}, scopes_of(this, list)
  for i, blob in ipairs(list) do
    tasks[i] = function()
      local there, why, how = blobs.exists(this.session, this.repository, blob.digest, scopes)
      if there == nil then return nil, ("%s: %s"):format(blob.label, why), how end
      if there then blob.way = "skip" end
      return true
    end
  end
  done, message, code = this.client:run(tasks, opts, "asking")
  return done and list, message, code
end

return push

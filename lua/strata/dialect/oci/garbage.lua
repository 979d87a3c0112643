--- Blobs of a layout that nothing names.
--
-- A blob is kept when index.json leads to it, by way of any documents: an index, a manifest or a `subject` names it. A
-- manifest is kept as well whose subject is kept, also where no index lists it. A document that cannot be read, or has
-- another digest than its name says, could name any blob: then nothing is told or removed.
--
-- Blobs are removed while the directory is locked. A save publishes index.json under the same lock, and writes blobs
-- again that have gone by then (store/output), so a save at the same time loses nothing.

local core = require "strata.core"
local digests = require "strata.util.digests"
local directory = require "strata.store.directory"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local printed = require "strata.util.printed"

local garbage = {}

---@class strata.Marking
---@field store strata.DirectoryStore
---@field limits strata.Limits
---@field named table<string, boolean>  by digest
---@field seen table<string, boolean>  documents that were read, by digest
---@field todo {digest: string, size: any, kind: string?, where: string}[]  documents to read
---@field absent string[]  documents that are named and not there
local Marking = {}
Marking.__index = Marking

-- Members of a manifest that name blobs of any content.
local CONTENT = { config = true, layers = true, blobs = true }

local function is_digest(value)
  return type(value) == "string" and value:find("^[a-z0-9+._-]+:%x+$") ~= nil
end

-- Notes the digests in a value of a document.
function Marking:note(value, where, is_content)
  if is_digest(value) then
    self.named[value] = true
    if not is_content then self.todo[#self.todo + 1] = { digest = value, where = where } end
  elseif type(value) == "table" then
    local is_descriptor = is_digest(value.digest)
    if is_descriptor then
      self.named[value.digest] = true
      if not is_content then
        self.todo[#self.todo + 1] = { digest = value.digest, size = value.size, where = where,
                                      kind = media_types.kind(json.or_nil(value.mediaType)) }
      end
    end
    for _, key in ipairs(json.keys(value)) do
      if not (is_descriptor and key == "digest") then self:note(value[key], where, is_content or CONTENT[key]) end
    end
  end
end

-- The bytes of a document. nil without a message: it is not there, or what is named is no document.
function Marking:read(one)
  local store, max = self.store, self.limits.json.max_bytes
  local is_stated = one.kind == "manifest" or one.kind == "index"
  local blob, message, code = store:blob(one.digest)
  if not blob and code == "ENOENT" then
    if is_stated then self.absent[#self.absent + 1] = one.digest end
    return nil
  elseif not blob then
    return nil, message, code
  end
  local size = blob.size
  blob.file:close()
  if size > max and not is_stated then return nil end
  if not is_stated and not oci_descriptor.is_verifiable(one.digest) then return nil end
  local text
  text, message, code = oci_descriptor.read(store, one.digest, type(one.size) == "number" and one.size or size, max)
  if not text then return nil, ("%s (%s names it)"):format(message or one.digest, one.where), code or "ENOENT" end
  return text
end

-- Reads the documents that are to be read, and those that these name.
function Marking:follow()
  while #self.todo > 0 do
    job.poll()
    local one = table.remove(self.todo)
    local is_leaf = one.kind == "config" or one.kind == "layer"
    if not is_leaf and not self.seen[one.digest] then
      self.seen[one.digest] = true
      local text, message, code = self:read(one)
      if message then return nil, message, code end
      local document
      if text then document, message, code = json.decode(text, self.limits.json) end
      if text and type(document) ~= "table" and one.kind then
        return fail(code == "ELIMIT" and code or "EFORMAT", "%s: %s is no %s: %s", self.store.path, one.digest,
          one.kind, message or "no object")
      end
      if type(document) == "table" then self:note(document, one.digest) end
    end
  end
  return true
end

-- Adds the blobs that a manifest.json beside index.json lists by their paths.
function Marking:note_paths()
  if not self.store:has("manifest.json") then return true end
  local text, message, code = self.store:document("manifest.json", self.limits.json.max_bytes)
  if not text then return nil, message, code end
  for algorithm, hex in text:gmatch("blobs/(%w+)/(%x+)") do self.named[algorithm .. ":" .. hex] = true end
  return true
end

-- The blobs of the directory: links among them would name others by their paths.
local function blobs_in(store, max)
  local list = {}
  if not store:has("blobs") then return list end
  local tree, message, code = core.host_tree(store.path .. "/blobs", max)
  if not tree then return nil, message, code end
  local count, i = tree:list(0), 1
  while count and i <= count do
    local entry = tree:get(i)
    local name = "blobs/" .. entry.path
    if entry.type == "dir" then
      count, message, code = tree:list(i)
    elseif entry.type == "symlink" then
      count, message, code = nil, ("%s: %s is a link"):format(store.path, core.quote(name)), "EUNSUPPORTED"
    elseif entry.type == "file" and digests.in_path(name) then
      list[#list + 1] = { name = name, digest = digests.in_path(name), size = entry.size }
    end
    i = i + 1
  end
  tree:close()
  if not count then return nil, message, code end
  table.sort(list, function(a, b) return json.before(a.name, b.name) end)
  return list
end

-- The digest that a blob is about, when it is a manifest. nil: it is none, or is about nothing.
function Marking:subject_of(blob)
  if blob.size > self.limits.json.max_bytes then return nil end
  local there, message, code = self.store:blob(blob.digest)
  if not there then return nil, message, code end
  local text
  text, message, code = there.file:read(0, 1)
  if text == "{" then text, message, code = there.file:read(0, there.size) end
  there.file:close()
  if not text then return nil, message, code end
  local document = text:sub(1, 1) == "{" and json.decode(text, self.limits.json)
  local subject = type(document) == "table" and document.subject
  return type(subject) == "table" and subject.digest or nil
end

-- Keeps manifests whose subject is kept, and the blobs that they name.
function Marking:follow_referrers(blobs)
  local subjects = {}
  for _, blob in ipairs(blobs) do
    job.poll()
    local message, code
    if not self.named[blob.digest] then subjects[blob.digest], message, code = self:subject_of(blob) end
    if message then return nil, message, code end
  end
  local found
  repeat
    found = false
    for _, digest in ipairs(json.keys(subjects)) do
      if self.named[subjects[digest]] then
        self:note({ digest = digest }, "its subject")
        subjects[digest], found = nil, true
      end
    end
    local ok, message, code = self:follow()
    if not ok then return nil, message, code end
  until not found
  return true
end

-- The blobs that nothing names, and the documents that are named and not there.
local function unnamed(store, given)
  local self = setmetatable({ store = store, limits = given, named = {}, seen = {}, todo = {}, absent = {} }, Marking)
  local ok, message, code = oci_catalog.check_layout(store, given)
  if not ok then return nil, message, code end
  local text, root
  text, message, code = store:document(store.root, given.json.max_bytes)
  if text then root, message, code = json.decode(text, given.json) end
  if not text or root == nil then return nil, ("%s: %s: %s"):format(store.path, store.root, message), code end
  if type(root) ~= "table" or type(root.manifests) ~= "table" then
    return fail("EFORMAT", "%s: %s is no index", store.path, store.root)
  end
  local blobs
  blobs, message, code = blobs_in(store, given.entries)
  if not blobs then return nil, message, code end
  self:note(root, store.root)
  ok, message, code = self:note_paths()
  if ok then ok, message, code = self:follow() end
  if ok then ok, message, code = self:follow_referrers(blobs) end
  if ok then
    message, code = store:take_failure()
    ok = not message
  end
  if not ok then return nil, message, code end
  local list = {}
  for _, blob in ipairs(blobs) do
    if not self.named[blob.digest] then list[#list + 1] = blob end
  end
  return list, json.sort(self.absent)
end

local function remove_all(writer, list)
  for i, blob in ipairs(list) do
    local ok, message, code = writer:remove(blob.name)
    if not ok then return fail(code, "gc: %s; %d of %d blobs are removed", message, i - 1, #list) end
  end
  return true
end

-- Whether a path still leads to a directory that was opened: blobs are listed by the path, and removed by the
-- directory.
local function is_same(path, dir)
  local now = core.open_dir(path)
  local same = now ~= nil and now:same(dir)
  if now then now:close() end
  return same
end

-- The report. `writer` is the directory, to be written to; nil: nothing is removed.
local function collect(store, opts, writer)
  if store.flat then return fail("EUNSUPPORTED", "gc: %s is no layout with an index.json", store.path) end
  if writer then
    local ok, message, code = writer:lock()
    if not ok then return nil, message, code end
  end
  local list, absent, code = unnamed(store, opts.limits)
  if not list then return nil, "gc: " .. absent, code end
  local ok, message = true, nil
  if writer and not (is_same(store.path, writer) and store.dir:same(writer)) then
    return fail("ESTALE", "gc: %s has become another directory", store.path)
  end
  if writer then ok, message, code = remove_all(writer, list) end
  if not ok then return nil, message, code end
  local report = { path = store.path, blobs = {}, bytes = 0, removed = writer ~= nil,
                   absent = absent[1] and absent or nil }
  for i, blob in ipairs(list) do
    report.blobs[i], report.bytes = { digest = blob.digest, size = blob.size }, report.bytes + blob.size
  end
  printed.list(report.blobs, printed.unnamed_blob)
  return printed.by(report, printed.garbage)
end

--- The blobs of a layout in a directory that nothing names; they are removed when that is asked for.
---@param path string
---@param opts {remove: boolean?, limits: strata.Limits}
---@return strata.GarbageReport?
---@return string? message
---@return string? code
function garbage.collect(path, opts)
  local file = core.open_file(path)
  if file then
    file:close()
    return fail("EUNSUPPORTED", "gc: %s is no directory: an archive is written anew to leave blobs out; " ..
      'strata.copy(archive, directory, {format = "oci"}) makes a directory of it', path)
  end
  local store, message, code = directory.open(path)
  if not store then return nil, message, code end
  local writer
  if opts.remove then writer, message, code = core.create_dir(path) end
  if message then
    store.dir:close()
    return nil, message, code
  end
  local ok, report
  ok, report, message, code = pcall(collect, store, opts, writer)
  store.dir:close()
  if writer then writer:close() end -- and the lock ends
  if not ok then error(report, 0) end
  if not report then return nil, message, code end
  return report
end

return garbage

--- Jobs on images by paths and plain tables.
--
-- What goes in and what comes out can be copied from one Lua state to another,
-- as nginx's worker threads do; errors are values. A job can have a deadline and
-- a key that cancels it, which it looks at while it works.

local clients = require "strata.jobs.clients"
local core = require "strata.core"
local file_bytes = require "strata.jobs.file_bytes"
local from_table = require "strata.edit.from_table"
local job = require "strata.util.job"
local limits = require "strata.util.limits"
local look = require "strata.jobs.look"
local options = require "strata.util.options"
local policy = require "strata.policy"
local printed = require "strata.util.printed"
local reference = require "strata.document.reference"
local strata = require "strata"

local jobs = {}

-- ---- giving up --------------------------------------------------------------------

-- The options of each job.
local ARGUMENTS = {
  config = "LookArguments", inspect = "LookArguments", entries = "EntriesArguments", list = "ListArguments",
  read = "ReadArguments", fetch = "FetchArguments", edit = "EditArguments", save = "SaveArguments",
  remove = "PathArguments", check = "CheckArguments", diff = "DiffArguments", largest = "LargestArguments",
  paths = "PathsArguments", waste = "PageArguments", index = "JobArguments", digest = "PathArguments",
  call = "CallArguments",
}

-- A function that throws when the job is to be given up.
local function poller(control)
  local dict = control.shared and ngx and ngx.shared[control.shared]
  return function()
    if control.deadline and core.monotonic() > control.deadline then
      error({ code = "ETIMEDOUT", message = "the deadline has passed" }, 0)
    end
    if dict and control.key and dict:get(control.key) then
      error({ code = "ECANCELED", message = "canceled" }, 0)
    end
  end
end

local PROGRESS_SECONDS = 0.1

-- A function that tells others how far a job is, in the shared dictionary; nil when nobody asks.
local function teller(control)
  local dict = control.progress and control.shared and ngx and ngx.shared[control.shared]
  if not dict then return nil end
  local last
  return function(done, total, what)
    local now = core.monotonic()
    if last and now - last < PROGRESS_SECONDS then return end
    last = now
    dict:set(control.progress, ("%s %.0f %.0f"):format(what, done, total), 600)
  end
end

-- ---- opened images ------------------------------------------------------------------

-- The images that were looked at last stay open: reading all entries anew for each
-- question would take long. A state that runs jobs is used by one thread at a time.
local KEPT = 2
local kept = {}

-- Images that are being edited, whether one has been, and how many jobs run, one inside the other.
local editing, has_edited, running = {}, false, 0

-- Closes the images that were for one job alone, also when it failed: an open file takes its space on the disk after it
-- is removed. Files that edits made on the way wait for the collector, which an idle state would not run.
local function close_passing()
  for i = #kept, 1, -1 do
    if kept[i].passing then look.forget(table.remove(kept, i)) end
  end
  while editing[1] do table.remove(editing):close() end
  if has_edited then collectgarbage() end
  has_edited = false
end

-- What tells the present state of a file or a directory from others. A layout is what the document that leads to its
-- blobs says: the directory itself stays as it is when that is written in place.
local function identity_of(path)
  local identity, message, code = core.identity(path)
  if not identity then return nil, message, code end
  for _, name in ipairs { "index.json", "manifest.json" } do
    local file = core.open_file(path .. "/" .. name)
    local text = file and file:read(0, file:size())
    if file then file:close() end
    if text then return identity .. " " .. core.sha256(text) end
  end
  return identity
end

-- The client for the options of a job; nil for those of all calls.
local function client_of(args)
  if not args.registry then return nil end
  return clients.of(args.registry)
end

-- Options with the client of the job, and its progress.
local function completed(given, client)
  local complete = { registry = client, progress = job.progress() }
  for name, value in pairs(given or {}) do complete[name] = value end
  return complete
end

-- What tells the present state of an image: of a reference, the digest that it has now.
local function present_identity(args, client)
  if not reference.is_remote(args.path) then return identity_of(args.path) end
  if args.open and args.open.manifest then return core.sha256(args.open.manifest) end
  local message, code
  if not client then
    client, message, code = require("strata.registry").shared()
    if not client then return nil, message, code end
  end
  return client:digest(args.path)
end

local function key_of(args, client)
  local identity, message, code = present_identity(args, client)
  if not identity then return nil, message, code end
  local open = args.open or {}
  return table.concat({
    args.path, identity, open.ref or "", open.platform or "", open.digest or "", open.prefer or "",
    tostring(open.strict or false), limits.key(open.limits),
  }, "\0")
end

-- An image that is only read.
local function look_at(args)
  local client, message, code = client_of(args)
  if message then return nil, message, code end
  local key
  key, message, code = key_of(args, client)
  if not key then return nil, message, code end
  for i, one in ipairs(kept) do
    if one.key == key then
      table.insert(kept, 1, table.remove(kept, i))
      return one.img
    end
  end
  local img
  img, message, code = strata.open(args.path, completed(args.open, client))
  if not img then return nil, message, code end
  table.insert(kept, 1, { key = key, img = img, passing = args.keep == false })
  while #kept > KEPT do look.forget(table.remove(kept)) end
  return img
end

local function root_of(args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  local one = kept[1]
  if not one.root then
    one.root, message, code = img:rootfs()
    if not one.root then return nil, message, code end
  end
  return one.root
end

-- The tree of the first layers when some are named.
local function root_upto(args)
  local root, message, code = root_of(args)
  if not root or not args.upto then return root, message, code end
  local img = kept[1].img
  if not img.layers[args.upto] then return nil, ("there is no layer %d"):format(args.upto), "ENOENT" end
  return img:rootfs { upto = args.upto }
end

-- ---- looking ------------------------------------------------------------------------

-- What is known of a layer without its entries.
local function layer_facts(layer)
  return {
    position = layer.position, diff_id = layer.diff_id, digest = layer.digest, size = layer.size,
    compression = layer.compression, media_type = layer.media_type, created_by = layer.created_by,
  }
end

-- Adds what its entries tell.
local function count_entries(facts, layer)
  local entries, bytes, whiteouts = 0, 0, 0
  for entry in layer:entries() do
    job.tick()
    entries, bytes = entries + 1, bytes + (entry.type == "file" and entry.size or 0)
    if entry.whiteout or entry.opaque then whiteouts = whiteouts + 1 end
  end
  facts.entries, facts.bytes, facts.whiteouts = entries, bytes, whiteouts
end

local function history_facts(img)
  local rows = {}
  for i, row in ipairs(img:history()) do
    rows[i] = {
      created = row.created, created_by = row.created_by, author = row.author, comment = row.comment,
      empty_layer = row.layer == nil, layer = row.layer and row.layer.position,
    }
  end
  return rows
end

local function image_facts(img)
  local layers = {}
  for i, layer in ipairs(img.layers) do layers[i] = layer_facts(layer) end
  return {
    id = img.id, digest = img.digest, tags = img:inspect().RepoTags, platform = tostring(img.platform), layers = layers,
    history = history_facts(img), config = img.config:totable(),
  }
end

--- The facts about an image that its documents tell: config, layers beside the history. No layer is read.
---@param args strata.LookArguments
---@return table?
---@return string? message
---@return string? code
function jobs.config(args)
  options.check("config", ARGUMENTS.config, args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  return image_facts(img)
end

--- The same, and what the entries of all layers tell: sizes, wasted bytes.
---@param args strata.LookArguments
---@return table?
---@return string? message
---@return string? code
function jobs.inspect(args)
  options.check("inspect", ARGUMENTS.inspect, args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  local waste
  waste, message, code = img:waste { why = false }
  if not waste then return nil, message, code end
  local facts = image_facts(img)
  facts.wasted = waste.total
  for i, layer in ipairs(img.layers) do
    count_entries(facts.layers[i], layer)
    facts.layers[i].wasted = waste.layers[i]
  end
  return facts
end

local entry_facts = look.entry

-- Entries in one answer, at most.
local PAGE = 1000

local function page_of(args)
  return math.max(0, args.offset or 0), math.max(0, math.min(PAGE, args.limit or PAGE))
end

local function no_layer(args)
  return nil, ("there is no layer %s"):format(tostring(args.layer)), "ENOENT"
end

--- The entries of a layer, a page of them: {layer = 3, offset = 0, limit = 100}.
---@param args strata.EntriesArguments
---@return {entries: table[], total: integer}?
---@return string? message
---@return string? code
function jobs.entries(args)
  options.check("entries", ARGUMENTS.entries, args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  local layer = img.layers[args.layer]
  if not layer then return no_layer(args) end
  local offset, limit = page_of(args)
  local list, next_entry = {}, layer:entries(offset)
  for i = 1, limit do
    local entry = next_entry()
    if not entry then break end
    list[i] = entry_facts(entry)
    list[i].whiteout, list[i].opaque = entry.whiteout, entry.opaque
  end
  return { entries = list, total = layer.count }
end

local function row_facts(row)
  local entry = row.entry
  local facts = entry and entry_facts(entry) or { type = "dir", implied = true }
  facts.name, facts.path, facts.below = row.name, row.path, row.below or nil
  facts.whiteout, facts.opaque = entry and entry.whiteout, row.opaque or nil
  facts.copies, facts.above = row.copies > 1 and row.copies or nil, row.above
  return facts
end

local function list_layer(args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  local layer = img.layers[args.layer]
  if not layer then return no_layer(args) end
  local page
  page, message, code = layer:list(args.dir, page_of(args))
  if not page then return nil, message, code end
  local list = {}
  for i, row in ipairs(page.rows) do list[i] = row_facts(row) end
  return { entries = list, total = page.total, opaque = page.opaque or nil }
end

-- What is kept of an image that is looked at, with its merged tree.
local function kept_of(args)
  local root, message, code = root_of(args)
  if not root then return nil, message, code end
  return kept[1]
end

--- The contents of a directory of the merged file system: {dir = "etc"}; of the first layers, with what the last of
-- them does: {dir = "etc", upto = 3}; with a layer's number in that layer alone, whiteouts included: {dir = "etc",
-- layer = 3}. A directory has the size of all below it.
---@param args strata.ListArguments
---@return {entries: table[], total: integer, found?: integer}?
---@return string? message
---@return string? code
function jobs.list(args)
  options.check("list", ARGUMENTS.list, args)
  if args.layer then return list_layer(args) end
  local one, message, code = kept_of(args)
  if not one then return nil, message, code end
  return look.list(one, args, page_of(args))
end

--- The largest files of the merged file system, or of the first layers.
---@param args strata.LargestArguments
---@return {entries: table[]}?
---@return string? message
---@return string? code
function jobs.largest(args)
  options.check("largest", ARGUMENTS.largest, args)
  local one, message, code = kept_of(args)
  if not one then return nil, message, code end
  return look.largest(one, args.upto, math.min(args.count or 100, PAGE))
end

--- All paths as text, a part of it: those of the merged file system, and then those that layers have and nobody sees. A
-- line has the path with bytes as %XX, the type, the size, the layer's number, and "+" for what is seen, else "-", with
-- tabs between.
---@param args strata.PathsArguments
---@return {text: string, next?: string, total: integer}?
---@return string? message
---@return string? code
function jobs.paths(args)
  options.check("paths", ARGUMENTS.paths, args)
  local one, message, code = kept_of(args)
  if not one then return nil, message, code end
  return look.paths(one, args.from, args.limit)
end

--- The files that no container sees, a page of them, those with the most bytes first.
---@param args strata.PageArguments
---@return {paths: table[], total: integer, bytes: integer, efficiency: number}?
---@return string? message
---@return string? code
function jobs.waste(args)
  options.check("waste", ARGUMENTS.waste, args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  return look.waste(kept[1], page_of(args))
end

--- The facts about a path, and its history; of a file the first
-- bytes: {file = "etc/passwd", max = 65536}.
---@param args strata.ReadArguments
---@return table?
---@return string? message
---@return string? code
function jobs.read(args)
  options.check("read", ARGUMENTS.read, args)
  local root, message, code = root_upto(args)
  if not root then return nil, message, code end
  local entry
  entry, message, code = root:lstat(args.file)
  if not entry then return nil, message, code end
  local facts = entry_facts(entry)
  facts.layer, facts.links = entry.layer and entry.layer.position, entry.links
  facts.history = {}
  local rows
  rows, message, code = kept[1].root:history(args.file)
  if not rows then return nil, message, code end
  for i, row in ipairs(rows) do
    facts.history[i] = { action = row.action, layer = row.layer.position, created_by = row.layer.created_by }
  end
  if facts.type == "file" then
    facts.content, message, code = entry:read(args.max or 65536)
    if not facts.content then return nil, message, code end
  end
  return facts
end

--- Writes the content of a file to another one: {file = "usr/bin/app", to = path}.
---@param args strata.FetchArguments
---@return {size: integer}?
---@return string? message
---@return string? code
function jobs.fetch(args)
  options.check("fetch", ARGUMENTS.fetch, args)
  local root, message, code = root_upto(args)
  if not root then return nil, message, code end
  local file
  file, message, code = root:open(args.file)
  if not file then return nil, message, code end
  return file_bytes.write(file, args.to)
end

--- What an index leads to, or what of a layout or an archive: images, attestations and artifacts. Of one image that is
--- all that there is.
---@param args strata.JobArguments
---@return strata.IndexList?
---@return string? message
---@return string? code
function jobs.index(args)
  options.check("index", ARGUMENTS.index, args)
  local client, message, code = client_of(args)
  if message then return nil, message, code end
  local index
  index, message, code = strata.open_index(args.path, completed(args.open, client))
  if not index then return nil, message, code end
  local list = {}
  for i, one in ipairs(index.manifests) do
    list[i] = { digest = one.digest, kind = one.kind, index = one.index,
                platform = one.platform and tostring(one.platform), missing = one.missing or nil }
  end
  index:close()
  return { manifests = list }
end

--- The SHA-256 of a file, whatever it is: {path = "app.tar"}.
---@param args strata.PathArguments
---@return {digest: string, size: integer}?
---@return string? message
---@return string? code
function jobs.digest(args)
  options.check("digest", ARGUMENTS.digest, args)
  return file_bytes.digest(args.path)
end

-- ---- changing -------------------------------------------------------------------------

--- Edits an image and saves it: {edit = {remove = {"usr/share/doc"}}, to = path, save = {format = "oci-archive"}}.
---@param args strata.EditArguments
---@return strata.EditResult?
---@return string? message
---@return string? code
function jobs.edit(args)
  options.check("edit", ARGUMENTS.edit, args)
  options.check("save", reference.is_remote(args.to) and "PushOptions" or "SaveOptions", args.save)
  local client, message, code = client_of(args)
  if message then return nil, message, code end
  local img
  img, message, code = strata.open(args.path, completed(args.open, client))
  if not img then return nil, message, code end
  editing[#editing + 1], has_edited = img, true
  local reports, result
  reports, message, code = from_table.image(img, args.edit or {}, function(path, platform)
    return strata.open(path, completed({ platform = platform }, client))
  end)
  if reports then
    local save = completed(args.save, reference.is_remote(args.to) and client or nil)
    result, message, code = img:save(args.to, save)
  end
  table.remove(editing):close()
  if not result then return nil, message, code end
  result.dropped, result.repaired, result.normalized = reports.dropped, reports.repaired, reports.normalized
  result.lost = type(message) == "table" and setmetatable(message, nil) or nil
  return result
end

--- Saves an image, in another format for one: {to = path, save = {format = "oci-archive"}}.
---@param args strata.SaveArguments
---@return strata.SaveResult?
---@return string? message
---@return string? code
function jobs.save(args)
  options.check("save", ARGUMENTS.save, args)
  return jobs.edit { path = args.path, open = args.open, registry = args.registry, to = args.to, save = args.save }
end

--- Removes a file: for large ones the kernel takes its time.
---@param args strata.PathArguments
---@return {removed: boolean}?
---@return string? message
---@return string? code
function jobs.remove(args)
  options.check("remove", ARGUMENTS.remove, args)
  local ok, message = os.remove(args.path)
  if not ok then return nil, message, core.identity(args.path) and "EIO" or "ENOENT" end
  return { removed = true }
end

--- Reads every byte and compares every digest; finds what breaks the rules of a
-- policy: {policy = {setid = {"usr/bin/sudo"}}}.
---@param args strata.CheckArguments
---@return {id: string, findings: strata.PolicyFinding[]}?
---@return string? message
---@return string? code
function jobs.check(args)
  options.check("check", ARGUMENTS.check, args)
  local img, message, code = look_at(args)
  if not img then return nil, message, code end
  local ok, findings
  ok, message, code = img:verify { progress = job.progress() }
  if not ok then return nil, message, code end
  findings, message, code = policy.check(img, args.policy or {})
  if not findings then return nil, message, code end
  return { id = img.id, findings = setmetatable(findings, nil) }
end

--- Calls a function of your own: {module = "my.job", args = {...}}. What it opens is for it to close.
---@param args strata.CallArguments
---@return table?
---@return string? message
---@return string? code
function jobs.call(args)
  options.check("call", ARGUMENTS.call, args)
  return require(args.module)(args.args)
end

-- ---- comparing ------------------------------------------------------------------------

-- How many rows there are of each kind, and so many of them at most.
local function rows_of(list, limit)
  local counts, some = { added = 0, removed = 0, changed = 0 }, {}
  for i, row in ipairs(list) do
    local change = row.change == "spelling" and "changed" or row.change
    counts[change] = counts[change] + 1
    if i <= limit then some[i] = row end
  end
  return some, counts
end

--- Where two images differ: {path = "a.tar", other = {path = "b.tar"}, diff = {semantic = true}, limit = 1000}.
---@param args strata.DiffArguments
---@return strata.DiffFacts?
---@return string? message
---@return string? code
function jobs.diff(args)
  options.check("diff", ARGUMENTS.diff, args)
  local a, message, code = look_at(args)
  local b, result
  if a then b, message, code = look_at(args.other) end
  if b then result, message, code = strata.diff(a, b, completed(args.diff)) end
  if not result then return nil, message, code end
  local facts = { equal = result.equal, semantic = result.semantic, a = result.a, b = result.b, counts = {} }
  for _, name in ipairs { "files", "config", "history", "layers" } do
    facts[name], facts.counts[name] = rows_of(result[name], args.limit or math.huge)
  end
  if args.module then return require(args.module)(facts, args.args) end
  return facts
end

-- ---- running ------------------------------------------------------------------------------

--- Runs a job. Nothing is thrown: misuse comes back with the code "EINVAL".
---@param name string
---@param args table
---@param control? strata.JobControl
---@return table? result
---@return string? message
---@return string? code
function jobs.run(name, args, control)
  local run = name ~= "run" and jobs[name]
  if not run then return nil, "there is no job " .. tostring(name), "EINVAL" end
  local problem = options.problem(name, "JobControl", control) or
    ARGUMENTS[name] and options.problem(name, ARGUMENTS[name], args)
  if problem then return nil, problem, "EINVAL" end
  local ok, result, message, code
  -- A job that runs inside another one is given up with that, and has as many threads unless it is told.
  local own, before, threads = control and poller(control), job.on_wait(), job.set_threads()
  local told = job.on_progress(control and teller(control) or job.progress())
  local function poll()
    if before then before() end
    if own then own() end
  end
  job.on_wait((before or own) and poll)
  job.set_threads(control and control.threads or threads)
  running = running + 1
  ok, result = pcall(poll)
  if ok then ok, result, message, code = pcall(run, args) end
  running = running - 1
  if running == 0 then close_passing() end
  job.on_wait(before)
  job.on_progress(told)
  job.set_threads(threads)
  if ok then return printed.plain(result), message, code end
  if type(result) == "table" then return nil, result.message, result.code end
  return nil, tostring(result), "EINVAL"
end

return jobs

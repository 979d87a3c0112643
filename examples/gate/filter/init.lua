--- The pull-through filter: what below /v2/filtered/ is asked for.
--
-- A tag leads where the upstream's leads now, and to the edit of that; by digest there is what the cache knows. A
-- manifest of the upstream itself is never served, and of its blobs only those that a manifest of the filter names.

local cache = require "filter.cache"
local cjson = require("cjson.safe").new()
local flight = require "filter.flight"
local make = require "filter.make"
local reply = require "filter.reply"
local service = require "filter.service"
local settings = require "filter.settings"
local tokens = require "filter.tokens"
local upstream = require "filter.upstream"

local filter = {}

--- For init_by_lua.
function filter.configure()
  settings.read()
end

--- For init_worker_by_lua.
function filter.start()
  service.surgery():warm()
  service.checks():warm()
  cache.start()
end

-- What the upstream says when it does not say yes.
local function pass_on(status, challenge, name, reference)
  if challenge then ngx.header["WWW-Authenticate"] = tokens.challenge(challenge, name) end
  if status == 401 then
    return reply.refuse(401, "UNAUTHORIZED", "the upstream wants to know who asks")
  elseif status == 403 then
    return reply.refuse(403, "DENIED", "the upstream does not allow it")
  elseif status == 404 then
    return reply.refuse(404, "MANIFEST_UNKNOWN", ("the upstream has no %s of %s"):format(reference, name))
  elseif status == 429 then
    return reply.refuse(429, "TOOMANYREQUESTS", "the upstream wants to be left alone for a while")
  end
  return reply.refuse(502, "UNAVAILABLE", ("the upstream of %s does not answer"):format(name))
end

-- ---- what is made --------------------------------------------------------------------------------------

-- The bases of an entry by the digests that they have now; false when it has none.
local function bases_of(entry)
  if not entry.rebase then return false end
  local found = {}
  for _, side in ipairs { "from", "onto" } do
    local text = entry.rebase[side]
    local repository, reference = text:match("^(.-)[@:](.*)$")
    local status, digest, challenge = upstream.head(entry.upstream, repository, reference)
    if status ~= 200 then return nil, status, challenge, text end
    found[side] = upstream.reference(entry.upstream, repository, digest)
    found.repository = repository
  end
  return found
end

-- What tells a result from all others: the source, and all that it is made by. `bases` are of this moment.
local function key_of(name, entry, repository, digest, bases)
  local by = table.concat({ name, entry.upstream.host, repository, entry.text, bases and bases.from or "",
                            bases and bases.onto or "", settings.versions }, "\n")
  local hex = ngx.sha1_bin(by):gsub(".", function(char) return ("%02x"):format(char:byte()) end)
  return digest:sub(8) .. "-" .. hex
end

-- The record of an image of the upstream with its edit, which is made when it is not there.
local function image_of(name, entry, repository, digest)
  local bases, status, challenge, base = bases_of(entry)
  if bases == nil then return pass_on(status, challenge, name, "base " .. base) end
  local key = key_of(name, entry, repository, digest, bases)
  local want = {
    key = key, name = name, entry = entry, repository = repository, digest = digest, bases = bases or nil,
    registry = upstream.options(entry.upstream), public = upstream.is_public(entry.upstream, repository),
  }
  local record, message, code = flight.run(key, settings.deadline, function() return cache.find(key) end,
    function() return make.run(want) end)
  if not record then return reply.fail(message, code) end
  return record
end

-- Whether a file of a record is what its digest says. When it is damaged the image is made again; nil: it cannot be.
local function sound(record, digest, entry, repository)
  for attempt = 1, 2 do
    local ok, message, code = cache.verify(digest, service.digest)
    if ok then return record end
    if ok == nil then return reply.fail(message, code) end
    if attempt == 2 or repository ~= record.source.repository then break end
    cache.drop(digest)
    record = image_of(record.name, entry, repository, record.source.digest)
    if not record.blobs[digest] then break end
  end
  return nil
end

-- ---- answers -------------------------------------------------------------------------------------------

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function send_manifest(record, digest, entry, repository)
  record = sound(record, digest, entry, repository)
  local text = record and read(cache.path(digest))
  if not text then return reply.refuse(404, "MANIFEST_UNKNOWN", "there is no such manifest any more: pull by a tag") end
  ngx.header["Docker-Content-Digest"] = digest
  ngx.header["ETag"] = '"' .. digest .. '"'
  return reply.send(200, record.blobs[digest].media_type, text)
end

-- The record that has a digest, when this client may read what it was made from.
local function known(name, entry, digest, code)
  local record = cache.find_blob(name, digest)
  if not record or (code == "MANIFEST_UNKNOWN") ~= (record.blobs[digest].media_type ~= nil) then
    return reply.refuse(404, code, ("the filter has made nothing of %s with this digest: pull by a tag"):format(name))
  end
  local status, challenge = upstream.may_read(entry.upstream, record)
  if status ~= 200 then return pass_on(status, challenge, name, record.source.digest) end
  return record
end

local answers = {}

function answers.manifests(name, entry, repository, reference)
  if reference:find("^sha256:[0-9a-f]+$") and #reference == 71 then
    return send_manifest(known(name, entry, reference, "MANIFEST_UNKNOWN"), reference, entry, repository)
  elseif #reference > 128 or not reference:find("^[%w_][%w_.-]*$") then
    return reply.refuse(400, "TAG_INVALID", "that is no tag, and no digest by SHA-256")
  end
  local status, digest, challenge = upstream.head(entry.upstream, repository, reference)
  if status ~= 200 then return pass_on(status, challenge, name, reference) end
  upstream.note_right(entry.upstream, repository)
  local record = image_of(name, entry, repository, digest)
  return send_manifest(record, record.digest, entry, repository)
end

function answers.blobs(name, entry, repository, digest)
  if not (digest:find("^sha%d+:[0-9a-f]+$") and (#digest == 71 or #digest == 135)) then
    return reply.refuse(400, "DIGEST_INVALID", "that is no digest")
  end
  local record = known(name, entry, digest, "BLOB_UNKNOWN")
  local blob = record.blobs[digest]
  if blob.upstream then
    local from = settings.upstreams[blob.upstream]
    if not from then return reply.refuse(404, "BLOB_UNKNOWN", "its upstream is none any more") end
    return upstream.send_blob(from, blob.repository, digest)
  elseif not sound(record, digest, entry, repository) then
    return reply.refuse(404, "BLOB_UNKNOWN", "the blob is damaged, and cannot be made again: pull by a tag")
  end
  ngx.var.filter_digest = digest
  return ngx.exec("/filter/file/" .. digest:sub(8))
end

-- The tags of the upstream, and the way to more of them, by the filter's own name.
function answers.tags(name, entry, repository)
  local answer = upstream.tags(entry.upstream, repository)
  if answer.status ~= 200 then
    if answer.status == 404 then return reply.refuse(404, "NAME_UNKNOWN", "the upstream has no " .. name) end
    return pass_on(answer.status, upstream.header(answer, "www-authenticate"), name, "tags")
  end
  local list, tags = cjson.decode(answer.body), {}
  for i, tag in ipairs(type(list) == "table" and type(list.tags) == "table" and list.tags or {}) do
    tags[i] = cjson.encode(tostring(tag))
  end
  local link = upstream.header(answer, "link")
  local own = ("/v2/%s/tags/list"):format(repository)
  local at, query = (link or ""):match("^<(/v2/[^?>]*)(%?[^>]*)>;%s*rel=\"?next\"?$")
  if at == own then ngx.header["Link"] = ('</v2/filtered/%s/tags/list%s>; rel="next"'):format(name, query) end
  return reply.send(200, "application/json", ('{"name":"filtered/%s","tags":[%s]}\n'):format(name,
    table.concat(tags, ",")))
end

-- Signatures and the like are about the image of the upstream, and not about this one.
function answers.referrers()
  local kind = "application/vnd.oci.image.index.v1+json"
  return reply.send(200, kind, ('{"schemaVersion":2,"mediaType":"%s","manifests":[]}'):format(kind))
end

-- ---- requests ------------------------------------------------------------------------------------------

-- What a path below /v2/filtered/ means: a name, what of it, and which.
local function parse(path)
  for _, pattern in ipairs { "^(.+)/(manifests)/([^/]+)$", "^(.+)/(blobs)/([^/]+)$", "^(.+)/(referrers)/([^/]+)$" } do
    local name, what, reference = path:match(pattern)
    if name then return name, what, reference end
  end
  local name = path:match("^(.+)/tags/list$")
  if name then return name, "tags" end
  return path:match("^(.+)/blobs/uploads/")
end

--- For content_by_lua.
function filter.answer()
  local method = ngx.req.get_method()
  local path = ngx.var.request_uri:match("^/v2/filtered/([^?]*)")
  local name, what, reference = parse(path or "")
  if method ~= "GET" and method ~= "HEAD" then
    ngx.header["Allow"] = "GET, HEAD"
    return reply.refuse(405, "UNSUPPORTED", "what is below filtered/ is made of other images, and cannot be changed")
  elseif not what or not settings.is_name(name) then
    return reply.refuse(404, "NAME_UNKNOWN", "there is nothing at this address")
  end
  local entry, repository = settings.find(name)
  if not entry then
    return reply.refuse(404, "NAME_UNKNOWN", ("the filter serves no %s: edits.lua does not name it"):format(name))
  elseif not cache.is_ready() then
    return reply.refuse(503, "UNAVAILABLE", "the cache is still being read")
  end
  return answers[what](name, entry, repository, reference)
end

return filter

--- Archives of Docker before 1.10, without a manifest.json: reading.
--
-- Every directory is an image: its `json` names the parent, its `layer.tar` is
-- what it adds. `repositories` gives names to some of them. Such an image has no
-- config document, so one is made as Docker makes it when it loads the archive;
-- the image ID is the one that Docker then shows.

local core = require "strata.core"
local fail = require "strata.util.fail"
local gojson = require "strata.dialect.docker_v1.gojson"
local json = require "strata.util.json"
local platform = require "strata.document.platform"
local run_job = require("strata.util.job").run
local v1_document = require "strata.dialect.docker_v1.document"

local docker_v1 = {}

-- Docker 1.8.3 was the first whose documents are taken over as they are.
local KEPT_SINCE = { 1, 8, 3 }
-- What is not, or no longer, part of a config.
local DROPPED = { "id", "parent", "Size", "parent_id", "layer_id", "throwaway" }

--- The image's part of an archive without a manifest.json. Written by read_image, and not changed afterwards.
---@class strata.DockerV1Source: strata.Source
---@field kind "docker-v1"
---@field store strata.ArchiveStore
---@field chain table[]  the directories, the base first
local Source = {}
Source.__index = Source

-- ---- the documents ----------------------------------------------------------------

local function part_number(version, i)
  local n = 0
  for part in (version .. "."):gmatch("([^.]*)%.") do
    n = n + 1
    if n == i then return part:find("^[+-]?%d+$") and tonumber(part) or 0 end
  end
  return 0
end

-- As Docker compares versions: what is no number counts as 0.
local function is_kept(version)
  for i, wanted in ipairs(KEPT_SINCE) do
    local number = part_number(version, i)
    if number ~= wanted then return number > wanted end
  end
  return true
end

-- The members of the config, without rootfs and history: JSON text by name.
local function config_fields(top)
  local texts = {}
  local version = top.image.docker_version and core.json(top.image.docker_version):get("") or ""
  if is_kept(version) then
    for _, key in ipairs(top.doc:keys("")) do
      texts[key] = gojson.compact(top.doc:raw(json.part(key)))
    end
  else
    for name, text in pairs(top.image) do texts[name] = text end
  end
  for _, name in ipairs(DROPPED) do texts[name] = nil end
  return texts
end

-- The command that a container ran to make the layer.
local function created_by(image)
  local doc, words = core.json(image.container_config), {}
  for i = 1, doc:count("/Cmd") or 0 do words[i] = doc:get("/Cmd/" .. ("%d"):format(i - 1)) end
  return #words > 0 and gojson.quote(table.concat(words, " ")) or nil
end

local ROW = { "created", "author", "created_by", "comment" }

local function config_text(chain)
  local rows, diff_ids = {}, {}
  for i, one in ipairs(chain) do
    local image = one.image
    rows[i] = gojson.object(ROW, { created = image.created, author = image.author,
                                   created_by = created_by(image), comment = image.comment })
    diff_ids[i] = one.diff_id
  end
  local texts = config_fields(chain[#chain])
  texts.rootfs = gojson.object({ "type", "diff_ids" },
    { type = '"layers"', diff_ids = gojson.strings(diff_ids) })
  texts.history = "[" .. table.concat(rows, ",") .. "]"
  return gojson.map(texts)
end

-- ---- the chain of layers -------------------------------------------------------------

-- One directory: {id, image, doc, parent, member}.
local function read_directory(store, id, limits)
  local name = id .. "/json"
  local member, message, code = store:resolve(name, "image")
  if not member then return nil, message, code end
  local text
  text, message, code = store:read(member, limits.json.max_bytes)
  if not text then return nil, message, code end
  local image, doc, why = v1_document.read(text, limits.json)
  if not image then return fail(why, "%s: %s: %s", store.path, core.quote(name), doc) end
  local one = { id = id, image = image, doc = doc, name = id .. "/layer.tar",
                parent = image.parent and core.json(image.parent):get("") }
  one.member, message, code = store:resolve(one.name, "layer")
  if not one.member then return nil, message, code end
  one.compression, message, code = store.file:sniff(one.member.offset, one.member.size)
  if not one.compression then return nil, message, code end
  return one
end

local function plain_id(id)
  return id ~= "" and id ~= "." and id ~= ".." and not id:find("/", 1, true)
end

-- From a directory down to the base, the base first.
local function read_chain(archive, top)
  local store, limits = archive.store, archive.limits
  local chain, seen, id = {}, {}, top
  while id do
    if not plain_id(id) then
      return fail("EFORMAT", "%s: %s is no id of an image", store.path, core.quote(id))
    end
    if seen[id] then
      return fail("EFORMAT", "%s: image %s is its own ancestor", store.path, core.quote(id))
    end
    if #chain == limits.layers then
      return fail("ELIMIT", "%s: image %s has more than %d layers (limits.layers)", store.path,
        core.quote(top), limits.layers)
    end
    local below = chain[1]
    if below and not store.by_name[id .. "/json"] then
      return fail("EFORMAT", "%s: %s, the parent of image %s, is not in the archive", store.path,
        core.quote(id), core.quote(below.id))
    end
    local one, message, code = read_directory(store, id, limits)
    if not one then return nil, message, code end
    seen[id] = true
    table.insert(chain, 1, one)
    id = one.parent
  end
  return chain
end

-- Digests of the layers, which nothing in the archive tells.
local function hash_layers(archive, chain)
  local job, todo = core.job(), {}
  for i, one in ipairs(chain) do
    if not archive.digests[one.member.position] then
      job:hash {
        label = ("layer %d/%d (%s…)"):format(i, #chain, one.id:sub(1, 12)),
        file = archive.store.file, offset = one.member.offset, size = one.member.size,
        compression = one.compression, plain = true,
      }
      todo[#todo + 1] = one.member.position
    end
  end
  local ok, message, code = run_job(job)
  for i, position in ipairs(ok and todo or {}) do archive.digests[position] = job:task(i) end
  job:close()
  if not ok then return nil, ("%s: %s"):format(archive.store.path, message), code end
  for _, one in ipairs(chain) do
    local known = archive.digests[one.member.position]
    one.digest, one.diff_id = known.digest, known.diff_id
  end
  return true
end

-- ---- images --------------------------------------------------------------------------

local function read_image(archive, item)
  local store = archive.store
  local chain, message, code = read_chain(archive, item.id)
  if not chain then return nil, message, code end
  local ok
  ok, message, code = hash_layers(archive, chain)
  if not ok then return nil, message, code end
  local layers = {}
  for i, one in ipairs(chain) do
    layers[i] = {
      blob = { file = store.file, offset = one.member.offset, size = one.member.size,
               compression = one.compression },
      digest = one.digest,
    }
  end
  local refs = {}
  for i, ref in ipairs(item.tags) do refs[i] = ref end
  return { config_text = config_text(chain), layers = layers, tags = refs, limits = archive.limits,
           source = setmetatable({ kind = "docker-v1", store = store, chain = chain }, Source) }
end

-- {repository: {tag: id}}, in the order of the document.
local function read_repositories(archive, add)
  local store = archive.store
  if not store.by_name["repositories"] then return true end
  local limits = archive.limits.json
  local member, message, code = store:resolve("repositories", "control file")
  if not member then return nil, message, code end
  local text
  text, message, code = store:read(member, limits.max_bytes)
  if not text then return nil, message, code end
  local doc
  doc, message, code = core.json(text, limits)
  if not doc then return fail(code, "%s: repositories: %s", store.path, message) end
  if doc:type("") ~= "object" then
    return fail("EFORMAT", "%s: repositories is not an object", store.path)
  end
  for _, repository in ipairs(doc:keys("")) do
    local place = json.part(repository)
    for _, tag in ipairs(doc:keys(place) or {}) do
      local id = doc:get(place .. json.part(tag))
      if type(id) ~= "string" then
        return fail("EFORMAT", "%s: repositories: %s:%s is not a string", store.path,
          core.quote(repository), core.quote(tag))
      end
      add(id, repository .. ":" .. tag)
    end
  end
  return true
end

-- Directories with a json that are nobody's parent.
local function find_tops(archive)
  local store, ids, parents = archive.store, {}, {}
  for _, member in ipairs(store.list) do
    local id = member.name:match("^([^/]+)/json$")
    if id and store.by_name[member.name] == member then
      local one, message, code = read_directory(store, id, archive.limits)
      if not one then return nil, message, code end
      ids[#ids + 1] = id
      if one.parent then parents[one.parent] = true end
    end
  end
  local tops = {}
  for _, id in ipairs(ids) do
    if not parents[id] then tops[#tops + 1] = id end
  end
  -- where all are parents, they are so in a circle: reading one tells
  return #tops > 0 and tops or { ids[1] }
end

--- Whether an archive is of this kind, and has no newer documents.
---@param store strata.ArchiveStore
---@return boolean
function docker_v1.matches(store)
  if store.by_name["manifest.json"] or store.by_name["index.json"] then return false end
  if store.by_name["repositories"] then return true end
  for name in pairs(store.by_name) do
    local id = name:match("^([^/]+)/json$")
    if id and store.by_name[id .. "/layer.tar"] then return true end
  end
  return false
end

--- What an archive holds, to choose from: what has a name, else what is nobody's
-- parent.
---@param store strata.ArchiveStore
---@param opts {limits: strata.Limits}
---@return strata.Candidate[]?
---@return string? message
---@return string? code
function docker_v1.candidates(store, opts)
  local limits = opts.limits
  local archive = { store = store, limits = limits, digests = {}, items = {} }
  local by_id, items = {}, archive.items
  local function add(id, ref)
    local item = by_id[id]
    if not item then
      item = { id = id, tags = {} }
      by_id[id] = item
      items[#items + 1] = item
    end
    item.tags[#item.tags + 1] = ref
  end
  local ok, message, code = read_repositories(archive, add)
  if not ok then return nil, message, code end
  if #items == 0 then
    local tops
    tops, message, code = find_tops(archive)
    if not tops then return nil, message, code end
    for _, id in ipairs(tops) do add(id) end
  end
  if #items == 0 then
    return fail("EFORMAT", "%s: repositories names no image, and no directory holds one", store.path)
  end
  local list = {}
  for i, item in ipairs(items) do
    -- Neither is told by a document: the layers are hashed for it.
    local function config()
      local model = read_image(archive, item)
      return model and model.config_text
    end
    list[i] = {
      kind = "image", tags = item.tags, alias = item.id,
      id = function()
        local text = config()
        return text and core.sha256(text)
      end,
      platform = function()
        local text = config()
        return text and platform.in_document(json.decode(text, limits.json)) or nil
      end,
      read = function() return read_image(archive, item) end,
    }
  end
  return list
end

-- ---- of an opened image ------------------------------------------------------------

--- What each member is in the image.
---@return table<string, string>  by name
function Source:roles()
  local roles = { repositories = "repositories" }
  for i, one in ipairs(self.chain) do
    roles[one.id .. "/json"] = "layer " .. i .. " json"
    roles[one.name] = "layer " .. i
    roles[one.member.name] = roles[one.member.name] or "layer " .. i
  end
  return roles
end

return docker_v1

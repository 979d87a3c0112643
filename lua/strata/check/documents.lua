--- What the documents of an image, and the members of its archive, say that
-- readers differ about. Whatever makes an image unreadable was refused by open.

local base64 = require "strata.util.base64"
local config = require "strata.config"
local config_types = require "strata.check.config_types"
local core = require "strata.core"
local digests = require "strata.util.digests"
local json = require "strata.util.json"
local layer = require "strata.layer"
local media_types = require "strata.document.media_types"
local oci_catalog = require "strata.dialect.oci.catalog"
local oci_image = require "strata.dialect.oci.image"
local platform = require "strata.document.platform"
local reference = require "strata.document.reference"

local documents = {}

-- Docker's limit for what overlayfs can stack.
local MAX_LAYERS = 127
-- What the runtimes take for a user's number, and what the kernel does.
local MAX_RUNTIME_ID = 2 ^ 31 - 1
local MAX_ID = 2 ^ 32 - 2

-- Annotations of layers that carry a table of contents, which partial pulls believe.
local TOC = { "^io%.github%.containers%.zstd%-chunked%.", "^io%.containers%.zstd%-chunked%.",
              "^containerd%.io/snapshot/stargz/toc%.", "^io%.containers%.estargz%." }

-- ---- the archive -------------------------------------------------------------------

--- Adds members of one name.
---@param made strata.ReportMaker
---@param store strata.ArchiveStore
function documents.members(made, store)
  for _, name in ipairs(json.keys(store.others or {})) do
    local member = store.by_name[name]
    local place = { path = member.stored_name, entry = member.position, offset = member.header_offset }
    if member.type == "dir" and store:same_content(member) then
      made:add("note", "duplicate-member", "the archive has this directory more than once", place)
    elseif store:same_content(member) then
      made:add("warning", "duplicate-member", "the archive has this member more than once, always the same", place)
    else
      made:add("error", "duplicate-member", "the archive has this member more than once, with different contents: "
        .. "some readers take the first, others the last", place)
    end
  end
end

local function blob_names(store)
  local list = {}
  if store.dir then
    for _, one in ipairs(store:contents() or {}) do list[#list + 1] = one.name end
  else
    for _, member in ipairs(store.list or {}) do
      if member.type == "file" then list[#list + 1] = member.name end
    end
  end
  return list
end

-- The indexes and manifests of the store; nil when it has none, or none that can be read.
local function catalog_of(source, limits)
  if source.catalog or not source.store:has("index.json") then return source.catalog end
  return (oci_catalog.of(source.store, limits))
end

-- Every digest that a document of the store names, as far as documents can be read.
local function referenced(source, catalog)
  local used = {}
  local function use(descriptor)
    if type(descriptor) == "table" and type(descriptor.digest) == "string" then used[descriptor.digest] = true end
  end
  for digest, index in pairs(catalog and catalog.indexes or {}) do
    used[digest] = true
    for _, descriptor in ipairs(oci_image.layers { layers = index.document.manifests }) do use(descriptor) end
  end
  for _, manifest in ipairs(catalog and catalog.manifests or {}) do
    local document = manifest.document or {}
    for digest in (manifest.problem and manifest.text or ""):gmatch('"(%w+:%x+)"') do used[digest] = true end
    use(document.config)
    use(document.subject)
    for _, descriptor in ipairs(oci_image.layers(document)) do use(descriptor) end
  end
  for _, item in ipairs(source.items or {}) do
    for _, list in pairs(item) do
      for _, name in pairs(type(list) == "table" and list or { list }) do
        local stated = type(name) == "string" and digests.in_path((name:gsub("^%.?/", "")))
        if stated then used[stated] = true end
      end
    end
  end
  return used
end

--- Adds blobs that no document names.
---@param made strata.ReportMaker
---@param source strata.Source
---@param catalog strata.Catalog?
function documents.unreferenced(made, source, catalog)
  local used = referenced(source, catalog)
  for _, name in ipairs(blob_names(source.store)) do
    local algorithm, encoded = name:match("^blobs/([^/]+)/([^/]+)$")
    if algorithm and not used[algorithm .. ":" .. encoded] then
      made:add("note", "unreferenced-blob", "no document names this blob: readers pass over it", { path = name })
    end
  end
end

local function name_of(manifest)
  local words = {}
  for i, tag in ipairs(manifest.tags) do words[i] = json.printable(tag, 80) end
  if manifest.platform then words[#words + 1] = json.printable(tostring(platform.of(manifest.platform)), 60) end
  words[#words + 1] = manifest.digest
  return ("the %s %s"):format(manifest.kind, table.concat(words, ", "))
end

--- Adds what the indexes name that is broken, or not all here. The other images can be opened.
---@param made strata.ReportMaker
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param catalog strata.Catalog?
---@param own string?  digest of the image's manifest, of which other findings tell
function documents.indexed(made, store, catalog, own)
  local prefix = store.path .. ": "
  for _, one in ipairs(catalog and catalog.manifests or {}) do
    if one.problem then
      local why = one.problem[1]
      if why:sub(1, #prefix) == prefix then why = why:sub(#prefix + 1) end
      made:add("error", "broken-image", ("%s cannot be read: %s"):format(name_of(one), why))
    elseif one.digest ~= own and not oci_image.is_complete(catalog, one) then
      made:add("note", "missing-image", name_of(one) .. " is not all here")
    end
  end
  for _, digest in ipairs(catalog and catalog.absent or {}) do
    made:add("note", "missing-image", ("the index %s is not here"):format(digest))
  end
end

--- Adds in what manifest.json and index.json of one archive differ.
---@param made strata.ReportMaker
---@param source strata.Source
---@param limits strata.Limits
---@param catalog strata.Catalog?
function documents.both_lists(made, source, limits, catalog)
  local store = source.store
  if store.dir or not (store:has("manifest.json") and store:has("index.json")) then return end
  local hybrid = require "strata.dialect.docker.hybrid"
  local list, message = hybrid.candidates(store, { limits = limits })
  if not list then
    made:add("error", "lists-disagree", message)
    return
  end
  -- Docker 25 to 28 save an image without a tag with an index.json that lists nothing.
  local severity = catalog and not catalog.manifests[1] and "note" or "warning"
  for _, one in ipairs(list) do
    local name = json.printable(one.tags[1] or one.digest or one.id() or "without a tag", 80)
    if one.layer_names and not one.digest and not one.problem then
      made:add(severity, "list-incomplete", ("index.json does not have the image %s of manifest.json: readers of "
        .. "index.json, as containerd is one, do not find it"):format(name))
    elseif one.kind == "image" and not one.layer_names and not one.missing then
      made:add("warning", "list-incomplete", ("manifest.json does not have the image %s of index.json: readers of "
        .. "manifest.json, as Docker is one, do not find it"):format(name))
    end
  end
end

-- Who refuses a name: "all", "docker" (and podman, but not containerd), or nil. A name with a digest is a tag to none.
local function refused_by(name)
  local plain, digest = name:match("^(.-)@(.*)$")
  if not digest then return not reference.parse(name) and "all" or nil end
  return reference.parse(plain) and core.digest_valid(digest) and "docker" or "all"
end

--- Adds names of images in manifest.json that docker load refuses, and the whole archive with them.
---@param made strata.ReportMaker
---@param source strata.Source
function documents.names(made, source)
  for _, item in ipairs(source.items or {}) do
    for _, name in ipairs(type(item.RepoTags) == "table" and item.RepoTags or {}) do
      local who = type(name) == "string" and refused_by(name)
      if who == "all" then
        made:add("error", "image-name", ("Docker, containerd and podman refuse an archive with the name %s"):format(
          core.quote(name)))
      elseif who then
        made:add("warning", "image-name", ("Docker and podman refuse an archive with the name %s, containerd takes it")
          :format(core.quote(name)))
      end
    end
  end
end

-- ---- the manifest ------------------------------------------------------------------

local function check_descriptor(made, text, what)
  local descriptor = json.decode(text)
  if type(descriptor) ~= "table" then return end
  local digest, data = descriptor.digest, descriptor.data
  if type(digest) == "string" and not digest:find("^sha256:") and not digest:find("^sha512:") then
    made:add("error", "unknown-digest", ("%s has the digest %s, whose algorithm nobody has to know"):format(what,
      core.quote(digest)))
  end
  if type(data) == "string" then
    local bytes = base64.decode(data)
    local known = type(digest) == "string" and core.digest_valid(digest)
    if not bytes or #bytes ~= descriptor.size or (known and not digests.matches(bytes, digest)) then
      made:add("error", "embedded-data", ("%s carries data that are not those of its digest"):format(what))
    end
  end
  for _, name in ipairs(type(descriptor.annotations) == "table" and json.keys(descriptor.annotations) or {}) do
    for _, pattern in ipairs(TOC) do
      if type(name) == "string" and name:find(pattern) then
        made:add("warning", "table-of-contents", ("%s has the annotation %s: a runtime that pulls by this table of "
          .. "contents shows what the table says, not what the tar has"):format(what, core.quote(name)))
        return
      end
    end
  end
end

-- A config or a layer that is not of the family of its manifest.
local function check_family(made, stated, family, what)
  local kind = media_types.kind(stated)
  if (kind == "layer" or kind == "config") and media_types.family(stated) ~= family then
    made:add("warning", "mixed-media-types", ("%s is %s in a manifest of the other family: some readers refuse that, "
      .. "some change it"):format(what, stated))
  end
end

--- Adds what is odd about the manifest that the image came with, and about the descriptors that its layers have in it.
---@param made strata.ReportMaker
---@param text string
---@param states strata.LayerState[]  of the layers
function documents.manifest(made, text, states)
  local doc = core.json(text)
  if not doc then return end
  for _, pointer in ipairs { "/config", "/subject" } do
    if doc:type(pointer) == "object" then check_descriptor(made, doc:raw(pointer), pointer:sub(2)) end
  end
  local stated = doc:get "/mediaType"
  local family = media_types.kind(stated) == "manifest" and media_types.family(stated)
  if family then check_family(made, doc:get "/config/mediaType", family, "the config") end
  for i, state in ipairs(states) do
    local what, descriptor = ("layer %d"):format(i), layer.descriptor(state)
    made:at("manifest", i)
    -- What edits have made of the layer gets a descriptor of its own.
    if descriptor and not layer.is_changed(state) then check_descriptor(made, descriptor, what) end
    if family and descriptor then check_family(made, state.media_type, family, what) end
  end
  doc:close()
end

--- Adds layers that are not stored as their media type says.
---@param made strata.ReportMaker
---@param states strata.LayerState[]  of the layers
function documents.media_types(made, states)
  for i, one in ipairs(states) do
    made:at("manifest", i)
    local stated = one.media_type
    if stated and media_types.kind(stated) == "layer" and not one.blob.missing
      and media_types.stated_compression(stated) ~= one.blob.compression then
      made:add("warning", "media-type", ("layer %d is said to be %s, and its compression is %s"):format(i, stated,
        one.blob.compression))
    elseif stated and media_types.kind(stated) ~= "layer" then
      made:add("warning", "media-type", ("layer %d has the media type %s, which is none of a layer"):format(i,
        core.quote(stated)))
    end
  end
end

-- ---- the config --------------------------------------------------------------------

local function check_id(made, text)
  if not text:find("^[+-]?%d+$") then return end
  local number = tonumber(text)
  if not text:find("^%d") or number > MAX_ID then
    made:add("error", "user-range", ("config.User: %s is no number of a user or group"):format(core.quote(text)))
  elseif number > MAX_RUNTIME_ID then
    made:add("warning", "user-range", ("config.User: %s is more than runtimes take"):format(text))
  end
end

local function check_user(made, cfg)
  local user = cfg.User
  if type(user) ~= "string" or user == "" then return end
  for part in user:gmatch("[^:]+") do check_id(made, part) end
  if user:find("[%s\1-\31\127]") or select(2, user:gsub(":", "")) > 1 then
    made:add("warning", "user-name", ("config.User %s is no name or number"):format(core.quote(user)))
  end
end

local function check_workdir(made, cfg)
  local dir = cfg.WorkingDir
  if type(dir) ~= "string" then return end
  if (core.normalise(dir) .. "/"):find("^proc/") then
    made:add("error", "working-directory", ("config.WorkingDir %s is in /proc, where links lead out of a container")
      :format(core.quote(dir)))
  end
end

local function check_escapes(made, cfg, tags)
  local doc = config.document(cfg)
  local text = doc:text()
  if text:find("\\u001[bB]") or text:find("\\u009[bB]") or text:find("\194\155", 1, true) then
    made:add("warning", "terminal-escape", "the config has escape sequences for terminals in it")
  end
  for _, tag in ipairs(tags) do
    if tag:find("[%c]") then
      made:add("warning", "control-character", ("the tag %s has control characters"):format(core.quote(tag)))
    end
  end
end

local function check_history(made, cfg, count)
  local doc = config.document(cfg)
  if (doc:count("/history") or 0) == 0 then return end
  local rows = 0
  for _, row in ipairs((json.decode(doc:raw("/history")))) do
    if row.empty_layer ~= true then rows = rows + 1 end
  end
  local told = ("the history has %d rows with a layer, for %d layers"):format(rows, count)
  if rows > count then
    made:add("warning", "history", told .. ": Docker refuses the image, containerd, podman and umoci do not")
  elseif rows < count then
    made:add("note", "history", told .. ": runtimes do not mind")
  end
end

--- Adds what is odd about the config.
---@param made strata.ReportMaker
---@param cfg strata.Config
---@param count integer  of layers
---@param tags string[]
function documents.config(made, cfg, count, tags)
  config_types.check(made, config.document(cfg))
  check_user(made, cfg)
  check_workdir(made, cfg)
  check_escapes(made, cfg, tags)
  check_history(made, cfg, count)
  if count > MAX_LAYERS then
    made:add("warning", "many-layers", ("%d layers: Docker can stack %d at most"):format(count, MAX_LAYERS))
  end
end

-- Docker, podman and skopeo take the hash of the content as the ID, and compare it with no name.
local function check_name(made, source)
  local stated, found
  if source and source.misnamed_config then stated, found = source:misnamed_config() end
  if stated then
    made:add("error", "config-name", ("the name of the config states %s, but its content hashes to %s: Docker, podman "
      .. "and skopeo take it, readers that compare do not"):format(stated, found))
  end
end

--- Adds everything about an image but its layers' tars.
---@param made strata.ReportMaker
---@param state strata.ImageState
function documents.check(made, state)
  local source, states = state.source, state.hub.layers
  if source then
    made:at("archive")
    if source.store.list then
      require("strata.check.tar").noted(made, source.store.findings)
      documents.members(made, source.store)
    end
    local catalog = catalog_of(source, state.hub.limits)
    documents.names(made, source)
    documents.both_lists(made, source, state.hub.limits, catalog)
    documents.unreferenced(made, source, catalog)
    documents.indexed(made:at("index"), source.store, catalog, state.manifest and state.manifest.digest)
  end
  if state.manifest then documents.manifest(made:at("manifest"), state.manifest.text, states) end
  documents.media_types(made, states)
  documents.config(made:at("config"), state.config, #states, state.tags)
  check_name(made, source)
end

return documents

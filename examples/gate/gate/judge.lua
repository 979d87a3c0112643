--- Judging a manifest, in a thread of nginx: strata.jobs calls it.
--
-- The bytes of the manifest are those that nginx passes on; what it names is read from the registry behind, with
-- the client's own authorization. A verdict is kept by all that it depends on: bytes, media type, policy and settings.

local core = require "strata.core"
local document = require "gate.document"
local findings = require "gate.findings"
local policy = require "strata.policy"
local priority = require "gate.priority"
local strata = require "strata"

---@class gate.Judgement
---@field backend string
---@field host table  strata.RegistryHostOptions
---@field credentials table?  strata.RegistryCredentials
---@field repository string
---@field manifest gate.Manifest
---@field rules string
---@field name string  of its file
---@field identity string
---@field artifacts table<string, boolean>
---@field bytes integer
---@field temp_dir string

-- Indexes in indexes, and manifests that one index may lead to.
local MAX_DEPTH, MAX_MANIFESTS = 4, 1000
-- Bytes of a manifest that was uploaded as a blob.
local MAX_MANIFEST = 4 * 1024 * 1024
-- Bytes of a signature or an attestation, which is held in memory.
local MAX_STATEMENT = 32 * 1024 * 1024

local judge_one

local function ref_of(args, digest)
  return ("docker://%s/%s@%s"):format(args.backend, args.repository, digest)
end

-- Findings of an image: what readers differ about, for which every layer is read, and compared with its digest and its
-- diff_id on the way, and what the policy forbids. A layer with a table of contents is refused as well, since podman
-- and containerd can pull by the table alone, and show what it says. The second reader, libarchive, would need the
-- inflated layers on the disk, and is what no runtime reads layers with. nil, message, code when it cannot be judged.
local function judge_image(args, hub, text)
  local img, message, code = strata.open(ref_of(args, core.sha256(text)), {
    manifest = text, registry = hub, temp_dir = args.temp_dir, limits = { bytes = args.bytes },
  })
  if not img then return nil, message, code end
  local list, found = {}
  found, message, code = img:check { severity = "warning", second_reader = false, temp_dir = args.temp_dir }
  for _, one in ipairs(found or {}) do
    if one.severity == "error" or one.code == "table-of-contents" then
      list[#list + 1] = { rule = "check", message = tostring(one) }
    end
  end
  if found then found, message, code = policy.check(img, args.rules_table) end
  for _, one in ipairs(found or {}) do list[#list + 1] = one end
  img:close()
  if not found then return nil, message, code end
  return list
end

-- Whether a text has a header of a tar in it. JSON can be a tar as well: its first header in a string, without a NUL.
-- All readers that unpack layers compare a header with its checksum, at its offset 148; some go on to the next block.
local function has_tar_header(text)
  for at = 1, #text - 511, 512 do
    local stated = text:sub(at + 148, at + 155):match("^%s*([0-7]+)")
    if stated then
      local sum, high = 8 * 32, 0
      for i = at, at + 511 do
        if i < at + 148 or i >= at + 156 then
          local byte = text:byte(i)
          sum, high = sum + byte, high + (byte > 127 and 256 or 0)
        end
      end
      stated = tonumber(stated, 8)
      if stated == sum or stated == sum - high then return true end -- some readers take bytes as signed
    end
  end
  return false
end

-- A signature or an attestation is JSON and no tar, which no runtime can unpack, whatever its types say.
local function judge_statement(args, hub, one)
  for i, layer in ipairs(one.layers) do
    if layer.size > MAX_STATEMENT then
      return nil, ("layer %d has the type %s, and %.0f bytes, too many to be looked at"):format(i, layer.mediaType,
        layer.size), "ELIMIT"
    end
    local text, message, code = hub:blob(ref_of(args, layer.digest), layer.size)
    if not text then return nil, message, code end
    if not core.json(text, { max_bytes = MAX_STATEMENT }) or has_tar_header(text) then
      return nil, ("layer %d has the type %s, and is neither a layer of an image nor JSON"):format(i, layer.mediaType),
        "EUNSUPPORTED"
    end
  end
  return {}
end

local function judge_artifact(args, _, one)
  if args.artifacts[one.artifact_type] then return {} end
  return { { rule = "artifact", message = ("artifacts of the type '%s' are not let in"):format(one.artifact_type) } }
end

-- Every manifest that an index leads to is judged.
local function judge_index(args, hub, one, depth)
  local list = {}
  if depth >= MAX_DEPTH then return nil, ("indexes are nested %d deep"):format(depth), "ELIMIT" end
  for i, child in ipairs(one.manifests) do
    args.count = args.count + 1
    if args.count > MAX_MANIFESTS then return nil, "it leads to more than 1000 manifests", "ELIMIT" end
    local got, message, code = hub:manifest(ref_of(args, child.digest))
    local found
    if got then found, message, code = judge_one(args, hub, got.text, child.mediaType, depth + 1) end
    if not found then return nil, ("manifest %d (%s): %s"):format(i, child.digest:sub(1, 19), message), code end
    for _, each in ipairs(found) do
      list[#list + 1] = { rule = each.rule, layer = each.layer,
                          message = ("manifest %d (%s): %s"):format(i, child.digest:sub(1, 19), each.message) }
    end
  end
  return list
end

local function judge_new(args, hub, text, stated, depth)
  local one, message, code = document.read(text, stated)
  if not one then return nil, message, code end
  if one.kind == "index" then return judge_index(args, hub, one, depth) end
  if one.kind == "statement" then return judge_statement(args, hub, one) end
  if one.kind == "artifact" then return judge_artifact(args, hub, one) end
  return judge_image(args, hub, text)
end

-- The same, unless it was judged before.
function judge_one(args, hub, text, stated, depth)
  local verdicts = ngx.shared.verdicts
  local key = document.key(args.identity, stated, text)
  if verdicts:get(key) == "" then return {} end
  local list, message, code = judge_new(args, hub, text, stated, depth)
  if list then verdicts:set(key, findings.text(list)) end
  return list, message, code
end

-- The bytes of the manifest.
local function text_of(manifest, args, hub)
  if manifest.text then return manifest.text end
  if manifest.digest then return hub:blob(ref_of(args, manifest.digest), MAX_MANIFEST) end
  local file, message = io.open(manifest.file, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  if not text then return nil, "the manifest cannot be read: " .. tostring(message), "EIO" end
  return text
end

local function judge_sent(args, hub)
  local text, message, code = text_of(args.manifest, args, hub)
  if not text then return nil, message, code end
  return judge_one(args, hub, text, args.manifest.type, 0)
end

---@param args gate.Judgement
---@return {refusal: string}?  "": it is let in
---@return string? message
---@return string? code
return function(args)
  priority.lower()
  args.count, args.rules_table = 0, require("gate.settings").rules_of(args.rules, args.name)
  local hub, message, code = strata.registry {
    hosts = { [args.backend] = args.host }, credentials = { [args.backend] = args.credentials or false },
    system = false, retries = 1, max_wait = 5, connect_timeout = 5,
  }
  if not hub then return nil, message, code end
  local ok, list
  ok, list, message, code = pcall(judge_sent, args, hub)
  hub:close()
  if not ok then error(list, 0) end
  if not list then return nil, message, code end
  return { refusal = findings.text(list) }
end

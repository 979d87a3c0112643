--- What was judged before, and what is being judged now.

local authorization = require "gate.authorization"
local core = require "strata.core"
local document = require "gate.document"
local gate = require "gate"
local semaphore = require "ngx.semaphore"

local verdicts = {}

-- Requests that wait for the judgement of the same bytes, by key.
local waiting = {}

--- A manifest by its bytes, or by where the thread that judges finds them: in a file, or as a blob in the registry
--- behind.
---@class gate.Manifest
---@field type string  its media type
---@field text string?
---@field file string?
---@field digest string?

--- Bytes of a manifest that are copied and hashed here without other requests having to wait. nginx has a longer body,
-- which hardly anybody sends, in a file (client_body_buffer_size); the thread that judges knows the verdicts as well.
verdicts.QUICK = 256 * 1024

--- The verdict on a manifest that was judged before: "" lets it in.
---@param manifest gate.Manifest
---@return string? refusal
---@return string? key
function verdicts.known(manifest)
  if not manifest.text then return nil end
  local key = document.key(gate.settings.identity, manifest.type, manifest.text)
  return ngx.shared.verdicts:get(key), key
end

local function judge(repository, manifest)
  local chosen = gate.settings
  local result, message, code = gate.judges:run("call", { module = "gate.judge", args = {
    backend = chosen.backend, host = chosen.host, credentials = authorization.credentials(), repository = repository,
    manifest = manifest, rules = chosen.rules, name = chosen.name, identity = chosen.identity,
    artifacts = chosen.artifacts, bytes = chosen.bytes, temp_dir = chosen.temp_dir,
  } })
  return result and result.refusal, message, code
end

--- The verdict on a manifest. Of requests with the same bytes at once one is judged; the others get its verdict, and
--- when it fails, try themselves.
---@param repository string
---@param manifest gate.Manifest
---@param key string?  as known() gives it
---@return string? refusal
---@return string? message
---@return string? code
function verdicts.of(repository, manifest, key)
  if not key then return judge(repository, manifest) end
  local ending = core.monotonic() + gate.settings.deadline
  while waiting[key] do
    local list, mine = waiting[key], semaphore.new(0)
    list[#list + 1] = mine
    if not mine:wait(math.max(0, ending - core.monotonic())) then return nil, "the deadline has passed", "ETIMEDOUT" end
    local refusal = ngx.shared.verdicts:get(key)
    if refusal then return refusal end
  end
  local list = {}
  waiting[key] = list
  local ok, refusal, message, code = pcall(judge, repository, manifest)
  waiting[key] = nil
  for _, other in ipairs(list) do other:post(1) end
  if not ok then return nil, tostring(refusal), "EIO" end
  return refusal, message, code
end

return verdicts

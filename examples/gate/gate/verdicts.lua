--- What was judged before, and what is being judged now.

local authorization = require "gate.authorization"
local core = require "strata.core"
local document = require "gate.document"
local gate = require "gate"
local semaphore = require "ngx.semaphore"

local verdicts = {}

-- Requests that wait for the judgement of the same bytes, by key.
local waiting = {}

-- Bytes of a manifest that can be hashed here without other requests having to wait. Larger ones, which hardly anybody
-- has, are hashed by the thread that judges, which knows the verdicts as well.
local QUICK = 256 * 1024

--- The verdict on a manifest that was judged before: "" lets it in.
---@param text string
---@param media_type string
---@return string? refusal
---@return string? key
function verdicts.known(text, media_type)
  if #text > QUICK then return nil end
  local key = document.key(gate.settings.identity, media_type, text)
  return ngx.shared.verdicts:get(key), key
end

local function judge(repository, text, media_type)
  local chosen = gate.settings
  local result, message, code = gate.judges:run("call", { module = "gate.judge", args = {
    backend = chosen.backend, host = chosen.host, credentials = authorization.credentials(), repository = repository,
    text = text, type = media_type, rules = chosen.rules, name = chosen.name, identity = chosen.identity,
    artifacts = chosen.artifacts, bytes = chosen.bytes, temp_dir = chosen.temp_dir,
  } })
  return result and result.refusal, message, code
end

--- The verdict on a manifest. Of requests with the same bytes at once one is judged; the others get its verdict, and
--- when it fails, try themselves.
---@param repository string
---@param text string
---@param media_type string
---@param key string?  as known() gives it
---@return string? refusal
---@return string? message
---@return string? code
function verdicts.of(repository, text, media_type, key)
  if not key then return judge(repository, text, media_type) end
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
  local ok, refusal, message, code = pcall(judge, repository, text, media_type)
  waiting[key] = nil
  for _, other in ipairs(list) do other:post(1) end
  if not ok then return nil, tostring(refusal), "EIO" end
  return refusal, message, code
end

return verdicts

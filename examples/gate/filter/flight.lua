--- Work that is done once, however many ask for it at the same time, in whichever worker process.
--
-- The first one starts it in the background, so that it goes on when its client goes away, and the others wait. A
-- process that is killed leaves a lock that names it, and the next one who waits sees that and starts again.

local cjson = require "cjson"
local process = require "filter.process"

local flight = {}

-- What failed fails for all who wait for it, and is tried anew after that.
local FAILED_SECONDS = 1

local function lead(premature, key, work)
  local dict = ngx.shared.filter_rights
  if premature then -- the worker process is ending: whoever waits starts it anew
    dict:delete("making:" .. key)
    return
  end
  local ok, result, message, code = pcall(work)
  if not ok then result, message, code = nil, tostring(result), "EIO" end
  if not result then
    if code ~= "ETIMEDOUT" then ngx.log(ngx.WARN, "filter: ", message) end
    dict:set("failed:" .. key, cjson.encode { message = message, code = code }, FAILED_SECONDS)
  end
  dict:delete("making:" .. key)
end

-- Starts the work unless somebody does it already.
local function start(dict, key, seconds, work)
  local name = "making:" .. key
  local owner = dict:get(name)
  if owner and process.is_alive(owner) then return end
  if owner then dict:delete(name) end
  if not dict:add(name, process.own(), seconds + 30) then return end
  -- A worker process that is ending starts no timers any more.
  if not ngx.timer.at(0, lead, key, work) then lead(false, key, work) end
end

--- Has work done, and waits until there is a result.
---@generic T
---@param key string
---@param seconds number
---@param find fun(): T?  the result, when it is there
---@param work fun(): any, string?, string?
---@return T?
---@return string? message
---@return string? code
function flight.run(key, seconds, find, work)
  local dict, ending, pause = ngx.shared.filter_rights, ngx.now() + seconds + 10, 0.005
  while true do
    local failed = dict:get("failed:" .. key)
    if failed then
      failed = cjson.decode(failed)
      return nil, failed.message, failed.code
    end
    local found = find()
    if found then return found end
    if ngx.now() > ending then return nil, "the deadline has passed", "ETIMEDOUT" end
    start(dict, key, seconds, work)
    ngx.sleep(pause)
    pause = math.min(pause * 1.5, 0.1)
  end
end

return flight

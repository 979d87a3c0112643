--- What the handlers share: settings, and the gate before nginx's threads.

local resty = require "strata.resty"

local service = {}

local function number(name, default)
  return tonumber(os.getenv(name) or "") or default
end

--- Where images live, as a path that ends with "/".
service.directory = ngx.config.prefix() .. "images/"

--- Where the explorer keeps its own, likewise.
service.own = service.directory .. ".strata/"

local surgery

--- The gate; one for each worker process.
---@return strata.Resty
function service.surgery()
  surgery = surgery or resty.new {
    pool = "surgery", threads = number("STRATA_THREADS", 2), queue = number("STRATA_QUEUE", 32),
    wait = number("STRATA_WAIT", 10), deadline = number("STRATA_DEADLINE", 300),
    shared = "surgery", temp_dir = service.own:sub(1, -2),
  }
  return surgery
end

return service

--- What the handlers share: settings, and the gate before nginx's threads.

local lfs = require "lfs"
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

--- The hosts of registries that images may be opened from, by the setting STRATA_REGISTRIES: "ghcr.io reg.lan:5000".
---@return string[]
function service.registries()
  local hosts = {}
  for host in (os.getenv("STRATA_REGISTRIES") or ""):gmatch("%S+") do hosts[#hosts + 1] = host:lower() end
  return hosts
end

--- The credentials for these: those in the files of the user whom nginx runs as, when the setting
-- STRATA_REGISTRY_CREDENTIALS is "docker"; else none.
---@return table|string
function service.registry_credentials()
  return os.getenv("STRATA_REGISTRY_CREDENTIALS") == "docker" and "docker" or {}
end

--- The name that the request has given to its job, by which others ask how far that is.
---@return string?
function service.task()
  local name = ngx.var.http_x_strata_task
  return name and #name == 32 and name:match("^%x+$") or nil
end

-- Larger ones take the kernel milliseconds, and everybody would wait.
local SMALL = 16 * 1024 * 1024

local function remove_later(premature, path)
  if premature or not surgery:run("remove", { path = path }, { detached = true }) then os.remove(path) end
end

--- Removes a file; its name is gone at once.
---@param path string
function service.remove(path)
  local size = lfs.attributes(path, "size")
  if not size then return end
  local aside = service.surgery():temp()
  if size <= SMALL or not os.rename(path, aside) then
    os.remove(path)
  elseif not ngx.timer.at(0, remove_later, aside) then
    os.remove(aside)
  end
end

return service

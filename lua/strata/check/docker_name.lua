--- The names of images that docker load takes.

local docker_name = {}

local MAX_NAME, MAX_TAG = 255, 128

local function is_host(text)
  local name, port = text:match("^(.*):(%d+)$")
  name = port and name or text
  if name == "" or name:find("%.%.") or name:find("^%.") or name:find("%.$") then return false end
  for label in name:gmatch("[^.]+") do
    if not label:find("^%w[%w-]*$") or label:find("-$") then return false end
  end
  return true
end

-- Lower-case letters and digits, with one ".", one or two "_", or some "-" between them.
local function is_component(text)
  if not text:find("^[a-z0-9]") then return false end
  local rest = text:gsub("^[a-z0-9]+", "")
  while rest ~= "" do
    local separator, after = rest:match("^([._-]+)[a-z0-9]+(.*)$")
    if not separator then return false end
    if separator ~= "." and separator ~= "_" and separator ~= "__" and separator:find("[^-]") then return false end
    rest = after
  end
  return true
end

-- The host, when there is one, and the path.
local function split(name)
  local first, rest = name:match("^([^/]*)/(.*)$")
  if first and (first == "localhost" or first:find("[.:]")) then return first, rest end
  return nil, name
end

local function is_name(name)
  local host, path = split(name)
  if host and not is_host(host) then return false end
  local full = (host or "docker.io") .. "/" .. ((host or path:find("/", 1, true)) and "" or "library/") .. path
  if #full > MAX_NAME then return false end
  for component in (path .. "/"):gmatch("([^/]*)/") do
    if not is_component(component) then return false end
  end
  return true
end

--- Who refuses a name.
---@param name string
---@return "all"|"docker"|nil  docker: Docker and podman, but not containerd
function docker_name.refused(name)
  local plain, digest = name:match("^(.-)@(.*)$")
  if digest then return is_name(plain) and digest:find("^sha256:%x+$") and #digest == 71 and "docker" or "all" end
  local repository, tag = name:match("^(.+):([^:/]*)$")
  repository = repository or name
  if tag and (not tag:find("^[%w_][%w_.-]*$") or #tag > MAX_TAG) then return "all" end
  if not tag and name:find("^[0-9a-f]+$") and #name == 64 then return "all" end
  return not is_name(repository) and "all" or nil
end

return docker_name

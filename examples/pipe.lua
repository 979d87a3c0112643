--- Edits an image on its way through a pipe, without a file of it anywhere:
-- docker save app | lua5.4 examples/pipe.lua --strip usr/share/doc | docker load
--
--   --strip PATH    takes a path, and all below it, out of every layer
--   --uid FROM=TO   gives what belongs to one user to another
--   --env NAME=VALUE
--   --tag NAME:TAG  several are several names; without, it keeps those that it has
--
-- Standard output is the edited archive; when something fails it ends before the
-- manifest, so that nobody takes it for an image.

local strata = require "strata"

local CHUNK = 256 * 1024
local USAGE = "usage: pipe.lua [--strip PATH] [--uid FROM=TO] [--env NAME=VALUE] [--tag NAME:TAG] ..."

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message, ...)
  if value then return value, message, ... end
  io.stderr:write(tostring(message), "\n")
  os.exit(1)
end

local function pair(text, pattern)
  local name, value = text:match(pattern)
  return check(name, "expected A=B, got " .. text) and name, value
end

local paths, users, env, tags = {}, {}, {}, nil

local settings = {
  ["--strip"] = function(path)
    paths[#paths + 1] = path:gsub("^%.?/+", ""):gsub("/+$", "")
  end,
  ["--uid"] = function(text)
    local from, to = pair(text, "^(%d+)=(%d+)$")
    users[tonumber(from)] = tonumber(to)
  end,
  ["--env"] = function(text)
    local name, value = pair(text, "^([^=]+)=(.*)$")
    env[#env + 1] = { name = name, value = value }
  end,
  ["--tag"] = function(name)
    tags = tags or {}
    tags[#tags + 1] = name
  end,
}

for i = 1, #arg, 2 do
  local set = check(settings[arg[i]] and arg[i + 1] and settings[arg[i]], USAGE)
  set(arg[i + 1])
end

local function filter(entry)
  local path = entry.path
  for _, prefix in ipairs(paths) do
    if path == prefix or path:sub(1, #prefix + 1) == prefix .. "/" then return false end
  end
  return true
end

local function rewrite(entry)
  local uid = users[entry.uid]
  if uid then entry.uid = uid end
end

local function config(cfg)
  for _, one in ipairs(env) do cfg:set_env(one.name, one.value) end
end

-- A tag that is none is thrown.
local ok, t, message = pcall(strata.stream.image, {
  filter = #paths > 0 and filter or nil,
  rewrite = next(users) and rewrite or nil,
  config = #env > 0 and config or nil,
  tags = tags,
})
check(ok and t, message or t)

repeat
  local chunk = io.read(CHUNK)
  local out, more, lost = check(t(chunk))
  check(io.write(out))
  for _, line in ipairs(lost or {}) do io.stderr:write("not kept: ", line, "\n") end
  while more do
    out, more = check(t(""))
    check(io.write(out))
  end
until not chunk
check(io.stdout:flush())

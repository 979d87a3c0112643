--- Credential helpers of Docker: programs named docker-credential-NAME that know passwords.
--
-- A helper is code that a config file names. It is run only when the user has asked for helpers, and only under a name
-- that cannot be a path or a command. The core has no way to run a program, so io.popen does, with a command that
-- bounds time and output.

local core = require "strata.core"
local fail = require "strata.util.fail"
local json = require "strata.util.json"

local helper = {}

local MAX_NAME, MAX_OUTPUT = 64, 65536
local SECONDS = 20
local TIMED_OUT = { [124] = true, [137] = true } -- timeout's own status, and that of what it had to kill
local NOT_FOUND = "credentials not found in native keychain" -- what helpers say, by agreement

--- Whether a helper can be called so.
-- Source: registry rules CRED7; A27.
---@param name any
---@return boolean
function helper.is_name(name)
  return type(name) == "string" and #name <= MAX_NAME and name:find("^[A-Za-z0-9._-]+$") ~= nil
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The last command of the pipe alone holds its end, so that what a helper leaves running cannot keep it open.
local COMMAND = "{ printf '%%s\\n' %s | timeout -k 2 %d %s get 2>/dev/null; printf '\\n%%d' \"$?\"; }"
  .. " | timeout -k 1 %d head -c %d"

-- What a program prints, and its status.
local function run(program, server, seconds)
  if not io.popen then return nil, "EUNSUPPORTED" end
  local command = COMMAND:format(quoted(server), seconds, quoted(program), seconds + 4, MAX_OUTPUT + 8)
  local ok, pipe = pcall(io.popen, command, "r")
  if not ok or not pipe then return nil, "EUNSUPPORTED" end
  local text = pipe:read("*a") or ""
  pipe:close()
  local output, status = text:match("^(.*)\n(%d+)$")
  if not output or #output > MAX_OUTPUT then return nil, #text > MAX_OUTPUT and "ELIMIT" or "ETIMEDOUT" end
  return output, tonumber(status)
end

local PROBLEMS = {
  EUNSUPPORTED = "programs cannot be run here",
  ELIMIT = ("it printed more than %d bytes"):format(MAX_OUTPUT),
  ETIMEDOUT = "it took too long",
}

-- What it printed is never shown: it can be the secret.
local function judge(program, output, status)
  if status == 0 then
    local answer = json.decode(output, { max_bytes = MAX_OUTPUT })
    local user, secret = type(answer) == "table" and answer.Username, type(answer) == "table" and answer.Secret
    if type(user) ~= "string" or type(secret) ~= "string" then
      return fail("EFORMAT", "%s: what it printed is no JSON with Username and Secret", program)
    end
    if secret == "" then return nil end
    if user == "<token>" then return { identity = secret } end
    return { username = user, password = secret }
  end
  if output:find(NOT_FOUND, 1, true) then return nil end
  if TIMED_OUT[status] then return fail("ETIMEDOUT", "%s: %s", program, PROBLEMS.ETIMEDOUT) end
  if status == 127 then return fail("ENOENT", "%s: there is no such program in PATH", program) end
  return fail("EAUTH", "%s: it ended with status %d", program, status)
end

--- Asks a helper for the credentials of a server.
-- Source: registry rules CRED7, CRED8; A27, A28.
---@param name string
---@param server string  a host, or the URL that Docker calls docker.io
---@param seconds? integer  that it may take
---@return strata.registry.Credentials? found  nil also when it has none
---@return string? message
---@return string? code
function helper.get(name, server, seconds)
  if not helper.is_name(name) then
    return fail("EINVAL", "%s is no name of a credential helper", core.quote(json.printable(name, MAX_NAME)))
  end
  if server:find("%c") then return fail("EINVAL", "docker-credential-%s: a server has no control bytes", name) end
  local program = "docker-credential-" .. name
  local output, status = run(program, server, seconds or SECONDS)
  if not output then return fail(status, "%s: %s", program, PROBLEMS[status]) end
  return judge(program, output, status)
end

return helper

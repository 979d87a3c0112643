--- A client of registries: what is kept between requests, and how they are made.
--
-- One client has a session for each registry that it talks to, tokens, and connections. It is made when the first
-- docker:// needs it, and belongs to one process: connections do not survive a fork.

local auth = require "strata.registry.auth"
local core = require "strata.core"
local credentials = require "strata.registry.credentials"
local fail = require "strata.util.fail"
local flow = require "strata.registry.flow"
local hosts = require "strata.registry.hosts"
local job = require "strata.util.job"
local json = require "strata.util.json"
local session = require "strata.registry.session"
local url = require "strata.registry.url"

local client = {}

--- What holds for all requests.
---@class strata.RegistryRules
---@field retries integer
---@field max_wait number  seconds that a registry may ask to be left alone
---@field parallel integer
---@field allow_hosts string[]?
---@field trusted string[]?  hosts that uploads go to with credentials
---@field trusted_realms string[]?
---@field foreign boolean?
---@field insecure string[]  hosts that may be spoken to over http, or whose certificates are not looked at

---@class strata.RegistryClient
---@field rules strata.RegistryRules
---@field options strata.RegistryOptions
---@field transport strata.Transport
---@field auth strata.Auth
---@field sessions table<string, strata.RegistrySession>  by host; those of mirrors by what they are for as well
---@field trusts table<string, strata.RegistryHost>  settings of other hosts that registries have named
---@field turns table<string, number>  by origin: the time before which it is asked nothing. Written by sessions
---@field keyring strata.registry.Keyring
---@field requests integer  that were sent to all servers. Written by sessions
---@field random fun(): number  between 0 and 1
---@field time fun(): number  seconds since 1970
local Client = {}
Client.__index = Client

-- The exchanges of strata.http as a transport.
local function network(options)
  local ok, http = pcall(require, "strata.http")
  if not ok then
    return fail("EUNSUPPORTED", "a registry needs strata.http, which was not built: it needs libcurl")
  end
  local net = http.client { connections_per_host = options.parallel or 4, user_agent = "strata/" .. core._VERSION }
  local transport = { net = net }
  function transport.start(_, request) return net:start(request) end
  function transport.wait(_, seconds) return net:wait(seconds) end
  function transport.now() return core.monotonic() end
  function transport.pipe(_, total, digest) return http.pipe { total = total, digest = digest } end
  function transport.close() return net:close() end
  return transport
end

-- A number for delays. Processes that begin together get others, which math.random without a seed does not give.
local function random()
  return core.monotonic() * 1e6 % 1000 / 1000
end

--- A client.
---@param options? strata.RegistryOptions
---@param transport? strata.Transport  of a spec
---@return strata.RegistryClient?
---@return string? message
---@return string? code
function client.new(options, transport)
  options = options or {}
  hosts.check(options)
  local message, code
  if not transport then
    transport, message, code = network(options)
    if not transport then return nil, message, code end
  end
  local insecure = {}
  for _, host in ipairs(json.keys(options.hosts or {})) do
    if options.hosts[host].insecure then insecure[#insecure + 1] = host end
  end
  local self = setmetatable({
    options = options, transport = transport, sessions = {}, trusts = {}, turns = {}, requests = 0,
    random = random, time = os.time,
    rules = {
      retries = options.retries or 4, max_wait = options.max_wait or 120, parallel = options.parallel or 4,
      allow_hosts = options.allow_hosts, trusted = options.trusted, trusted_realms = options.trusted_realms,
      foreign = options.foreign, insecure = insecure,
    },
  }, Client)
  self.auth = auth.new(self)
  self.keyring = credentials.new {
    credentials = options.credentials, helpers = options.helpers,
    files = options.credentials == nil and rawget(_G, "ngx") == nil, -- CRED8: nothing is read by itself inside nginx
    environment = options.environment,
  }
  return self
end

--- The session for a registry.
---@param host string  as references have it
---@param mirror? {of: string, namespace: boolean?}  it is a mirror of another one
---@return strata.RegistrySession?
---@return string? message
---@return string? code
function Client:session(host, mirror)
  local name = mirror and ("%s for %s%s"):format(host, mirror.of, mirror.namespace and ", by name" or "") or host
  local known = self.sessions[name]
  if known then return known end
  local settings, message, code = hosts.settings(host, self.options)
  if not settings then return nil, message, code end
  self.sessions[name] = session.new(self, host, settings.base, settings, mirror)
  return self.sessions[name]
end

--- The credentials for a registry, or nil for none.
---@param host string
---@param repository string?
---@return strata.registry.Credentials? who
---@return string? message
---@return string? code
function Client:credentials(host, repository)
  return self.keyring:find(host, repository)
end

--- What is trusted of a host that a registry has named: what is set for that host, or the registry's authorities.
---@param text string  a URL
---@param settings strata.RegistryHost  of the registry
---@return {ca: string?, insecure: boolean?}?
---@return string? message
---@return string? code
function Client:trust_for(text, settings)
  local parts, given = url.parse(text), self.options.hosts or {}
  local host = ("%s:%d"):format(parts.host, parts.port)
  if not given[host] then host = parts.host end
  if not given[host] then return { ca = settings.ca, insecure = false } end
  if not self.trusts[host] then
    local found, message, code = hosts.settings(host, self.options)
    if not found then return nil, message, code end
    self.trusts[host] = found
  end
  return self.trusts[host]
end

--- The proxy for a URL; "" for none.
---@param text string
---@return string
function Client:proxy_for(text)
  return hosts.proxy(text, self.options)
end

--- Runs functions as the tasks of one flow, and waits for them.
---@param tasks (fun(flow: strata.Flow): any, ...)[]
---@param opts? {progress: function?, wait: function?, parallel: integer?}
---@param what string  for the progress
---@param total? integer  bytes that are going to be moved
---@return table[]? values  what each function returned
---@return string? message
---@return string? code
function Client:run(tasks, opts, what, total)
  local together = flow.new(self.transport, opts and opts.parallel or self.rules.parallel)
  together:expect(total or 0)
  for _, fn in ipairs(tasks) do together:add(fn) end
  local ok, message, code = job.run(together, opts, what)
  local values = {}
  for i, task in ipairs(together.tasks) do values[i] = task.values end
  together:close()
  if not ok then return nil, message, code end
  return values
end

--- Runs one function as a task, and gives what it returns.
---@param fn fun(flow: strata.Flow): any, ...
---@param opts? table
---@param what string
---@return any
---@return any
---@return any
function Client:call(fn, opts, what)
  local values, message, code = self:run({ fn }, opts, what)
  if not values then return nil, message, code end
  return values[1][1], values[1][2], values[1][3]
end

--- Ends all that goes on, and the connections.
function Client:close()
  if self.transport.close then self.transport:close() end
end

-- The client of those who give none; it lives as long as the Lua state.
local shared

--- The client that all calls share that give none.
---@return strata.RegistryClient?
---@return string? message
---@return string? code
function client.shared()
  local message, code
  if not shared then
    shared, message, code = client.new()
  end
  return shared, message, code
end

return client

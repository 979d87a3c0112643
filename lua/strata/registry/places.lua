--- Where a repository is read: at the mirrors of its registry, and then at the registry itself.
--
-- A mirror is asked for what a digest names: the bytes are compared, whoever they come from. What a tag leads to is
-- the registry's to say, unless the mirror is set to know it (`resolve`). A mirror gets no credentials but its own. One
-- that is not there is left alone for a while. Ids are those of the checks: NET8 ...

local places = {}

local LEFT_ALONE = 60 -- seconds
-- Failures of a mirror as a whole, and not of one thing that it was asked for. One that has sent other bytes than a
-- digest names is broken.
local OF_ALL = { ENETWORK = true, ETIMEDOUT = true, ETLS = true, ESERVER = true, ERATE = true, EDIGEST = true }

--- One place.
---@class strata.RegistryPlace
---@field session strata.RegistrySession
---@field repository string  as it is called there
---@field mirror strata.MirrorOptions?  nil: the registry itself

--- The places of a repository, the registry itself last.
---@param client strata.RegistryClient
---@param host string
---@param repository string
---@return strata.RegistryPlace[]?
---@return string? message
---@return string? code
function places.of(client, host, repository)
  local list = {}
  for i, mirror in ipairs((client.options.mirrors or {})[host] or {}) do
    local to, prefix = mirror.host:match("^([^/]+)/*(.-)/*$")
    local session, message, code = client:session(to, { of = host, namespace = mirror.namespace })
    if not session then return nil, message, code end
    list[i] = { session = session, mirror = mirror, repository = (prefix ~= "" and prefix .. "/" or "") .. repository }
  end
  local session, message, code = client:session(host)
  if not session then return nil, message, code end
  list[#list + 1] = { session = session, repository = repository }
  return list
end

-- Whether a place is asked.
local function is_asked(place, is_digest)
  local mirror, session = place.mirror, place.session
  if not mirror then return true end
  if session.silent_till and session.silent_till > session.client.transport:now() then return false end
  return is_digest or mirror.resolve == true
end

--- Calls a function for the places, in a task, one after the other, until one has what is wanted. The message tells
-- what each of them has said: NET10.
---@generic T
---@param list strata.RegistryPlace[]
---@param is_digest boolean  what is wanted is named by its digest
---@param read fun(place: strata.RegistryPlace): T?, any, string?, boolean?  the last result: no other place can help
---@return T?
---@return any  what it returned, or message
---@return string? code
function places.read(list, is_digest, read)
  local told = {}
  for i, place in ipairs(list) do
    if is_asked(place, is_digest) then
      local got, message, code, is_over = read(place)
      if got then return got, message end
      local session = place.session
      if place.mirror and OF_ALL[code] then session.silent_till = session.client.transport:now() + LEFT_ALONE end
      if i == #list or is_over then
        local words = #told > 0 and (" (mirrors before it: %s)"):format(table.concat(told, "; ")) or ""
        return nil, message .. words, code
      end
      told[#told + 1] = message
    end
  end
end

return places

--- The list of a repository's tags, page by page. Ids are those of the checks: PAG1 ...

local fail = require "strata.util.fail"
local headers = require "strata.registry.headers"
local json = require "strata.util.json"
local session = require "strata.registry.session"
local url = require "strata.registry.url"

local tags = {}

local MAX_PAGE = 2 ^ 20
local MAX_PAGES, MAX_TAGS = 10000, 1000000 -- PAG5

-- Adds the tags of a page.
local function take(found, answer, limits)
  local where, body = answer.request, answer.exchange:body()
  local document, message, code = json.decode(body, { max_bytes = MAX_PAGE, max_depth = limits.max_depth })
  if type(document) ~= "table" then
    return fail(code == "ELIMIT" and code or "EFORMAT", "%s: %s", where, message or "no JSON object")
  end
  local list = json.or_nil(document.tags) or {} -- PAG8
  if not json.is_array(list) then return fail("EFORMAT", "%s: tags is no array", where) end
  for _, tag in ipairs(list) do
    if type(tag) ~= "string" then return fail("EFORMAT", "%s: a tag is no string", where) end
    if not found.seen[tag] then found[#found + 1] = tag end
    found.seen[tag] = true
  end
  if #found > MAX_TAGS then return fail("ELIMIT", "%s: more than %d tags", where, MAX_TAGS) end
  return true
end

--- The tags of a repository, sorted by their bytes.
---@param from strata.RegistrySession
---@param repository string
---@param limits strata.JsonLimits
---@return string[]?
---@return string? message
---@return string? code
function tags.list(from, repository, limits)
  local found, visited, next_url = { seen = {} }, {}, nil
  for _ = 1, MAX_PAGES do
    local answer, message, code = from:send {
      method = "GET", path = not next_url and ("/v2/%s/tags/list"):format(repository) or nil, url = next_url,
      kind = next_url and "link" or nil, scopes = { ("repository:%s:pull"):format(repository) }, max_body = MAX_PAGE,
    }
    if not answer then return nil, message, code end
    if answer.status ~= 200 then return session.refuse(answer) end
    local ok
    ok, message, code = take(found, answer, limits)
    local link = headers.link_next(answer.exchange:headers("link"))
    answer.exchange:close()
    if not ok then return nil, message, code end
    if not link then
      found.seen = nil
      return json.sort(found)
    end
    next_url, message = url.resolve(answer.url, link) -- PAG1
    if not next_url then return fail("EREDIRECT", "%s: the next page: %s", answer.request, message) end
    if visited[next_url] then return fail("EREDIRECT", "%s: a page leads to itself", answer.request) end
    visited[next_url] = true
  end
  return fail("ELIMIT", "docker://%s/%s: more than %d pages of tags", from.host, repository, MAX_PAGES)
end

return tags

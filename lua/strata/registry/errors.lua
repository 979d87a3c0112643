--- What a registry's refusals are called: messages that stand alone, and codes.
--
-- A message has the request, the status and the registry's own words; no query of an address, which may be signed, and
-- no header. Source: distribution-spec, Error Codes: a body of 4xx may be anything.

local json = require "strata.util.json"

local errors = {}

-- Of what a registry says, a message has so many bytes.
local MAX_WORDS = 300
local JSON_LIMITS = { max_bytes = 65536, max_depth = 16 }

local CODES = {
  [401] = "EAUTH", [403] = "EDENIED", [404] = "ENOENT", [405] = "EUNSUPPORTED", [408] = "ESERVER", [410] = "ENOENT",
  [413] = "ELIMIT", [414] = "ELIMIT", [416] = "EFORMAT", [429] = "ERATE", [431] = "ELIMIT", [501] = "EUNSUPPORTED",
}
-- Codes of a registry that say more than the status.
local NAMED = { DIGEST_INVALID = "EDIGEST", SIZE_INVALID = "EDIGEST", UNSUPPORTED = "EUNSUPPORTED" }

--- What the body of a refusal says.
---@param body string?
---@return {code: string?, message: string?, detail: any}?  nil: it is no document of errors
function errors.decode(body)
  local document = body and body:find("^%s*{") and json.decode(body, JSON_LIMITS)
  local list = type(document) == "table" and document.errors
  local first = type(list) == "table" and list[1]
  if type(first) ~= "table" then return nil end
  local function text(value) return type(value) == "string" and value ~= "" and value or nil end
  return { code = text(first.code), message = text(first.message), detail = json.or_nil(first.detail) }
end

--- The blobs that a registry misses, as it refuses a manifest.
---@param body string?
---@return table<string, boolean>? digests  nil: it misses none
function errors.missing_blobs(body)
  local document = body and body:find("^%s*{") and json.decode(body, JSON_LIMITS)
  local list, found = type(document) == "table" and document.errors, nil
  for _, one in ipairs(type(list) == "table" and list or {}) do
    local detail = type(one) == "table" and one.code == "MANIFEST_BLOB_UNKNOWN" and one.detail
    local digest = type(detail) == "table" and (detail.digest or detail.Digest) or detail
    if type(digest) == "string" then
      found = found or {}
      found[digest] = true
    end
  end
  return found
end

-- The words of a body that is no such document: its text, without the marks of HTML.
local function plain_words(body)
  local text = body:sub(1, 4096)
  if text:find("^%s*<") then
    local title = text:match("<[Tt][Ii][Tt][Ll][Ee]>([^<]*)")
    text = title or text:gsub("<[^<>]*>", " ")
  end
  return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function words_of(body)
  local told = errors.decode(body)
  if not told then
    local words = plain_words(body or "")
    return words ~= "" and (' "%s"'):format(json.printable(words, MAX_WORDS)) or ""
  end
  local words = told.code and " " .. json.printable(told.code, 60) or ""
  if told.message then words = words .. (' "%s"'):format(json.printable(told.message, MAX_WORDS)) end
  if type(told.detail) == "string" and told.detail ~= told.message then
    words = words .. (' "%s"'):format(json.printable(told.detail, MAX_WORDS))
  end
  return words
end

--- The code for a status, and what a body says with it.
---@param status integer
---@param body string?
---@return string
function errors.code(status, body)
  local told = status >= 400 and status < 500 and errors.decode(body)
  if told and NAMED[told.code] then return NAMED[told.code] end
  return CODES[status] or status >= 500 and "ESERVER" or status >= 300 and status < 400 and "EREDIRECT" or "EFORMAT"
end

--- An address as messages have it: without its query.
---@param url string
---@return string
function errors.shown(url)
  return json.printable((url:gsub("[?#].*$", "")), 400)
end

--- A refusal: what was asked, and what came.
---@param request string  "GET https://host/v2/..."
---@param status integer
---@param body string?
---@return nil
---@return string message
---@return string code
function errors.refused(request, status, body)
  return nil, ("%s: %d%s"):format(request, status, words_of(body)), errors.code(status, body)
end

return errors

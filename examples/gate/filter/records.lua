--- The records of the images that were made, in dictionaries that the worker processes share.
--
-- `filter` has "r:KEY", a record, and "u:KEY", when it was last asked for. `filter_blobs` has "d:NAME@DIGEST", the key
-- of an image that has such a blob.

local cjson = require("cjson.safe").new()

local records = {}

---@class filter.Record
---@field key string
---@field name string  below filtered/
---@field source {upstream: string, repository: string, digest: string}
---@field public boolean?  nobody had to log in to have the source
---@field digest string  of the manifest or the index
---@field blobs table<string, filter.Blob>

---@class filter.Blob
---@field size integer
---@field media_type string?  of manifests alone
---@field upstream string?  nil: its file is in the cache
---@field repository string?

local function dict()
  return ngx.shared.filter
end

local function by_blob()
  return ngx.shared.filter_blobs
end

--- A record as it was written; nil for a text that is none.
---@param text string?
---@param key string
---@return filter.Record?
function records.decode(text, key)
  local record = cjson.decode(text or "")
  if type(record) ~= "table" or record.key ~= key or type(record.blobs) ~= "table" then return nil end
  if type(record.source) ~= "table" or type(record.name) ~= "string" then return nil end
  for digest, blob in pairs(record.blobs) do
    if type(blob) ~= "table" or type(blob.size) ~= "number" then return nil end
    if not blob.upstream and not digest:find("^sha256:%x+$") then return nil end
  end
  return record.blobs[record.digest] and record or nil
end

--- All that are noted.
---@return filter.Record[]
function records.all()
  local list = {}
  for _, name in ipairs(dict():get_keys(0)) do
    local key = name:match("^r:(.*)$")
    local record = key and records.decode(dict():get(name), key)
    if record then list[#list + 1] = record end
  end
  return list
end

--- Notes a record; false when a dictionary is full.
---@param record filter.Record
---@param used number
---@return boolean
function records.note(record, used)
  if not dict():safe_set("r:" .. record.key, cjson.encode(record)) then return false end
  for digest in pairs(record.blobs) do
    if not by_blob():safe_set(("d:%s@%s"):format(record.name, digest), record.key) then return false end
  end
  return dict():safe_set("u:" .. record.key, used) == true
end

--- Forgets a record. Another image of the same name may have some of its blobs.
---@param record filter.Record
---@param others filter.Record[]
function records.forget(record, others)
  dict():delete("r:" .. record.key)
  dict():delete("u:" .. record.key)
  for digest in pairs(record.blobs) do by_blob():delete(("d:%s@%s"):format(record.name, digest)) end
  for _, other in ipairs(others) do
    if other.name == record.name and other.key ~= record.key then
      for digest in pairs(record.blobs) do
        if other.blobs[digest] then by_blob():safe_set(("d:%s@%s"):format(other.name, digest), other.key) end
      end
    end
  end
end

--- How many records have each file, and the bytes of all files.
---@param list filter.Record[]
---@return table<string, integer> refs  by digest
---@return integer total
function records.count(list)
  local refs, total = {}, 0
  for _, record in ipairs(list) do
    for digest, blob in pairs(record.blobs) do
      if not blob.upstream then
        if not refs[digest] then total = total + blob.size end
        refs[digest] = (refs[digest] or 0) + 1
      end
    end
  end
  return refs, total
end

--- When a record was last asked for.
---@param record filter.Record
---@return number
function records.last_use(record)
  return dict():get("u:" .. record.key) or 0
end

--- Notes that a record was asked for now.
---@param record filter.Record
function records.use(record)
  dict():safe_set("u:" .. record.key, ngx.now())
end

--- The record with a key.
---@param key string
---@return filter.Record?
function records.get(key)
  return records.decode(dict():get("r:" .. key), key)
end

--- The key of an image of a name that has such a blob.
---@param name string
---@param digest string
---@return string?
function records.with_blob(name, digest)
  return by_blob():get(("d:%s@%s"):format(name, digest))
end

return records

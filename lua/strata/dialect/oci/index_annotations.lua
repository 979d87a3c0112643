--- Annotations of the indexes of a layout or a registry: what is asked of them until a save of the whole does it.

local annotations = require "strata.document.annotations"
local core = require "strata.core"
local fail = require "strata.util.fail"

local index_annotations = {}

-- An index as it is going to be saved. nil: it is not there.
local function document_of(listing, digest)
  local known = listing.catalog and listing.catalog.indexes[digest]
  local doc, changes = known and core.json(known.text), listing.index_changes or {}
  for _, change in ipairs(doc and changes[digest] or {}) do annotations.change(doc, "", change) end
  return doc
end

--- The annotations of the root.
---@param listing strata.Listing
---@return table<string, string>?  nil: there is no index
function index_annotations.read(listing)
  local doc = document_of(listing, "")
  return doc and annotations.read(doc, "") or nil
end

--- Changes those of the root, or of an index below it, as it is going to be saved.
---@param listing strata.Listing
---@param change strata.AnnotationChange
---@param digest? string
---@return boolean? changed
---@return string? message
---@return string? code
function index_annotations.change(listing, change, digest)
  digest = digest or ""
  -- What a reference of a registry leads to, and a directory of skopeo's, has a digest itself.
  if digest ~= "" and digest == index_annotations.digest_of(listing) then digest = "" end
  local doc = document_of(listing, digest)
  if not doc then
    return fail("ENOENT", "%s: there is no index%s", listing.store.path, digest ~= "" and " " .. digest or "")
  end
  if not annotations.change(doc, "", change) then return false end
  local changes = listing.index_changes or {}
  changes[digest] = changes[digest] or {}
  table.insert(changes[digest], change)
  listing.index_changes = changes
  return true
end

--- The digest of an index, by which other documents name it.
---@param listing strata.Listing
---@param digest? string  without it: that of the root, which index.json has not
---@return string?
---@return string? message
---@return string? code
function index_annotations.digest_of(listing, digest)
  local store, indexes = listing.store, listing.catalog and listing.catalog.indexes or {}
  local root = indexes[""] and store.flat and (store.root_digest or core.sha256(indexes[""].text))
  if root and (digest or root) == root then return root end
  if digest and indexes[digest] then return digest end
  if digest then return fail("ENOENT", "%s: there is no index %s", store.path, digest) end
  return fail("ENOENT", "%s: no digest names it, so nothing can be about it: say that of an index below it", store.path)
end

return index_annotations

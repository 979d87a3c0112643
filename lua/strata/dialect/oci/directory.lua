--- What is written into a layout directory: one that is new, one that exists and
-- is extended, or the image's own.

local core = require "strata.core"
local json = require "strata.util.json"
local limits = require "strata.util.limits"
local new_layout = require "strata.dialect.new_layout"
local oci_descriptor = require "strata.dialect.oci.descriptor"
local oci_edit = require "strata.dialect.oci.edit"
local oci_names = require "strata.dialect.oci.names"
local reference = require "strata.document.reference"

local oci_directory = {}

---@class strata.DirectoryPlan
---@field files strata.DirectoryFile[]
---@field root {name: string, text: string, gone: string[]?}  written last; then what is gone goes
---@field notes string[]?

local function fail(code, fmt, ...)
  return nil, fmt:format(...), code
end

-- The text of a file of the target, nil when there is none.
local function read(out, name)
  local info, message, code = out.dir:stat(name)
  if not info then
    if code == "ENOENT" then return nil end
    return nil, message, code
  end
  local file
  file, message, code = out.dir:open(name)
  if not file then return nil, message, code end
  local size = file:size()
  local max = limits.defaults.json.max_bytes
  if size > max then
    return fail("ELIMIT", "%s: %s has %d bytes; limits.json.max_bytes is %d", out.path, name, size, max)
  end
  local text
  text, message, code = file:read(0, size)
  file:close()
  return text, message, code
end

-- A layout of some other version is none of those that are known here.
local function check_version(out)
  local text, message, code = read(out, "oci-layout")
  if message then return nil, message, code end
  local header = text and json.decode(text)
  local version = type(header) == "table" and header.imageLayoutVersion
  if text and (type(version) ~= "string" or not version:find("^1%.")) then
    return fail("EUNSUPPORTED", "%s: oci-layout: version %s", out.path, core.quote(tostring(version)))
  end
  return true
end

-- Whether nothing is there but what comes before the index.json: a save that was
-- killed may have left it.
local function is_begun(names)
  for _, name in ipairs(names) do
    if name ~= "blobs" and name ~= "oci-layout" and not name:find("^%.strata%-%x+$") then return false end
  end
  return true
end

-- What is there: nil for an empty directory, else the text of its index.json.
local function existing_index(out)
  local names, message, code = out.dir:list(".")
  if not names then return nil, message, code end
  local text, ok
  if is_begun(names) then
    ok, message, code = check_version(out)
    return nil, not ok and message or nil, code
  end
  text, message, code = read(out, "index.json")
  if message then return nil, message, code end
  if not text then
    return fail("EEXIST", "%s: is not empty, and no image layout", out.path)
  end
  local index = json.decode(text)
  if type(index) ~= "table" or type(index.manifests) ~= "table" then
    return fail("EFORMAT", "%s: index.json is no index", out.path)
  end
  ok, message, code = check_version(out)
  if not ok then return nil, message, code end
  return text
end

-- The place of one name, or the same image where neither has a name.
local function is_replaced(there, new)
  if type(there) ~= "table" then return false end
  local names = oci_names.of(oci_descriptor.annotations(new.annotations))
  local others = oci_names.of(oci_descriptor.annotations(there.annotations))
  for _, name in ipairs(names) do
    if reference.find(others, name) then return true end
  end
  return #names == 0 and #others == 0 and there.digest == new.digest
end

-- An index with more descriptors: one that has the name of a new one makes way.
local function extend(text, descriptors)
  local doc, message, code = core.json(text)
  if not doc then return nil, message, code end
  for _, descriptor in ipairs(descriptors) do
    local new = json.decode(descriptor)
    for i = doc:count("/manifests") - 1, 0, -1 do
      if is_replaced(json.decode(doc:raw("/manifests/" .. i)), new) then doc:remove("/manifests/" .. i) end
    end
    doc:insert("/manifests/" .. doc:count("/manifests"), descriptor)
  end
  return doc:text()
end

-- The images alone, into a directory that is empty or a layout.
local function plan_new(saving, out)
  local text, message, code = existing_index(out)
  if message then return nil, message, code end
  local made
  made, message, code = new_layout.layout(saving.images, "oci")
  if not made then return nil, message, code end
  local files = made.blobs
  if not out.dir:stat("oci-layout") then files[#files + 1] = { name = "oci-layout", bytes = new_layout.LAYOUT } end
  local root
  if text then root, message, code = extend(text, made.descriptors) else root = new_layout.index(made.descriptors) end
  if not root then return nil, message, code end
  return { files = files, root = { name = "index.json", text = root } }
end

-- What was saved here since the source was opened would be undone, and what it
-- removed may be needed.
local function check_root(store, out)
  local text, message, code = read(out, store.root)
  if message then return nil, message, code end
  if text ~= store.root_text then
    return fail("ESTALE", "%s: %s was changed after it had been opened", out.path, store.root)
  end
  return true
end

-- The image's own layout with the changes, at its place or at a new one.
local function plan_own(saving, out)
  local store = saving.sources[1].store
  local here = store.dir:same(out.dir)
  if here then
    local ok, message, code = check_root(store, out)
    if not ok then return nil, message, code end
  else
    local names, message, code = out.dir:list(".")
    if not names then return nil, message, code end
    if #names > 0 then
      if store.flat then return fail("EEXIST", "%s: is not empty", out.path) end
      saving.native = false
      return plan_new(saving, out)
    end
  end
  local change, message, code = oci_edit.changes(saving.images, saving.sources, saving.opts)
  if not change then return nil, message, code end
  local files
  files, message, code = oci_edit.files(store, change, here)
  if not files then return nil, message, code end
  local gone = {}
  for digest in pairs(change.gone) do gone[#gone + 1] = store:blob_name(digest) end
  return { files = files, root = { name = store.root, text = change.root, gone = here and gone or nil },
           notes = change.notes }
end

--- Works out what to write.
---@param saving strata.Save
---@param out strata.DirectoryTarget
---@return strata.DirectoryPlan?
---@return string? message
---@return string? code
function oci_directory.plan(saving, out)
  if saving.native and saving.sources[1].store.dir then return plan_own(saving, out) end
  return plan_new(saving, out)
end

return oci_directory

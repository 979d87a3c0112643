--- strata: surgery on container images.
--
--   local strata = require "strata"
--   local img = assert(strata.open("app.tar"))
--   img:filter(function(entry) return not entry.path:find("^usr/share/doc/") end)
--   assert(img:save("app-slim.tar"))
--
-- What the world does wrong comes back as nil, message, code; misuse throws.

local core = require "strata.core"
local docker = require "strata.dialect.docker"
local image = require "strata.image"
local json = require "strata.json"
local members = require "strata.members"
local platform = require "strata.platform"

local strata = {
  _VERSION = "strata " .. core._VERSION,
  null = json.null,
  array = json.array,
  object = json.object,
}

local EPOCH = "1970-01-01T00:00:00Z"

---@class strata.OpenOptions
---@field ref? string  tag or id of the image, when there are several
---@field limits? {json?: table, layers?: integer, entries?: integer, path?: integer, extension?: integer}

-- The tags of each image of an archive, and where those do not tell them apart, or
-- there are none, the config's name.
local function choices(list, with_configs)
  local lines = {}
  for number = 0, list.count - 1 do
    local names = list.tags(number)
    local line = json.printable(table.concat(names, ", "), 200)
    if with_configs or #names == 0 then
      line = line .. (line == "" and "" or " ") .. "(" .. json.printable(list.config_name(number), 200) .. ")"
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "; ")
end

local function check_path(path, name)
  if type(path) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(name, type(path)), 3)
  end
end

local function list_of(path, limits)
  local archive, message, code = members.open(path)
  if not archive then return nil, message, code end
  local list
  list, message, code = docker.list(archive, limits)
  if not list then
    archive.file:close()
    return nil, message, code
  end
  return list, archive
end

local function read(list, archive, number)
  local model, message, code = list.read(number)
  if not model then return nil, message, code end
  local img
  img, message, code = image.from_model(model)
  if not img then return nil, ("%s: %s"):format(archive.path, message), code end
  archive:use()
  return img
end

-- The number of the image that is meant.
local function choose(list, path, ref)
  if ref then
    local found = list.find(ref)
    if #found == 1 then return found[1] end
    if #found > 1 then
      return nil, ("%s: %d images are called %s, choose one by its ID: %s"):format(path, #found,
        core.quote(ref), choices(list, true)), "EAMBIGUOUS"
    end
    return nil, ("%s: no image %s; there are: %s"):format(path, core.quote(ref), choices(list)),
      "ENOENT"
  end
  if list.count > 1 then
    return nil, ("%s: holds %d images, choose one with ref: %s"):format(path, list.count,
      choices(list)), "EAMBIGUOUS"
  end
  return 0
end

--- Opens an image file.
---@param path string
---@param opts? strata.OpenOptions
---@return strata.Image?
---@return string? message
---@return string? code
function strata.open(path, opts)
  check_path(path, "open")
  opts = opts or {}
  if opts.ref ~= nil and type(opts.ref) ~= "string" then
    error(("bad option 'ref' (string expected, got %s)"):format(type(opts.ref)), 2)
  end
  local list, archive, code = list_of(path, opts.limits)
  if not list then return nil, archive, code end
  local number, message
  number, message, code = choose(list, path, opts.ref)
  local img
  if number then
    img, message, code = read(list, archive, number)
  end
  if not img then
    archive.file:close()
    return nil, message, code
  end
  return img
end

--- Every image of a file, one after the other. The iterator throws when one
-- cannot be read.
---@param path string
---@param opts? strata.OpenOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return string? code
function strata.images(path, opts)
  check_path(path, "images")
  local list, archive, code = list_of(path, opts and opts.limits)
  if not list then return nil, archive, code end
  archive:use()
  local number = 0
  return function()
    if number == list.count then
      if archive then archive:release() end
      archive = nil
      return nil
    end
    local img, message = read(list, archive, number)
    if not img then
      archive:release()
      archive, number = nil, list.count
      error(message, 0)
    end
    number = number + 1
    return img
  end
end

--- An image without layers. Nothing in it depends on when or where it is made.
---@param opts {platform: string, created?: string, config?: table}
---@return strata.Image
function strata.new(opts)
  opts = opts or {}
  local wanted = platform.parse(opts.platform or "linux/amd64")
  if not wanted then error(("bad platform %q"):format(tostring(opts.platform)), 2) end
  local fields = {
    architecture = wanted.architecture, os = wanted.os, variant = wanted.variant,
    created = opts.created or EPOCH, config = json.object {}, history = json.array {},
    rootfs = { type = "layers", diff_ids = json.array {} },
  }
  local img, message = image.from_model { config_text = json.encode(fields), layers = {}, tags = {} }
  if not img then error(message, 2) end
  return img
end

--- The versions of strata and of what it is built on.
---@return table<string, string>
function strata.version()
  local versions = core.libraries()
  versions.strata = core._VERSION
  versions.lua = rawget(_G, "jit") and rawget(_G, "jit").version or _VERSION
  versions.cjson = require("cjson")._VERSION
  return versions
end

--- What can be done with a value of strata, as text for a REPL.
---@param value? any
---@return string
function strata.help(value)
  return require("strata.help").text(value)
end

return strata

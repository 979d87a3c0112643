--- The platform of an image: os/architecture[/variant].
--
-- Names are normalised and matched as containerd does (its package platforms):
-- an arm64 machine also runs arm images, v7 also v6, amd64/v3 also amd64.

local object = require "strata.util.object"
local options = require "strata.util.options"

local platform = {}

local NAMES = { "os", "architecture", "variant" }

local readers = {}
for _, name in ipairs(NAMES) do
  readers[name] = function(state) return state[name] end
end

local new = object.class("strata.Platform", {}, {
  fields = readers,
  tostring = function(state)
    return state.os .. "/" .. state.architecture .. (state.variant and "/" .. state.variant or "")
  end,
})

--- The platform as documents state it.
---@class strata.PlatformFields
---@field os string
---@field architecture string
---@field variant string?

local function text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- The fields that a document has to state: "unknown" stands for what is not known.
---@param fields table  anything that has them, such as a config or a descriptor's platform
---@return strata.PlatformFields
function platform.fields(fields)
  return { os = text(fields.os) or "unknown", architecture = text(fields.architecture) or "unknown",
           variant = text(fields.variant) }
end

--- The fields for a new descriptor: images for Windows are also told apart by the version.
---@param config strata.Config
---@return strata.PlatformFields
function platform.described(config)
  local fields = platform.fields(config)
  fields["os.version"] = text(config["os.version"])
  return fields
end

--- From anything with the fields, such as a config or a descriptor's platform.
---@param fields table
---@return strata.Platform
function platform.of(fields)
  return new(platform.fields(fields))
end

--- The fields of a decoded document, such as a descriptor's platform or a config.
---@param document any
---@return strata.PlatformFields?
function platform.in_document(document)
  if type(document) ~= "table" then return nil end
  local os, architecture = text(document.os), text(document.architecture)
  return os and architecture and { os = os, architecture = architecture, variant = text(document.variant) } or nil
end

--- From "linux/arm64/v8"; nil when it is no platform.
---@param value string
---@return strata.PlatformFields?
function platform.parse(value)
  local os, architecture, variant = value:match("^([%w]+)/([%w_]+)/?([%w%.]*)$")
  if not os then return nil end
  return { os = os, architecture = architecture, variant = text(variant) }
end

local SYSTEMS = { macos = "darwin" }
local MACHINES = {
  i386 = "386", x86_64 = "amd64", ["x86-64"] = "amd64", aarch64 = "arm64", armhf = "arm", armel = "arm",
}

-- As containerd's Normalize: what has a default is written without or with it, always the same.
local function normalise(one)
  local os = (text(one.os) or ""):lower()
  local machine, variant = (text(one.architecture) or ""):lower(), (text(one.variant) or ""):lower()
  if machine == "armel" then variant = "v6" end
  machine = MACHINES[machine] or machine
  if machine == "arm" then
    variant = variant == "" and "v7" or variant:find("^%d$") and "v" .. variant or variant
  elseif machine == "arm64" and (variant == "8" or variant == "v8") then
    variant = ""
  elseif machine == "amd64" and variant == "v1" then
    variant = ""
  end
  return SYSTEMS[os] or os, machine, variant
end

-- The architectures that run what is wanted, the best one first: "arm64", "armv7", ...
local function runs(machine, variant)
  local list = { machine .. variant }
  local level = tonumber(variant:match("^v(%d+)$"))
  if machine == "arm" and level then
    for lower = level - 1, 5, -1 do list[#list + 1] = "armv" .. lower end
  elseif machine == "arm64" then
    if variant ~= "" then list[#list + 1] = "arm64" end
    for lower = 8, 5, -1 do list[#list + 1] = "armv" .. lower end
  elseif machine == "amd64" then
    for lower = (level or 1) - 1, 2, -1 do list[#list + 1] = "amd64v" .. lower end
    if variant ~= "" then list[#list + 1] = "amd64" end
    list[#list + 1] = "386"
  end
  return list
end

--- How well something fits: 1 is best, nil does not run there.
---@param wanted {os: string, architecture: string, variant: string?}
---@param have {os: string, architecture: string, variant: string?}
---@return integer?
function platform.rank(wanted, have)
  local os, machine, variant = normalise(wanted)
  local have_os, have_machine, have_variant = normalise(have)
  if os ~= have_os then return nil end
  for rank, name in ipairs(runs(machine, variant)) do
    if name == have_machine .. have_variant then return rank end
  end
  return nil
end

--- A platform for comparison: two that documents spell differently and are the same are equal.
---@param fields table  anything that has the fields, such as a config
---@return string
function platform.key(fields)
  local os, machine, variant = normalise(fields)
  return table.concat({ os, machine, variant, text(fields["os.version"]) or "" }, "/")
end

options.rules.platform = { words = 'a platform such as "linux/arm64"', holds = platform.parse }

return platform

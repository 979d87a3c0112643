--- The platform of an image: os/architecture[/variant].

local object = require "strata.object"

local platform = {}

---@class strata.Platform
---@field os string
---@field architecture string
---@field variant string?

local new = object.class("strata.Platform", {}, {
  index = function(state, key) return state[key] end,
  tostring = function(state)
    return state.os .. "/" .. state.architecture .. (state.variant and "/" .. state.variant or "")
  end,
})

--- From the config of an image.
---@return strata.Platform
function platform.of(config)
  local function text(key)
    local value = config[key]
    return type(value) == "string" and value ~= "" and value or nil
  end
  return new {
    os = text("os") or "unknown", architecture = text("architecture") or "unknown",
    variant = text("variant"),
  }
end

--- From "linux/arm64/v8"; nil when it is no platform.
---@param value string
---@return {os: string, architecture: string, variant: string?}?
function platform.parse(value)
  local os, architecture, variant = value:match("^([%w]+)/([%w_]+)/?([%w%.]*)$")
  if not os then return nil end
  return { os = os, architecture = architecture, variant = variant ~= "" and variant or nil }
end

return platform

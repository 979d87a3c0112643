--- The other tools that specs compare strata with, and what is missing to use them.

local once = require "spec.support.once"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"

local peers = {}

--- The programs that each peer needs, and whether only root can run it.
local NEEDS = {
	docker = { root = true, "docker", "dockerd", "containerd", "runc", "busybox" },
	podman = { root = true, "podman", "busybox" },
	skopeo = { "skopeo" },
	["docker-registry"] = { "docker-registry", "htpasswd", "openssl" },
	umoci = { root = true, "umoci" },
	["redis-server"] = { "redis-server", "redis-cli" },
}

local function find_missing(name)
	local need = NEEDS[name]
	if not need then
		error("no such peer: " .. name, 0)
	end
	if os.getenv("STRATA_QUICK") == "1" then
		return name .. " is left to make test"
	end
	if need.root and not rights.root then
		return name .. " needs root"
	end
	for _, program in ipairs(need) do
		if not shell.which(program) then
			return program .. " is not installed"
		end
	end
	local start = name == "docker" and require("spec.support.docker").start
		or name == "podman" and require("spec.support.podman").probe
	if start then
		local ok, message = pcall(start)
		return not ok and tostring(message) or nil
	end
	return nil
end

--- Why one of the named peers cannot be used here, or nil when all can. Starts the Docker Engine.
---@param ... string
---@return string|nil reason
function peers.missing(...)
	for _, name in ipairs({ ... }) do
		local reason = once.get("peers." .. name, function()
			return find_missing(name) or false
		end)
		if reason then
			return reason
		end
	end
	return nil
end

--- Skips the spec that runs where one of the named peers cannot be used.
---@param ... string
---@return true
function peers.need(...)
	local reason = peers.missing(...)
	if reason then
		skip(reason)
	end
	return true
end

return peers

--- The other tools that specs compare strata with, and what is missing to use them.

local once = require "spec.support.once"
local shell = require "spec.support.shell"

local peers = {}

--- The programs that each peer needs, and whether only root can run it.
local NEEDS = {
	docker = { root = true, "docker", "dockerd", "containerd", "runc", "busybox" },
	podman = { root = true, "podman", "busybox" },
	skopeo = { "skopeo" },
	["docker-registry"] = { "docker-registry", "htpasswd", "openssl" },
	umoci = { root = true, "umoci" },
}

local function is_root()
	return shell.check({ "id", "-u" }):match("%d+") == "0"
end

local function find_missing(name)
	local need = NEEDS[name]
	if not need then
		error("no such peer: " .. name, 0)
	end
	if need.root and not is_root() then
		return name .. " can only be run by root"
	end
	for _, program in ipairs(need) do
		if not shell.which(program) then
			return program .. " is not installed"
		end
	end
	if name == "docker" then
		local ok, message = pcall(require("spec.support.docker").start)
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

return peers

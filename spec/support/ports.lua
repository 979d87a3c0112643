--- Ports of this machine for programs that must be told one.

local ports = {}

-- Below those that the kernel gives by itself, to the connections of other specs for one.
local FIRST, COUNT = 20000, 12000

-- Sockets that listen, of IPv4 and IPv6; the port is the last number of the local address.
local function is_used(port)
	for _, name in ipairs({ "tcp", "tcp6" }) do
		local file = io.open("/proc/net/" .. name, "r")
		local list = file and file:read("*a") or ""
		if file then
			file:close()
		end
		if list:find((":%04X %%x+:%%x+ 0A "):format(port)) then
			return true
		end
	end
	return false
end

--- One at which nobody listens. Drawn anew each time: specs of other processes draw theirs at the same time.
---@return integer
function ports.free()
	local random = assert(io.open("/dev/urandom", "rb"))
	local port
	repeat
		local a, b = random:read(2):byte(1, 2)
		port = FIRST + (a * 256 + b) % COUNT
	until not is_used(port)
	random:close()
	return port
end

return ports

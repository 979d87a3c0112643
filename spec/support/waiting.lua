--- Waiting for what other processes do.

local core = require "strata.core"
local shell = require "spec.support.shell"
local has_socket, socket = pcall(require, "socket")

-- Seconds in which anything happens, on a machine that is busy with other things.
local PATIENCE = 120

local waiting = {}

---@param seconds number
function waiting.sleep(seconds)
	if has_socket then
		socket.sleep(seconds)
	else
		shell.run({ "sleep", ("%.3f"):format(seconds) })
	end
end

--- Calls a function until it gives something true, which is returned. To look often takes processors from those that
--- are waited for: so it looks after 0.02 s, and then less and less often.
---@generic T
---@param what string for the message when it does not
---@param fn fun(): T?
---@return T
function waiting.till(what, fn)
	local began = core.monotonic()
	while true do
		local value = fn()
		if value then
			return value
		end
		local waited = core.monotonic() - began
		if waited > PATIENCE then
			error("waited in vain for " .. what, 2)
		end
		waiting.sleep(math.min(0.02 + waited / 4, 0.3))
	end
end

return waiting

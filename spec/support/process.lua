--- This process, seen from outside, and others like it.

local shell = require "spec.support.shell"

local process = {}

-- The parent of what popen starts is this process.
local function ask(script)
	local pipe = assert(io.popen(script))
	local answer = pipe:read("*a")
	pipe:close()
	return answer
end

--- How many descriptors are open. Only good for comparing.
---@return integer
function process.descriptors()
	-- What is garbage would be closed some time or other. What one finaliser lets go of, another one closes in the next
	-- round.
	for _ = 1, 4 do
		collectgarbage()
	end
	-- popen may still hold the end of the pipe that the shell writes to.
	return tonumber(ask([[
		pipe=$(readlink /proc/$$/fd/1)
		while [ "$(ls -l /proc/$PPID/fd | grep -cF "$pipe")" -gt 1 ]; do :; done
		ls /proc/$PPID/fd | wc -l
	]]))
end

--- A command line that runs a Lua script in another process of this interpreter, with the same modules.
---@param script string
---@return string command for sh
function process.lua(script)
	local interpreter = os.getenv("STRATA_LUA") or ask("readlink /proc/$PPID/exe"):match("^[^\n]+")
	return shell.join({ "env", "LD_PRELOAD=" .. (os.getenv("STRATA_PRELOAD") or ""), interpreter, "-e", script })
end

return process

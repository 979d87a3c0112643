--- Steps of Lua, which tell how work grows without a clock.

local steps = {}

--- How many steps a function takes, of a hundred instructions each. Compiled code does not count.
---@param fn fun()
---@return integer
function steps.of(fn)
	local jit, count = rawget(_G, "jit"), 0
	if jit then
		jit.off()
		jit.flush()
	end
	debug.sethook(function()
		count = count + 1
	end, "", 100)
	local ok, message = pcall(fn)
	debug.sethook()
	if jit then
		jit.on()
	end
	assert(ok, message)
	return count
end

return steps

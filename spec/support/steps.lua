--- Counts steps of Lua, so that a spec can tell what grows with the square of its input without looking at a clock.

local assert = require "luassert"

local steps = {}

--- How many hundreds of steps of Lua fn takes. Compiled code does not count, so that nothing is compiled meanwhile.
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

--- Fails unless ten times as much takes at most twelve times as many steps. What grows with the square takes up to a
--- hundred times as many.
---@param few integer
---@param many integer
---@param work fun(count: integer): fun() prepares so much work, and gives the function whose steps count
---@param most? number instead of twelve
function steps.are_linear(few, many, work, most)
	work(few)() -- what is loaded with the first call is there
	local first, last = steps.of(work(few)), steps.of(work(many))
	assert.is_true(last / first <= (most or 12), ("%.1f times as many steps"):format(last / first))
end

return steps

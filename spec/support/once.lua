--- Things that are made at most once in a busted run and closed at its end.
--
-- busted restores package.loaded after every spec file, so that a local of a module lives no longer
-- than one file. What several files share is kept in the registry instead.

local KEY = "strata.spec.once"

local function at_end_of_suite(fn)
	local loaded, busted = pcall(require, "busted")
	if loaded and busted.subscribe then
		busted.subscribe({ "suite", "end" }, fn)
	end
end

local function shared()
	local registry = debug.getregistry()
	local state = registry[KEY]
	if not state then
		state = { values = {}, closers = {} }
		registry[KEY] = state
		at_end_of_suite(function()
			registry[KEY] = nil
			for i = #state.closers, 1, -1 do
				state.closers[i]()
			end
			return nil, true -- let the other subscribers see the event
		end)
	end
	return state
end

local once = {}

--- Returns what `make` made under this name, calling it the first time only. A failure is kept too
--- and raised again, so that an expensive thing is not tried for every spec.
---@generic T
---@param name string
---@param make fun(): T
---@param close? fun(value: T) called at the end of the run, the last made first
---@return T
function once.get(name, make, close)
	local state = shared()
	local slot = state.values[name]
	if not slot then
		local ok, value = pcall(make)
		slot = { ok = ok, value = value }
		state.values[name] = slot
		if ok and close then
			state.closers[#state.closers + 1] = function()
				close(value)
			end
		end
	end
	if not slot.ok then
		error(slot.value, 0)
	end
	return slot.value
end

return once

--- Uses of an object during which a finaliser closes it, at each place where the collector can run.

local assert = require "luassert"

local finaliser = {}

local PLACES = 12

-- In a compiled loop of LuaJIT that allocates, each collection ends the trace before finalisers run, and with a
-- collection at every chance the loop begins anew for ever.
local jit = rawget(_G, "jit")

-- Makes a full collection run at every chance.
local function eager()
	if jit then
		jit.off()
		jit.flush()
	end
	collectgarbage("setpause", 0)
	if _VERSION == "Lua 5.4" then
		collectgarbage("incremental", 0, 200, 40)
		collectgarbage("setpause", 0)
	else
		collectgarbage("setstepmul", 400000000) -- a step goes through any heap
	end
	collectgarbage("restart")
end

local function usual()
	if jit then
		jit.on()
	end
	collectgarbage("setpause", 200)
	if _VERSION == "Lua 5.4" then
		collectgarbage("incremental", 200, 100, 13)
	else
		collectgarbage("setstepmul", 200)
	end
end

-- Writes over the part of the stack that calls before have left, which would keep garbage alive.
local function forget(...)
	return select("#", ...)
end

-- Garbage with a finaliser.
local function drop(fn)
	if rawget(_G, "newproxy") then
		getmetatable(newproxy(true)).__gc = fn -- luacheck: ignore 113
	else
		setmetatable({}, { __gc = fn })
	end
end

local unpack = table.unpack or unpack -- luacheck: ignore 113

-- Calls `act` at the k-th collection from now on, and says at the end whether that has come.
local function after(k, act)
	local collections, done = 0, false
	local function count()
		collections = collections + 1
		if collections == k then
			done = true
			act()
		elseif collections < k then
			drop(count)
		end
	end
	drop(count)
	return function()
		collections = k
		return done
	end
end

-- Everything that a value says, as one string.
local function told(value)
	if type(value) ~= "table" then
		return (tostring(value):gsub("0x%x+", ""))
	end
	local parts = {}
	for name, one in pairs(value) do
		parts[#parts + 1] = tostring(name) .. "=" .. told(one)
	end
	table.sort(parts)
	return "{" .. table.concat(parts, ",") .. "}"
end

local function all(...)
	local list = { ... }
	for i = 1, select("#", ...) do
		list[i] = told((select(i, ...)))
	end
	return table.concat(list, ";")
end

--- make() -> the object that is used, and what closes it. What `use` tells is what it tells undisturbed, or it
-- throws; the first places have to be reached.
---@param make fun(): any, function
---@param use fun(object: any): ...
function finaliser.check(make, use)
	local reached = 0
	local expected = all(use((make())))
	-- Finalisers that wait, of files before this one, would come first, a few at a time.
	collectgarbage()
	collectgarbage()
	for k = 1, PLACES do
		collectgarbage("stop")
		local object, close = make()
		local stop = after(k, close)
		forget(unpack({}, 1, 200))
		eager()
		local ok, result = pcall(function()
			return all(use(object))
		end)
		collectgarbage("stop")
		usual()
		reached = reached + (stop() and 1 or 0)
		if ok and result ~= expected then
			assert.matches("closed", result:sub(1, 1000))
		end
	end
	collectgarbage("restart")
	assert.is_true(reached > 0)
end

return finaliser

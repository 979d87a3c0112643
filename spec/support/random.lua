--- Random numbers that are the same on every Lua, and random texts of pieces.

local random = {}

--- The first seed of a run: STRATA_SEED, or always the same, so that what passed once passes again; `make random`
--- takes others. A failure has to print its seed.
---@return integer
function random.first_seed()
	return tonumber(os.getenv("STRATA_SEED")) or 1
end

--- A generator: each call gives a number from 1 to n.
---@param seed integer
---@return fun(n: integer): integer
function random.generator(seed)
	local state = seed % 2147483646 + 1
	local function number(n)
		state = (state * 16807) % 2147483647
		return state % n + 1
	end
	for _ = 1, 10 do
		number(2)
	end
	return number
end

--- A text of up to `most` pieces.
---@param number fun(n: integer): integer
---@param pieces string[]
---@param most integer
---@return string
function random.text(number, pieces, most)
	local parts = {}
	for i = 1, number(most + 1) - 1 do
		parts[i] = pieces[number(#pieces)]
	end
	return table.concat(parts)
end

--- Calls fn(number, seed) for `count` seeds; an error of it is thrown with the seed.
---@param count integer
---@param fn fun(number: fun(n: integer): integer, seed: integer)
function random.each(count, fn)
	local first = random.first_seed()
	for seed = first, first + count - 1 do
		local ok, message = pcall(fn, random.generator(seed), seed)
		if not ok then
			error(("STRATA_SEED=%d: %s"):format(seed, type(message) == "table" and message.message or tostring(message)), 0)
		end
	end
end

return random

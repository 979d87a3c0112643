-- Random stacks of layers with a common base: what strata.diff tells of their files is what a comparison of every path
-- of both merged views finds.
--
-- STRATA_STACKS is the number of pairs, STRATA_SEED the number of the first one.

local naive_diff = require "spec.support.naive_diff"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local runtime_stacks = require "spec.support.runtime_stacks"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local BATCH = 50

local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_STACKS")) or (fast and 200 or 50)
end

local function copy_of(entries)
	local copy = {}
	for i, entry in ipairs(entries) do
		copy[i] = {}
		for key, value in pairs(entry) do
			copy[i][key] = value
		end
	end
	return copy
end

-- The same paths with other attributes and contents.
local function touched(entries, number)
	local copy = copy_of(entries)
	for _, entry in ipairs(copy) do
		local way = number(6)
		if way == 1 and entry.data then
			entry.data = entry.data:gsub("^.", "#")
		elseif way == 2 then
			entry.mtime = number(9)
		elseif way == 3 then
			entry.mode, entry.uid = number(511), number(3)
		elseif way == 4 and entry.data then
			entry.data = entry.data .. "more"
		end
	end
	return copy
end

local ways = {}

-- Other layers above the same base.
function ways.other(layers, number, seed)
	local list = {}
	for i = 1, number(#layers) do
		list[i] = layers[i]
	end
	for _, entries in ipairs(runtime_stacks.layers(seed + 5000)) do
		list[#list + 1] = entries
	end
	return list
end

-- The same paths in some layers, with other attributes and contents.
function ways.touched(layers, number)
	local list = {}
	for i, entries in ipairs(layers) do
		list[i] = (i == #layers or number(3) == 1) and touched(entries, number) or entries
	end
	return list
end

-- A layer less.
function ways.fewer(layers, number)
	local list, without = {}, number(#layers)
	for i, entries in ipairs(layers) do
		if i ~= without or #layers == 1 then
			list[#list + 1] = entries
		end
	end
	return list
end

-- A layer in another place, or twice.
function ways.moved(layers, number)
	local list = ways.fewer(layers, number)
	table.insert(list, number(#list + 1), layers[number(#layers)])
	return list
end

-- Entries of one layer in another order.
function ways.reordered(layers, number)
	local list = {}
	for i, entries in ipairs(layers) do
		list[i] = copy_of(entries)
	end
	local top = list[#list]
	for i = #top, 2, -1 do
		local j = number(i)
		top[i], top[j] = top[j], top[i]
	end
	return list
end

local WAYS = { "other", "touched", "touched", "fewer", "moved", "reordered" }

local function pair_of(seed)
	local number = random.generator(seed)
	local layers = number(3) == 1 and runtime_stacks.dense(seed) or runtime_stacks.layers(seed)
	return layers, ways[WAYS[number(#WAYS)]](layers, number, seed)
end

describe("the diff of random stacks", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function check(seed)
		local layers, others = pair_of(seed)
		local a, b = dir:file("a.tar"), dir:file("b.tar")
		pack.image(a, layers)
		pack.image(b, others)
		for _, view in ipairs({ "runtime", "spec" }) do
			for _, semantic in ipairs({ false, true }) do
				local opts = { view = view, semantic = semantic }
				local x, y = assert(strata.open(a)), assert(strata.open(b))
				local diff, message = strata.diff(x, y, opts)
				local seen = x:rootfs({ view = view }) and y:rootfs({ view = view })
				if seen then
					assert(diff, message)
					assert.same(naive_diff.lines(x, y, opts), naive_diff.told(diff))
					assert.equal(diff.equal, #diff.files + #diff.config + #diff.history + #diff.layers == 0)
				end
				x:close()
				y:close()
			end
		end
	end

	local from, total = random.first_seed(), count()
	for at = 0, total - 1, BATCH do
		local last = math.min(at + BATCH, total)
		it(("is what a comparison of every path finds, %d to %d of %d"):format(at + 1, last, total), function()
			for seed = from + at, from + last - 1 do
				local ok, message = pcall(check, seed)
				if not ok then
					error(("STRATA_SEED=%d STRATA_STACKS=1: %s"):format(seed,
						type(message) == "table" and tostring(message.message) or tostring(message)), 0)
				end
			end
		end)
	end

	it("is none where the layers are the same", function()
		random.each(20, function(_, seed)
			local path = dir:file("a.tar")
			pack.image(path, runtime_stacks.layers(seed))
			local diff = assert(strata.diff(path, path))
			assert.is_true(diff.equal)
		end)
	end)
end)

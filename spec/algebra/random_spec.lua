-- Random stacks of layers: whatever is done to them, every view of them is what a slow model of its own says.
--
-- STRATA_STACKS is their number, STRATA_SEED the number of the first one.

local archive = require "spec.support.archive"
local random = require "spec.support.random"
local shrink = require "spec.support.shrink"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"
local tmp = require "spec.support.tmp"
local views = require "spec.support.views"
local wild = require "spec.support.wild"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local BATCH = 50

-- Many on one Lua, and not where every step is checked by a sanitizer; some on the others.
local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_STACKS")) or (fast and 250 or 50)
end

-- The layers of a number, and a range of them.
local function stack_of(seed)
	local layers = wild.layers(seed, views.is_root)
	local number = stacks.generator(seed)
	local first = number(#layers)
	return layers, { first, first + number(#layers - first + 1) - 1 }
end

describe("random stacks of layers", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		views.collect()
		dir:remove()
	end)

	local function fail(seed, layers)
		error(("STRATA_SEED=%d STRATA_STACKS=1:\n%s"):format(seed, shrink.report(dir, layers, views.check)), 0)
	end

	local function run(from, upto)
		local lists, paths = {}, {}
		for seed = from, upto do
			paths[#paths + 1] = dir:file(("%d"):format(seed))
		end
		shell.sh('mkdir "$@"', (table.unpack or unpack)(paths))
		for seed = from, upto do
			local layers, range = stack_of(seed)
			local ok, list = pcall(views.make, dir:file(("%d"):format(seed)), layers, { range })
			if not ok then
				fail(seed, layers)
			end
			list.seed, lists[#lists + 1] = seed, list
		end
		views.read(lists)
		for _, list in ipairs(lists) do
			if #views.problems(list) > 0 then
				fail(list.seed, list.layers)
			end
		end
	end

	local from, total = random.first_seed(), count()
	for at = 0, total - 1, BATCH do
		local last = math.min(at + BATCH, total)
		it(("look the same in every view, %d to %d of %d"):format(at + 1, last, total), function()
			run(from + at, from + last - 1)
		end)
	end
end)

describe("the search for the smallest stack", function()
	it("drops what is of no account, and tells the rest as Lua", function()
		local layers = {
			{ { name = "./a", data = "1", uid = 2, mtime = 5 }, { name = "b" } },
			{ { name = "c", type = "dir" } },
			{ { name = "l", type = "symlink", linkname = "x\0\"" } },
		}
		local small = shrink.smallest(layers, function(candidate)
			for _, entries in ipairs(candidate) do
				for _, entry in ipairs(entries) do
					if entry.name:find("a") then
						return true
					end
				end
			end
			return false
		end)
		assert.same({ { { name = "a" } } }, small)
		local load_text = rawget(_G, "loadstring") or load
		assert.same(layers, load_text("return " .. shrink.source(layers))())
	end)
end)

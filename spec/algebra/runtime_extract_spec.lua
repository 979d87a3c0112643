-- Random stacks of layers, extracted flat and side by side for overlayfs: what is there is the root file system of the
-- same view. spec/algebra/runtime_spec.lua holds the default one against a model of the runtimes, and
-- spec/algebra/random_spec.lua that of the specification.
--
-- STRATA_STACKS is the number of stacks, STRATA_SEED the number of the first one.

local archive = require "spec.support.archive"
local random = require "spec.support.random"
local runtime_stacks = require "spec.support.runtime_stacks"
local shell = require "spec.support.shell"
local shrink = require "spec.support.shrink"
local tmp = require "spec.support.tmp"
local views = require "spec.support.views"
local wild = require "spec.support.wild"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local BATCH = 50

local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_STACKS")) or (fast and 125 or 50)
end

local KINDS = {
	{ name = "as runtimes take them", view = "runtime", make = runtime_stacks.layers },
	{ name = "of few names, which come again and again", view = "runtime", make = runtime_stacks.dense },
	{
		name = "of all that is odd", view = "runtime",
		make = function(seed)
			return wild.layers(seed, views.is_root)
		end,
	},
	{
		name = "of all that is odd, by the letter of the specification", view = "spec",
		make = function(seed)
			return wild.layers(seed, views.is_root)
		end,
	},
}

for _, kind in ipairs(KINDS) do
	describe("random stacks of layers " .. kind.name .. ", extracted,", function()
		local dir

		before_each(function()
			dir = tmp.dir(tmp.for_peers())
		end)

		after_each(function()
			views.collect()
			dir:remove()
		end)

		local function check(_, layers)
			local path = dir:file("stack")
			shell.sh('rm -rf "$1" && mkdir "$1"', path)
			local ok, list = pcall(views.extracts, path, layers, kind.view)
			if not ok then
				return { tostring(list) }
			end
			views.read({ list })
			return views.disagreements(list)
		end

		local function run(from, upto)
			local lists = {}
			for seed = from, upto do
				local layers, path = kind.make(seed), dir:file(("%d"):format(seed))
				shell.sh('mkdir "$1"', path)
				local list = views.extracts(path, layers, kind.view)
				list.seed, lists[#lists + 1] = seed, list
			end
			views.read(lists)
			for _, list in ipairs(lists) do
				if #views.disagreements(list) > 0 then
					error(("STRATA_SEED=%d STRATA_STACKS=1:\n%s"):format(list.seed, shrink.report(dir, list.layers, check)), 0)
				end
			end
		end

		local from, total = random.first_seed(), count()
		for at = 0, total - 1, BATCH do
			local last = math.min(at + BATCH, total)
			it(("are the root file system, %d to %d of %d"):format(at + 1, last, total), function()
				run(from + at, from + last - 1)
			end)
		end
	end)
end

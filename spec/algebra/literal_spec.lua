-- Random stacks of layers, as strata shows them by the letter of the specification, beside a model of what programs
-- show that unpack one layer over the other: Docker with vfs, podman with vfs, umoci.
-- spec/interop/runtimes_random_spec.lua holds that model against the programs themselves.
--
-- STRATA_STACKS is the number of stacks, STRATA_SEED the number of the first one.

local literal_views = require "spec.support.literal_views"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local runtime_model = require "spec.support.runtime_model"
local runtime_stacks = require "spec.support.runtime_stacks"
local runtime_views = require "spec.support.runtime_views"
local shrink = require "spec.support.shrink"
local tmp = require "spec.support.tmp"

local BATCH = 50
local MADE_FOR = { "docker vfs", "umoci" }

local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_STACKS")) or (fast and 125 or 50)
end

describe("random stacks of layers, by the letter", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function check(_, layers)
		if runtime_stacks.is_odd(layers) then
			return {}
		end
		local answers, path = {}, dir:file("stack.tar")
		for _, reader in ipairs(literal_views.READERS) do
			answers[reader] = { rows = (runtime_model.look(layers, reader)) }
		end
		pack.image(path, layers)
		return literal_views.differences(runtime_views.strata(path, "spec"), answers, layers)
	end

	local from, total = random.first_seed(), count()
	for at = 0, total - 1, BATCH do
		local last = math.min(at + BATCH, total)
		it(("look as vfs and umoci show them, %d to %d of %d from %d"):format(at + 1, last, total, from), function()
			for seed = from + at, from + last - 1 do
				local layers = runtime_stacks.layers(seed, MADE_FOR)
				if #check(nil, layers) > 0 then
					local report = shrink.report(dir, layers, check)
					error(("STRATA_SEED=%d STRATA_STACKS=1: %s"):format(seed, report), 0)
				end
			end
		end)
	end
end)

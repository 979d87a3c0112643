-- Random stacks of layers, as strata shows them by default, beside a model of what the default runtimes show:
-- Docker with overlay2, containerd with overlayfs, podman with overlay. spec/interop/runtimes_random_spec.lua holds
-- that model against the runtimes themselves.
--
-- STRATA_STACKS is the number of stacks, STRATA_SEED the number of the first one: a fresh one each time unless given.

local pack = require "spec.support.pack"
local runtime_model = require "spec.support.runtime_model"
local runtime_stacks = require "spec.support.runtime_stacks"
local runtime_views = require "spec.support.runtime_views"
local shrink = require "spec.support.shrink"
local tmp = require "spec.support.tmp"

local READERS = { "docker overlay2", "containerd overlayfs", "podman overlay" }
local BATCH = 50

local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_STACKS")) or (fast and 1000 or 100)
end

local function first_seed()
	return tonumber(os.getenv("STRATA_SEED")) or os.time() % 1e6 * 1000
end

local function answers_of(layers)
	local answers = {}
	for _, reader in ipairs(READERS) do
		local rows, refused = runtime_model.look(layers, reader)
		answers[reader] = { rows = rows, refused = refused }
	end
	return answers
end

describe("random stacks of layers, by default", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function check(_, layers)
		local path = dir:file("stack.tar")
		pack.image(path, layers)
		return runtime_views.differences(runtime_views.strata(path), answers_of(layers))
	end

	local from, total = first_seed(), count()
	for at = 0, total - 1, BATCH do
		local last = math.min(at + BATCH, total)
		it(("look as runtimes show them, %d to %d of %d from %d"):format(at + 1, last, total, from), function()
			for seed = from + at, from + last - 1 do
				local layers = runtime_stacks.layers(seed)
				if #check(nil, layers) > 0 then
					error(("STRATA_SEED=%d STRATA_STACKS=1:\n%s"):format(seed, shrink.report(dir, layers, check)), 0)
				end
			end
		end)
	end
end)

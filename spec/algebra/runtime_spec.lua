-- Random stacks of layers, as strata shows them by default, beside a model of what the default runtimes show:
-- Docker with overlay2, containerd with overlayfs, podman with overlay. spec/interop/runtimes_random_spec.lua holds
-- that model against the runtimes themselves.
--
-- STRATA_STACKS is the number of stacks, STRATA_SEED the number of the first one.

local model = require "spec.support.model"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local runtime_model = require "spec.support.runtime_model"
local runtime_stacks = require "spec.support.runtime_stacks"
local runtime_views = require "spec.support.runtime_views"
local shrink = require "spec.support.shrink"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local READERS = { "docker overlay2", "containerd overlayfs", "podman overlay" }
local BATCH = 50

local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_STACKS")) or (fast and 250 or 50)
end

-- Of stacks that a runtime refuses, strata shows what makes sense; spec/interop/runtimes_field_spec.lua says what.
local function answers_of(layers)
	local answers = {}
	if runtime_stacks.is_odd(layers) then
		return nil
	end
	for _, reader in ipairs(READERS) do
		answers[reader] = { rows = (runtime_model.look(layers, reader)) }
		if not answers[reader].rows then
			return nil
		end
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
		local answers = answers_of(layers)
		if not answers then
			return {}
		end
		local path = dir:file("stack.tar")
		pack.image(path, layers)
		return runtime_views.differences(runtime_views.strata(path), answers)
	end

	-- The merged view of an image after something was done to it, or why it was not done.
	local function view_after(path, act)
		local img = assert(strata.open(path))
		local done, message, code = act(img)
		if not done then
			return nil, message, code
		end
		local out = dir:file("edited.tar")
		assert(img:save(out))
		img:close()
		return runtime_views.strata(out)
	end

	-- What merging some layers changes of what is shown; nothing, but for directories without an entry.
	local function check_edits(_, layers)
		local path = dir:file("stack.tar")
		pack.image(path, layers)
		local view = runtime_views.strata(path)
		if not view.rows then
			return {}
		end
		local lines = {}
		local function look(name, act)
			local after, message, code = view_after(path, act)
			if not after then
				-- Fold also goes by the specification, which goes through symlinks of lower layers, and through loops of them.
				if not (name == "fold" and code == "ELOOP") then
					lines[#lines + 1] = name .. ": " .. message
				end
				return
			end
			for _, line in ipairs(model.differences(view.rows, after.rows)) do
				-- A directory by the name of a whiteout can only be told by what is in it.
				if not line:find("%.wh%.[^/:]*: is missing") then
					lines[#lines + 1] = name .. ": " .. line
				end
			end
		end
		for first = 1, #layers - 1 do
			look("squash from " .. first, function(img)
				return img:squash(first, #layers)
			end)
		end
		look("flatten", function(img)
			return img:flatten()
		end)
		look("fold", function(img)
			return img:fold()
		end)
		return lines
	end

	local from, total = random.first_seed(), count()
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

	it("look the same when layers are merged", function()
		for seed = from, from + total - 1 do
			local layers = runtime_stacks.layers(seed)
			if answers_of(layers) and #check_edits(nil, layers) > 0 then
				local report = shrink.report(dir, layers, check_edits)
				error(("STRATA_SEED=%d STRATA_STACKS=1:\n%s"):format(seed, report), 0)
			end
		end
	end)
end)

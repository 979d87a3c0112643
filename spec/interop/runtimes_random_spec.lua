-- Random stacks of layers, as Docker with overlay2, containerd with overlayfs and podman with overlay show them, entry
-- by entry: mode, owner, time, xattrs, links, devices, content; and whether they refuse them. The model of them
-- (spec.support.runtime_model) has to say the same, so that it can stand for them where they cannot be run; and strata
-- has to show it.
--
-- STRATA_STACKS is the number of stacks, STRATA_SEED the number of the first one: a fresh one each time unless given.

local model = require "spec.support.model"
local pack = require "spec.support.pack"
local runtime_model = require "spec.support.runtime_model"
local runtime_stacks = require "spec.support.runtime_stacks"
local runtime_views = require "spec.support.runtime_views"
local runtimes = require "spec.support.runtimes"
local shrink = require "spec.support.shrink"
local tmp = require "spec.support.tmp"

local BATCH = 20
local DEFAULT_COUNT = 60

local function first_seed()
	return tonumber(os.getenv("STRATA_SEED")) or os.time() % 1000000 * 1000
end

-- What a reader makes of layers, beside what the model says of it.
local function unlike_model(layers, reader, answer)
	local rows, refused = runtime_model.look(layers, reader)
	if rows and answer.rows then
		return model.differences(rows, answer.rows)
	elseif rows then
		return { "refused: " .. answer.refused }
	end
	return answer.rows and { "taken, and not refused: " .. refused } or {}
end

local function is_refused(answers)
	for _, reader in ipairs(runtimes.DEFAULT) do
		if answers[reader].refused then
			return true
		end
	end
	return false
end

-- What strata makes of them, beside what all readers do, when they all take them.
local function unlike_strata(layers, path, answers)
	if runtime_stacks.is_odd(layers) or is_refused(answers) then
		return {}
	end
	return runtime_views.differences(runtime_views.strata(path), answers)
end

local function model_answers(layers)
	local answers = {}
	for _, reader in ipairs(runtimes.DEFAULT) do
		local rows, refused = runtime_model.look(layers, reader)
		answers[reader] = { rows = rows, refused = refused }
	end
	return answers
end

describe("random stacks of layers", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	-- One stack and one reader again, for making it small.
	local function check_model(reader)
		return function(_, layers)
			local path = dir:file("small.tar")
			pack.image(path, layers)
			local answers = runtimes.look_all({ path }, { readers = { reader } })[1]
			return unlike_model(layers, reader, answers[reader])
		end
	end

	-- Strata needs no daemons for that: the model says the same as they do.
	local function check_strata(_, layers)
		local path = dir:file("small.tar")
		pack.image(path, layers)
		return unlike_strata(layers, path, model_answers(layers))
	end

	local function fail(seed, who, layers, check)
		local report = shrink.report(dir, layers, check)
		error(("STRATA_SEED=%d STRATA_STACKS=1: %s\n%s"):format(seed, who, report), 0)
	end

	local function run(from, upto)
		local stacks, paths, doubtful = {}, {}, {}
		for seed = from, upto do
			local i = #stacks + 1
			stacks[i], paths[i] = runtime_stacks.layers(seed), dir:file(i .. ".tar")
			doubtful[i] = is_refused(model_answers(stacks[i]))
			pack.image(paths[i], stacks[i])
		end
		local answers = runtimes.look_all(paths, { readers = runtimes.DEFAULT, doubtful = doubtful })
		for i, layers in ipairs(stacks) do
			for _, reader in ipairs(runtimes.DEFAULT) do
				if #unlike_model(layers, reader, answers[i][reader]) > 0 then
					fail(from + i - 1, "the model of " .. reader, layers, check_model(reader))
				end
			end
			if #unlike_strata(layers, paths[i], answers[i]) > 0 then
				fail(from + i - 1, "strata", layers, check_strata)
			end
		end
	end

	local from, total = first_seed(), tonumber(os.getenv("STRATA_STACKS")) or DEFAULT_COUNT
	for at = 0, total - 1, BATCH do
		local last = math.min(at + BATCH, total)
		local name = ("are to runtimes what the model says, %d to %d of %d from %d"):format(at + 1, last, total, from)
		it(name, function()
			local reason = runtimes.missing()
			if reason then
				pending(reason)
				return
			end
			run(from + at, from + last - 1)
		end)
	end
end)

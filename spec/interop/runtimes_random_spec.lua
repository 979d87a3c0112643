-- Random stacks of layers, as programs show them, entry by entry: mode, owner, time, xattrs, links, devices, content;
-- and whether they refuse them. Docker with overlay2, containerd with overlayfs and podman with overlay unpack each
-- layer for itself; Docker with vfs, podman with vfs and umoci unpack one layer over the other. The model of them
-- (spec.support.runtime_model) has to say the same, so that it can stand for them where they cannot be run; and strata
-- has to show it, by default and by the letter of the specification.
--
-- STRATA_STACKS is the number of stacks of each kind, STRATA_SEED the number of the first one.

local literal_views = require "spec.support.literal_views"
local model = require "spec.support.model"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local runtime_model = require "spec.support.runtime_model"
local runtime_stacks = require "spec.support.runtime_stacks"
local runtime_views = require "spec.support.runtime_views"
local runtimes = require "spec.support.runtimes"
local shrink = require "spec.support.shrink"
local tmp = require "spec.support.tmp"

local BATCH = 20

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
	for _, answer in pairs(answers) do
		if answer.refused then
			return true
		end
	end
	return false
end

local KINDS = {
	{
		name = "by default", readers = runtimes.DEFAULT, made_for = { "docker overlay2" }, count = 20,
		-- What strata makes of them, beside what all readers do, when they all take them.
		unlike_strata = function(_, path, answers)
			if is_refused(answers) then
				return {}
			end
			return runtime_views.differences(runtime_views.strata(path), answers)
		end,
	},
	{
		name = "by the letter", readers = literal_views.READERS, made_for = { "docker vfs", "umoci" }, count = 20,
		unlike_strata = function(layers, path, answers)
			return literal_views.differences(runtime_views.strata(path, "spec"), answers, layers)
		end,
	},
}

local function model_answers(layers, kind)
	local answers = {}
	for _, reader in ipairs(kind.readers) do
		local rows, refused = runtime_model.look(layers, reader)
		answers[reader] = { rows = rows, refused = refused }
	end
	return answers
end

local function unlike_strata(layers, path, answers, kind)
	return runtime_stacks.is_odd(layers) and {} or kind.unlike_strata(layers, path, answers)
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
	local function check_strata(kind)
		return function(_, layers)
			local path = dir:file("small.tar")
			pack.image(path, layers)
			return unlike_strata(layers, path, model_answers(layers, kind), kind)
		end
	end

	local function fail(seed, who, layers, check)
		local report = shrink.report(dir, layers, check)
		error(("STRATA_SEED=%d STRATA_STACKS=1: %s\n%s"):format(seed, who, report), 0)
	end

	local function run(kind, from, upto)
		local stacks, paths, doubtful = {}, {}, {}
		for seed = from, upto do
			local i = #stacks + 1
			stacks[i], paths[i] = runtime_stacks.layers(seed, kind.made_for), dir:file(i .. ".tar")
			doubtful[i] = is_refused(model_answers(stacks[i], kind))
			pack.image(paths[i], stacks[i])
		end
		local answers = runtimes.look_all(paths, { readers = kind.readers, doubtful = doubtful })
		for i, layers in ipairs(stacks) do
			for _, reader in ipairs(kind.readers) do
				if #unlike_model(layers, reader, answers[i][reader]) > 0 then
					fail(from + i - 1, "the model of " .. reader, layers, check_model(reader))
				end
			end
			if #unlike_strata(layers, paths[i], answers[i], kind) > 0 then
				fail(from + i - 1, "strata, " .. kind.name, layers, check_strata(kind))
			end
		end
	end

	for _, kind in ipairs(KINDS) do
		local from, total = random.first_seed(), tonumber(os.getenv("STRATA_STACKS")) or kind.count
		for at = 0, total - 1, BATCH do
			local last = math.min(at + BATCH, total)
			it(("are what the model says, %s, %d to %d of %d from %d"):format(kind.name, at + 1, last, total, from), function()
				local reason = runtimes.missing()
				if reason then
					pending(reason)
					return
				end
				run(kind, from + at, from + last - 1)
			end)
		end
	end
end)

-- Takes seconds: not for make check.
--- What every operation on the layers of an image has to keep: history, diff_ids and config in step, with any history
--- and in any format, and the bytes of layers that it does not concern.

local archive = require "spec.support.archive"
local blobs = require "spec.support.blobs"
local cjson = require "cjson"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local specify = archive.specify(it, pending)

local function file(name, data, more)
	local entry = { name = name, data = data or name }
	for key, value in pairs(more or {}) do
		entry[key] = value
	end
	return entry
end

local function dir(name)
	return { name = name .. "/", type = "dir" }
end

local BASE = {
	{ dir("d"), file("d/a", ("a"):rep(5000)), file("d/b") },
	{ file("d/a", ("a"):rep(5000), { mode = 448 }), file("mid") },
}
local APP = { { dir("d"), file("d/.wh.b", ""), file("c") }, { file("top"), file("secret") } }
local NEW_BASE = { { file("new1") }, { file("new2") } }

local function row(name, empty)
	return { created_by = name, created = "2020-01-01T00:00:00Z", empty_layer = empty }
end

local function rows(count, prefix)
	local list = {}
	for i = 1, count do
		list[i] = row((prefix or "step ") .. i)
	end
	return list
end

-- The history of an image of some layers.
local HISTORIES = {
	normal = rows,
	none = function()
		return {}
	end,
	short = function(count, prefix)
		return rows(math.max(count - 2, 1), prefix)
	end,
	long = function(count, prefix)
		return rows(count > 2 and count + 2 or count, prefix)
	end,
	["empty at both ends"] = function(count, prefix)
		local list = rows(count, prefix)
		table.insert(list, 1, row("FROM nothing", true))
		table.insert(list, count > 2 and 4 or #list + 1, row("ENV base", true))
		if count > 2 then
			list[#list + 1] = row("CMD end", true)
		end
		return list
	end,
}

-- Each operation, the layers that it leaves as they are (from their old numbers to the new ones), how many there
-- are then, and what it makes of them.
local OPERATIONS = {
	squash = {
		function(img, _, opts) return img:squash(2, 3, opts) end,
		keeps = { [1] = 1, [4] = 3 }, actions = "copied added copied", content = { "mid", "c", "top" },
	},
	flatten = {
		function(img, _, opts) return img:flatten(opts) end, keeps = {}, actions = "added", content = { "mid", "c", "top" },
	},
	remove_layer = {
		function(img, _, opts) return img:remove_layer(3, opts) end,
		keeps = { [1] = 1, [2] = 2, [4] = 3 }, actions = "copied copied copied", content = { "mid", "d/b", "top" },
	},
	move_layer = {
		function(img, _, opts) return img:move_layer(4, 3, opts) end,
		keeps = { [1] = 1, [2] = 2, [3] = 4, [4] = 3 }, actions = "copied copied copied copied",
		content = { "mid", "c", "top" },
	},
	purge = {
		function(img, _, opts) return img:purge("secret", opts) end,
		keeps = { [1] = 1, [2] = 2, [3] = 3 }, actions = "copied copied copied rewritten", content = { "mid", "c", "top" },
	},
	rebase = {
		function(img, bases, opts) return img:rebase(bases.old, bases.new, opts) end,
		keeps = { [3] = 3, [4] = 4 }, actions = "added added copied copied", content = { "new1", "c", "top" },
	},
	fold = {
		function(img, _, opts) return img:fold(opts) end,
		keeps = { [3] = 3, [4] = 4 }, actions = "rewritten rewritten copied copied", content = { "mid", "c", "top" },
	},
	export = {
		function(img, bases, opts) return img:export(bases.path, opts) end,
		keeps = { [1] = 1, [2] = 2, [3] = 3, [4] = 4 }, actions = "copied copied copied copied",
		content = { "mid", "c", "top" },
	},
	append = {
		function(img) return img:append({ files = { added = "x" } }) end,
		keeps = { [1] = 1, [2] = 2, [3] = 3, [4] = 4 }, actions = "copied copied copied copied added",
		content = { "mid", "c", "top", "added" },
	},
	prune = {
		function(img)
			img:filter(function(_, layer)
				return layer.position ~= 4
			end)
			return img:prune()
		end,
		keeps = { [1] = 1, [2] = 2, [3] = 3 }, actions = "copied copied copied", content = { "mid", "c" },
	},
}

local count = 0
local home, built = tmp.dir(tmp.for_peers()), {}

-- An archive of these layers, made once.
local function build(stacks, make_history, gzip, prefix)
	local layers = {}
	for _, stack in ipairs(stacks) do
		for _, entries in ipairs(stack) do
			layers[#layers + 1] = { entries = entries, gzip = gzip }
		end
	end
	local history = make_history(#layers, prefix)
	local key = cjson.encode({ layers, history })
	if not built[key] then
		count = count + 1
		built[key] = { path = home:file(count .. ".tar") }
		archive.build(built[key].path, { layers = layers, config = { history = history } })
	end
	return built[key]
end

-- The step that made a layer: rows that made none do not count.
local function step_of(history, number)
	for _, one in ipairs(history) do
		if not one.empty_layer then
			number = number - 1
			if number == 0 then
				return one.created_by
			end
		end
	end
	return nil
end

local function steps_without_layer(history, wanted)
	local found = {}
	for _, one in ipairs(history) do
		if one.empty_layer and wanted(one.created_by) then
			found[#found + 1] = one.created_by
		end
	end
	return found
end

for name, operation in pairs(OPERATIONS) do
	describe(name, function()
		local bench
		before_each(function()
			bench = archive.bench()
		end)
		after_each(function()
			bench:close()
		end)

		-- The image in a format, and the bases of rebase.
		local function prepare(make_history, gzip, format)
			local source = build({ BASE, APP }, make_history, gzip)
			local img, bases = bench:load(source.path), { path = bench.dir:file("export.tar") }
			if name == "rebase" then
				bases.old = bench:load(build({ BASE }, make_history, gzip).path)
				bases.new = bench:load(build({ NEW_BASE }, make_history, gzip, "new ").path)
			end
			source.before = source.before or archive.look(source.path)
			if format ~= "docker" then
				local layout = bench.dir:file("source")
				assert(img:save(layout, { format = format }))
				img = bench:load(layout)
			end
			return img, bases, source.before
		end

		-- What an independent reader finds: id, diff_ids, layers with digest and diff_id, history.
		local function read(path, format)
			if format == "docker" then
				return archive.look(path)
			end
			local found = blobs.look(path)
			assert.same({}, found.problems)
			local image = found.images[1]
			local history = image.config.history
			return {
				id = image.id, layers = image.layers, diff_ids = image.config.rootfs.diff_ids,
				history = type(history) == "table" and history or {}, config = image.config_text,
			}
		end

		local function check_plan(plan, saved, before)
			local actions = {}
			for i, planned in ipairs(plan.layers) do
				actions[i] = planned.action
				assert.equal(saved.layers[i].diff_id, planned.diff_id)
				if planned.digest then
					assert.equal(saved.layers[i].digest, planned.digest)
				end
				if planned.action == "added" then
					assert.is_nil(planned.old_diff_id)
				else
					local known = false
					for _, layer in ipairs(before.layers) do
						known = known or layer.diff_id == planned.old_diff_id
					end
					assert.is_true(known)
					assert.equal(planned.action == "copied", planned.diff_id == planned.old_diff_id)
				end
			end
			assert.equal(operation.actions, table.concat(actions, " "))
			assert.equal(saved.id, plan.id)
		end

		local function check_saved(saved, before)
			local config = cjson.decode(saved.config)
			assert.equal("layers", config.rootfs.type)
			assert.equal(#saved.layers, #saved.diff_ids)
			for i, layer in ipairs(saved.layers) do
				assert.equal(layer.diff_id, saved.diff_ids[i])
			end
			for old, new in pairs(operation.keeps) do
				assert.equal(before.layers[old].digest, saved.layers[new].digest)
				local step = step_of(before.history, old)
				-- Behind a base with a short history, the next step may be its own or the image's.
				if step or name ~= "rebase" then
					assert.equal(step, step_of(saved.history, new))
				end
			end
			-- Steps that made no layer stay, but for those of a base that is replaced.
			local function is_own(step)
				return name ~= "rebase" or step == "CMD end"
			end
			local empty = steps_without_layer(saved.history, is_own)
			local found = {}
			for _, step in ipairs(empty) do
				found[step] = true
			end
			for _, step in ipairs(steps_without_layer(before.history, is_own)) do
				assert.is_true(found[step], step)
			end
			local function without(document)
				document.history, document.rootfs = nil, nil
				return document
			end
			assert.same(without(cjson.decode(before.config)), without(config))
		end

		for kind, make_history in pairs(HISTORIES) do
			for _, gzip in ipairs({ false, true }) do
				for _, format in ipairs({ "docker", "oci" }) do
					local title = ("keeps %s in step, history %s, %s layers"):format(format, kind, gzip and "gzip" or "plain")
					specify(title, function()
						local img, bases, before = prepare(make_history, gzip, format)
						assert(operation[1](img, bases))
						local plan = assert(img:plan())
						local first, second = bench.dir:file("first"), bench.dir:file("second")
						local result = assert(img:save(first))
						assert(img:save(second, { threads = 3 }))
						local saved = read(first, format)
						assert.equal(saved.id, result.id)
						check_plan(plan, saved, before)
						check_saved(saved, before)
						assert.equal("", shell.check({ "diff", "-r", first, second }))
						local again = bench:load(first)
						assert(again:verify())
						local root = assert(again:rootfs())
						for _, path in ipairs(operation.content) do
							assert.is_true(root:exists(path), path)
						end
						assert.equal(name ~= "export", img.edited)
					end)
				end
			end
		end

		specify("is planned for another compression and level as it is saved then", function()
			local img, bases = prepare(rows, true, "docker")
			assert(operation[1](img, bases))
			local ways = { { level = 9 }, { reproducible = true }, { compression = "zstd" }, { compression = "none" } }
			for _, opts in ipairs(ways) do
				local plan = assert(img:plan(opts))
				local path = bench.dir:file("saved")
				local result = assert(img:save(path, opts))
				for i, planned in ipairs(plan.layers) do
					local saved = result.layers[i]
					assert.equal(saved.diff_id, planned.diff_id)
					assert.equal(saved.compression, planned.compression)
					assert.equal(saved.action, planned.action)
					assert.is_true(planned.digest == nil or planned.digest == saved.digest)
					assert.is_number(saved.size)
				end
				assert(bench:load(path):verify())
			end
		end)

		specify("tells its progress to the end, and can be cancelled in it", function()
			local img, bases = prepare(rows, true, "docker")
			local last = {}
			local function progress(done, total, what)
				assert(done <= total)
				last[what] = done == total
			end
			assert(operation[1](img, bases, { progress = progress, threads = 2 }))
			assert(img:save(bench.dir:file("out"), { progress = progress }))
			for what, ended in pairs(last) do
				assert.is_true(ended, what)
			end
			-- Stopped whenever it tells something, it leaves an image that can be worked on.
			local calls = 0
			for stop = 1, 12 do
				local other, others = prepare(rows, true, "docker")
				local id, seen = other.id, 0
				local ok, thrown = pcall(operation[1], other, others, {
					progress = function()
						seen = seen + 1
						if seen == stop then
							error("enough", 0)
						end
					end,
				})
				if ok then
					break
				end
				calls = calls + 1
				assert.equal("enough", thrown)
				assert.is_true(name == "purge" or other.id == id)
				assert(operation[1](other, others))
				assert(other:save(bench.dir:file("after" .. stop)))
				assert(bench:load(bench.dir:file("after" .. stop)):verify())
			end
			assert.is_true(calls > 0 or name == "append" or name == "prune" or name == "rebase")
			-- And a save of it.
			local target = bench.dir:file("stopped")
			assert.has_error(function()
				img:save(target, { compression = "zstd", progress = function() error("stop", 0) end })
			end)
			assert.is_nil(io.open(target))
			assert(img:save(target))
		end)
	end)
end

teardown(function()
	home:remove()
end)

describe("a layer that is moved", function()
	specify("takes its descriptor along", function()
		local bench = archive.bench()
		local layers = require("spec.support.docker_archive").layers(3)
		local made = blobs.new()
		local manifest = made:image({
			layers = layers, more_of_layers = { blobs.annotations("org.example.layer", "one"), nil, ',"x-layer":[3.0]' },
		})
		made:set_root({ blobs.descriptor(manifest, blobs.named("app")) })
		local img = bench:load(made:write_dir(bench.dir:file("layout")))
		assert(img:move_layer(3, 1))
		assert(img:save(bench.dir:file("out")))
		local image = blobs.look(bench.dir:file("out")).images[1]
		assert.same({ 3 }, image.layers[1].descriptor["x-layer"])
		assert.same({ ["org.example.layer"] = "one" }, image.layers[2].annotations)
		assert.same({}, image.layers[3].annotations)
		bench:close()
	end)
end)

-- Takes seconds: not for make check.
local cjson = require "cjson"
local docker = require "spec.support.docker"
local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- `Parent` of manifest.json stayed as it was, whatever became of the history of the image or of its parent: docker
-- load said "is not a valid parent" and ended with status 1.
describe("Parent in manifest.json", function()
	local dir

	setup(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	teardown(function()
		dir:remove()
	end)

	local LAYERS = docker_archive.layers(3)

	-- Generations, the oldest first, each a layer and a row of the history above the one before.
	local function generation(number, more)
		local diff_ids, rows, names = {}, {}, {}
		for i = 1, number do
			diff_ids[i] = "sha256:" .. LAYERS[i].diff_id
			rows[i] = { created = "2024-01-01T00:00:00Z", created_by = "step " .. i }
			names[i] = LAYERS[i].diff_id .. "/layer.tar"
		end
		local config = oci_layout.encode({
			architecture = "amd64",
			os = "linux",
			config = { Env = { "GENERATION=" .. number } },
			rootfs = { type = "layers", diff_ids = oci_layout.list(diff_ids) },
			history = more and more.history or oci_layout.list(rows),
		})
		return { config = config, id = "sha256:" .. docker_archive.sha256(config), names = names, layers = number }
	end

	local TAGS = { "grandparent:1", "parent:1", "child:1" }

	-- An archive of some generations; the number of each is its place in TAGS.
	local function write(numbers, more)
		local archive, items, last = docker_archive.new(), {}, nil
		for _, number in ipairs(numbers) do
			local one = generation(number, more)
			for i = 1, number do
				archive:add(one.names[i], LAYERS[i].tar)
			end
			archive:add(one.id:sub(8) .. ".json", one.config)
			local parent = last and last.id or more and more.parent
			table.insert(items, 1, {
				Config = one.id:sub(8) .. ".json",
				RepoTags = oci_layout.list({ TAGS[number] }),
				Layers = oci_layout.list(one.names),
				[more and more.key or "Parent"] = parent,
			})
			last = one
		end
		archive:add("manifest.json", oci_layout.encode(oci_layout.list(items)))
		return archive:write(dir:file("in.tar"))
	end

	local function text_of(path, name)
		local text = shell.check({ "tar", "-xOf", path, name })
		return text
	end

	-- The parents by name, and whether docker load takes them: its own rule, written down from its source.
	local function parents_in(path)
		local names, found, configs = {}, {}, {}
		for _, item in ipairs(cjson.decode(text_of(path, "manifest.json"))) do
			local text = text_of(path, item.Config)
			local id = "sha256:" .. docker_archive.sha256(text)
			names[id] = item.RepoTags[1]
			configs[id] = cjson.decode(text)
			found[#found + 1] = { id, item.Parent or item.parent }
		end
		local result = {}
		for _, one in ipairs(found) do
			local id, parent = one[1], one[2]
			result[names[id]] = parent and (names[parent] or parent)
			if parent and names[parent] then
				local rows, above = configs[id].history or {}, configs[parent].history or {}
				assert(#rows - #above == 1 or #rows + #above == 0, "docker load refuses the parent of " .. names[id])
				for i, row in ipairs(above) do
					assert.same(row, rows[i])
				end
			end
		end
		if not peers.missing("docker") then
			docker.load(path)
		end
		return result
	end

	local function edit(path, ref, change)
		local img = assert(strata.open(path, { ref = ref }))
		change(img)
		local _, lost = assert(img:save(dir:file("out.tar")))
		return parents_in(dir:file("out.tar")), lost or {}
	end

	local ALL = { ["child:1"] = "parent:1", ["parent:1"] = "grandparent:1" }

	for name, change in pairs({
		["a variable"] = function(img) img.config:set_env("A", "b") end,
		["the last row of its history"] = function(img) assert(img:scrub_history("step 3")) end,
		["its last layer"] = function(img) assert(img.layers[3]:remove("etc/current")) end,
	}) do
		it("stays when the child gets another value of " .. name, function()
			local found, lost = edit(write({ 1, 2, 3 }), "child:1", change)
			assert.same(ALL, found)
			assert.same({}, lost)
		end)
	end

	for name, change in pairs({
		scrub = function(img) assert(img:scrub_history("step 1")) end,
		clear = function(img) img:clear_history() end,
		squash = function(img) assert(img:squash(2, 3)) end,
		["squash of the first layers"] = function(img) assert(img:squash(1, 2)) end,
		flatten = function(img) assert(img:flatten()) end,
		append = function(img) assert(img:append({ files = { x = "X" } })) end,
		remove_layer = function(img) assert(img:remove_layer(3)) end,
		["remove_layer of the first"] = function(img) assert(img:remove_layer(1)) end,
		["drop in a layer of the parent"] = function(img) assert(img.layers[1]:remove("etc/current")) end,
	}) do
		it("goes when the child does not begin with it any more: " .. name, function()
			local found, lost = edit(write({ 1, 2, 3 }), "child:1", change)
			assert.same({ ["parent:1"] = "grandparent:1" }, found)
			assert.equal(1, #lost)
			assert.truthy(lost[1]:find("Parent", 1, true), lost[1])
		end)

		it("goes when the child of a parent elsewhere does not begin with it any more: " .. name, function()
			local elsewhere = { parent = "sha256:" .. ("5"):rep(64) }
			assert.same({}, (edit(write({ 3 }, elsewhere), "child:1", change)))
		end)
	end

	it("stays when the parent is elsewhere and the beginning of the image is as it was", function()
		local parent = "sha256:" .. ("5"):rep(64)
		local found = edit(write({ 3 }, { parent = parent }), "child:1", function(img) img.config:set_env("A", "b") end)
		assert.same({ ["child:1"] = parent }, found)
	end)

	it("follows a parent whose config was edited", function()
		for _, ref in ipairs({ "parent:1", "grandparent:1" }) do
			local found, lost = edit(write({ 1, 2, 3 }), ref, function(img) img.config:set_env("A", "b") end)
			assert.same(ALL, found)
			assert.same({}, lost)
		end
	end)

	it("goes when the history or a layer of the parent was edited", function()
		for _, change in ipairs({
			function(img) img:clear_history() end,
			function(img) assert(img:scrub_history("step 2")) end,
			function(img) assert(img.layers[2]:remove("etc/current")) end,
			function(img) assert(img:append({ files = { x = "X" } })) end,
		}) do
			local found = edit(write({ 1, 2, 3 }), "parent:1", change)
			assert.is_nil(found["child:1"])
		end
	end)

	it("stays where no image has a history", function()
		local none = { history = oci_layout.list() }
		local found = edit(write({ 1, 2, 3 }, none), "child:1", function(img) img.config:set_env("A", "b") end)
		assert.same(ALL, found)
	end)

	it("is found in lower case", function()
		local found = edit(write({ 1, 2, 3 }, { key = "parent" }), "child:1", function(img) img:clear_history() end)
		assert.is_nil(found["child:1"])
	end)

	it("is not touched in an archive that nobody edited", function()
		local path = write({ 3, 1 })
		local img = assert(strata.open(path, { ref = "child:1" }))
		assert(img:save(dir:file("out.tar")))
		assert.equal(shell.read(path), shell.read(dir:file("out.tar")))
	end)
end)

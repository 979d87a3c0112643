-- Takes seconds: not for make check.
-- Two of three images of an archive were edited, and the archive that was saved had two images: the third was gone,
-- and nothing was said. An archive of Docker 1.10 also became one of the format "docker".

local archive_check = require "spec.support.archive_check"
local blobs = require "spec.support.blobs"
local cjson = require "cjson"
local collect = require "spec.support.collect"
local dialects = require "spec.support.docker_dialects"
local docker_archive = require "spec.support.docker_archive"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = docker_archive.layers(5)

--- Three images: what they share, from nothing to all layers.
local STACKS = {
	["nothing in common"] = { { 1 }, { 2, 3 }, { 4, 5 } },
	["a common base"] = { { 1, 2 }, { 1, 3 }, { 1, 4 } },
	["the same layers"] = { { 1, 2 }, { 1, 2 }, { 1, 2 } },
	["the edited layer in the third one alone"] = { { 1, 2 }, { 3, 2 }, { 2 } },
}

local REFS = { "one:1", "two:1", "three:1" }

local function image(number, stack)
	local layers = {}
	for i, which in ipairs(stack) do
		layers[i] = LAYERS[which]
	end
	return docker_archive.image({ layers = layers, tags = { REFS[number] }, name = "image " .. number })
end

local function three(stacks)
	return image(1, stacks[1]), image(2, stacks[2]), image(3, stacks[3])
end

-- By name: the members of an archive as GNU tar gives them.
local function members_of(path)
	local dir = tmp.dir()
	shell.check({ "tar", "--extract", "--file=" .. path, "--directory=" .. dir.path, "--delay-directory-restore" })
	local members = {}
	for name in shell.sh('cd "$1"; find . ! -type d -printf "%P\\n"', dir.path):gmatch("[^\n]+") do
		members[name] = shell.read(dir.path .. "/" .. name)
	end
	dir:remove()
	return members
end

local EDITS = {
	config = function(img)
		img.config:set_env("EDITED", img.tags[1])
	end,
	["a layer, each in its own way"] = function(img)
		local last = img.layers[#img.layers]
		last:rewrite(function(entry)
			entry.mtime = #img.tags[1]
		end)
	end,
	["a layer, both alike"] = function(img)
		img.layers[#img.layers]:rewrite(function(entry)
			entry.mtime = 5
		end)
	end,
	["the list of layers"] = function(img)
		assert(img:append({ files = { ["added"] = "the same" } }))
	end,
	["a name"] = function(img)
		img.tags = { "new-" .. img.tags[1] }
	end,
}

local function sorted(names)
	local list = {}
	for name in pairs(names) do
		list[#list + 1] = name
	end
	table.sort(list)
	return list
end

-- Two of the edits, others each time, so that each dialect and each stack meets all of them; with STRATA_ALL=1 all.
local times = 0
local function some_edits()
	local names, some = sorted(EDITS), {}
	for i = 1, os.getenv("STRATA_ALL") == "1" and #names or 2 do
		some[i] = names[(2 * times + i) % #names + 1]
	end
	times = times + 1
	return some
end

local WAYS = {
	["index:save"] = function(path, target, edit)
		local index = assert(strata.open_index(path))
		for i, img in ipairs(collect(index:images())) do
			if i < 3 then
				edit(img)
			end
		end
		local saved, lost = index:save(target)
		assert(saved, lost)
		return saved, lost
	end,
	["strata.save"] = function(path, target, edit)
		local images = {}
		for img in assert(strata.images(path)) do
			if #images < 2 then
				images[#images + 1] = img
			end
		end
		for _, img in ipairs(images) do
			edit(img)
		end
		local saved, lost = strata.save(images, target)
		assert(saved, lost)
		return saved, lost
	end,
	["strata.save, opened one by one"] = function(path, target, edit)
		local images = {}
		for i = 1, 2 do
			images[i] = assert(strata.open(path, { ref = REFS[i] }))
			edit(images[i])
		end
		local saved, lost = strata.save(images, target)
		assert(saved, lost)
		return saved, lost
	end,
}

local function by_tag(checked)
	local found = {}
	for _, one in ipairs(checked.images) do
		for _, tag in ipairs(one.tags) do
			found[tag] = one
		end
	end
	return found
end

-- The members of the third image, by its item in manifest.json.
local function needs(path, ref)
	local text = shell.check({ "tar", "-xOf", path, "--wildcards", "*manifest.json" })
	for _, item in ipairs(cjson.decode(text)) do
		if item.RepoTags[1] == ref then
			local names = { (item.Config:gsub("^%./", "")) }
			for _, name in ipairs(item.Layers) do
				names[#names + 1] = name:gsub("^/", ""):gsub("^%./", "")
			end
			return names
		end
	end
end

describe("the third image of an archive", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	-- Every dialect with every stack, each time with other edits, by one way or the other.
	local turn = 0
	for _, dialect in ipairs(dialects.names()) do
		for _, shared in ipairs(dialect ~= "jib" and sorted(STACKS) or {}) do -- jib's holds one image
			local edits = some_edits()
			it(("stays as it is: %s, %s"):format(dialect, shared), function()
				local path = dialects.of[dialect](three(STACKS[shared])):write(dir:file("in.tar"))
				local before, made = members_of(path), image(3, STACKS[shared][3])
				for _, what in ipairs(edits) do
					turn = turn + 1
					local way = sorted(WAYS)[turn % 3 + 1]
					local where = what .. ", " .. way
					local target = dir:file("out.tar")
					local saved, lost = WAYS[way](path, target, EDITS[what])
					assert.is_nil(lost, where)
					assert.equal("docker", saved.format)
					local checked = archive_check.read(target)
					assert.same({}, checked.problems, where)
					assert.equal(3, #checked.images, where)
					assert.equal("sha256:" .. made.id, by_tag(checked)["three:1"].id, where)
					local after = members_of(target)
					for _, name in ipairs(needs(path, "three:1")) do
						assert.equal(before[name], after[name], name)
					end
					for i, one in ipairs(saved.images) do
						assert.equal(one.id, checked.images[i].id, where)
					end
					for img in assert(strata.images(target)) do
						assert.is_true(img:verify())
						img:close()
					end
				end
			end)
		end
	end

	for way, save in pairs(WAYS) do
		it("is where it was when the archive becomes itself: " .. way, function()
			local path = dialects.of.docker_1_10(three(STACKS["a common base"])):write(dir:file("in.tar"))
			save(path, path, EDITS.config)
			local checked = archive_check.read(path)
			assert.same({}, checked.problems)
			assert.same({ "one:1" }, checked.images[1].tags)
			assert.same({ "three:1" }, checked.images[3].tags)
		end)

		it("and the others are copied byte for byte when nothing was edited: " .. way, function()
			for _, dialect in ipairs({ "docker_1_10", "docker_25", "docker_29", "podman" }) do
				local path = dialects.of[dialect](three(STACKS["a common base"])):write(dir:file("in.tar"))
				shell.check({ "gzip", "-nkf", path })
				for _, from in ipairs({ path, path .. ".gz" }) do
					save(from, dir:file("out.tar"), function() end)
					shell.check({ "cmp", from, dir:file("out.tar") })
				end
			end
		end)
	end

	it("is verified, too, whether the others are edited or not", function()
		for _, dialect in ipairs(dialects.names()) do
			local made = dialect ~= "jib" and dialects.of[dialect](three(STACKS["nothing in common"]))
			for _, edit in ipairs(made and { EDITS.config, function() end } or {}) do
				for _, member in ipairs(made.members) do
					if member.data == LAYERS[5].tar or member.data == LAYERS[5].gz then
						member.data = member.data:gsub("^" .. ("."):rep(20), ("x"):rep(20))
						if dialect == "kaniko" then -- the digest of the compressed bytes is in no document
							member.data = docker_archive.gzip(LAYERS[4].tar)
						end
					end
				end
				local path = made:write(dir:file("in.tar"))
				local index = assert(strata.open_index(path))
				local images = collect(index:images())
				edit(images[1])
				edit(images[2])
				local saved, message, code = index:save(dir:file("out.tar"))
				assert.is_nil(saved, dialect)
				assert.truthy(code == "EDIGEST" or code == "EFORMAT", dialect .. ": " .. tostring(message))
				assert.is_nil((io.open(dir:file("out.tar"))))
				index:close()
			end
		end
	end)
end)

describe("one of two images of one config, each with its own name", function()
	local dir, made

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		made = docker_archive.image({ layers = { LAYERS[1], LAYERS[2] }, tags = { "one:1" } })
	end)

	after_each(function()
		dir:remove()
	end)

	for _, dialect in ipairs({ "docker_1_10", "docker_25", "docker_29", "regctl", "podman", "rules_oci" }) do
		it("is edited, and the other one stays: " .. dialect, function()
			local other = docker_archive.image({ layers = made.layers, tags = { "two:1" } })
			assert.equal(made.id, other.id)
			for _, ref in ipairs({ "one:1", "two:1" }) do
				for _, what in ipairs(some_edits()) do
					local path = dialects.of[dialect](made, other):write(dir:file("in.tar"))
					local img = assert(strata.open(path, { ref = ref }))
					EDITS[what](img)
					local saved, lost = img:save(dir:file("out.tar"))
					assert(saved, lost)
					assert.is_nil(lost)
					assert.same({}, archive_check.read(dir:file("out.tar")).problems)
					local stays = ref == "one:1" and "two:1" or "one:1"
					for _, prefer in ipairs({ false, "docker", "oci" }) do
						local wanted = what == "a name" and "new-" .. ref or ref
						local opts = { prefer = prefer or nil, ref = stays }
						assert.equal("sha256:" .. made.id, assert(strata.open(dir:file("out.tar"), opts)).id, what)
						opts.ref = wanted
						local again = assert(strata.open(dir:file("out.tar"), opts))
						assert.equal(saved.id, again.id, what)
						assert.is_true(again:verify())
						assert.same({ wanted }, dialect == "docker_1_10" and again.tags or { wanted })
					end
					img:close()
				end
			end
		end)
	end
end)

describe("images of an archive whose lists differ", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	-- Docker 25's archive of the images, of which manifest.json lists only some.
	local function write(images, listed)
		local whole = dialects.of.docker_25((table.unpack or unpack)(images))
		whole:member("manifest.json").data = dialects.of.docker_25((table.unpack or unpack)(listed))
			:member("manifest.json").data
		return whole:write(dir:file("in.tar"))
	end

	for _, shared in ipairs(sorted(STACKS)) do
		it("are edited together, and what one list alone leads to stays: " .. shared, function()
			local one, two, three_ = three(STACKS[shared])
			for _, listed in ipairs({ { one }, { two }, { three_ } }) do
				for _, what in ipairs(some_edits()) do
					local path = write({ one, two, three_ }, listed)
					local index = assert(strata.open_index(path))
					local count = 0
					for _, img in ipairs(collect(index:images())) do
						if img.tags[1] ~= "three:1" then
							EDITS[what](img)
							count = count + 1
						end
					end
					assert.equal(2, count)
					local saved, lost = index:save(dir:file("out.tar"))
					assert(saved, lost)
					assert.is_nil(lost)
					local found = blobs.look(dir:file("out.tar"))
					assert.same({}, found.problems)
					assert.equal(3, #found.images, what)
					local ids = {}
					for _, found_one in ipairs(found.images) do
						ids[found_one.id] = true
					end
					assert.is_true(ids["sha256:" .. three_.id])
					local checked = archive_check.read(dir:file("out.tar"))
					for _, problem in ipairs(checked.problems) do
						assert.truthy(problem:find("index.json", 1, true) or problem:find("repositories", 1, true), problem)
					end
					assert.equal(1, #checked.images)
					for img in assert(strata.images(dir:file("out.tar"))) do
						assert.is_true(img:verify())
						img:close()
					end
					index:close()
				end
			end
		end)
	end
end)

describe("names of images in one archive", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	for _, dialect in ipairs({ "docker_1_10", "docker_25", "docker_29", "podman" }) do
		it("are exchanged: " .. dialect, function()
			local one, two, other = three(STACKS["a common base"])
			local path = dialects.of[dialect](one, two, other):write(dir:file("in.tar"))
			local index = assert(strata.open_index(path))
			local images = collect(index:images())
			images[1].tags, images[2].tags = { "two:1" }, { "one:1" }
			local saved, lost = index:save(dir:file("out.tar"))
			assert(saved, lost)
			assert.is_nil(lost)
			local checked = archive_check.read(dir:file("out.tar"))
			assert.same({}, checked.problems)
			assert.equal("sha256:" .. one.id, by_tag(checked)["two:1"].id)
			assert.equal("sha256:" .. two.id, by_tag(checked)["one:1"].id)
			for ref, made in pairs({ ["two:1"] = one, ["one:1"] = two, ["three:1"] = other }) do
				for _, prefer in ipairs({ false, "docker", "oci" }) do
					local img = assert(strata.open(dir:file("out.tar"), { ref = ref, prefer = prefer or nil }))
					assert.equal("sha256:" .. made.id, img.id)
				end
			end
		end)

		it("go from an image that is not edited to the one that gets them, and that is told: " .. dialect, function()
			local one, two, other = three(STACKS["a common base"])
			local path = dialects.of[dialect](one, two, other):write(dir:file("in.tar"))
			local img = assert(strata.open(path, { ref = "one:1" }))
			local saved, lost = img:tag("three:1"):save(dir:file("out.tar"))
			assert(saved, lost)
			assert.equal(1, #lost)
			assert.truthy(lost[1]:find("three:1", 1, true), lost[1])
			local checked = archive_check.read(dir:file("out.tar"))
			assert.same({}, checked.problems)
			assert.equal(3, #checked.images)
			assert.same({}, checked.images[3].tags)
			for _, prefer in ipairs({ false, "docker", "oci" }) do
				local found = assert(strata.open(dir:file("out.tar"), { ref = "three:1", prefer = prefer or nil }))
				assert.equal("sha256:" .. one.id, found.id)
			end
		end)

		it("cannot become those of two: " .. dialect, function()
			local path = dialects.of[dialect](three(STACKS["a common base"])):write(dir:file("in.tar"))
			local index = assert(strata.open_index(path))
			local images = collect(index:images())
			images[1].tags, images[2].tags = { "x:1" }, { "x:1" }
			local saved, message, code = index:save(dir:file("out.tar"))
			assert.is_nil(saved)
			assert.equal("EINVAL", code)
			assert.truthy(message:find("x:1", 1, true), message)
			assert.is_nil((io.open(dir:file("out.tar"))))
			assert.error_matches(function()
				strata.save({ images[1], images[2] }, dir:file("out.tar"))
			end, "images 1 and 2 have the same name x:1")
		end)
	end
end)

describe("the third image of a layout", function()
	it("stays when the other two are opened one by one, edited and saved together", function()
		local dir = tmp.dir(tmp.for_peers())
		for way, write in pairs({ write_dir = "in", write_archive = "in.tar" }) do
			local layout, descriptors = blobs.new(), {}
			for i, ref in ipairs(REFS) do
				local made = layout:image({ layers = { LAYERS[1], LAYERS[i + 1] }, name = "image " .. i })
				descriptors[i] = blobs.descriptor(made, blobs.named(ref))
			end
			local path = layout:set_root(descriptors)[way](layout, dir:file(write))
			for _, target in ipairs({ dir:file("out-" .. write), path }) do
				local images = {}
				for i = 1, 2 do
					images[i] = assert(strata.open(path, { ref = REFS[i] }))
					images[i].config:set_env("EDITED", "yes")
				end
				local saved, lost = strata.save(images, target)
				assert(saved, lost)
				assert.is_nil(lost)
				local found = blobs.look(target)
				assert.same({}, found.problems)
				assert.equal(3, #found.images)
				assert.equal(descriptors[3], found.root:match("(%b{})%],\n \"schemaVersion"))
				for i = 1, 2 do
					assert.equal(saved.images[i].digest, found.by_name[REFS[i]].digest)
				end
			end
		end
		dir:remove()
	end)
end)

describe("an archive of Docker before 1.10", function()
	it("is only read: nothing of it is written without a format, whether one or more are edited", function()
		local dir = tmp.dir(tmp.for_peers())
		local members = docker_archive.new()
		for i, name in ipairs({ "aa", "bb" }) do
			local id = name:rep(32)
			members:add(id .. "/", nil, { type = "dir" }):add(id .. "/VERSION", "1.0")
			members:add(id .. "/json", ('{"id":"%s","architecture":"amd64","os":"linux","config":{}}'):format(id))
			members:add(id .. "/layer.tar", LAYERS[i].tar)
		end
		members:add("repositories", ('{"one":{"1":"%s"},"two":{"1":"%s"}}'):format(("aa"):rep(32), ("bb"):rep(32)))
		local path = members:write(dir:file("in.tar"))
		for count = 0, 2 do
			local index = assert(strata.open_index(path))
			for i, img in ipairs(collect(index:images())) do
				if i <= count then
					img.config:set_env("A", "b")
				end
			end
			local saved, message, code = index:save(dir:file("out.tar"))
			if count == 0 then
				assert(saved, message)
				shell.check({ "cmp", path, dir:file("out.tar") })
				os.remove(dir:file("out.tar"))
			else
				assert.equal("EUNSUPPORTED", code)
				assert.is_nil((io.open(dir:file("out.tar"))))
				assert(index:save(dir:file("out.tar"), { format = "docker" }))
				assert.equal(2, #archive_check.read(dir:file("out.tar")).images)
				os.remove(dir:file("out.tar"))
			end
			index:close()
		end
		dir:remove()
	end)
end)

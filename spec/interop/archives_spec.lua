-- Archives as the peers write them: several images in one file, layers that are symlinks, repeated and
-- empty layers, the archives of skopeo and podman.

local strata = require "strata"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local made_once = require("spec.support.once").get
local need = peers.need

local REMOVE = 'RUN ["/bin/busybox", "rm", "/same"]'

--- busybox, and one layer that stands in the image twice: docker writes the second as a symlink.
local function twice()
	return sample.small("twice", { "COPY same /same", REMOVE, "COPY same /same", 'CMD ["/bin/busybox", "cat", "/same"]' })
end

local function once()
	return sample.small("once", { "COPY same /other", "ENV ONE=1", 'CMD ["/bin/busybox", "cat", "/other"]' })
end

describe("an archive of two images", function()
	local dir, first, second, path

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- Docker saves it for the first spec, the others have copies.
	local function saved()
		return made_once("archive of two images", function()
			local kept = tmp.dir()
			docker.forget()
			docker.call({ "load", "--input", first.archive })
			docker.call({ "load", "--input", second.archive })
			docker.save(kept:file("both.tar"), "twice:1", "once:1")
			return kept
		end, function(kept)
			kept:remove()
		end):file("both.tar")
	end

	local function both()
		need("docker")
		first, second = twice(), once()
		path = dir:file("both.tar")
		shell.check({ "cp", saved(), path })
	end

	it("is ambiguous, and the choices are listed", function()
		both()
		local img, message, code = strata.open(path)
		assert.is_nil(img)
		assert.equal("EAMBIGUOUS", code)
		assert.is_truthy(message:find("twice:1", 1, true))
		assert.is_truthy(message:find("once:1", 1, true))
	end)

	it("gives each image by its reference", function()
		both()
		for reference, image in pairs({ ["twice:1"] = first, ["once:1"] = second }) do
			local img = assert(strata.open(path, { ref = reference }))
			assert.equal(image.id, img.id)
			assert.same({ reference }, img.tags)
			assert.is_true(assert(img:verify()))
			img:close()
		end
	end)

	it("has no image of another name", function()
		both()
		local img, message, code = strata.open(path, { ref = "third:1" })
		assert.is_nil(img)
		assert.equal("ENOENT", code)
		assert.is_truthy(message:find("third:1", 1, true))
	end)

	it("gives all images in turn", function()
		both()
		local ids = {}
		for img in assert(strata.images(path)) do
			ids[img.tags[1]] = img.id
			img:close()
		end
		assert.same({ ["twice:1"] = first.id, ["once:1"] = second.id }, ids)
	end)

	it("is the same file when one image of it is saved unedited", function()
		both()
		local img = assert(strata.open(path, { ref = "once:1" }))
		assert(img:save(dir:file("copy.tar")))
		img:close()
		assert.is_true(shell.same(path, dir:file("copy.tar")))
	end)

	it("keeps the other image when one is edited", function()
		both()
		local img = assert(strata.open(path, { ref = "once:1" }))
		img.config:set_env("ONE", "2")
		for _, layer in ipairs(img.layers) do
			layer:rewrite(function(entry)
				if entry.path == "other" then
					entry:replace("edited\n")
				end
			end)
		end
		local result = assert(img:save(path))
		img:close()
		local loaded = docker.load(path)
		table.sort(loaded)
		assert.same({ "once:1", "twice:1" }, loaded)
		assert.equal(first.id, docker.id("twice:1"))
		assert.equal(result.id, docker.id("once:1"))
		assert.not_equal(second.id, result.id)
		assert.equal("edited\n", docker.run("once:1"))
		assert.equal("same\n", docker.run("twice:1"))
	end)
end)

describe("an image with one layer twice", function()
	local dir, app, img, target

	before_each(function()
		dir = tmp.dir()
		target = dir:file("edited.tar")
	end)

	after_each(function()
		if img then
			img:close()
			img = nil
		end
		dir:remove()
	end)

	local function open()
		need("docker")
		app = twice()
		img = assert(strata.open(app.archive))
	end

	local function symlinks(archive)
		local count = 0
		for _, entry in ipairs(tarlist.entries(archive)) do
			count = count + (entry.type == "symlink" and 1 or 0)
		end
		return count
	end

	it("has both, with the same diff_id and content", function()
		open()
		assert.equal(1, symlinks(app.archive)) -- what this is about
		assert.equal(4, #img.layers)
		assert.equal(img.layers[2].diff_id, img.layers[4].diff_id)
		assert.equal(app.inspect.RootFS.Layers[4], img.layers[4].diff_id)
		assert.not_equal(img.layers[2].chain_id, img.layers[4].chain_id)
		assert.equal(img.layers[2].size, img.layers[4].size)
		assert.equal("same\n", img.layers[2]:read("same"))
		assert.equal("same\n", img.layers[4]:read("same"))
		assert.is_true(assert(img:verify()))
	end)

	it("is the same file when saved unedited", function()
		open()
		assert(img:save(target))
		assert.is_true(shell.same(app.archive, target))
	end)

	it("is loaded with the announced ID when only the config is edited", function()
		open()
		img.config:set_label("a", "b")
		local result = assert(img:save(target))
		assert.same({ "twice:1" }, docker.load(target))
		assert.equal(result.id, docker.id("twice:1"))
		assert.equal("same\n", docker.run("twice:1"))
	end)

	for _, index in ipairs({ 2, 4 }) do
		it("keeps the other occurrence when layer " .. index .. " is edited", function()
			open()
			img.layers[index]:entry("same"):replace("edited\n")
			local result = assert(img:save(target))
			assert.same({ "twice:1" }, docker.load(target))
			assert.equal(result.id, docker.id("twice:1"))
			local layers = docker.inspect("twice:1").RootFS.Layers
			for i, diff_id in ipairs(layers) do
				assert.equal(i ~= index, diff_id == app.inspect.RootFS.Layers[i])
				assert.equal(result.layers[i].diff_id, diff_id)
			end
			assert.equal(index == 4 and "edited\n" or "same\n", docker.run("twice:1"))
		end)
	end

	it("can have both edited alike", function()
		open()
		img:rewrite(function(entry)
			if entry.path == "same" then
				entry:replace("edited\n")
			end
		end)
		local result = assert(img:save(target))
		assert.same({ "twice:1" }, docker.load(target))
		assert.equal(result.id, docker.id("twice:1"))
		assert.equal("edited\n", docker.run("twice:1"))
	end)

	it("is read from podman's archive, which names one file twice, and edited", function()
		open()
		need("podman")
		img:close()
		podman.load(app.archive)
		local path = dir:file("podman.tar")
		podman.save(path, "localhost/twice:1")
		img = assert(strata.open(path))
		assert.equal(app.id, img.id)
		assert.equal(img.layers[2].diff_id, img.layers[4].diff_id)
		img.layers[2]:entry("same"):replace("edited\n")
		local result = assert(img:save(target))
		docker.load(target)
		assert.equal(result.id, docker.id("localhost/twice:1"))
		assert.equal("same\n", docker.run("localhost/twice:1"))
	end)
end)

describe("an archive that another tool wrote", function()
	local dir, app, target

	before_each(function()
		dir = tmp.dir()
		target = dir:file("edited.tar")
	end)

	after_each(function()
		dir:remove()
	end)

	local WRITERS = {
		{
			name = "skopeo",
			needs = { "docker", "skopeo" },
			tag = "docker.io/library/app:1",
			loaded = "app:1",
			write = function(path)
				skopeo.copy("docker-archive:" .. app.archive, "docker-archive:" .. path .. ":app:1")
			end,
		},
		{
			name = "podman",
			needs = { "docker", "podman" },
			tag = "localhost/app:1",
			loaded = "localhost/app:1",
			write = function(path)
				podman.load(app.archive)
				podman.save(path, "localhost/app:1")
			end,
		},
	}

	for _, writer in ipairs(WRITERS) do
		local function open()
			need((table.unpack or unpack)(writer.needs))
			app = sample.app()
			local path = dir:file("source.tar")
			writer.write(path)
			return assert(strata.open(path)), path
		end

		it("is read: " .. writer.name, function()
			local img = open()
			assert.equal(app.id, img.id)
			assert.same({ writer.tag }, img.tags)
			assert.same(app.inspect.RootFS.Layers, img:inspect().RootFS.Layers)
			assert.equal("very long\n", img.layers[1]:read(sample.very_long_path))
			assert.is_true(assert(img:verify()))
			img:close()
		end)

		it("is the same file when saved unedited: " .. writer.name, function()
			local img, path = open()
			assert(img:save(target))
			img:close()
			assert.is_true(shell.same(path, target))
		end)

		it("is loaded by docker after surgery: " .. writer.name, function()
			local img = open()
			img:filter(function(entry)
				return entry.path ~= "opt/numbers"
			end)
			img.config:set_env("GREETING", "goodbye")
			local result = assert(img:save(target))
			img:close()
			assert.same({ writer.loaded }, docker.load(target))
			assert.equal(result.id, docker.id(writer.loaded))
			assert.equal("goodbye from 1000\n", docker.run(writer.loaded))
			local found = sample.listing(writer.loaded)
			assert.is_nil(found["opt/numbers"])
			found["opt/numbers"] = app.listing["opt/numbers"]
			assert.same({}, sample.differences(app.listing, found))
		end)

		it("is read again by its writer's library after surgery: " .. writer.name, function()
			local img = open()
			need("skopeo")
			assert(img.layers[1]:remove("opt/numbers"))
			local result = assert(img:save(target))
			img:close()
			skopeo.copy("docker-archive:" .. target, "dir:" .. dir:file("copy"))
			local manifest = require("cjson").decode(shell.read(dir:file("copy/manifest.json")))
			assert.equal(result.id, manifest.config.digest)
		end)
	end

	it("may be gzipped as a whole, and is then saved so", function()
		need("docker")
		app = sample.app()
		local path = dir:file("app.tar.gz")
		shell.sh('gzip -c "$1" >"$2"', app.archive, path)
		local img = assert(strata.open(path))
		assert.equal(app.id, img.id)
		assert.is_true(assert(img:verify()))
		assert(img:save(target))
		assert.is_true(shell.same(path, target))
		img.config:set_label("a", "b")
		local result = assert(img:save(target))
		img:close()
		assert.equal("\31\139", shell.read(target):sub(1, 2))
		assert.same({ "app:1" }, docker.load(target))
		assert.equal(result.id, docker.id("app:1"))
	end)

	it("may have its members in any order", function()
		need("docker")
		app = sample.app()
		shell.check({ "tar", "--extract", "--file=" .. app.archive, "--directory=" .. dir.path })
		local names = tarlist.names(app.archive)
		local reversed = {}
		for i = #names, 1, -1 do
			if not names[i]:find("/$") then
				reversed[#reversed + 1] = "./" .. names[i]
			end
		end
		local path = dir:file("reversed.tar")
		shell.check({
			"tar",
			"--create",
			"--file=" .. path,
			"--directory=" .. dir.path,
			"--no-recursion",
			(table.unpack or unpack)(reversed),
		})
		local img = assert(strata.open(path))
		assert.equal(app.id, img.id)
		assert.is_true(assert(img:verify()))
		assert(img.layers[1]:remove("opt/numbers"))
		local result = assert(img:save(target))
		img:close()
		docker.load(target)
		assert.equal(result.id, docker.id("app:1"))
	end)
end)

-- Images for two platforms that were saved together under one name became two descriptors of that name, and every other
-- tool took the first of them. One image given twice was listed twice.

local archive_check = require "spec.support.archive_check"
local cjson = require "cjson"
local blobs = require "spec.support.blobs"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local NAME, REF_NAME = oci_layout.NAME, oci_layout.REF_NAME

describe("images that are saved together", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function new(platform, tags, content)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { ["platform"] = content or platform } }))
		img.tags = tags or { "app:1" }
		return img
	end

	-- The names of the root's descriptors, in order, and what they lead to: "index of linux/amd64 linux/arm64".
	local function described(path)
		local found = blobs.look(path)
		assert.same({}, found.problems)
		local list = {}
		for i, descriptor in ipairs(found.index.manifests) do
			local names = descriptor.annotations or {}
			local text = found.nested[descriptor.digest]
			local platforms = {}
			for k, child in ipairs(text and cjson.decode(text).manifests or { descriptor }) do
				platforms[k] = table.concat({ child.platform.os, child.platform.architecture, child.platform.variant }, "/")
				assert.is_true(not text or child.annotations == nil)
			end
			list[i] = ("%s %s: %s%s"):format(tostring(names[NAME]), tostring(names[REF_NAME]), text and "index of " or "",
				table.concat(platforms, " "))
		end
		for digest in pairs(found.blobs) do
			assert.is_true(found.reached[digest], digest)
		end
		return list, found
	end

	for _, format in ipairs({ "oci", "oci-archive" }) do
		local function save(images, more)
			local target = dir:file("out")
			local saved, lost = strata.save(images, target, { format = format, compression = more })
			assert(saved, lost)
			assert.is_nil(lost)
			return saved, described(target)
		end

		it("under one name are an index of that name: " .. format, function()
			local images = { new("linux/amd64"), new("linux/arm64"), new("linux/arm/v7") }
			local saved, list, found = save(images)
			assert.same({ "docker.io/library/app:1 1: index of linux/amd64 linux/arm64 linux/arm/v7" }, list)
			for i, img in ipairs(images) do
				assert.equal(img.id, saved.images[i].id)
				assert.equal(img.id, found.images[i].id)
				assert.equal(saved.images[i].digest, found.images[i].digest)
				local again = assert(strata.open(dir:file("out"), { ref = "app:1", platform = tostring(img.platform) }))
				assert.equal(img.id, again.id)
				assert.same({ "app:1" }, again.tags)
				assert.equal(3, again.index.count)
			end
		end)

		it("under several names are one index, however the names are spelt: " .. format, function()
			local _, list = save({
				new("linux/amd64", { "app:1", "app" }),
				new("linux/arm64", { "docker.io/library/app:latest", "app:1" }),
			})
			assert.same({
				"docker.io/library/app:1 1: index of linux/amd64 linux/arm64",
				"docker.io/library/app:latest latest: index of linux/amd64 linux/arm64",
			}, list)
		end)

		it("keep the names that only one of them has: " .. format, function()
			local _, list = save({
				new("linux/amd64", { "app:1", "amd:1" }),
				new("linux/arm64", { "app:1", "both:1" }),
				new("linux/s390x", { "both:1" }),
				new("linux/ppc64le", {}),
			})
			assert.same({
				"docker.io/library/amd:1 1: linux/amd64",
				"docker.io/library/app:1 1: index of linux/amd64 linux/arm64",
				"docker.io/library/both:1 1: index of linux/arm64 linux/s390x",
				"nil nil: linux/ppc64le",
			}, list)
		end)

		it("are told apart by variants and versions, if that is all that differs: " .. format, function()
			local one, other = new("windows/amd64"), new("windows/amd64", nil, "newer")
			one.config["os.version"], other.config["os.version"] = "10.0.1", "10.0.2"
			local _, list, found = save({ one, other, new("linux/arm/v6"), new("linux/arm/v7") })
			assert.same({ "docker.io/library/app:1 1: index of windows/amd64 windows/amd64 linux/arm/v6 linux/arm/v7" }, list)
			for _, text in pairs(found.nested) do
				assert.equal("10.0.2", cjson.decode(text).manifests[2].platform["os.version"])
			end
		end)

		it("cannot have one name for one platform: " .. format, function()
			for _, pair in ipairs({
				{ new("linux/amd64"), new("linux/amd64", nil, "other") },
				{ new("linux/arm64"), new("linux/arm64/v8", { "docker.io/library/app:1" }) },
				{ new("linux/amd64", { "a:1", "app:1" }), new("linux/amd64", { "app:1" }) },
			}) do
				local line
				local function call()
					line = debug.getinfo(1, "l").currentline + 1
					local _ = strata.save(pair, dir:file("out"), { format = format })
				end
				local ok, message = pcall(call)
				assert.is_false(ok)
				assert.matches("101%-one.*:" .. line .. ": save: images 1 and 2 have the same name .*app:1, and are both for ",
					message)
			end
			assert.equal(2, shell.run({ "ls", dir:file("out") }).status)
		end)

		it("make way for one another in a layout that exists, and for nothing else: " .. format, function()
			if format ~= "oci" then
				return
			end
			save({ new("linux/amd64"), new("linux/arm64"), new("linux/amd64", { "other:1" }, "other") })
			local saved, lost = strata.save({ new("linux/s390x"), new("linux/amd64") }, dir:file("out"), { format = "oci" })
			assert(saved, lost)
			local names = {}
			for i, descriptor in ipairs(blobs.look(dir:file("out")).index.manifests) do
				names[i] = descriptor.annotations[NAME]
			end
			assert.same({ "docker.io/library/other:1", "docker.io/library/app:1" }, names)
			assert.equal("linux/s390x", tostring(assert(strata.open(dir:file("out"), { platform = "linux/s390x" })).platform))
		end)
	end

	it("cannot have one name in an archive for docker", function()
		for _, opts in ipairs({ { format = "docker" }, { format = "docker-legacy" }, {} }) do
			assert.error_matches(function()
				local _ = strata.save({ new("linux/amd64"), new("linux/arm64") }, dir:file("out"), opts)
			end, "images 1 and 2 have the same name app:1, which is that of one image in a docker archive")
		end
		assert.is_nil((io.open(dir:file("out"))))
	end)

	it("cannot be one image twice, unless it has other names", function()
		local img, again = new("linux/amd64"), new("linux/amd64", { "again:1" })
		assert(new("linux/amd64", {}):save(dir:file("nameless")))
		local nameless = { assert(strata.open(dir:file("nameless"))), assert(strata.open(dir:file("nameless"))) }
		local twice = { { img, img }, { img, again, img }, nameless }
		assert.equal(img.id, again.id)
		for _, format in ipairs({ "docker", "docker-legacy", "oci", "oci-archive" }) do
			for _, images in ipairs(twice) do
				assert.error_matches(function()
					local _ = strata.save(images, dir:file("out"), { format = format })
				end, "images 1 and %d are the same image")
			end
			local target = dir:file("twice-" .. format)
			assert(strata.save({ img, again }, target, { format = format }))
			for _, ref in ipairs({ "app:1", "again:1" }) do
				assert.equal(img.id, assert(strata.open(target, { ref = ref })).id)
			end
			if format:find("^docker") then
				assert.same({}, archive_check.read(target).problems)
			end
		end
		assert.is_nil((io.open(dir:file("out"))))
	end)

	it("that edits have made alike are there once", function()
		local images = {}
		for i, content in ipairs({ "one", "other" }) do
			assert(new("linux/amd64", {}, content):save(dir:file(content)))
			images[i] = assert(strata.open(dir:file(content)))
			assert(images[i].layers[1]:rewrite(function(entry) entry.mtime = 1 end))
			assert(images[i].layers[1]:remove("platform"))
		end
		for _, format in ipairs({ "docker", "oci-archive" }) do
			assert(strata.save(images, dir:file("out.tar"), { format = format }))
			assert.equal(1, #blobs.look(dir:file("out.tar")).index.manifests)
		end
	end)
end)

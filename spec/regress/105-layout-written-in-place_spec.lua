-- Jobs keep images open. A layout whose index.json was written in place, as opposed to renamed into place, was the
-- image that it had been before.

local jobs = require "strata.jobs"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

describe("a job on a layout that another one has read", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function two()
		local made, images = oci_layout.new(), {}
		for i, name in ipairs({ "one", "two" }) do
			images[i] = made:image({ layers = { made:file_layer(name) }, name = name })
		end
		return made, images
	end

	local function ids_of(path, count)
		local ids = {}
		for i = 1, count do
			ids[i] = assert(jobs.run("inspect", { path = path })).id
		end
		return ids
	end

	it("sees the index.json that was written over the old one", function()
		local made, images = two()
		made:list(images[1].descriptor, "1")
		local path = made:directory(dir:file("layout"))
		assert.same({ images[1].id, images[1].id }, ids_of(path, 2))
		made.root.manifests[1] = images[2].descriptor
		for i = 1, 4 do -- of the same size, and within one tick of the clock
			made.root.manifests = oci_layout.list()
			made:list(images[i % 2 + 1].descriptor, "1")
			shell.write(path .. "/index.json", made:index_text())
			assert.same({ images[i % 2 + 1].id }, ids_of(path, 1))
		end
	end)

	it("sees the manifest.json of skopeo's directory that was written over the old one", function()
		local made, images = two()
		made:list(images[1].descriptor, "1")
		local path = made:flat(dir:file("flat"))
		assert.same({ images[1].id }, ids_of(path, 1))
		shell.write(path .. "/manifest.json", made.blobs[images[2].descriptor.digest])
		assert.same({ images[2].id, images[2].id }, ids_of(path, 2))
	end)

	it("sees another directory in its place", function()
		local made, images = two()
		made:list(images[1].descriptor, "1")
		local path = made:directory(dir:file("layout"))
		assert.same({ images[1].id }, ids_of(path, 1))
		made.root.manifests = oci_layout.list()
		made:list(images[2].descriptor, "1"):directory(dir:file("other"))
		shell.check({ "mv", path, path .. ".old" })
		shell.check({ "mv", dir:file("other"), path })
		assert.same({ images[2].id }, ids_of(path, 1))
	end)
end)

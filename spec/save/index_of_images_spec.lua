-- Images that become one index of a layout: strata.save with the option index.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local cjson = require "cjson"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local layers = archive.layers(3)
local named, descriptor = blobs.named, blobs.descriptor

describe("images that are saved as an index", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function of(platform, more)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { ["etc/name"] = platform .. (more or "") } }))
		return img
	end

	local function look(path)
		local found = blobs.look(path)
		assert.same({}, found.problems)
		for digest in pairs(found.blobs) do
			assert.is_true(found.reached[digest], digest)
		end
		return found
	end

	it("get its name and none of their own, and the index is one of OCI", function()
		local list = { of("linux/amd64"), of("linux/arm64/v8"), of("windows/amd64") }
		list[1].tags = { "amd:1" }
		list[3].config["os.version"] = "10.0.20348.1"
		for format, path in pairs({ oci = dir:file("layout"), ["oci-archive"] = dir:file("app.tar") }) do
			local made, lost = assert(strata.save(list, path, { index = "team/app", format = format }))
			assert.is_nil(lost)
			assert.equal(3, #made.images)
			assert.equal(0, #made.layers)
			local found = look(path)
			assert.equal(1, #found.index.manifests)
			local root = found.index.manifests[1]
			assert.equal(made.digest, root.digest)
			assert.same({
				["io.containerd.image.name"] = "docker.io/team/app:latest", ["org.opencontainers.image.ref.name"] = "latest",
			}, root.annotations)
			local inner = cjson.decode(found.nested[root.digest])
			assert.equal("application/vnd.oci.image.index.v1+json", inner.mediaType)
			assert.same({ os = "windows", architecture = "amd64", ["os.version"] = "10.0.20348.1" },
				inner.manifests[3].platform)
			for i, platform in ipairs({ "linux/amd64", "linux/arm64", "windows/amd64" }) do
				local img = assert(strata.open(path, { ref = "team/app:latest", platform = platform }))
				assert.equal(list[i].id, img.id)
				assert.equal(made.images[i].digest, img.digest)
				assert(img:verify())
			end
		end
	end)

	it("are written in the way of the first one, or as an archive, when no format is given", function()
		local docker = dialects.of.docker_25(archive.image({ layers = { layers[1] }, tags = { "a:1" } }))
			:write(dir:file("docker.tar"))
		local made = assert(strata.save({ assert(strata.open(docker)), of("linux/arm64") }, dir:file("a.tar"),
			{ index = "app:1" }))
		assert.equal("oci-archive", made.format)
		local img = assert(strata.open(dir:file("a.tar"), { platform = "linux/arm64" }))
		assert.equal("oci-archive", assert(strata.save({ img }, dir:file("b.tar"), { index = "app:2" })).format)
		assert.equal("oci", assert(strata.save({ img }, dir:file("c"), { index = "app:2", format = "oci" })).format)
		img = assert(strata.open(dir:file("c")))
		assert.equal("oci", assert(strata.save({ img }, dir:file("d"), { index = "app:3" })).format)
	end)

	it("are the same bytes every time, and one image alone is an index, too", function()
		local list = { of("linux/amd64"), of("linux/arm64") }
		assert(strata.save(list, dir:file("a.tar"), { index = "app:1" }))
		assert(strata.save(list, dir:file("b.tar"), { index = "app:1", threads = 1 }))
		assert.equal(shell.read(dir:file("a.tar")), shell.read(dir:file("b.tar")))
		assert(strata.save({ list[1] }, dir:file("c.tar"), { index = "app:1" }))
		assert.equal(1, #look(dir:file("c.tar")).images)
		assert.is_truthy(assert(strata.open(dir:file("c.tar"))).index)
	end)

	it("get into a layout that is there, where an index of the same name makes way", function()
		local path = dir:file("layout")
		local single = of("linux/amd64", "single")
		single.tags = { "single:1" }
		assert(single:save(path, { format = "oci" }))
		assert(strata.save({ of("linux/amd64"), of("linux/arm64") }, path, { index = "app:1", format = "oci" }))
		assert(strata.save({ of("linux/s390x") }, path, { index = "app:1", format = "oci" }))
		local index = assert(strata.open_index(path))
		assert.equal(2, #index.manifests)
		assert.equal("linux/s390x", tostring(index.manifests[2].platform))
		-- Two manifests, configs and layers, and the index of them.
		assert.equal(7, #assert(strata.gc(path, { remove = true })).blobs)
	end)

	it("take along what is attested about them while they are not edited", function()
		local made, proofs, paths, descriptors = {}, {}, {}, {}
		for i, name in ipairs({ "amd64", "arm64" }) do
			local layout = blobs.new()
			made[i] = layout:image({ layers = { layers[i] },
				config = archive.image({ layers = { layers[i] } }).config:gsub("amd64", name) })
			proofs[i], descriptors[i] = layout:attestation(made[i])
			layout:set_root({ descriptor(layout:index({
				descriptor(made[i], (',"platform":{"architecture":"%s","os":"linux"}'):format(name)), descriptors[i],
			}), named(name)) })
			paths[i] = i == 1 and layout:write_dir(dir:file(name)) or layout:write_archive(dir:file(name))
		end
		local function opened()
			return { assert(strata.open(paths[1])), assert(strata.open(paths[2])) }
		end
		local _, lost = assert(strata.save(opened(), dir:file("a.tar"), { index = "app:1" }))
		assert.is_nil(lost)
		local found = look(dir:file("a.tar"))
		local inner = found.nested[found.index.manifests[1].digest]
		for i = 1, 2 do
			assert.is_truthy(inner:find(descriptors[i], 1, true))
			assert.is_truthy(found.blobs[proofs[i].digest])
		end
		assert.equal("linux/arm64", tostring(assert(strata.open(dir:file("a.tar"), { platform = "linux/arm64" })).platform))

		_, lost = assert(strata.save(opened(), dir:file("b.tar"), { index = "app:1", attestations = "drop" }))
		assert.is_nil(lost)
		assert.equal(2, #look(dir:file("b.tar")).images)

		local list = opened()
		list[1].config:set_env("A", "1")
		_, lost = assert(strata.save(list, dir:file("c.tar"), { index = "app:1" }))
		assert.equal(1, #lost)
		assert.matches("^attestation " .. proofs[1].digest .. ", which is about " .. made[1].digest .. "$", lost[1])
		assert.equal(3, #look(dir:file("c.tar")).images)
		local ok, message, code = strata.save(list, dir:file("d.tar"), { index = "app:1", attestations = "refuse" })
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.matches(proofs[1].digest, message, 1, true)
		assert.is_nil(io.open(dir:file("d.tar")))
	end)

	it("are made, edited and cleaned up as doc/indexes.md shows it", function()
		for _, machine in ipairs({ "amd64", "arm64", "riscv64" }) do
			assert(of("linux/" .. machine):save(dir:file(machine .. ".tar"), { format = "docker" }))
		end
		local code = shell.read("doc/indexes.md"):match("\n```lua\n(.-)```")
		code = code:gsub('"([%w-]+%.tar)"', '"' .. dir.path .. '/%1"'):gsub('"layout"', '"' .. dir:file("layout") .. '"')
		local printed = {}
		local run = assert((loadstring or load)("local strata, print = ...\n" .. code)) -- luacheck: ignore 113
		run(strata, function(value)
			printed[#printed + 1] = tostring(value)
		end)
		assert.equal(2, #printed)
		assert.matches("^image, linux/amd64, sha256:%x+, app:1\nimage, linux/arm64, sha256:%x+, app:1$", printed[1])
		assert.matches(": 0 blobs that nothing names, 0 B$", printed[2])
		local index = assert(strata.open_index(dir:file("app-2.tar")))
		assert.equal(2, #index.manifests)
		assert.equal("linux/riscv64", tostring(index.manifests[2].platform))
		assert.same({}, index.manifests[1].tags)
	end)

	it("throw for a platform that two have, a format without indexes, a registry, and a bad name", function()
		local list, path = { of("linux/amd64", "1"), of("linux/amd64", "2") }, dir:file("app.tar")
		local function throws(pattern, what, opts)
			assert.error_matches(function()
				strata.save(list, what, opts)
			end, pattern)
			assert.is_nil(io.open(path))
		end
		throws("images 1 and 2 are both for linux/amd64, and an index has one image for each platform$", path,
			{ index = "app:1" })
		list[2] = list[1]
		throws("images 1 and 2 are the same image", path, { index = "app:1" })
		list[2] = of("linux/arm64")
		throws("an archive for docker load has no index; the formats oci and oci%-archive have", path,
			{ index = "app:1", format = "docker" })
		throws("in a registry the reference is the name of the index; leave the option index out", "docker://localhost/a",
			{ index = "app:1" })
		throws("index should be an image reference such as \"app:1\", not 'App:1': ", path, { index = "App:1" })
		assert.error_matches(function()
			list[1]:save(path, { index = "app:1" })
		end, "save has no option 'index'")
	end)
end)

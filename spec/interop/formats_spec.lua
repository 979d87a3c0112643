-- Every format that strata writes, read by the programs that it is for, and what these write, edited by
-- strata and read by them again.

local strata = require "strata"
local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local dialects = require "spec.support.docker_dialects"
local docker = require "spec.support.docker"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local process = require "spec.support.process"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tmp = require "spec.support.tmp"

local need = peers.need

local function diff_ids_of(img)
	local list = {}
	for i, layer in img:layers() do
		list[i] = layer.diff_id
	end
	return list
end

local FORMATS = { "docker", "docker-legacy", "oci", "oci-archive" }
local COMPRESSIONS = { "none", "gzip", "zstd" }
local TRANSPORTS = {
	docker = { "docker-archive:%s", "oci-archive:%s" },
	["docker-legacy"] = { "docker-archive:%s" },
	oci = { "oci:%s" },
	["oci-archive"] = { "oci-archive:%s" },
}

-- podman loads archives; to pull a layout it would have to lie at a path in lower case.
local function loaded_by_podman(path, format)
	if format == "oci" then
		shell.sh('tar -C "$1" -cf "$1.tar" .', path)
		path = path .. ".tar"
	end
	local _, id = next(podman.load(path))
	return id
end

--- Where skopeo can bring an image, and whether the config keeps its bytes on the way. From Docker's types
--- to OCI's it writes the config anew.
local function routes(transport, compression)
	local is_oci = transport:find("^oci") ~= nil
	return {
		["docker-archive"] = compression ~= "zstd" and { same_config = true } or nil,
		oci = { same_config = is_oci },
		["oci-archive"] = { same_config = is_oci },
		dir = { same_config = true },
	}
end

describe("an image saved with format =", function()
	local dir, img, app

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		if img then
			img:close()
		end
		dir:remove()
	end)

	local function open()
		need("docker")
		app = sample.app()
		img = assert(strata.open(app.archive))
		assert.equal(app.id, img.id)
		return img
	end

	-- Layers of docker-legacy are plain.
	local function compressions_of(format)
		return format == "docker-legacy" and { "none" } or COMPRESSIONS
	end

	--- Saves an image that was edited, so that its ID is a new one.
	local function save(format, compression, edit)
		open()
		if edit ~= false then
			img.config:set_label("org.example.format", format)
			img:filter(function(entry)
				return entry.path ~= "opt/numbers"
			end)
		end
		local path = dir:file(format .. "-" .. compression)
		local result, message = img:save(path, { format = format, compression = compression })
		assert(result, message)
		assert.equal(img.id, result.id)
		return path, result
	end

	for _, format in ipairs({ "docker", "docker-legacy" }) do
		for _, compression in ipairs(format == "docker-legacy" and { "none" } or { "none", "gzip" }) do
			it(("%s, compressed with %s, is loaded by Docker Engine"):format(format, compression), function()
				need("docker")
				local path, result = save(format, compression)
				assert.same({ "app:1" }, docker.load(path))
				assert.equal(result.id, docker.id("app:1"))
				assert.same(diff_ids_of(img), docker.inspect("app:1").RootFS.Layers)
				local expected = {}
				for name, what in pairs(app.listing) do
					expected[name] = name ~= "opt/numbers" and what or nil
				end
				assert.same({}, sample.differences(expected, sample.listing("app:1")))
			end)
		end
	end

	it("docker with the layers of an OCI archive as they are, gzip, is loaded by Docker Engine", function()
		need("docker", "skopeo")
		open():close()
		skopeo.copy("docker-archive:" .. app.archive, "oci-archive:" .. dir:file("oci.tar") .. ":app:1")
		img = assert(strata.open(dir:file("oci.tar")))
		for _, layer in img:layers() do
			assert.equal("gzip", layer.compression)
		end
		local path = dir:file("hybrid.tar")
		local result = assert(img:save(path, { format = "docker" }))
		for i, layer in ipairs(result.layers) do
			assert.equal("copied", layer.action)
			assert.equal(img.layers[i].digest, layer.digest)
		end
		assert.equal(img.digest, result.digest)
		assert.same({ "app:1" }, docker.load(path))
		assert.equal(result.id, docker.id("app:1"))
		assert.same(app.inspect.RootFS.Layers, docker.inspect("app:1").RootFS.Layers)
		assert.same({}, sample.differences(app.listing, sample.listing("app:1")))
	end)

	for _, format in ipairs(FORMATS) do
		it(format .. " is loaded by podman", function()
			need("podman")
			for _, compression in ipairs(compressions_of(format)) do
				local path, result = save(format, compression)
				assert.equal(result.id, loaded_by_podman(path, format), compression)
			end
		end)

		it(format .. " is read by skopeo, which verifies every digest, and what it makes of it by strata", function()
			need("skopeo")
			for _, compression in ipairs(compressions_of(format)) do
				local path, result = save(format, compression)
				for _, transport in ipairs(TRANSPORTS[format]) do
					local from = transport:format(path)
					assert.same(diff_ids_of(img), skopeo.config(from).rootfs.diff_ids)
					local inspected = skopeo.inspect(from)
					if transport:find("^oci") then
						assert.equal(result.digest, inspected.Digest)
						for i, layer in ipairs(result.layers) do
							assert.equal(layer.digest, inspected.Layers[i])
						end
					end
					local scratch = tmp.dir(dir.path)
					for name, route in pairs(routes(transport, compression)) do
						local file = scratch:file(name)
						skopeo.copy(from, name .. ":" .. file .. (name == "dir" and "" or ":app:1"))
						local again = assert(strata.open(file))
						if route.same_config then
							assert.equal(result.id, again.id, from .. " " .. name)
						end
						assert.same(diff_ids_of(img), diff_ids_of(again))
						assert.is_true(again:verify())
						again:close()
					end
					scratch:remove()
				end
			end
		end)
	end

	it("oci is unpacked by umoci, with the files that a container has", function()
		need("umoci", "docker")
		local path = save("oci", "gzip", false)
		local name = blobs.look(path).index.manifests[1].annotations["org.opencontainers.image.ref.name"]
		shell.check({ "umoci", "unpack", "--image", path .. ":" .. name, dir:file("bundle") })
		local rootfs = dir:file("bundle") .. "/rootfs/"
		for file, what in pairs(app.listing) do
			if what.sha256 then
				assert.equal(what.sha256, shell.sha256(rootfs .. file))
			end
		end
	end)

	it("oci is extended by skopeo and umoci, and extends what they made", function()
		need("skopeo", "umoci", "docker")
		local path, result = save("oci", "gzip")
		skopeo.copy("docker-archive:" .. app.archive, "oci:" .. path .. ":second:1")
		local second = assert(strata.open(path, { ref = "second:1" }))
		assert.same(app.inspect.RootFS.Layers, diff_ids_of(second))
		local first = assert(strata.open(path, { ref = "app:1" }))
		assert.equal(result.digest, first.digest)
		first.config:set_env("EXTENDED", "1")
		local saved = assert(first:save(path))
		assert.equal(second.digest, assert(strata.open(path, { ref = "second:1" })).digest)
		local found = blobs.look(path)
		assert.same({}, found.problems)
		assert.equal(saved.digest, found.by_name["1"].digest)
		shell.check({ "umoci", "tag", "--image", path .. ":1", "third" })
		assert.equal(saved.id, assert(strata.open(path, { ref = "third" })).id)
		shell.check({ "umoci", "gc", "--layout", path })
		assert.is_true(assert(strata.open(path, { ref = "third" })):verify())

		shell.check({ "umoci", "init", "--layout", dir:file("umoci") })
		shell.check({ "umoci", "new", "--image", dir:file("umoci") .. ":empty" })
		assert(img:save(dir:file("umoci"), { format = "oci" }))
		assert.equal("empty\n1\n", shell.check({ "umoci", "list", "--layout", dir:file("umoci") }))
		assert.equal(img.id, assert(strata.open(dir:file("umoci"), { ref = "app:1" })).id)
		assert.equal("oci", assert(strata.open(dir:file("umoci"), { ref = "empty" })):save(dir:file("x")).format)
	end)

	it("several together is loaded by Docker Engine and podman", function()
		need("docker", "podman")
		open()
		local other = assert(strata.open(app.archive))
		other.config:set_env("OTHER", "1")
		other.tags = { "other:2" }
		local path = dir:file("both.tar")
		local ids = { [img.id] = "app:1", [other.id] = "other:2" }
		for _, format in ipairs({ "docker", "docker-legacy" }) do
			assert(strata.save({ img, other }, path, { format = format }))
			assert.equal(2, #docker.load(path))
			for id, name in pairs(ids) do
				assert.equal(id, docker.id(name))
			end
			local found = {}
			for name, id in pairs(podman.load(path)) do
				found[id] = name:match("([^/]+)$")
			end
			assert.same(ids, found)
		end
		other:close()
	end)
end)

describe("an image that skopeo converted", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local WAYS = {
		oci = "oci:%s:app:1",
		["oci-archive"] = "oci-archive:%s:app:1",
		dir = "dir:%s",
	}

	for way, transport in pairs(WAYS) do
		it(("to %s is the same, byte for byte, until it is edited"):format(way), function()
			need("skopeo", "docker")
			local app = sample.app()
			local source, target = dir:file("source"), dir:file("target")
			skopeo.copy("docker-archive:" .. app.archive, transport:format(source))
			local img = assert(strata.open(source))
			assert.same(app.inspect.RootFS.Layers, diff_ids_of(img))
			assert.equal(skopeo.inspect(transport:format(source)).Digest, img.digest)
			assert(img:save(target))
			shell.check({ "diff", "-r", source, target })
			img:close()
		end)

		it(("to %s, edited by strata, is read back by skopeo and umoci with the edits in it"):format(way), function()
			need("skopeo", "umoci", "docker")
			local app = sample.app()
			local source, target = dir:file("source"), dir:file("target")
			skopeo.copy("docker-archive:" .. app.archive, transport:format(source))
			local img = assert(strata.open(source))
			local untouched = {}
			for _, layer in img:layers() do
				untouched[layer.digest] = true
			end
			img.config:set_env("EDITED", "yes"):set_label("org.example.edited", "by strata")
			assert(img:filter(function(entry)
				return entry.path ~= "opt/numbers"
			end))
			assert(img:rewrite(function(entry)
				if entry.path == "etc/passwd" then
					entry:replace("root:x:0:0:root:/:/bin/sh\n")
					entry.mode = 384
				end
			end))
			assert(img:append({ files = { ["/opt/appended"] = "appended\n" } }))
			local result = assert(img:save(target))
			local from = transport:format(target)
			local inspected = skopeo.inspect(from)
			assert.equal(result.digest, inspected.Digest)
			assert.equal("by strata", inspected.Labels["org.example.edited"])
			for i, layer in ipairs(result.layers) do
				assert.equal(layer.digest, inspected.Layers[i])
				assert.equal(layer.action == "copied", untouched[layer.digest] or false)
			end
			skopeo.copy(from, "oci:" .. dir:file("again") .. ":app")
			shell.check({ "umoci", "unpack", "--image", dir:file("again") .. ":app", dir:file("bundle") })
			local rootfs = dir:file("bundle") .. "/rootfs/"
			assert.equal("appended\n", shell.read(rootfs .. "opt/appended"))
			assert.equal("root:x:0:0:root:/:/bin/sh\n", shell.read(rootfs .. "etc/passwd"))
			assert.equal("600\n", shell.check({ "stat", "-c", "%a", rootfs .. "etc/passwd" }))
			assert.is_nil(io.open(rootfs .. "opt/numbers"))
			for file, what in pairs(app.listing) do
				if what.sha256 and file ~= "opt/numbers" and file ~= "etc/passwd" then
					assert.equal(what.sha256, shell.sha256(rootfs .. file), file)
				end
			end
			skopeo.copy(from, "docker-archive:" .. dir:file("docker.tar") .. ":app:1")
			docker.load(dir:file("docker.tar"))
			assert.equal(result.id, docker.id("app:1"))
			img:close()
		end)
	end
end)

describe("an image whose blobs are named by SHA-512", function()
	local dir, img

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		local made = oci_layout.new()
		made.hash = oci_layout.sha512
		local layers = { made:file_layer("a"), made:file_layer("b", { compression = "none" }) }
		local name = { [oci_layout.NAME] = "docker.io/library/app:512", [oci_layout.REF_NAME] = "512" }
		made:list(made:image({ layers = layers, platform = "linux/amd64" }).descriptor, name)
		img = assert(strata.open(made:directory(dir:file("layout"))))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	it("is not taken by skopeo and umoci as it is", function()
		need("skopeo", "umoci")
		local source, target = "oci:" .. dir:file("layout") .. ":512", "oci:" .. dir:file("copy") .. ":512"
		local ok, message = pcall(skopeo.copy, source, target)
		assert.is_false(ok)
		assert.truthy(tostring(message):find("sha512", 1, true))
		local unpack = { "umoci", "unpack", "--image", dir:file("layout") .. ":512", dir:file("bundle") }
		unpack.env = { PATH = shell.PATH }
		local done = shell.run(unpack)
		assert.is_true(done.status ~= 0)
		assert.truthy(done.stderr:find("unsupported algorithm", 1, true))
	end)

	for _, format in ipairs({ "docker", "docker-legacy" }) do
		it("is loaded by Docker Engine and Podman as " .. format, function()
			need("docker", "podman")
			local path = dir:file("image.tar")
			local result = assert(img:save(path, { format = format }))
			assert.equal(img.id, result.id)
			assert.same({ "app:512" }, docker.load(path))
			assert.equal(img.id, docker.id("app:512"))
			assert.same(diff_ids_of(img), docker.inspect("app:512").RootFS.Layers)
			assert.equal(img.id, loaded_by_podman(path, format))
		end)
	end

	it("is copied by skopeo as docker, from both lists", function()
		need("skopeo")
		local path = dir:file("image.tar")
		assert(img:save(path, { format = "docker" }))
		for i, source in ipairs({ "docker-archive:", "oci-archive:" }) do
			skopeo.copy(source .. path, "oci:" .. dir:file("copy" .. i) .. ":512")
			local copy = assert(strata.open(dir:file("copy" .. i)))
			assert.same(diff_ids_of(img), diff_ids_of(copy))
			copy:close()
		end
		local copy = assert(strata.open(dir:file("copy2")))
		assert.equal(img.id, copy.id)
		copy:close()
	end)
end)

describe("a layout directory that many save into at once", function()
	local SCRIPT = [[
		local img = assert(require("strata").open(os.getenv("SOURCE")))
		img.config:set_env("TAG", os.getenv("TAG"))
		img.tags = { "app:" .. os.getenv("TAG") }
		assert(img:save(os.getenv("TARGET"), { format = "oci", compression = "gzip" }))
	]]

	it("has all images for skopeo, which adds one of its own, and for strata, which adds another", function()
		need("skopeo")
		local dir = tmp.dir()
		local made = archive.image({ layers = archive.layers(3) })
		local source, target = dialects.of.docker_25(made):write(dir:file("app.tar")), dir:file("layout")
		local script = 'export SOURCE="$1" TARGET="$2"; for i in 1 2 3 4 5 6 7 8; do TAG=v$i %s & done; wait'
		shell.sh(script:format(process.lua(SCRIPT)), source, target)
		skopeo.copy("docker-archive:" .. source, "oci:" .. target .. ":v9")
		local img = assert(strata.open(source))
		img.config:set_env("TAG", "v10")
		img.tags = { "app:v10" }
		assert(img:save(target, { format = "oci" }))
		for i = 1, 10 do
			local tag = "v" .. i
			skopeo.copy("oci:" .. target .. ":" .. tag, "dir:" .. dir:file(tag))
			local saved = assert(strata.open(target, { ref = i == 9 and tag or "app:" .. tag }))
			assert.is_true(saved:verify())
			assert.equal(i ~= 9 and tag or nil, saved.config:get_env("TAG"))
			saved:close()
		end
		assert.same({}, blobs.look(target).problems)
		dir:remove()
	end)
end)

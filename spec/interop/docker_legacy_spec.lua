-- Archives as Docker 1.10 to 24 saves them, and as those before 1.10: the engine that is installed (20.10)
-- writes the first kind and reads both.

local core = require "strata.core"
local write_legacy = require "strata.dialect.docker.write_legacy"
local strata = require "strata"
local new_archive = require "strata.dialect.new_archive"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local need = peers.need

local CORPUS = os.getenv("STRATA_CORPUS")

local REMOVE = 'RUN ["/bin/busybox", "rm", "/same"]'

--- busybox, and one layer that stands in the image twice: docker writes the second as a symlink.
local function twice()
	return sample.small("twice", { "COPY same /same", REMOVE, "COPY same /same", 'CMD ["/bin/busybox", "cat", "/same"]' })
end

local function text_at(block, offset, length)
	return (block:sub(offset + 1, offset + length):match("^[^%z]*"))
end

--- The bytes of an archive, without the times in directories whose layer is a link: docker leaves those
--- of the moment there.
local function without_link_times(path)
	local bytes, headers, links = shell.read(path), {}, {}
	local at = 0
	while at < #bytes and bytes:byte(at + 1) ~= 0 do
		local block = bytes:sub(at + 1, at + 512)
		local name, size = text_at(block, 0, 100), tonumber(text_at(block, 124, 12), 8)
		headers[#headers + 1] = { at = at, dir = name:match("^(.-)/") }
		if text_at(block, 156, 1) == "2" then
			links[name:match("^(.-)/")] = true
		end
		at = at + 512 + math.ceil(size / 512) * 512
	end
	local out, from = {}, 1
	for _, header in ipairs(headers) do
		if links[header.dir] then
			out[#out + 1] = bytes:sub(from, header.at + 136)
			out[#out + 1] = "<mtime and checksum>"
			from = header.at + 157
		end
	end
	out[#out + 1] = bytes:sub(from)
	return table.concat(out)
end

--- Where the layers of an archive of one image stand in it.
local function parts_of(archive, dir)
	local parts = {}
	for i, path in ipairs(tarlist.unpack_image(archive, tmp.dir(dir.path)).layers) do
		local file = assert(core.open_file(path))
		parts[i] = { file = file, offset = 0, size = file:size() }
	end
	return parts
end

local function write(path, segments)
	local out = assert(io.open(path, "wb"))
	for _, segment in ipairs(segments) do
		out:write(segment.bytes or assert(segment.file:read(segment.offset, segment.size)))
	end
	out:close()
end

--- Loads an archive into the engine and has it saved again.
local function saved_by_engine(path, dir, ...)
	docker.load(path)
	local again = dir:file("engine.tar")
	docker.save(again, ...)
	return again
end

describe("an image saved with format = 'docker-legacy'", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function save(img, name)
		local path = dir:file(name or "legacy.tar")
		assert(img:save(path, { format = "docker-legacy" }))
		return path
	end

	it("is what the engine writes, byte for byte", function()
		need("docker")
		local app = sample.app()
		local path = save(assert(strata.open(app.archive)))
		assert.is_true(shell.same(app.archive, path))
	end)

	it("differs from what the engine writes in nothing but the times where a layer is a link", function()
		need("docker")
		local archive = twice().archive
		local path = save(assert(strata.open(archive)))
		assert.is_true(without_link_times(archive) == without_link_times(path))
		assert.is_true(without_link_times(archive) ~= shell.read(archive))
	end)

	it("has no names in it when the image has none", function()
		need("docker")
		local app = sample.app()
		docker.load(app.archive)
		docker.save(dir:file("by-id.tar"), app.id)
		local img = assert(strata.open(dir:file("by-id.tar")))
		assert.same({}, img.tags)
		assert.is_true(shell.same(dir:file("by-id.tar"), save(img)))
	end)

	it("is the same by way of an archive of blobs", function()
		need("docker")
		local app = sample.app()
		local blobs = dir:file("blobs.tar")
		assert(assert(strata.open(app.archive)):save(blobs, { format = "docker" }))
		assert.is_true(shell.same(app.archive, save(assert(strata.open(blobs)))))
	end)

	it("is what the engine writes also after edits and with several tags", function()
		need("docker")
		local img = assert(strata.open(sample.app().archive))
		img:filter(function(entry)
			return entry.path ~= "opt/numbers"
		end)
		img.config:set_env("TZ", "<UTC> & \"more\" \226\128\168"):set_label("org.example.note", "caf\195\169 \\ \t\n")
		img.config:add_port("99/sctp"):add_volume("/srv")
		img.tags = { "one:1", "docker.io/library/two:2", "localhost:5000/team/three:3.0" }
		assert(img:append({ files = { ["/new"] = "new" }, created = "2021-02-03T04:05:06.70Z" }))
		local path = save(img)
		local again = saved_by_engine(path, dir, "one:1", "two:2", "localhost:5000/team/three:3.0")
		assert.is_true(shell.same(again, path))
	end)

	local ODD = {
		["with every field of a config"] = {
			created = "2020-05-06T07:08:09.120000000+02:30",
			author = "A <b@c> & d",
			comment = "\8\12\1\127 \226\128\169 \240\159\152\128",
			container = "abc",
			docker_version = "1.2.3",
			variant = "v2",
			["os.version"] = "10",
			unknown = { 1 },
			config = {
				Hostname = "h",
				Domainname = "d",
				User = "1:1",
				AttachStdin = true,
				ExposedPorts = { ["90/tcp"] = strata.object(), ["8/udp"] = strata.object() },
				Tty = true,
				Env = { "A=1", "B=<" },
				Cmd = strata.array(),
				Healthcheck = { Test = { "CMD", "x" }, Interval = 30000000000, Retries = 3 },
				ArgsEscaped = true,
				Image = "i",
				Volumes = strata.object(),
				WorkingDir = "/w",
				Entrypoint = { "/e" },
				NetworkDisabled = true,
				MacAddress = "m",
				OnBuild = strata.array(),
				Labels = { b = "2", a = "1", ["A<"] = "\8" },
				StopSignal = "9",
				StopTimeout = 0,
				Shell = { "sh" },
				Memory = 5,
			},
			container_config = { Cmd = { "/bin/sh" }, Labels = strata.object() },
		},
		["with keys in other cases and nulls"] = {
			created = "1969-12-31T23:59:59Z",
			config = { env = { "A=1" }, CMD = strata.null, labels = { x = strata.null }, user = "u" },
			author = strata.null,
		},
		["without a config or a time"] = { created = strata.null },
		["with a command that is a string"] = { created = "2300-01-01T00:00:00Z", config = { Cmd = "/bin/sh" } },
	}

	for what, fields in pairs(ODD) do
		it("is what the engine writes for an image " .. what, function()
			need("docker")
			local img = strata.new({ platform = "linux/amd64" })
			assert(img:append({ files = { ["/a"] = "a" } }))
			assert(img:append({ files = { ["/b"] = "b" } }))
			for name, value in pairs(fields) do
				assert(img.config:set("/" .. name, value == strata.null and nil or value))
			end
			img:tag("odd:1")
			local path = save(img)
			assert.is_true(shell.same(saved_by_engine(path, dir, "odd:1"), path))
			assert.equal(img.id, docker.id("odd:1"))
		end)
	end

	it("holds several images that the engine loads, and saves as the same members", function()
		need("docker")
		local images = {}
		for i, built in ipairs({ twice(), sample.app() }) do
			local img = assert(strata.open(built.archive))
			local layers, parts = {}, parts_of(built.archive, dir)
			for k, layer in img:layers() do
				layers[k] = parts[k]
				layers[k].diff_id = layer.diff_id
			end
			images[i] = { config_text = img.config:text(), tags = img.tags, layers = layers }
		end
		local path = dir:file("both.tar")
		write(path, assert(new_archive.segments(assert(write_legacy.members(images)))))
		local again = saved_by_engine(path, dir, "twice:1", "app:1")
		assert.same(tarlist.names(again), tarlist.names(path))
		for _, built in ipairs({ twice(), sample.app() }) do
			assert.equal(built.id, docker.id(built.inspect.RepoTags[1]))
		end
	end)

	it("is read by skopeo and podman", function()
		need("skopeo", "podman", "docker")
		for _, built in ipairs({ sample.app(), twice() }) do
			local img = assert(strata.open(built.archive))
			local reference = img.tags[1]
			local path = save(img)
			local ids = podman.load(path)
			assert.equal(built.id, ids["docker.io/library/" .. reference] or ids["localhost/" .. reference])
		end
		-- skopeo takes a layer that is a link for an empty file
		local path = save(assert(strata.open(sample.app().archive)))
		assert.same(sample.app().inspect.RootFS.Layers, skopeo.config("docker-archive:" .. path).rootfs.diff_ids)
		skopeo.copy("docker-archive:" .. path, "oci:" .. dir:file("oci") .. ":app")
	end)

	it("is what the engine writes for the images of the corpus", function()
		need("docker")
		if not CORPUS then
			pending("STRATA_CORPUS is not set")
		end
		local compared = 0
		for path in shell.sh('ls "$1"/images/*.tar', CORPUS):gmatch("[^\n]+") do
			local ok, images = pcall(strata.images, path)
			for img in ok and images or function() end do
				if img.platform.os == "linux" then
					img.tags = { "corpus:1" }
					local saved = save(img)
					local again = saved_by_engine(saved, dir, "corpus:1")
					assert.is_true(without_link_times(again) == without_link_times(saved), path)
					compared = compared + 1
				end
			end
		end
		assert.is_true(compared >= 10)
	end)
end)

describe("an archive without a manifest.json", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	--- What Docker before 1.10 would have written: no manifest.json and no config.
	local function stripped(archive)
		local files = tmp.dir(dir.path)
		shell.sh('cd "$1"; tar -xf "$2"; rm *.json; tar -cf "$3" *', files.path, archive, dir:file("v1.tar"))
		return dir:file("v1.tar")
	end

	--- Compares what strata makes of an archive with what the engine makes of it.
	local function compare(path, reference)
		docker.load(path)
		local known = docker.inspect(reference)
		local img = assert(strata.open(path, { ref = reference }))
		local diff_ids = {}
		for i, layer in img:layers() do
			diff_ids[i] = layer.diff_id
		end
		assert.same(known.RootFS.Layers, diff_ids)
		assert.equal(known.Id, img.id)
		assert.is_true(assert(img:verify()))
		return img
	end

	it("gives the image that the engine makes of it", function()
		need("docker")
		compare(stripped(sample.app().archive), "app:1")
	end)

	it("gives the image that the engine makes of it when a layer is a link", function()
		need("docker")
		compare(stripped(twice().archive), "twice:1")
	end)

	it("gives the images of the corpus as the engine does", function()
		need("docker")
		if not CORPUS then
			pending("STRATA_CORPUS is not set")
		end
		compare(CORPUS .. "/images/moby-emptyLayer.tar", "matthughes/library-centos:6-2015.03.20")
		compare(CORPUS .. "/broken/google-no_manifest.tar", "bazel/v1/tarball:test_image")
	end)

	it("can be saved in the formats of today", function()
		need("docker")
		local img = compare(stripped(sample.app().archive), "app:1")
		for _, format in ipairs({ "docker", "docker-legacy" }) do
			local path = dir:file(format .. ".tar")
			assert(img:save(path, { format = format }))
			docker.load(path)
			assert.equal(img.id, docker.id("app:1"))
		end
		assert.same({}, sample.differences(sample.app().listing, sample.listing("app:1")))
	end)

	--- An archive of two images, the upper one with this document.
	local function archive_of(json, compress)
		local base, top = ("a"):rep(64), ("b"):rep(64)
		local root = tmp.dir(dir.path)
		local documents = { [base] = '{"id":"' .. base .. '"}', [top] = json:gsub("BASE", base):gsub("TOP", top) }
		for id, document in pairs(documents) do
			shell.check({ "mkdir", root:file(id) })
			root:write(id .. "/VERSION", "1.0")
			root:write(id .. "/json", document)
			root:write(id .. "/content-" .. id:sub(1, 1), "content")
			shell.sh('cd "$1"; tar -cf layer.tar --remove-files content*', root:file(id))
			if compress then
				shell.sh('cd "$1"; gzip -n layer.tar; mv layer.tar.gz layer.tar', root:file(id))
			end
		end
		local names = '{"v1": {"1": "TOP", "2": "TOP"}, "other": {"latest": "BASE"}}'
		root:write("repositories", (names:gsub("BASE", base):gsub("TOP", top)))
		shell.sh('cd "$1"; tar -cf "$2" *', root.path, dir:file("made.tar"))
		return dir:file("made.tar")
	end

	local DOCUMENTS = {
		["of a Docker whose documents are made anew"] = [[
			{ "id": "TOP", "parent": "BASE", "created": "2014-05-06T07:08:09.100Z", "docker_version": "1.8.2",
			  "os": "linux", "unknown": 1, "Size": 12, "config": { "Cmd": ["a", "<b>"], "Memory": 1, "Env": [] },
			  "container_config": { "Cmd": ["/bin/sh", "-c", "x & y\u0008"] }, "author": "\u003ca>" } ]],
		["of a Docker whose documents are taken over"] = [[
			{ "id": "TOP", "parent": "BASE", "created": "2016-05-06T07:08:09.100Z", "docker_version": "1.9.1",
			  "os": "linux", "unknown": { "b": [ 1.50, "<\/>\u00e9\u0008 \"  " ], "a": null }, "Size": 12, "config": null,
			  "parent_id": "x", "layer_id": "y", "throwaway": true,
			  "container_config": { "Cmd": "one word" }, "comment": "c", "z\u003c": 1E5 } ]],
		["of the first such Docker"] = [[
			{"parent":"BASE","docker_version":"1.8.3","created":"2016-05-06T07:08:09-01:00","x":1}]],
		["of a Docker with an odd version"] = [[{"Parent":"BASE","docker_version":"1.9-dev","x":1}]],
		["of a Docker without a version"] = [[{"parent":"BASE","x":1,"architecture":"amd64","config":{"Cmd":"a"}}]],
	}

	for what, json in pairs(DOCUMENTS) do
		it("gives the same image as the engine for a document " .. what, function()
			need("docker")
			local path = archive_of(json)
			assert.same({ "v1:1", "v1:2" }, compare(path, "v1:1").tags)
			assert.equal(1, #compare(path, "other:latest").layers)
		end)
	end

	it("may have compressed layers", function()
		need("docker")
		compare(archive_of('{"parent":"BASE"}', true), "v1:2")
	end)
end)

-- Building one Dockerfile twice gives two images; normalizing them gives one, which the engine that built them and
-- skopeo take for the same.

local strata = require "strata"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tmp = require "spec.support.tmp"

local EPOCH = 1600000000 -- before any of these builds

-- A context whose files are as old as the moment, and what is built on it.
local function build(dockerfile, tag)
	local dir = tmp.dir()
	shell.sh(
		[[
		cd "$1"
		mkdir -p root/bin root/etc
		cp "$2" root/bin/busybox
		echo hello >root/etc/hello
		ln root/etc/hello root/etc/again
		touch -d '2001-02-03 04:05:06Z' root/etc/old
		tar -cf packed.tar --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -C root etc/hello ]],
		dir.path,
		shell.which("busybox")
	)
	dir:write("Dockerfile", dockerfile)
	docker.call({ "build", "--no-cache", "--quiet", "--network", "none", "--force-rm", "--tag", tag, dir.path })
	local path = dir:file("saved.tar")
	docker.save(path, tag)
	return path
end

local FIRST = [[
FROM scratch
COPY root/ /
SHELL ["/bin/busybox", "sh", "-euc"]
LABEL a=b
RUN /bin/busybox --install -s /bin
]]

local REST = [[
ENV GREETING=hello
RUN mkdir /srv && echo x >/srv/x && ln /srv/x /srv/y && rm /etc/again
ADD packed.tar /opt/
WORKDIR /srv/work
CMD ["/bin/sh", "-c", "cat /srv/y"]
]]

-- Two builds, the second in another second than the first, without what only names them.
local function twice(dockerfile, fn)
	local found = {}
	for i = 1, 2 do
		local img = assert(strata.open(build(dockerfile, "built:" .. i)))
		found[i] = fn(img)
		found[i].img = img
		if i == 1 then
			shell.check({ "sleep", "1.1" })
		end
	end
	return found[1], found[2]
end

describe("an image of the engine", function()
	before_each(function()
		peers.need("docker", "skopeo")
	end)

	local function check(img, tag)
		local dir, app = tmp.dir(), sample.app()
		img.tags = { tag }
		local result = assert(img:save(dir:file("divided.tar")))
		assert.same({ tag }, docker.load(dir:file("divided.tar")))
		assert.equal(result.id, docker.id(tag))
		assert.equal(#img.layers, #docker.inspect(tag).RootFS.Layers)
		assert.same({}, sample.differences(app.listing, sample.listing(tag)))
		assert.equal(#img.config.history, #docker.history(tag))
	end

	it("is the same in a container when it is divided anew", function()
		local img = assert(strata.open(sample.app().archive))
		assert(img:rechunk({ by = "directory" }))
		assert.is_true(#img.layers > 4)
		check(img, "rechunked:1")
		img:close()
	end)

	it("is the same in a container when its layers are split and sorted", function()
		local img = assert(strata.open(sample.app().archive))
		for i = #img.layers, 1, -1 do
			assert(img:split(i, { size = 20000 }))
		end
		assert.is_true(#img.layers > 6)
		assert(img:normalize({ epoch = os.time() + 86400, sort = true }))
		check(img, "split:1")
		img:close()
	end)

	it("has layers that are written as skopeo does", function()
		local dir, app = tmp.dir(), sample.app()
		local img = assert(strata.open(app.archive))
		skopeo.copy("docker-archive:" .. app.archive, "dir:" .. dir:file("plain"))
		for i, layer in img:layers() do
			local result = assert(layer:save(dir:file("layer" .. i), { compression = "none" }))
			local hex = result.diff_id:match("%x+$")
			assert.equal(shell.sha256(dir:file("plain/" .. hex)), shell.sha256(dir:file("layer" .. i)))
			assert.equal(hex, shell.sha256(dir:file("layer" .. i)):match("%x+$"))
			assert(layer:save(dir:file("gzip" .. i), { compression = "gzip" }))
			assert.equal(hex, shell.check({ "sh", "-c", 'gzip -dc "$1" | sha256sum', "sh", dir:file("gzip" .. i) }):match("%x+"))
		end
		img:close()
	end)
end)

describe("two builds of one Dockerfile", function()
	before_each(function()
		peers.need("docker", "skopeo")
	end)

	it("have other digests, and one once they are normalized", function()
		local dir = tmp.dir()
		local a, b = twice(FIRST .. REST, function(img)
			local before = { id = img.id, layers = {} }
			for i, layer in img:layers() do
				before.layers[i] = layer.diff_id
			end
			local report = assert(img:normalize({ epoch = EPOCH }))
			assert.equal(#img.layers, #report.layers)
			img.tags = { "built:1" }
			return before
		end)
		assert.not_equal(a.id, b.id)
		for i in ipairs(a.layers) do
			assert.not_equal(a.layers[i], b.layers[i])
			assert.equal(a.img.layers[i].diff_id, b.img.layers[i].diff_id)
		end
		assert.equal(a.img.config:text(), b.img.config:text())
		for _, format in ipairs({ "oci-archive", "docker-legacy" }) do
			local hashes = {}
			for i, one in ipairs({ a, b }) do
				local path = dir:file(format .. i)
				assert(one.img:save(path, { format = format }))
				hashes[i] = shell.sha256(path)
			end
			assert.equal(hashes[1], hashes[2])
		end
		local digests = {}
		for i = 1, 2 do
			digests[i] = skopeo.inspect("oci-archive:" .. dir:file("oci-archive" .. i)).Digest
		end
		assert.matches("^sha256:", digests[1])
		assert.equal(digests[1], digests[2])
		-- The engine takes it, and it does what it did.
		assert(b.img:save(dir:file("again.tar"), { format = "docker" }))
		assert.same({ "built:1" }, docker.load(dir:file("again.tar")))
		assert.equal(a.img.id, docker.id("built:1"))
		assert.equal("x\n", docker.run("built:1"))
		local shown = docker.run("built:1", {
			"/bin/busybox", "stat", "-c", "%n %Y", "/etc/old", "/etc/hello", "/opt/etc/hello",
		})
		assert.equal("/etc/old 981173106\n/etc/hello 1600000000\n/opt/etc/hello 1600000000\n", shown)
		a.img:close()
		b.img:close()
	end)

	it("that differ in one file share all other chunks", function()
		local digests = {}
		for i = 1, 2 do
			local img = assert(strata.open(build(FIRST .. ("RUN mkdir -p /opt/app/own && echo %d >/opt/app/own/file\n"):format(i)
				.. REST, "chunks:" .. i)))
			assert(img:normalize({ epoch = EPOCH, sort = true }))
			assert(img:rechunk({ by = "directory", chunks = 24 }))
			local result = assert(img:save(tmp.dir():file("oci.tar"), { format = "oci-archive", compression = "gzip" }))
			digests[i] = {}
			for k, layer in ipairs(result.layers) do
				digests[i][k] = layer.digest
			end
			img:close()
		end
		local others = 0
		assert.equal(#digests[1], #digests[2])
		for k, digest in ipairs(digests[1]) do
			others = others + (digest == digests[2][k] and 0 or 1)
		end
		assert.is_true(#digests[1] > 4, #digests[1])
		assert.equal(1, others)
	end)

	it("on one base have that base untouched, and are one above it", function()
		local base = assert(strata.open(build(FIRST, "base:1")))
		local a, b = twice("FROM base:1\n" .. REST, function(img)
			local before = { digest = img.layers[2].digest, rows = img.config.history }
			assert(img:normalize({ epoch = EPOCH, above = base }))
			return before
		end)
		assert.equal(a.img.id, b.img.id)
		for i, row in ipairs(base.config.history) do
			assert.same(row, a.img.config.history[i])
			assert.not_equal(row.created, "2020-09-13T12:26:40Z")
		end
		for i in base:layers() do
			assert.equal(base.layers[i].digest, a.img.layers[i].digest)
		end
		for i = #base.config.history + 1, #a.rows do
			assert.equal("2020-09-13T12:26:40Z", a.img.config.history[i].created)
		end
		a.img:close()
		b.img:close()
		base:close()
	end)
end)

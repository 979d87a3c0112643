-- An image that strata makes from nothing is an image to every peer.

local strata = require "strata"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local need = peers.need

describe("an image made from nothing", function()
	local dir, target

	before_each(function()
		dir = tmp.dir()
		target = dir:file("new.tar")
	end)

	after_each(function()
		dir:remove()
	end)

	local LONG = "opt/" .. ("long"):rep(40) .. "/" .. ("name"):rep(40)

	local function make()
		local img = strata.new({ platform = "linux/amd64" })
		img:append({
			created_by = "busybox",
			files = {
				["/bin/busybox"] = { content = shell.read(shell.which("busybox")), mode = 493 },
				["/bin/sh"] = { type = "symlink", linkpath = "busybox" },
				["/bin/cat"] = { type = "hardlink", linkpath = "bin/busybox" },
				["/private"] = { type = "dir", mode = 448 },
			},
		})
		img:append({
			created_by = "files",
			files = {
				["/etc/plain"] = "plain\n",
				["/etc/owned"] = { content = "owned\n", mode = 384, uid = 1000, gid = 2000, mtime = 1234567890 },
				["/etc/binary"] = "\0\1\2\n\255",
				[LONG] = "long\n",
				["/opt/caf\195\169"] = "coffee\n",
				["/opt/empty"] = "",
			},
		})
		img.config.Entrypoint = { "/bin/sh", "-c" }
		img.config.Cmd = { "cat /etc/plain; echo $MOOD" }
		img.config:set_env("PATH", "/bin"):set_env("MOOD", "well")
		img.config:set_label("org.example.made", "from nothing")
		img:tag("new:1")
		return img
	end

	local function save()
		local img = make()
		local result = assert(img:save(target))
		assert.equal(img.id, result.id)
		img:close()
		return result
	end

	it("is loaded by docker with the announced ID, layers and history", function()
		need("docker")
		local result = save()
		assert.same({ "new:1" }, docker.load(target))
		assert.equal(result.id, docker.id("new:1"))
		local diff_ids = {}
		for i, layer in ipairs(result.layers) do
			assert.equal("added", layer.action)
			diff_ids[i] = layer.diff_id
		end
		local inspect = docker.inspect("new:1")
		assert.same(diff_ids, inspect.RootFS.Layers)
		assert.equal("linux", inspect.Os)
		assert.equal("amd64", inspect.Architecture)
		assert.equal("from nothing", inspect.Config.Labels["org.example.made"])
		local history = docker.history("new:1")
		assert.equal("files", history[1].created_by)
		assert.equal("busybox", history[2].created_by)
		assert.equal(2, #history)
	end)

	it("runs", function()
		need("docker")
		save()
		docker.load(target)
		assert.equal("plain\nwell\n", docker.run("new:1"))
	end)

	it("has in a container the files that were given, with modes, owners, times and links", function()
		need("docker")
		save()
		docker.load(target)
		local listing = sample.listing("new:1")
		assert.equal("41c0 0:0", listing.private.stat)
		assert.equal("81ed 0:0 2", listing["bin/busybox"].stat)
		assert.equal("81ed 0:0 2", listing["bin/cat"].stat)
		assert.equal(shell.sha256(shell.which("busybox")), listing["bin/cat"].sha256)
		assert.equal("busybox", listing["bin/sh"].target)
		assert.equal("8180 1000:2000 1", listing["etc/owned"].stat)
		assert.equal("1234567890", listing["etc/owned"].mtime)
		assert.equal("81a4 0:0 1", listing["etc/plain"].stat)
		for path, content in pairs({
			["etc/binary"] = "\0\1\2\n\255",
			[LONG] = "long\n",
			["opt/caf\195\169"] = "coffee\n",
			["opt/empty"] = "",
		}) do
			assert.equal(shell.sha256(dir:write("content", content)), listing[path].sha256, path)
		end
	end)

	it("may hardlink to a file whose name comes later, and the link keeps mode and owner of the file", function()
		need("docker")
		local img = strata.new({ platform = "linux/amd64" })
		img:append({
			files = {
				["bin/ash"] = { type = "hardlink", linkpath = "bin/busybox" },
				["bin/busybox"] = { content = shell.read(shell.which("busybox")), mode = 493 },
				["etc/a"] = { type = "hardlink", linkpath = "etc/b" },
				["etc/b"] = { content = "b\n", mode = 384, uid = 1, gid = 2, mtime = 1234567890 },
			},
		})
		img:tag("new:1")
		assert(img:save(target))
		img:close()
		docker.load(target)
		local listing = sample.listing("new:1")
		assert.equal("81ed 0:0 2", listing["bin/ash"].stat)
		assert.equal("8180 1:2 2", listing["etc/a"].stat)
		assert.equal("1234567890", listing["etc/a"].mtime)
		assert.same(listing["etc/b"], listing["etc/a"])
	end)

	it("is loaded by podman with the announced ID", function()
		need("podman")
		local result = save()
		assert.same({ ["docker.io/library/new:1"] = result.id }, podman.load(target))
	end)

	it("is copied by skopeo, which verifies it, and unpacked by umoci", function()
		need("skopeo", "umoci")
		local result = save()
		skopeo.copy("docker-archive:" .. target, "dir:" .. dir:file("copy"))
		local manifest = require("cjson").decode(shell.read(dir:file("copy/manifest.json")))
		assert.equal(result.id, manifest.config.digest)
		local rootfs = skopeo.unpack(target, dir)
		assert.equal("plain\n", shell.read(rootfs .. "/etc/plain"))
		assert.equal("long\n", shell.read(rootfs .. "/" .. LONG))
		assert.equal("\0\1\2\n\255", shell.read(rootfs .. "/etc/binary"))
	end)

	it("has layers that tar lists with every parent before its child and no path twice", function()
		need("docker")
		save()
		local image = tarlist.unpack_image(target, dir)
		for _, path in ipairs(image.layers) do
			local seen = {}
			for _, entry in ipairs(tarlist.entries(path)) do
				assert.is_nil(seen[entry.path], entry.path)
				seen[entry.path] = true
				assert.is_falsy(entry.name:find("^%.?/"), entry.name)
			end
		end
	end)

	it("is the same file every time it is made", function()
		need("docker")
		save()
		local first = shell.sha256(target)
		os.remove(target)
		save()
		assert.equal(first, shell.sha256(target))
	end)

	it("is opened again with the same ID, verified, and saved again as the same file", function()
		need("docker")
		local result = save()
		local img = assert(strata.open(target))
		assert.equal(result.id, img.id)
		assert.is_true(assert(img:verify()))
		assert.equal("coffee\n", img.layers[2]:read("opt/caf\195\169"))
		assert(img:save(dir:file("again.tar")))
		img:close()
		assert.is_true(shell.same(target, dir:file("again.tar")))
	end)

	it("can take a layer on top of what docker saved", function()
		need("docker")
		local app = sample.app()
		local img = assert(strata.open(app.archive))
		img:append({
			created_by = "one more",
			files = { ["/opt/numbers"] = "none\n", ["/srv/links/first"] = "unlinked\n" },
		})
		img.tags = { "app:2" }
		local result = assert(img:save(target))
		img:close()
		assert.same({ "app:2" }, docker.load(target))
		assert.equal(result.id, docker.id("app:2"))
		assert.equal("one more", docker.history("app:2")[1].created_by)
		local listing = sample.listing("app:2")
		assert.equal(shell.sha256(dir:write("content", "none\n")), listing["opt/numbers"].sha256)
		assert.equal(shell.sha256(dir:write("content", "unlinked\n")), listing["srv/links/first"].sha256)
		assert.equal(app.listing["srv/links/second"].sha256, listing["srv/links/second"].sha256)
	end)
end)

-- Archives and layouts of several images, as other tools read them: an image that was not edited is what it was, a name
-- that images for several platforms have is that of an index, and each tool takes the right one of them.

local collect = require "spec.support.collect"
local dialects = require "spec.support.docker_dialects"
local docker = require "spec.support.docker"
local docker_archive = require "spec.support.docker_archive"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = docker_archive.layers(4)
local REFS = { "one:1", "two:1", "three:1" }

local need = peers.need

local function image(number)
	return docker_archive.image({
		layers = { LAYERS[1], LAYERS[number + 1] },
		tags = { REFS[number] },
		name = "image " .. number,
	})
end

describe("an archive of three images of which two were edited", function()
	local dir

	before_each(function()
		need("docker", "podman", "skopeo")
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	for _, dialect in ipairs({ "docker_1_10", "docker_25", "podman" }) do
		it("has all three of them for docker, podman and skopeo: " .. dialect, function()
			local path = dialects.of[dialect](image(1), image(2), image(3)):write(dir:file("in.tar"))
			local target, ids = dir:file("out.tar"), {}
			local index = assert(strata.open_index(path))
			for i, img in ipairs(collect(index:images())) do
				if i < 3 then
					img.config:set_env("EDITED", img.tags[1])
				end
				ids[img.tags[1]] = img.id
			end
			assert.equal("sha256:" .. image(3).id, ids["three:1"])
			assert(index:save(target))
			local loaded = docker.load(target)
			table.sort(loaded)
			assert.same({ "one:1", "three:1", "two:1" }, loaded)
			local found = podman.load(target)
			for ref, id in pairs(ids) do
				assert.equal(id, docker.inspect(ref).Id)
				assert.equal(id, found["docker.io/library/" .. ref] or found["localhost/" .. ref])
				local env = table.concat(skopeo.config(("docker-archive:%s:%s"):format(target, ref)).config.Env, " ")
				assert.equal(ref ~= "three:1", env:find("EDITED=" .. ref, 1, true) ~= nil)
			end
		end)
	end
end)

describe("images for two platforms under one name", function()
	local dir

	before_each(function()
		need("skopeo", "podman")
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function new(platform)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { ["platform"] = platform } }))
		img.config.Cmd = { "/platform", platform }
		return img:tag("app:1")
	end

	-- The ID of the config that skopeo takes for a platform.
	local function taken(source, architecture)
		return (shell.check({
			"skopeo", "--insecure-policy", "--override-arch", architecture, "inspect", "--config", source,
			"--format", "{{.Architecture}} {{.Config.Cmd}}",
		})):match("^[^\n]*")
	end

	local PREFIX = { ["oci-archive"] = "oci-archive:", oci = "oci:" }

	for format, prefix in pairs(PREFIX) do
		it("are taken by skopeo and podman as they are asked for: " .. format, function()
			local amd, arm, target = new("linux/amd64"), new("linux/arm64"), dir:file("app")
			assert(strata.save({ amd, arm }, target, { format = format }))
			assert.equal("amd64 [/platform linux/amd64]", taken(prefix .. target .. ":1", "amd64"))
			assert.equal("arm64 [/platform linux/arm64]", taken(prefix .. target .. ":1", "arm64"))
			shell.check({ "skopeo", "--insecure-policy", "copy", "--quiet", "--all", prefix .. target .. ":1",
				"oci:" .. dir:file("all") .. ":1" })
			local index = assert(strata.open_index(dir:file("all")))
			assert.equal(amd.id, collect(index:images())[1].id) -- skopeo compresses the layers, so the digests are others
			assert.equal(arm.id, collect(index:images())[2].id)
			if format == "oci" then
				return -- podman makes a name of the path of a directory, and refuses upper case in it
			end
			podman.forget()
			local id = podman.call({ "pull", "--quiet", "--arch", "arm64", prefix .. target .. ":1" }):match("%x+")
			assert.equal(arm.id, "sha256:" .. id)
		end)
	end

	it("stay an index from a directory to an archive and back, and with one of them edited", function()
		local amd, arm = new("linux/amd64"), new("linux/arm64")
		assert(strata.save({ amd, arm }, dir:file("app"), { format = "oci" }))
		local index = assert(strata.open_index(dir:file("app")))
		for img in assert(index:images({ platform = "linux/arm64" })) do
			img.config.Cmd = { "edited" }
		end
		assert(index:save(dir:file("app.tar"), { format = "oci-archive" }))
		local again = assert(strata.open_index(dir:file("app.tar")))
		assert(again:save(dir:file("back"), { format = "oci" }))
		for _, source in ipairs({ "oci-archive:" .. dir:file("app.tar") .. ":1", "oci:" .. dir:file("back") .. ":1" }) do
			assert.equal("amd64 [/platform linux/amd64]", taken(source, "amd64"))
			assert.equal("arm64 [edited]", taken(source, "arm64"))
		end
	end)

	it("that skopeo has copied are kept by index:save, attestations among them", function()
		local amd, arm = new("linux/amd64"), new("linux/arm64")
		assert(strata.save({ amd, arm }, dir:file("app"), { format = "oci" }))
		shell.check({ "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "oci:" .. dir:file("app") .. ":1",
			"dir:" .. dir:file("flat") })
		local index = assert(strata.open_index(dir:file("flat")))
		assert(index:save(dir:file("flat.tar"), { format = "oci-archive" }))
		shell.check({ "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "oci-archive:" .. dir:file("flat.tar"),
			"dir:" .. dir:file("again") })
		shell.check({ "diff", "-r", dir:file("flat"), dir:file("again") })
	end)
end)

-- Archives and layouts of several images, as other tools read them: an image that was not edited is what it was, a name
-- that images for several platforms have is that of an index, and each tool takes the right one of them.

local dialects = require "spec.support.docker_dialects"
local docker = require "spec.support.docker"
local docker_archive = require "spec.support.docker_archive"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = docker_archive.layers(4)
local REFS = { "one:1", "two:1", "three:1" }

local function need(...)
	local reason = peers.missing(...)
	if reason then
		pending(reason)
	end
end

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
			for i, img in ipairs(index.images) do
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

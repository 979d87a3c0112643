--- What Docker and skopeo see of one image that was copied from among several, and of one without its waste.

local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir

setup(function()
	dir = tmp.dir()
end)

teardown(function()
	dir:remove()
end)

local function need(...)
	local reason = peers.missing(...)
	if reason then
		pending(reason)
	end
end

describe("strata.copy of one image", function()
	it("gives Docker that image and no other", function()
		need("docker")
		local one, other = assert(strata.open(sample.app().archive)), strata.new({ platform = "linux/amd64" })
		other:append({ files = { secret = "s3cret" } })
		one.tags, other.tags = { "one:1" }, { "other:1" }
		assert(strata.save({ one, other }, dir:file("both.tar"), { format = "docker" }))
		local both = docker.load(dir:file("both.tar"))
		table.sort(both)
		assert.same({ "one:1", "other:1" }, both)
		assert(strata.copy(dir:file("both.tar"), dir:file("one.tar"), { ref = "one:1" }))
		assert.same({ "one:1" }, docker.load(dir:file("one.tar")))
		assert.equal(one.id, docker.id("one:1"))
		assert.is_nil(shell.read(dir:file("one.tar")):find("s3cret", 1, true))
	end)

	it("gives skopeo the platform that was named", function()
		need("skopeo")
		local images = {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			images[i] = strata.new({ platform = platform })
			images[i]:append({ files = { which = platform } })
		end
		assert(strata.save(images, dir:file("multi.tar"), { index = "app:1", format = "oci-archive" }))
		assert(strata.copy(dir:file("multi.tar"), dir:file("arm.tar"), { platform = "linux/arm64" }))
		local words = { "skopeo", "inspect", "--raw", "oci-archive:" .. dir:file("arm.tar") }
		assert.is_truthy(shell.check(words):find('"layers"', 1, true), "an index")
		words = { "skopeo", "inspect", "--format", "{{.Architecture}}", "oci-archive:" .. dir:file("arm.tar") }
		assert.equal("arm64\n", shell.check(words))
	end)
end)

describe("an image without what no container sees", function()
	it("is the same in a container of Docker's", function()
		need("docker")
		local img = assert(strata.open(sample.app().archive))
		docker.load(sample.app().archive)
		local before = sample.listing("app:1")
		local bytes = assert(img:drop_waste())
		assert.is_true(bytes > 0)
		assert.equal(0, assert(img:waste()).total)
		assert(img:save(dir:file("dropped.tar")))
		docker.load(dir:file("dropped.tar"))
		assert.equal(img.id, docker.id("app:1"))
		assert.same(before, sample.listing("app:1"))
	end)
end)

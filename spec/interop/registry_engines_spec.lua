-- Docker Engine and podman with Debian's docker-registry and strata: each pulls what the others have pushed.

local cjson = require "cjson"
local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local remote = require "spec.support.remote"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("by docker-registry:", function()
	local dir, server, hub

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		if server then
			server:stop()
			server = nil
		end
		dir:remove()
	end)

	local function start(...)
		peers.need("docker-registry", ...)
		server = docker_registry.start({})
		hub = remote.client()
	end

	local function name_of(name)
		return server.host .. "/team/" .. name
	end

	local function ref(name)
		return "docker://" .. name_of(name)
	end

	local function open(name, options)
		options = options or {}
		options.registry = hub
		return assert(strata.open(ref(name), options))
	end

	local function image(platform)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { ["etc/name"] = platform or "any" } }))
		assert(img:append({ files = { ["etc/more"] = { content = "more", mode = "0600" } } }))
		return img
	end

	it("Docker Engine pulls what strata has pushed, edited and indexed, and strata what the engine has pushed", function()
		start("docker")
		docker.forget()
		-- From the engine.
		dir:write("Dockerfile", "FROM scratch\nCOPY Dockerfile /a/\nLABEL x=y\nCOPY Dockerfile /b/\n")
		local id = docker.build(dir.path, name_of("app:1"))
		docker.call({ "push", "--quiet", name_of("app:1") })
		local img = open("app:1")
		assert(img:verify())
		assert.equal(id, img.id)
		local told = cjson.decode(docker.call({ "image", "inspect", name_of("app:1") }))[1]
		assert.same(told.RepoDigests, { img.repo_digests[1] })
		assert.same(told.RepoDigests, img:inspect().RepoDigests)

		-- Edited: by digest.
		img.config:set_label("x", "z")
		assert(img:remove("a"))
		local made = assert(img:save(ref("app:2"), { registry = hub }))
		docker.forget()
		local by_digest = name_of("app@" .. made.digest)
		docker.call({ "pull", "--quiet", by_digest })
		told = cjson.decode(docker.call({ "image", "inspect", by_digest }))[1]
		assert.equal(made.id, told.Id)
		assert.same({ by_digest }, told.RepoDigests)
		assert.equal("z", told.Config.Labels.x)

		-- An index: the engine takes what is for its own platform.
		local list = { image("linux/arm64"), image("linux/amd64") }
		made = assert(strata.save(list, ref("multi:1"), { registry = hub }))
		docker.call({ "pull", "--quiet", name_of("multi:1") })
		told = cjson.decode(docker.call({ "image", "inspect", name_of("multi:1") }))[1]
		assert.equal(list[2].id, told.Id)
		assert.same({ name_of("multi@" .. made.digest) }, told.RepoDigests)
	end)

	it("podman pulls what strata has pushed, edited and indexed, and strata what podman has pushed", function()
		start("podman")
		podman.forget()
		assert(image():save(dir:file("app.tar"), { format = "docker" }))
		local first = assert(strata.open(dir:file("app.tar")))
		assert(first:save(ref("app:0"), { registry = hub }))
		local function pull(name)
			return "sha256:" .. podman.call({ "pull", "--quiet", "--tls-verify=false", name_of(name) }):match("%x+")
		end
		local id = pull("app:0")
		assert.equal(first.id, id)

		podman.call({ "push", "--quiet", "--tls-verify=false", id, name_of("app:1") })
		local img = open("app:1")
		assert(img:verify())
		assert.equal("more", img:read("etc/more"))
		img.config:set_label("x", "z")
		local made = assert(img:save(ref("app:2"), { registry = hub }))
		assert.equal(made.id, pull("app@" .. made.digest))

		local list = { image("linux/arm64"), image("linux/amd64") }
		assert(strata.save(list, ref("multi:1"), { registry = hub }))
		assert.equal(list[2].id, pull("multi:1"))
	end)
end)

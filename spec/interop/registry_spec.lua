-- The registries that specs use, with skopeo as their client: Debian's docker-registry in each way in which it is set
-- up, and the registry of the specs. What was pushed comes back with the same digests.

local certificates = require "spec.support.certificates"
local docker_registry = require "spec.support.docker_registry"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local need = peers.need

describe("registries that skopeo knows how to use:", function()
	local dir, image, index, server

	setup(function()
		dir = tmp.dir()
		local layout = oci_layout.new()
		local children = {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			local layers = { layout:file_layer("shared", { compression = "gzip" }),
				layout:file_layer(platform, { compression = "gzip" }) }
			children[i] = layout:image({ layers = layers, platform = platform }).descriptor
		end
		image = children[1].digest
		layout:list(children[1], "image")
		local descriptor = layout:index(children)
		index = descriptor.digest
		layout:list(descriptor, "index")
		layout:directory(dir:file("layout"))
		shell.sh('mkdir "$1"; cp "$2" "$1/ca.crt"', dir:file("certs"), certificates.path("ca.crt"))
	end)

	teardown(function()
		dir:remove()
	end)

	after_each(function()
		if server then
			server:stop()
			server = nil
		end
	end)

	local function skopeo(side, options, ...)
		local words = { "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests" }
		if options.tls then
			words[#words + 1] = ("--%s-cert-dir=%s"):format(side, dir:file("certs"))
		else
			words[#words + 1] = ("--%s-tls-verify=false"):format(side)
		end
		if options.auth then
			words[#words + 1] = ("--%s-creds=joe:secret"):format(side)
		end
		for _, word in ipairs({ ... }) do
			words[#words + 1] = word
		end
		words.env = { PATH = shell.PATH, LC_ALL = "C.UTF-8", HOME = dir.path, REGISTRY_AUTH_FILE = dir:file("auth.json") }
		return (shell.check(words))
	end

	--- Copies both into a registry and out of it again.
	local function there_and_back(options)
		local back = dir:file("back")
		for _, name in ipairs({ "image", "index" }) do
			local reference = ("docker://%s/team/app:%s"):format(server.host, name)
			skopeo("dest", options, "oci:" .. dir:file("layout") .. ":" .. name, reference)
			skopeo("src", options, reference, "oci:" .. back .. ":" .. name)
		end
		local text = shell.read(back .. "/index.json")
		assert.is_truthy(text:find(image, 1, true))
		assert.is_truthy(text:find(index, 1, true))
		shell.check({ "diff", "-r", dir:file("layout") .. "/blobs", back .. "/blobs" })
		shell.check({ "rm", "-r", back })
	end

	local USERS = { joe = "secret" }
	local WAYS = {
		{ "plain", {} },
		{ "with TLS", { tls = true } },
		{ "with basic authentication", { auth = "basic", users = USERS } },
		{ "with tokens", { auth = "token", users = USERS } },
		{ "with tokens and TLS", { auth = "token", tls = true, users = USERS } },
	}

	for _, way in ipairs(WAYS) do
		it("docker-registry " .. way[1], function()
			need("docker-registry", "skopeo")
			server = docker_registry.start(way[2])
			there_and_back(way[2])
			assert.is_true(#server:log() > 10)
			if server.tokens then
				assert.is_truthy(server.tokens:lines()[1]:find("^GET /token%?"))
			end
		end)

		it("the registry of the specs " .. way[1], function()
			need("skopeo")
			server = registry.start(way[2])
			there_and_back(way[2])
			assert.same({ image = image, index = index }, server:tags("team/app"))
			assert.same({}, server:uploads("team/app"))
		end)
	end

	it("the registry of the specs with all that makes distribution 2.8 differ", function()
		need("skopeo")
		server = registry.start({ quirks = { "Q13" } })
		there_and_back({})
	end)

	it("docker-registry behind the registry of the specs, which has faults and latency of its own", function()
		need("docker-registry", "skopeo")
		local behind = docker_registry.start()
		server = registry.start({ upstream = behind.host, latency = 0.01 })
		there_and_back({})
		assert.equal(#server:log(), #behind:log())
		server:fault({ status = 503 })
		assert.has_error(function()
			there_and_back({})
		end)
		behind:stop()
	end)

	it("docker-registry forgets its log, deletes by digest, and has a mirror", function()
		need("docker-registry", "skopeo")
		server = docker_registry.start()
		skopeo("dest", {}, "oci:" .. dir:file("layout") .. ":image", "docker://" .. server.host .. "/team/app:1")
		local mirror = docker_registry.start({ mirror_of = server.url })
		server:forget()
		skopeo("src", {}, "docker://" .. mirror.host .. "/team/app:1", "oci:" .. dir:file("mirrored") .. ":1")
		assert.is_true(#server:log() > 0)
		mirror:stop()
		skopeo("src", {}, "docker://" .. server.host .. "/team/app:1", "dir:" .. dir:file("direct"))
		local url = server.url .. "/v2/team/app/manifests/" .. image
		assert.equal("202", shell.check({ "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "DELETE", url }))
	end)
end)

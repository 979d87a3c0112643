-- The command between the tools that it stands beside: docker, skopeo and Debian's docker-registry.

local cjson = require "cjson"
local certificates = require "spec.support.certificates"
local command = require "spec.support.command"
local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tmp = require "spec.support.tmp"

describe("strata", function()
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

	it("tells of an image what skopeo tells", function()
		need("docker", "skopeo")
		local app, layout = sample.app().archive, dir:file("layout")
		command.check({ "convert", app, "-o", layout, "--format", "oci", "--compression", "gzip" })
		local ours = cjson.decode((command.check({ "inspect", "--json", layout })))
		local theirs = skopeo.inspect("oci:" .. layout)
		assert.equal(theirs.Digest, ours.digest)
		for i, layer in ipairs(ours.layers) do
			assert.equal(theirs.Layers[i], layer.digest)
		end
		assert.same(skopeo.config("oci:" .. layout).config.Env, ours.config.config.Env)
	end)

	it("lists what tar lists of the root file system, and of a layer", function()
		need("docker")
		local app = sample.app().archive
		local tar = dir:file("layer.tar")
		for number = 1, 3 do
			command.check({ "export", app, "--layer", number, "--compression", "none", "-o", tar })
			local listed = shell.check({ "tar", "-tvf", tar, env = { TZ = "UTC", LC_ALL = "C.UTF-8" } })
			local ours = command.check({ "ls", "-l", "--layer", number, app })
			local function plain(text) -- tar tells a directory by a slash, and escapes bytes in octal
				return (text:gsub(" +", " "):gsub("/\n", "\n"):gsub("\\x(%x%x)", function(digits)
					return ("\\%03o"):format(tonumber(digits, 16))
				end))
			end
			assert.equal(plain(listed), plain(ours))
		end
	end)

	it("stands in a pipe between docker save and docker load", function()
		need("docker")
		docker.load(sample.app().archive)
		local before = docker.inspect("app:1")
		local line = ("docker save app:1 | %s | %s | docker load"):format(
			shell.join(command.words({ "rm", "-", "opt/owned", "-o", "-" })),
			shell.join(command.words({ "set", "-", "--env", "TZ=UTC", "--tag", "app:piped", "-o", "-" })))
		local shown = shell.check({ "bash", "-euo", "pipefail", "-c", line, env = docker.environment() })
		assert.equal("Loaded image: app:piped\n", shown)
		local after = docker.inspect("app:piped")
		assert.not_equal(before.Id, after.Id)
		assert.matches("TZ=UTC", table.concat(after.Config.Env, "\n"), 1, true)
		assert.is_nil(sample.listing("app:piped")["opt/owned"])
	end)

	it("pushes to docker-registry what skopeo pulls, with logins of docker and a certificate", function()
		need("docker", "docker-registry", "skopeo")
		if not shell.which("htpasswd") then
			pending("htpasswd is not installed: apt install apache2-utils")
		end
		local server = docker_registry.start({ tls = true, auth = "basic", users = { joe = "secret" } })
		local place = ("docker://%s/team/app:1"):format(server.host)
		local ca = certificates.path("ca.crt")
		local auth = shell.sh("printf joe:secret | base64"):match("%S+")
		local home = dir:file("home")
		shell.sh("mkdir -p $1/.docker", home)
		dir:write("home/.docker/config.json", ('{"auths":{"%s":{"auth":"%s"}}}'):format(server.host, auth))
		local login = { HOME = home, DOCKER_CONFIG = home .. "/.docker" }
		command.check({ "copy", sample.app().archive, place, "--ca", ca, env = login })
		local nobody = { HOME = "/nonexistent", DOCKER_CONFIG = "/nonexistent" }
		local done = command.run({ "inspect", place, "--ca", ca, env = nobody })
		assert.same({ 2, "" }, { done.status, done.stdout })
		assert.matches("^strata: docker://[^\n]+\n$", done.stderr)
		shell.sh('mkdir "$1"; cp "$2" "$1/ca.crt"', dir:file("certs"), ca)
		local digest = shell.check({ "skopeo", "inspect", "--creds", "joe:secret", "--cert-dir", dir:file("certs"),
			"--format", "{{.Digest}}", place, env = { PATH = shell.PATH } }):match("%S+")
		assert.equal(digest, cjson.decode((command.check({ "inspect", "--json", place, "--ca", ca, env = login }))).digest)
		server:stop()
	end)
end)

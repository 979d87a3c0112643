-- Docker, podman and skopeo push through the gate of examples/gate to Debian's docker-registry: what the policy allows
-- arrives as it was sent, and their users read what it refuses.

local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local certificates = require "spec.support.certificates"
local gate = require "spec.support.gate"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local it = gate.missing() and function(name)
	pending(name .. ": " .. gate.missing())
end or it

local REFUSED = "policy: setid: 'usr/bin/evil': set-id file, mode 4755 (layer 2); "
	.. "secrets: variable API_TOKEN matches a secret's pattern"

describe("through the gate", function()
	local dir, server, behind

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		server, behind = gate.clear(server, behind)
		dir:remove()
	end)

	-- An archive for docker load, with or without what the policy refuses.
	local function archive(name, is_evil)
		local img = strata.new()
		assert(img:append({ files = { ["etc/name"] = name, ["usr/bin/su"] = { content = "su", mode = "4755" } } }))
		if is_evil then
			assert(img:append({ files = { ["usr/bin/evil"] = { content = "x", mode = "4755" } } }))
			img.config:set_env("API_TOKEN", "abc")
		else
			assert(img:append({ files = { ["usr/bin/good"] = { content = "x", mode = "0755" } } }))
		end
		img.tags = { name .. ":1" }
		assert(img:save(dir:file(name .. ".tar"), { format = "docker" }))
		return dir:file(name .. ".tar"), img.id
	end

	local function skopeo(...)
		return shell.run({ "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
			"--src-tls-verify=false", env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }, ... })
	end

	local function refused(done, where)
		assert.not_equal(0, done.status)
		assert.is_truthy((done.stderr .. done.stdout):find("denied: " .. REFUSED, 1, true), done.stderr .. done.stdout)
		assert.equal(404, server:behind(where, "1"))
	end

	it("skopeo copies in every format, and back; a refused image is refused, with the findings", function()
		peers.need("skopeo")
		server = gate.start()
		local good, evil = archive("good"), archive("evil", true)
		for _, format in ipairs({ "v2s2", "oci" }) do
			local to = ("docker://%s/team/%s:1"):format(server.host, format)
			assert.equal(0, skopeo("--format", format, "docker-archive:" .. good, to).status)
			assert.equal(0, skopeo(to, "dir:" .. dir:file(format)).status)
			local bytes = shell.read(dir:file(format .. "/manifest.json"))
			assert.is_truthy(bytes:find(format == "oci" and "vnd.oci.image.manifest" or "vnd.docker", 1, true))
			assert.equal(200, server:behind("team/" .. format, require("strata.core").sha256(bytes)))
			local done = skopeo("--format", format, "docker-archive:" .. evil, (to:gsub("team", "evil")))
			refused(done, "evil/" .. format)
		end
		assert.equal("", server:said())
	end)

	it("podman pushes and pulls", function()
		peers.need("podman")
		server = gate.start()
		for _, name in ipairs({ "good", "evil" }) do
			podman.load((archive(name, name == "evil")))
			local to = ("%s/team/%s:1"):format(server.host, name)
			local ok, message = pcall(podman.call, { "push", "--tls-verify=false", "docker.io/library/" .. name .. ":1",
				"docker://" .. to })
			assert.equal(name == "good", ok, message)
			if ok then
				podman.forget()
				podman.call({ "pull", "--quiet", "--tls-verify=false", to })
			else
				refused({ status = 1, stderr = tostring(message), stdout = "" }, "team/evil")
			end
		end
	end)

	it("Docker pushes and pulls, with blobs mounted from another repository", function()
		peers.need("docker")
		server = gate.start()
		docker.forget()
		for _, name in ipairs({ "good", "evil" }) do
			docker.call({ "load", "--quiet", "--input", (archive(name, name == "evil")) })
			for _, where in ipairs({ "team", "other" }) do
				local to = ("%s/%s/%s:1"):format(server.host, where, name)
				docker.call({ "tag", name .. ":1", to })
				local done = docker.try({ "push", to })
				if name == "good" then
					assert.equal(0, done.status, done.stderr)
				else
					refused(done, where .. "/evil")
				end
			end
		end
		docker.forget()
		docker.call({ "pull", "--quiet", server.host .. "/other/good:1" })
		docker.forget()
	end)

	it("names and passwords reach the registry behind, and are asked for by it", function()
		peers.need("skopeo", "docker-registry")
		behind = docker_registry.start({ auth = "basic", users = { joe = "secret" } })
		server = gate.start({ "--backend", behind.host })
		local good = "docker-archive:" .. archive("good")
		local to = ("docker://%s/team/good:1"):format(server.host)
		assert.is_truthy(skopeo(good, to).stderr:find("authentication required", 1, true))
		assert.is_truthy(skopeo("--dest-creds", "joe:wrong", good, to).stderr:find("unauthorized", 1, true))
		local done = skopeo("--dest-creds", "joe:secret", good, to)
		assert.equal(0, done.status, done.stderr)
		done = skopeo("--dest-creds", "joe:secret", "docker-archive:" .. archive("evil", true),
			("docker://%s/team/evil:1"):format(server.host))
		assert.is_truthy(done.stderr:find("denied: " .. REFUSED, 1, true), done.stderr)
		-- Nobody gets a judgement who may not push, also when it is known.
		local config = ('"config":{"mediaType":"a/b","digest":"sha256:%s","size":2}'):format(("0"):rep(64))
		local text = ('{"schemaVersion":2,"mediaType":"%s",%s,"layers":[]}')
			:format("application/vnd.oci.image.manifest.v1+json", config)
		for _ = 1, 2 do
			assert.equal(403, server:manifest("team/x", "1", text, nil, { "Authorization: Basic am9lOnNlY3JldA==" }).status)
			assert.equal(401, server:manifest("team/x", "1", text).status)
		end
		local answer = server:manifest("team/good", "2", "{}", "application/vnd.oci.image.manifest.v1+json")
		assert.equal(401, answer.status)
		assert.matches("^Basic realm=", answer:header("WWW-Authenticate"))
	end)

	it("tokens do, too", function()
		peers.need("skopeo", "docker-registry")
		behind = docker_registry.start({ auth = "token", users = { joe = "secret", eve = "secret" },
			access = { joe = { ["team/good"] = "pull,push" }, eve = { ["team/good"] = "pull" } } })
		server = gate.start({ "--backend", behind.host })
		local good = "docker-archive:" .. archive("good")
		local to = ("docker://%s/team/good:1"):format(server.host)
		local done = skopeo("--dest-creds", "joe:secret", good, to)
		assert.equal(0, done.status, done.stderr)
		done = skopeo("--dest-creds", "eve:secret", good, to)
		assert.not_equal(0, done.status)
		local answer = server:manifest("team/good", "2", "{}", "application/vnd.oci.image.manifest.v1+json")
		assert.equal(401, answer.status)
		assert.matches("scope=\"repository:team/good:p", answer:header("WWW-Authenticate"))
	end)

	it("TLS on both sides", function()
		peers.need("skopeo", "docker-registry")
		behind = docker_registry.start({ tls = true })
		local url = behind.url:gsub("127.0.0.1", "localhost")
		server = gate.start({ "--backend", url, "--backend-ca", certificates.path("ca.crt"),
			"--tls-cert", certificates.path("server.crt"), "--tls-key", certificates.path("server.key") })
		local words = { "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-cert-dir", dir:file("certs"),
			env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" } }
		shell.sh('mkdir "$1" && cp "$2" "$1"', dir:file("certs"), certificates.path("ca.crt"))
		local function copy(from, name)
			local command = { env = words.env }
			for _, word in ipairs(words) do
				command[#command + 1] = word
			end
			command[#command + 1] = "docker-archive:" .. from
			command[#command + 1] = ("docker://%s/team/%s:1"):format(server.host, name)
			return shell.run(command)
		end
		local done = copy(archive("good"), "good")
		assert.equal(0, done.status, done.stderr)
		done = copy(archive("evil", true), "evil")
		assert.is_truthy(done.stderr:find("denied: " .. REFUSED, 1, true), done.stderr)
		assert.equal("", server:said())
	end)
end)

-- The pull-through filter of examples/gate as the clients of registries see it, before Debian's docker-registry.

local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local filter = require "spec.support.filter"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local EDITS = [[
return {
  { name = "busybox", remove = "usr/share/doc", labels = { ["com.example.filtered"] = "yes" } },
  { name = "none", remove = "no/such/path" },
}
]]

describe("the filter of the gate, for clients", function()
	local dir, server, gate, img
	local missing = nginx.missing() or docker_registry.missing()

	-- An image that runs: a shell, and something to take out.
	local function build()
		local made = strata.new()
		local busybox = shell.which("busybox")
		local files = { ["bin/busybox"] = { mode = 493, content = shell.read(busybox) } }
		for _, name in ipairs({ "sh", "ls", "cat" }) do
			files["bin/" .. name] = { type = "symlink", linkpath = "busybox" }
		end
		assert(made:append({ files = files }))
		assert(made:append({ files = { ["usr/share/doc/a"] = "text", ["etc/a"] = "a" } }))
		made.config.Cmd = { "sh" }
		return made
	end

	setup(function()
		if missing then
			return
		end
		dir, server = tmp.dir(tmp.for_peers()), docker_registry.start()
		gate = filter.start({ directory = dir:file("gate"), edits = EDITS, backend = server.host })
		img = build()
		for _, name in ipairs({ "busybox:1", "none:1" }) do
			assert(img:save(("docker://%s/%s"):format(server.host, name)))
		end
	end)

	after_each(function() filter.stop_others(gate) end)

	teardown(function()
		if gate then
			filter.stop_others()
			server:stop()
			dir:remove()
		end
	end)

	local function specify(name, peer, fn)
		it(name, function()
			if missing then
				return pending(missing)
			end
			peers.need(peer)
			fn()
		end)
	end

	local function ref(name)
		return gate.host .. "/filtered/" .. name
	end

	local SCRIPT = "cat /etc/a; ls /usr/share; ls /usr/share/doc"

	specify("docker pulls and runs it, and shows why it cannot", "docker", function()
		local digest = docker.call({ "pull", ref("busybox:1") }):match("Digest: (sha256:%x+)")
		assert.equal(gate:get("busybox/manifests/1").headers["docker-content-digest"], digest)
		assert.equal("yes", docker.inspect(ref("busybox:1")).Config.Labels["com.example.filtered"])
		assert.matches("sha256:%x+", docker.call({ "pull", ref("busybox@" .. digest) }))
		local ran = docker.try({ "run", "--rm", "--network=none", ref("busybox:1"), "sh", "-c", SCRIPT })
		assert.matches("^a", ran.stdout)
		assert.matches("usr/share/doc: No such file", ran.stderr)
		local refused = docker.try({ "pull", ref("none:1") })
		assert.matches("filter: remove: nothing matches 'no/such/path'", refused.stderr)
		refused = docker.try({ "pull", ref("other:1") })
		assert.matches("edits.lua does not name it", refused.stderr)
		refused = docker.try({ "push", ref("busybox:1") })
		assert.matches("cannot be changed", refused.stderr)
		docker.call({ "rmi", "-f", ref("busybox:1") })
	end)

	specify("podman pulls it, and shows why it cannot", "podman", function()
		local id = podman.call({ "pull", "--quiet", "--tls-verify=false", ref("busybox:1") }):match("%x+")
		assert.equal(assert(strata.open("docker://" .. ref("busybox:1"))).id, "sha256:" .. id)
		local ok, message = pcall(podman.call, { "pull", "--quiet", "--tls-verify=false", ref("none:1") })
		assert.is_false(ok)
		assert.matches("nothing matches 'no/such/path'", tostring(message))
		ok, message = pcall(podman.call, { "push", "--tls-verify=false", id, "docker://" .. ref("busybox:2") })
		assert.is_false(ok)
		assert.matches("cannot be changed", tostring(message))
		podman.call({ "rmi", "--all", "--force" })
	end)

	specify("skopeo copies it with every digest compared, and lists tags", "skopeo", function()
		local function skopeo(...)
			local words = { "skopeo", "--insecure-policy", ... }
			words.env = { PATH = shell.PATH }
			return shell.run(words)
		end
		local done = skopeo("copy", "--src-tls-verify=false", "docker://" .. ref("busybox:1"), "oci:" .. dir:file("copy"))
		assert.equal(0, done.status, done.stderr)
		local copy = assert(strata.open(dir:file("copy")))
		assert.equal(gate:get("busybox/manifests/1").headers["docker-content-digest"], copy.digest)
		done = skopeo("list-tags", "--tls-verify=false", "docker://" .. ref("busybox"))
		assert.matches('"1"', done.stdout)
		done = skopeo("copy", "--dest-tls-verify=false", "oci:" .. dir:file("copy"), "docker://" .. ref("busybox:2"))
		assert.matches("cannot be changed", done.stderr)
	end)

	specify("asks the upstream what the client may read, and makes it with the client's rights", "docker-registry",
		function()
			local joe = { username = "joe", password = "secret" }
			local closed = docker_registry.start({ auth = "basic", users = { joe = "secret" } })
			finally(function() closed:stop() end)
			local hub = assert(strata.registry({ credentials = { [closed.host] = joe } }))
			assert(img:save(("docker://%s/busybox:1"):format(closed.host), { registry = hub }))
			local own = filter.start({ directory = dir:file("closed"), edits = EDITS, backend = closed.host })
			local answer = own:get("busybox/manifests/1")
			assert.equal(401, answer.status)
			assert.matches('^Basic realm="', answer.headers["www-authenticate"])
			assert.equal(401, own:get("busybox/manifests/1", "-u", "joe:wrong").status)
			answer = own:get("busybox/manifests/1", "-u", "joe:secret")
			assert.equal(200, answer.status, answer.body)
			local digest = answer.headers["docker-content-digest"]
			assert.equal(gate:get("busybox/manifests/1").headers["docker-content-digest"], digest)
			local layer = answer.body:match('"layers":.*(sha256:%x+)')
			for path in pairs({ ["busybox/manifests/" .. digest] = 1, ["busybox/blobs/" .. layer] = 1 }) do
				assert.same({ 401, 401, 200 },
					{ own:get(path).status, own:get(path, "-u", "joe:wrong").status, own:get(path, "-u", "joe:secret").status })
			end
			local mine = assert(strata.registry({ credentials = { [own.host] = joe } }))
			local ours = assert(strata.open(("docker://%s/filtered/busybox:1"):format(own.host), { registry = mine }))
			assert.is_true(ours:verify())
			own:stop()
		end)
end)

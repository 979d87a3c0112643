-- The pull-through filter of examples/gate as the clients of registries see it, before Debian's docker-registry.

local certificates = require "spec.support.certificates"
local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local filter = require "spec.support.filter"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local EDITS = [[
return {
  { name = "busybox", remove = "usr/share/doc", labels = { ["com.example.filtered"] = "yes" } },
  { name = "none", remove = "no/such/path" },
  { name = "app", rebase = { from = "base:1", onto = "base:2" } },
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
		podman.forget()
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

	-- A registry with tokens, with busybox:1 and an app:1 that is to get another base, and a gate before it, which is
	-- told of a token server with an address of its own.
	local function start_with_tokens(kind, tls)
		local rights = { busybox = "pull,push", base = "pull,push", app = "pull,push" }
		local closed = kind.start({ auth = "token", tls = tls, name = tls and "localhost",
			users = { joe = "secret", eve = "secret" }, access = { joe = rights, eve = { app = "pull" } } })
		finally(function() closed:stop() end)
		-- nginx compares names in certificates, and no addresses.
		local host, hosts, more = closed.host, {}, {}
		if closed.tokens then
			local tokens = closed.tokens.url
			if tls then
				host, tokens = host:gsub("127.0.0.1", "localhost"), tokens:gsub("127.0.0.1", "localhost")
				local ca = certificates.path("ca.crt")
				hosts[host], hosts[tokens:match("//(.*)")] = { ca = ca }, { ca = ca }
				more = { "--backend-ca", ca }
			end
			more[#more + 1] = "--token-server"
			more[#more + 1] = tokens .. "/token"
		end
		local hub = assert(strata.registry({ hosts = hosts,
			credentials = { [host] = { username = "joe", password = "secret" } } }))
		local function push(image, name)
			assert(image:save(("docker://%s/%s"):format(host, name), { registry = hub }))
		end
		local app, base = build(), build()
		push(app, "base:1")
		assert(app:append({ files = { ["etc/app"] = "app" } }))
		push(app, "app:1")
		assert(base:append({ files = { ["etc/new"] = "new" } }))
		push(base, "base:2")
		push(img, "busybox:1")
		local own = filter.start({ directory = dir:file("tokens"), edits = EDITS, more = more,
			backend = (tls and "https://" or "http://") .. host })
		finally(function()
			own:stop()
			closed:stop()
		end)
		return own, closed
	end

	specify("docker gets tokens for what the upstream has, its bases as well", "docker", function()
		local own = start_with_tokens(docker_registry)
		local function login(user)
			docker.call({ "login", "-u", user, "--password-stdin", own.host, input = "secret" })
		end
		local function pull(name)
			return docker.try({ "pull", own.host .. "/filtered/" .. name })
		end
		assert.matches("denied", pull("busybox:1").stderr)
		login("eve")
		assert.matches("denied", pull("busybox:1").stderr)
		assert.matches("denied", pull("app:1").stderr) -- she may read it, and not its base
		login("joe")
		for _, name in ipairs({ "busybox:1", "app:1" }) do
			local done = pull(name)
			assert.equal(0, done.status, done.stderr)
		end
		local image = own.host .. "/filtered/app:1"
		local done = docker.try({ "run", "--rm", "--network=none", image, "sh", "-c", "cat /etc/new /etc/app" })
		assert.equal("newapp", done.stdout, done.stderr)
		docker.call({ "tag", image, own.host .. "/app:2" })
		done = docker.try({ "push", own.host .. "/app:2" })
		assert.equal(0, done.status, done.stderr)
		docker.call({ "logout", own.host })
	end)

	specify("so do others, from a token server at the gate's own address", "skopeo", function()
		local own = start_with_tokens(registry)
		local hub = assert(strata.registry({ credentials = { [own.host] = { username = "joe", password = "secret" } } }))
		assert.is_truthy(strata.open(("docker://%s/filtered/app:1"):format(own.host), { registry = hub }))
		local done = shell.run({ "skopeo", "inspect", "--tls-verify=false", "--creds", "joe:secret",
			("docker://%s/filtered/app:1"):format(own.host), env = { PATH = shell.PATH } })
		assert.equal(0, done.status, done.stderr)
		-- As clients ask that have an identity token: in a form.
		local answer = nginx.curl({ ("http://%s/token"):format(own.host), "-d", "grant_type=password&username=joe", "-d",
			"password=secret", "--data-urlencode", "scope=repository:other:pull repository:filtered/app:pull" })
		local token = answer.body:match('"token": ?"([^"]+)"')
		assert.equal(200, own:get("app/manifests/1", "-H", "Authorization: Bearer " .. token).status)
		assert.equal(401, own:get("busybox/manifests/1", "-H", "Authorization: Bearer " .. token).status)
		answer = own:get("busybox/manifests/1")
		assert.equal(('Bearer realm="http://%s/token",service="strata-fake",scope="repository:filtered/busybox:pull"')
			:format(own.host), answer.headers["www-authenticate"])
	end)

	specify("and from one with TLS that has an address of its own", "docker-registry", function()
		local own, closed = start_with_tokens(docker_registry, true)
		local hub = assert(strata.registry({ credentials = { [own.host] = { username = "joe", password = "secret" } } }))
		assert.is_truthy(strata.open(("docker://%s/filtered/app:1"):format(own.host), { registry = hub }))
		local log = closed.tokens:log()
		assert.equal("/token", log[#log].path:match("^[^?]*"))
		assert.equal(403, nginx.curl({ ("http://%s/gate/token"):format(own.host), "-X", "DELETE" }).status)
	end)
end)

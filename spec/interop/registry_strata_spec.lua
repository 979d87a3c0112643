-- Images that go through Debian's docker-registry between skopeo and strata, in each way in which it is set up: what
-- one has pushed the other one pulls, with the same digests.

local certificates = require "spec.support.certificates"
local child = require "spec.support.child"
local docker_registry = require "spec.support.docker_registry"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("docker-registry between skopeo and strata:", function()
	local dir, image, index, server, options, hub

	setup(function()
		dir = tmp.dir()
		local layout, children = oci_layout.new(), {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			children[i] = layout:image({ platform = platform, layers = {
				layout:file_layer("shared"), layout:file_layer(platform:gsub("/", "-"), { compression = "zstd" }),
			} }).descriptor
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
		shell.sh('rm -rf "$1"', dir:file("back"))
	end)

	local function start(given)
		local reason = peers.missing("docker-registry", "skopeo") or
			given.auth == "basic" and not shell.which("htpasswd") and "htpasswd is not installed" or nil
		if reason then
			pending(reason)
		end
		options = given
		if options.auth then
			options.users = { joe = "secret" }
		end
		server = docker_registry.start(options)
		hub = remote.client({
			credentials = options.auth and { [server.host] = { username = "joe", password = "secret" } } or {},
			hosts = options.tls and { [server.host] = { plain = false, ca = certificates.path("ca.crt") } } or nil,
		})
	end

	local function skopeo(side, ...)
		local words = { "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests" }
		words[#words + 1] = options.tls and ("--%s-cert-dir=%s"):format(side, dir:file("certs")) or
			("--%s-tls-verify=false"):format(side)
		if options.auth then
			words[#words + 1] = ("--%s-creds=joe:secret"):format(side)
		end
		for _, word in ipairs({ ... }) do
			words[#words + 1] = word
		end
		words.env = { PATH = shell.PATH, LC_ALL = "C.UTF-8", HOME = dir.path, REGISTRY_AUTH_FILE = dir:file("auth.json") }
		return (shell.check(words))
	end

	local function ref(name)
		return ("docker://%s/team/%s"):format(server.host, name)
	end

	local function push()
		for _, name in ipairs({ "image", "index" }) do
			skopeo("dest", "oci:" .. dir:file("layout") .. ":" .. name, ref("app:" .. name))
		end
		server:forget()
	end

	-- The digest of what skopeo pulls; it compares all digests on the way.
	local function pulled(name)
		local back = dir:file("back")
		shell.sh('rm -rf "$1"', back)
		skopeo("src", ref(name), "oci:" .. back .. ":x")
		return shell.read(back .. "/index.json"):match("sha256:%x+")
	end

	local function open(name, platform)
		return assert(strata.open(ref(name), { registry = hub, platform = platform }))
	end

	local function save(img, name)
		return assert(img:save(ref(name), { registry = hub }))
	end

	-- How many requests the registry has answered with success; those without credentials are another matter.
	local function answered()
		local count = 0
		for _, request in ipairs(server:log()) do
			count = count + (request.status < 400 and 1 or 0)
		end
		return count
	end

	local WAYS = {
		["plain"] = {}, ["with relative Locations"] = { relative = true }, ["with TLS"] = { tls = true },
		["with passwords"] = { auth = "basic" }, ["with tokens"] = { auth = "token" },
		["with TLS and tokens"] = { tls = true, auth = "token" },
	}
	for name, way in pairs(WAYS) do
		it(name, function()
			start(way)
			push()
			local img = open("app:image")
			assert.equal(image, img.digest)
			assert.equal(2, answered())
			assert(img:verify())
			assert.equal("this is shared\n", img:read("shared"))

			-- The same image, in the repository and in another one.
			assert.equal(image, save(img, "app:same").digest)
			assert.equal(image, pulled("app:same"))
			server:forget()
			local result = save(img, "copy:1")
			assert.equal(3, result.mounted)
			assert.equal(image, pulled("copy:1"))

			-- A label.
			img = open("app:image")
			server:forget()
			img.config:set_label("a", "b")
			result = save(img, "app:label")
			assert.equal(3, answered())
			assert.equal(result.digest, pulled("app:label"))
			assert.equal(result.digest, hub:digest(ref("app:label")))

			-- Layers.
			img = open("app:index", "linux/arm64")
			assert(img:append({ files = { new = "new" } }))
			assert(img:remove("shared"))
			result = save(img, "other:1")
			assert.equal(result.digest, pulled("other:1"))
			local back = open("other:1")
			assert(back:verify())
			assert.equal("new", back:read("new"))
			assert.is_nil((back:read("shared")))

			assert.same({ "image", "index", "label", "same" }, hub:tags(ref("app")))
			assert.equal(index, hub:digest(ref("app:index")))
		end)
	end

	it("with a wrong password, and with a certificate that nobody knows", function()
		start({ auth = "basic" })
		push()
		hub = remote.client({ credentials = { [server.host] = { username = "joe", password = "wrong" } } })
		local img, message, code = strata.open(ref("app:image"), { registry = hub })
		assert.same({ nil, "EAUTH" }, { img, code })
		assert.is_nil(message:find("wrong", 1, true))
		server:stop()
		start({ tls = true })
		hub = remote.client({ hosts = { [server.host] = { plain = false } }, retries = 0 })
		img, message, code = strata.open(ref("app:image"), { registry = hub })
		assert.same({ nil, "ETLS" }, { img, code }, message)
	end)

	it("deletes by digest, and no tags", function()
		start({})
		push()
		local ok, _, code = hub:delete(ref("app:image"))
		assert.same({ nil, "EUNSUPPORTED" }, { ok, code })
		assert.is_true(hub:delete(ref("app@" .. image)))
		assert.same({ nil, "ENOENT" }, { (strata.open(ref("app:image"), { registry = hub })),
			select(3, strata.open(ref("app:image"), { registry = hub })) })
	end)

	it("repairs what a garbage collection has taken", function()
		start({})
		push()
		local img = assert(strata.open(dir:file("layout"), { ref = "image" }))
		save(img, "gone:1")
		shell.sh('find "$1/data" -path "*/team/gone/_layers/*" -name link -delete', server.dir.path)
		local result = save(img, "gone:2")
		assert.equal(image, result.digest)
		assert.equal(image, pulled("gone:2"))
	end)

	for name, way in pairs({ ["in chunks"] = {}, ["in chunks, with relative Locations and tokens"] =
		{ relative = true, auth = "token" } }) do
		it(name, function()
			start(way)
			shell.sh('mkdir -p "$1"; head -c 3000000 /dev/urandom >"$1/noise"', dir:file("chunks"))
			local img = assert(strata.new())
			assert(img:append({ dir = dir:file("chunks") }))
			hub = remote.client({
				credentials = options.auth and { [server.host] = { username = "joe", password = "secret" } } or {},
				hosts = { [server.host] = { chunk_size = 1048576 } },
			})
			local result = save(img, "chunks:1")
			local patches = 0
			for _, request in ipairs(server:log()) do
				patches = patches + (request.method == "PATCH" and request.status == 202 and 1 or 0)
			end
			assert.equal(3, patches)
			assert.equal(result.digest, pulled("chunks:1"))
			assert(open("chunks:1"):verify())
		end)
	end

	it("100 MB from one registry to another, in little memory and without a disk", function()
		start({})
		local other = docker_registry.start({})
		finally(function()
			other:stop()
		end)
		shell.sh('mkdir "$1"; head -c 100000000 /dev/urandom >"$1/noise"', dir:file("big"))
		local img = assert(strata.new())
		assert(img:append({ dir = dir:file("big") }))
		assert(img:save(ref("big:1"), { registry = hub, compression = "none" }))
		local from, to = ref("big:1"), ("docker://%s/big:1"):format(other.host)
		server:forget()
		local done = child.run({ script = [[
			local strata = require "strata"
			local hub = strata.registry { credentials = {}, system = false }
			local img = assert(strata.open(arg[1], { registry = hub, temp_dir = "/nonexistent" }))
			local result = assert(img:save(arg[2], { registry = hub }))
			local status = io.open("/proc/self/status"):read("*a")
			print(result.digest, status:match("VmHWM:%s*(%d+)"))
		]], arguments = { from, to } })
		assert.equal(0, done.status, done.stderr)
		local digest, peak = done.stdout:match("(%S+)%s+(%d+)")
		assert.is_true(tonumber(peak) < 65536, peak)
		assert.equal(hub:digest(from), digest)
		assert.equal(digest, hub:digest(to))
		local bytes = 0
		for _, request in ipairs(server:log()) do
			bytes = bytes + request.sent
		end
		assert.is_true(bytes > 1e8 and bytes < 1.01e8, bytes)
	end)
end)

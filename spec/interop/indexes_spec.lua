-- Indexes that strata has made and edited, as skopeo, podman, umoci and Docker Engine with docker-registry read them:
-- each takes the right image, and umoci calls the same blobs garbage.

local blobs = require "spec.support.blobs"
local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local need = peers.need

local function new(platform, more)
	local img = strata.new({ platform = platform })
	assert(img:append({ files = { ["platform"] = platform .. (more or "") } }))
	img.config.Cmd = { "/platform", platform, more }
	return img
end

describe("an index that was made and edited", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	-- What skopeo takes for a platform; nil when it finds none.
	local function taken(source, architecture)
		local found = shell.run({
			"skopeo", "--insecure-policy", "--override-arch", architecture, "inspect", "--config", source,
			"--format", "{{.Config.Cmd}}", env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" },
		})
		return found.status == 0 and found.stdout:match("^[^\n]*") or nil
	end

	for format, prefix in pairs({ ["oci-archive"] = "oci-archive:", oci = "oci:" }) do
		it("is read by skopeo and podman: " .. format, function()
			need("skopeo", "podman")
			local target = dir:file("app")
			assert(strata.save({ new("linux/amd64"), new("linux/arm64") }, target, { index = "app:1", format = format }))
			local source = prefix .. target .. ":1"
			assert.equal("[/platform linux/amd64]", taken(source, "amd64"))
			assert.equal("[/platform linux/arm64]", taken(source, "arm64"))
			assert.is_nil(taken(source, "s390x"))

			local index, other = assert(strata.open_index(target)), new("linux/arm64", "new")
			assert(index:remove({ platform = "linux/amd64" }))
			assert(index:add(new("linux/s390x")))
			assert(index:add(other, { replace = true }))
			assert(index:save(target))
			assert.is_nil(taken(source, "amd64"))
			assert.equal("[/platform linux/arm64 new]", taken(source, "arm64"))
			assert.equal("[/platform linux/s390x]", taken(source, "s390x"))
			shell.check({ "skopeo", "--insecure-policy", "copy", "--quiet", "--all", source, "dir:" .. dir:file("all") })
			if format == "oci-archive" then -- podman makes a name of the path of a directory, and refuses upper case in it
				podman.forget()
				local id = podman.call({ "pull", "--quiet", "--arch", "arm64", source }):match("%x+")
				assert.equal(other.id, "sha256:" .. id)
			end
		end)
	end

	it("in a directory of skopeo's stays one, and is edited there and into a layout", function()
		need("skopeo")
		assert(strata.save({ new("linux/amd64"), new("linux/arm64") }, dir:file("app.tar"), { index = "app:1" }))
		local flat = dir:file("flat")
		shell.check({ "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "oci-archive:" .. dir:file("app.tar"),
			"dir:" .. flat })
		local index = assert(strata.open_index(flat))
		local gone = index.manifests[1].digest:sub(8)
		assert(index:remove({ platform = "linux/amd64" }))
		assert(index:add(new("linux/s390x")))
		assert(index:save(dir:file("layout"), { format = "oci" }))
		assert(index:save(flat))
		assert.equal(2, shell.run({ "ls", flat .. "/" .. gone .. ".manifest.json" }).status)
		for _, source in ipairs({ "dir:" .. flat, "oci:" .. dir:file("layout") }) do
			assert.is_nil(taken(source, "amd64"))
			assert.equal("[/platform linux/arm64]", taken(source, "arm64"))
			assert.equal("[/platform linux/s390x]", taken(source, "s390x"))
		end
		shell.check({ "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "dir:" .. flat,
			"dir:" .. dir:file("again") })
	end)

	it("loses a name, and umoci finds the same garbage", function()
		need("umoci")
		local path = dir:file("layout")
		local function umoci(...)
			local words = { "umoci", ... }
			words.env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }
			return (shell.check(words))
		end
		local one, two = new("linux/amd64", "one"), new("linux/amd64", "two")
		one.tags, two.tags = { "app:one" }, { "app:two" }
		assert(one:save(path, { format = "oci" }))
		assert(two:save(path, { format = "oci" }))
		local index = assert(strata.open_index(path))
		assert(index:untag("app:one"))
		assert(index:save(path))
		assert.equal("two\n", umoci("ls", "--layout", path))
		-- What umoci takes from index.json stays in the layout, until it is collected.
		umoci("rm", "--image", path .. ":two")
		local unnamed = assert(strata.gc(path))
		assert.equal(3, #unnamed.blobs)
		shell.check({ "cp", "-r", path, dir:file("copy") })
		umoci("gc", "--layout", path)
		assert(strata.gc(dir:file("copy"), { remove = true }))
		shell.check({ "diff", "-r", path, dir:file("copy") })
		assert.same({}, blobs.look(path).problems)
		assert(assert(strata.open(path)):verify())
	end)

	it("in docker-registry gives Docker Engine and podman the image for the platform that they ask for", function()
		need("docker-registry", "docker", "podman")
		local server = docker_registry.start({})
		local hub = remote.client()
		local name = server.host .. "/team/app"
		local ok, message = pcall(function()
			local list = { new("linux/amd64"), new("linux/arm64") }
			assert(strata.save(list, "docker://" .. name .. ":1", { registry = hub }))
			local index, other = assert(strata.open_index("docker://" .. name .. ":1", { registry = hub })), new("linux/s390x")
			assert(index:remove({ platform = "linux/amd64" }))
			assert(index:add(other))
			local made = assert(index:save("docker://" .. name .. ":2", { registry = hub }))
			for platform, id in pairs({ ["linux/arm64"] = list[2].id, ["linux/s390x"] = other.id }) do
				docker.forget()
				docker.call({ "pull", "--quiet", "--platform", platform, name .. ":2" })
				local told = docker.inspect(name .. ":2")
				assert.equal(id, told.Id)
				assert.same({ name .. "@" .. made.digest }, told.RepoDigests)
				podman.forget()
				local pulled = podman.call({ "pull", "--quiet", "--tls-verify=false", "--arch", platform:match("/(.*)"),
					name .. ":2" }):match("%x+")
				assert.equal(id, "sha256:" .. pulled)
			end
			assert.not_equal(0, docker.try({ "pull", "--quiet", "--platform", "linux/amd64", name .. ":2" }).status)
		end)
		server:stop()
		assert(ok, message)
	end)
end)

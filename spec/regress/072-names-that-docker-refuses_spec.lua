-- Takes seconds: not for make check.
local cjson = require "cjson"
local docker = require "spec.support.docker"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- Names that Docker refuses got into RepoTags, by img:tag or from a layout, and docker load refused the archive.
describe("a name that Docker refuses", function()
	local dir

	setup(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	teardown(function()
		dir:remove()
	end)

	local LONG = ("a"):rep(237) -- with "docker.io/library/" 255
	local TAKEN = {
		"my_app:1", "my__app:1", "my---app:1", "a.b-c_d__e:1", "localhost/app:1", "HOST.example.COM/app:1",
		"Host:5000/app:1", "a/b/c/d:1", "0/1:2", "app:_x", "app:" .. ("T"):rep(128), LONG .. ":1",
		("0"):rep(64) .. ":1",
	}
	local REFUSED = {
		"MyApp:1", "a/B:1", "host:5000/App:1", "localhost/App:1", "Host/app:1", "my..app:1", "my._app:1", "my___app:1",
		"my-_app:1", "-app:1", "app-:1", ".app:1", "_app:1", "app_:1", "app:-1", "app:.t", "app:t\n", "\195\164pp:1",
		"app:" .. ("t"):rep(129), LONG .. "a:1", "host:5000/" .. ("a"):rep(246) .. ":1", "-host.x/app:1",
		"host.x:/app:1", "host.x:port/app:1", "a//b:1", "/app:1", "app/:1", "app:1:2",
	}

	local function archive_with(tag)
		local image = docker_archive.image({ layers = docker_archive.layers(1), tags = { "placeholder:1" } })
		local archive = docker_dialects.of.docker_1_10(image)
		local member = archive:member("manifest.json")
		member.data = member.data:gsub('"placeholder:1"', function() return cjson.encode(tag) end)
		archive:remove("repositories")
		return archive:write(dir:file("in.tar"))
	end

	local function manifest_of(path)
		local text = shell.check({ "tar", "-xOf", path, "manifest.json" })
		return cjson.decode(text)[1]
	end

	it("is one by the grammar of the engine", function()
		peers.need("docker")
		for list, expected in pairs({ [TAKEN] = true, [REFUSED] = false }) do
			for _, tag in ipairs(list) do
				local done = docker.try({ "load", "--input", archive_with(tag) })
				assert.equal(expected, done.status == 0, tag .. ": " .. done.stderr)
			end
		end
	end)

	it("cannot be given to an image, and the message says why", function()
		local img = assert(strata.open(archive_with("app:1")))
		for _, tag in ipairs(REFUSED) do
			assert.error(function() img:tag(tag) end)
			assert.error(function() img.tags = { tag } end)
			assert.error(function() assert(strata.stream.image(function() end, function() end, { tags = { tag } })) end)
		end
		assert.same({ "app:1" }, img.tags)
		assert.error_matches(function() img:tag("MyApp:1") end, "lower case")
		assert.error_matches(function() img:tag("app:.t") end, "tag is not")
		assert.error_matches(function() img:tag(("0"):rep(64)) end, "are an ID")
		assert.error_matches(function() img:tag(LONG .. "b") end, "255 bytes")
		assert.error_matches(function() img:tag("-h.x/app") end, "name of a host")
		for _, tag in ipairs(TAKEN) do
			img.tags = { tag }
			assert.same({ tag }, img.tags)
		end
	end)

	it("stays in the archive that has it, and can be found and taken away", function()
		local path = archive_with("MyApp:1")
		local img = assert(strata.open(path, { ref = "MyApp:1" }))
		assert.same({ "MyApp:1" }, img.tags)
		img.config:set_env("A", "b")
		assert(img:save(dir:file("out.tar")))
		assert.same({ "MyApp:1" }, manifest_of(dir:file("out.tar")).RepoTags)
		img:tag("app:1")
		assert(img:save(dir:file("out.tar")))
		assert.same({ "MyApp:1", "app:1" }, manifest_of(dir:file("out.tar")).RepoTags)
		assert.same({ "app:1" }, img:untag("MyApp:1").tags)
	end)

	it("is lost in the formats of Docker, and told", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") } })
		for _, name in ipairs({ "UPPERCASE-IS-INVALID", "app:1", "_cosign:1" }) do
			made:list(image.descriptor, name)
		end
		local path = made:archive(dir:file("layout.tar"))
		for _, format in ipairs({ "docker", "docker-legacy" }) do
			local img = assert(strata.open(path, { ref = "app:1" }))
			local _, lost = assert(img:save(dir:file("out.tar"), { format = format }))
			assert.same({ "app:1" }, manifest_of(dir:file("out.tar")).RepoTags)
			local text = table.concat(lost, "\n")
			assert.truthy(text:find("UPPERCASE%-IS%-INVALID, which docker load refuses: the repository has to"), text)
			assert.truthy(text:find("_cosign:1", 1, true), text)
			if not peers.missing("docker") then
				assert.same({ "app:1" }, docker.load(dir:file("out.tar")))
			end
		end
		local img = assert(strata.open(path, { ref = "UPPERCASE-IS-INVALID" }))
		assert(img:save(dir:file("again.tar"), { format = "oci-archive" }))
		assert(strata.open(dir:file("again.tar"), { ref = "UPPERCASE-IS-INVALID" }))
	end)
end)

-- Takes seconds: not for make check.
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	dir:remove()
end)

local function refuse(code, parts, path, opts)
	local img, message, got = strata.open(path, opts)
	assert.is_nil(img)
	assert.equal(code, got, message)
	for _, part in ipairs(parts) do
		assert.truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
	end
end

-- A layout with an index of images for these platforms.
local function for_platforms(platforms, how)
	local made, images, descriptors = oci_layout.new(), {}, {}
	local layer = made:file_layer("a")
	for i, platform in ipairs(platforms) do
		images[platform] = made:image({ layers = { layer }, platform = platform, name = i .. "/" .. platform })
		descriptors[i] = oci_layout.with(images[platform].descriptor, how)
	end
	made:list(made:index(descriptors), "1")
	return made:directory(dir:file("layout")), images
end

describe("a reference", function()
	local NAME, REF_NAME = oci_layout.NAME, oci_layout.REF_NAME

	local function named(list)
		local made, images = oci_layout.new(), {}
		local layer = made:file_layer("a")
		for i, name in ipairs(list) do
			images[i] = made:image({ layers = { layer }, name = "n" .. i })
			made:list(images[i].descriptor, name)
		end
		return made:directory(dir:file("layout")), images, made
	end

	it("is the full name or the short one", function()
		local path, images = named({
			{ [NAME] = "docker.io/library/app:1", [REF_NAME] = "1" },
			{ [NAME] = "docker.io/team/app:1", [REF_NAME] = "1" },
			{ [NAME] = "localhost:5000/app:latest", [REF_NAME] = "latest" },
		})
		for ref, i in pairs({
			["app:1"] = 1,
			["library/app:1"] = 1,
			["docker.io/library/app:1"] = 1,
			["team/app:1"] = 2,
			["docker.io/team/app:1"] = 2,
			["localhost:5000/app:latest"] = 3,
			["localhost:5000/app"] = 3,
		}) do
			assert.equal(images[i].id, assert(strata.open(path, { ref = ref })).id, ref)
		end
		assert.same({ "team/app:1" }, assert(strata.open(path, { ref = "team/app:1" })).tags)
		for _, ref in ipairs({ "app", "app:2", "other:1", "localhost/app", "" }) do
			refuse("ENOENT", { path, "ref", "app:1", "team/app:1", "localhost:5000/app:latest" }, path, { ref = ref })
		end
	end)

	it("is the tag, where a layout has no more", function()
		local path, images = named({ "1.0", "v2-alpine", "a/b:3", "sha256-0123.sig" })
		for i, ref in ipairs({ "1.0", "v2-alpine", "a/b:3", "sha256-0123.sig" }) do
			local img = assert(strata.open(path, { ref = ref }))
			assert.equal(images[i].id, img.id)
			assert.same({ ref }, img.tags)
		end
	end)

	it("is the image ID or the digest of the manifest", function()
		local path, images = named({ "1", "2", "3" })
		for _, image in ipairs(images) do
			for _, digest in ipairs({ image.id, image.descriptor.digest }) do
				assert.equal(image.id, assert(strata.open(path, { ref = digest })).id)
				assert.equal(image.id, assert(strata.open(path, { ref = digest:sub(8) })).id)
				assert.equal(image.id, assert(strata.open(path, { ref = digest:sub(8):upper() })).id)
			end
		end
		refuse("ENOENT", { path, "sha256:" .. ("0"):rep(64) }, path, { ref = "sha256:" .. ("0"):rep(64) })
	end)

	it("is not given: the only image is meant, several are listed", function()
		local path, images, made = named({ "1" })
		assert.equal(images[1].id, assert(strata.open(path)).id)
		shell.check({ "rm", "-rf", path })
		local arm = made:image({ layers = {}, platform = "linux/arm/v7" })
		made:list(arm.descriptor):directory(path)
		refuse("EAMBIGUOUS", {
			path,
			"2 images",
			"ref, platform or digest",
			"1 linux/amd64 " .. images[1].descriptor.digest .. "; linux/arm/v7 " .. arm.descriptor.digest,
		}, path)
	end)

	it("may lead to one image by several names", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") } })
		made:list(image.descriptor, "1"):list(image.descriptor, "latest"):list(image.descriptor)
		local path = made:directory(dir:file("layout"))
		assert.same({ "1", "latest" }, assert(strata.open(path)).tags)
		assert.equal(image.id, assert(strata.open(path, { ref = "latest" })).id)
		local count = 0
		for _ in assert(strata.images(path)) do
			count = count + 1
		end
		assert.equal(1, count)
	end)

	it("may be that of several images, which are then told apart in another way", function()
		local path, images = named({ "1", "1", "2" })
		local first, second = images[1].descriptor.digest, images[2].descriptor.digest
		refuse("EAMBIGUOUS", { path, "2 images", "1 linux/amd64 " .. first, "1 linux/amd64 " .. second }, path,
			{ ref = "1" })
		assert.equal(second, assert(strata.open(path, { ref = "1", digest = second })).digest)
		assert.equal(first, assert(strata.open(path, { ref = "1", platform = "linux/amd64" })).digest)
		refuse("ENOENT", { path, first }, path, { ref = "2", digest = first })
		refuse("ENOENT", { path, "ref '2'", "platform 'linux/arm64'" }, path,
			{ ref = "2", platform = "linux/arm64" })
	end)

	it("is escaped in messages", function()
		local path = named({ "1\27[31m\n", "2" })
		local _, message = strata.open(path)
		assert.is_nil(message:find("%c"))
		_, message = strata.open(path, { ref = "\7\n" })
		assert.is_nil(message:find("%c"))
	end)
end)

describe("a digest", function()
	it("is that of the manifest, exactly", function()
		local path, images = for_platforms({ "linux/amd64", "linux/arm64" })
		for _, image in pairs(images) do
			local digest = image.descriptor.digest
			assert.equal(digest, assert(strata.open(path, { digest = digest })).digest)
			refuse("ENOENT", { path, "digest", digest }, path, { digest = image.id })
			refuse("ENOENT", { path }, path, { digest = digest:sub(8) })
			refuse("ENOENT", { path }, path, { digest = digest, platform = "linux/s390x" })
		end
		refuse("ENOENT", { "linux/amd64", images["linux/amd64"].descriptor.digest }, path, { digest = "" })
	end)

	it("chooses between manifests of one and the same config", function()
		local made = oci_layout.new()
		local gzip = made:image({ layers = { made:file_layer("a", { compression = "gzip" }) }, platform = "linux/amd64" })
		local zstd = made:image({ layers = { made:file_layer("a", { compression = "zstd" }) }, platform = "linux/amd64" })
		assert.equal(gzip.id, zstd.id)
		made:list(made:index({ gzip.descriptor, zstd.descriptor }), "1")
		local path = made:directory(dir:file("layout"))
		assert.equal("zstd", assert(strata.open(path, { digest = zstd.descriptor.digest })).layers[1].compression)
		assert.equal("gzip", assert(strata.open(path, { digest = gzip.descriptor.digest })).layers[1].compression)
		-- Of several that fit, the first counts, as image-index.md says.
		assert.equal("gzip", assert(strata.open(path, { platform = "linux/amd64" })).layers[1].compression)
		refuse("EAMBIGUOUS", { gzip.descriptor.digest, zstd.descriptor.digest }, path)
	end)
end)

-- What containerd's package platforms chooses (platforms.Only), from its source and tests.
local CHOICES = {
	{
		have = { "linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64", "linux/s390x" },
		["linux/amd64"] = "linux/amd64",
		["linux/amd64/v1"] = "linux/amd64",
		["linux/amd64/v3"] = "linux/amd64",
		["linux/x86_64"] = "linux/amd64",
		["LINUX/AMD64"] = "linux/amd64",
		["linux/arm64"] = "linux/arm64",
		["linux/arm64/v8"] = "linux/arm64",
		["linux/aarch64"] = "linux/arm64",
		["linux/arm"] = "linux/arm/v7",
		["linux/arm/v8"] = "linux/arm/v7",
		["linux/arm/v7"] = "linux/arm/v7",
		["linux/arm/7"] = "linux/arm/v7",
		["linux/armhf"] = "linux/arm/v7",
		["linux/arm/v6"] = "linux/arm/v6",
		["linux/armel"] = "linux/arm/v6",
		["linux/arm/v5"] = false,
		["linux/386"] = false,
		["linux/i386"] = false,
		["linux/ppc64le"] = false,
		["linux/s390x"] = "linux/s390x",
		["windows/amd64"] = "windows/amd64",
		["windows/arm64"] = false,
		["darwin/amd64"] = false,
	},
	{
		have = { "linux/386", "linux/arm/v6", "windows/386" },
		["linux/amd64"] = "linux/386",
		["linux/amd64/v2"] = "linux/386",
		["linux/arm/v7"] = "linux/arm/v6",
		["linux/arm/v6"] = "linux/arm/v6",
		["linux/arm/v5"] = false,
		["linux/arm64"] = "linux/arm/v6",
	},
	{
		have = { "linux/amd64/v4", "linux/amd64/v3", "linux/amd64/v2", "linux/amd64" },
		["linux/amd64"] = "linux/amd64",
		["linux/amd64/v2"] = "linux/amd64/v2",
		["linux/amd64/v3"] = "linux/amd64/v3",
		["linux/amd64/v5"] = "linux/amd64/v4",
	},
	{
		have = { "linux/amd64/v3", "linux/amd64/v1" },
		["linux/amd64"] = "linux/amd64/v1",
		["linux/amd64/v2"] = "linux/amd64/v1",
		["linux/amd64/v4"] = "linux/amd64/v3",
	},
	{
		have = { "linux/amd64/v3", "linux/arm64/v9" },
		["linux/amd64"] = false,
		["linux/amd64/v2"] = false,
		["linux/arm64"] = false,
		["linux/arm64/v9"] = "linux/arm64/v9",
	},
	{
		have = { "linux/arm64/v8", "linux/arm" },
		["linux/arm64"] = "linux/arm64/v8",
		["linux/arm64/v8"] = "linux/arm64/v8",
		["linux/arm64/v9"] = "linux/arm64/v8",
		["linux/arm/v7"] = "linux/arm",
		["linux/arm/v6"] = false,
	},
	{
		have = { "linux/arm/v5", "linux/arm/v7", "linux/arm/v8" },
		["linux/arm64"] = "linux/arm/v8",
		["linux/arm/v6"] = "linux/arm/v5",
	},
}

describe("a platform", function()
	it("is matched as containerd does", function()
		for i, case in ipairs(CHOICES) do
			local path, images = for_platforms(case.have)
			for wanted, expected in pairs(case) do
				if wanted ~= "have" then
					local where = ("%d: %s"):format(i, wanted)
					local img, message, code = strata.open(path, { platform = wanted })
					assert.equal(expected and images[expected].id, img and img.id or false, where)
					if not expected then
						assert.equal("ENOENT", code)
						assert.truthy(message:find("'" .. wanted .. "'", 1, true), message)
						for _, have in ipairs(case.have) do
							assert.truthy(message:find(have .. " " .. images[have].descriptor.digest, 1, true), message)
						end
					end
				end
			end
			shell.check({ "rm", "-rf", path })
		end
	end)

	it("is chosen as skopeo does", function()
		peers.need("skopeo")
		local function ask(path, wanted)
			local os, architecture, variant = wanted:match("^(%w+)/(%w+)/?(%w*)$")
			local words = { "skopeo", "--insecure-policy", "--override-os", os, "--override-arch", architecture }
			for _, word in ipairs(variant ~= "" and { "--override-variant", variant } or {}) do
				words[#words + 1] = word
			end
			for _, word in ipairs({ "copy", "--quiet", "oci:" .. path .. ":1", "dir:" .. dir:file("flat") }) do
				words[#words + 1] = word
			end
			words.env = { PATH = shell.PATH }
			local done = shell.run(words)
			return done.status == 0 and oci_layout.sha256(shell.read(dir:file("flat/manifest.json")))
		end
		local asked = { "linux/amd64", "linux/arm/v7", "linux/arm/v6", "linux/arm64/v8", "windows/amd64", "linux/s390x" }
		for _, have in ipairs({
			{ "linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64" },
			{ "linux/arm/v6", "linux/amd64" },
			{ "linux/arm/v5", "linux/arm64/v8" },
		}) do
			local path = for_platforms(have)
			for _, wanted in ipairs(asked) do
				local img = strata.open(path, { platform = wanted })
				-- skopeo runs nothing 32-bit on a 64-bit machine.
				local found = img and img.platform.architecture == wanted:match("/(%w+)") and img.digest or false
				assert.equal(ask(path, wanted), found, wanted)
			end
			shell.check({ "rm", "-rf", path })
		end
	end)

	it("is that of the config when the descriptor has none", function()
		local path, images = for_platforms({ "linux/amd64", "linux/arm/v7" }, { platform = false })
		local img = assert(strata.open(path, { platform = "linux/arm/v7" }))
		assert.equal(images["linux/arm/v7"].id, img.id)
		refuse("EAMBIGUOUS", { "linux/amd64 sha256:", "linux/arm/v7 sha256:" }, path)
		assert.equal("linux/arm/v7", tostring(assert(strata.open_index(path)).manifests[2].platform))
	end)

	it("chooses among the images of a tag", function()
		local made, images = oci_layout.new(), {}
		for _, name in ipairs({ "1", "2" }) do
			local descriptors = {}
			for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
				images[name .. platform] = made:image({ layers = {}, platform = platform, name = name })
				descriptors[i] = images[name .. platform].descriptor
			end
			made:list(made:index(descriptors), name)
		end
		local path = made:directory(dir:file("layout"))
		for _, name in ipairs({ "1", "2" }) do
			for _, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
				local img = assert(strata.open(path, { ref = name, platform = platform }))
				assert.equal(images[name .. platform].id, img.id)
				assert.same({ name }, img.tags)
			end
		end
		refuse("EAMBIGUOUS", { "1 linux/arm64 ", "2 linux/arm64 " }, path, { platform = "linux/arm64" })
		refuse("EAMBIGUOUS", { "2 linux/amd64 ", "2 linux/arm64 " }, path, { ref = "2" })
	end)

	it("selects the images of an index that are edited", function()
		local path = for_platforms({ "linux/amd64", "linux/arm64", "linux/arm/v7" })
		local seen = {}
		local index = assert(strata.open_index(path))
		for img in assert(index:images({ platform = "linux/arm64/v8" })) do
			seen[#seen + 1] = tostring(img.platform)
		end
		assert.same({ "linux/arm64" }, seen)
		for img in assert(index:images()) do
			seen[#seen + 1] = tostring(img.platform)
		end
		assert.same({ "linux/arm64", "linux/amd64", "linux/arm64", "linux/arm/v7" }, seen)
	end)

	it("throws when it is none, as other options do that are no strings", function()
		local path = for_platforms({ "linux/amd64" })
		for _, opts in ipairs({
			{ platform = "linux" },
			{ platform = "" },
			{ platform = "linux/" },
			{ platform = "linux/arm/v7/x" },
			{ platform = 64 },
			{ ref = true },
			{ digest = {} },
			{ prefer = "podman" },
		}) do
			for _, open in ipairs({ strata.open, strata.images, strata.open_index }) do
				local ok, thrown = pcall(open, path, opts)
				assert.is_false(ok)
				assert.matches(next(opts), thrown, 1, true)
			end
		end
	end)
end)

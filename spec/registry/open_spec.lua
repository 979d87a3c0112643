-- An image of a registry is opened with two requests, and does all that a local one does. What is not asked for is not
-- fetched.

local core = require "strata.core"
local oci_layout = require "spec.support.oci_layout"
local process = require "spec.support.process"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an image of a registry:", function()
	local fake, hub, image, names, dir, ref

	setup(function()
		fake = registry.start({})
		image = remote.image({ count = 3 })
		names = remote.names(image)
		remote.put(fake, "team/app", image.layout, image.digest, "1")
		image.layout:list(image.descriptor, "app:1")
		ref = "docker://" .. fake.host .. "/team/app:1"
	end)

	teardown(function()
		fake:stop()
	end)

	before_each(function()
		hub = remote.client()
		dir = tmp.dir()
		fake:faults_clear()
		fake:forget()
	end)

	after_each(function()
		dir:remove()
	end)

	local function open(what, options)
		options = options or {}
		options.registry = hub
		return assert(strata.open(what or ref, options))
	end

	-- The same image in a layout on the disk.
	local function at_home()
		return assert(strata.open(image.layout:directory(dir:file("home"))))
	end

	local OPENING = { "GET team/app/manifests/1 200", "GET team/app/blobs/CONFIG 200" }

	local function lines()
		local found = remote.lines(fake, names)
		fake:forget()
		return found
	end

	local function all_layers()
		return { "GET team/app/blobs/LAYER1 200", "GET team/app/blobs/LAYER2 200", "GET team/app/blobs/LAYER3 200" }
	end

	it("takes two requests, and none for a layer", function()
		local img = open()
		assert.same(OPENING, lines())
		assert.equal(image.digest, img.digest)
		assert.equal(image.config, img.id)
		assert.equal(3, #img.layers)
		for i, layer in ipairs(img.layers) do
			assert.equal(image.layers[i].diff_id, layer.diff_id)
			assert.equal(image.layers[i].descriptor.digest, layer.digest)
			assert.equal(image.layers[i].descriptor.size, layer.size)
			assert.equal("gzip", layer.compression)
			assert.equal(image.layers[i].descriptor.mediaType, layer.media_type)
		end
		assert.is_table(img:inspect())
		assert.is_table(img:history())
		assert.is_string(tostring(img))
		assert.same({}, lines())
	end)

	it("is what it is at home", function()
		local img, home = open(), at_home()
		assert.equal(home.id, img.id)
		assert.equal(home.digest, img.digest)
		assert.same(home:history(), img:history())
		assert.equal(home.size, img.size)
		assert.equal(home.config:text(), img.config:text())
	end)

	it("with an index and a platform takes three", function()
		local layout, children = oci_layout.new(), {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64", "linux/s390x" }) do
			children[i] = remote.image({ layout = layout, platform = platform, name = platform:gsub("/", "-") })
		end
		local index = layout:index({ children[1].descriptor, children[2].descriptor, children[3].descriptor })
		remote.put(fake, "team/multi", layout, index.digest, "1")
		fake:forget()
		local img = open("docker://" .. fake.host .. "/team/multi:1", { platform = "linux/arm64" })
		local known = remote.names(children[2], { [index.digest] = "INDEX" })
		assert.same({ "GET team/multi/manifests/1 200", "GET team/multi/manifests/MANIFEST 200",
			"GET team/multi/blobs/CONFIG 200" }, remote.lines(fake, known))
		assert.equal(children[2].digest, img.digest)
	end)

	it("of a manifest at hand takes one request, and the registry need not have it", function()
		local text = image.layout.blobs[image.digest]:gsub("}$", ',"annotations":{"seen":"nowhere"}}')
		local named = "docker://" .. fake.host .. "/team/app@" .. core.sha256(text)
		local img = open(named, { manifest = text })
		assert.same({ OPENING[2] }, lines())
		assert.equal(core.sha256(text), img.digest)
		assert.equal("nowhere", img.annotations.seen)
		assert.is_true(img:verify())
		local asked = lines() -- several at once
		table.sort(asked)
		assert.same(all_layers(), asked)
	end)

	it("of a manifest at hand wants a reference by digest, and the bytes with that digest", function()
		local text = image.layout.blobs[image.digest]
		for _, what in ipairs({ ref, dir.path, "app.tar" }) do
			local ok, message = pcall(strata.open, what, { registry = hub, manifest = text })
			assert.is_false(ok)
			assert.matches("open_spec.lua:%d+: open: manifest wants a reference by digest", message)
		end
		local named = "docker://" .. fake.host .. "/team/app@" .. image.digest
		local img, message, code = strata.open(named, { registry = hub, manifest = text .. " " })
		assert.is_nil(img)
		assert.equal("EDIGEST", code)
		assert.is_truthy(message:find("hashes to " .. core.sha256(text .. " "), 1, true))
		text = '{"schemaVersion":1}'
		named = "docker://" .. fake.host .. "/team/app@" .. core.sha256(text)
		img, message, code = strata.open(named, { registry = hub, manifest = text })
		assert.is_nil(img)
		assert.equal("EUNSUPPORTED", code)
		assert.is_truthy(message:find("schema 1", 1, true))
		assert.same({}, lines())
	end)

	it("has blobs that are read by themselves", function()
		local named = "docker://" .. fake.host .. "/team/app@"
		assert.equal(image.layout.blobs[image.config], hub:blob(named .. image.config))
		assert.equal(image.layout.blobs[image.config], hub:blob(named .. image.config, #image.layout.blobs[image.config]))
		assert.equal("", hub:blob(named .. core.sha256(""), 0))
		assert.equal("EDIGEST", (select(3, hub:blob(named .. image.config, 0))))
		local text, message, code = hub:blob(named .. image.config, 3)
		assert.is_nil(text)
		assert.equal("EDIGEST", code)
		assert.is_truthy(message:find(image.config, 1, true))
		text, message, code = hub:blob(named .. core.sha256("nothing"))
		assert.is_nil(text)
		assert.equal("ENOENT", code)
		assert.is_truthy(message)
		for _, bad in ipairs({ { ref }, { named .. image.config, -1 }, { named .. image.config, "all" } }) do
			assert.is_false((pcall(hub.blob, hub, bad[1], bad[2])))
		end
	end)

	it("REF5: of name:tag@digest the digest counts", function()
		local img = open(ref:gsub(":1$", ":old@") .. image.digest)
		assert.same({ "GET team/app/manifests/MANIFEST 200", OPENING[2] }, lines())
		assert.equal(image.digest, img.digest)
		open("docker://" .. fake.host .. "/team/app@" .. image.digest)
		assert.same({ "GET team/app/manifests/MANIFEST 200", OPENING[2] }, lines())
	end)

	it("A24: goes by digests after the first request", function()
		local img = open()
		fake:forget()
		assert(img:verify())
		for _, request in ipairs(fake:log()) do
			assert.is_truthy(request.path:find("/blobs/sha256:", 1, true))
		end
	end)

	it("reads a file, with the layers from the top that decide about it", function()
		local img = open()
		fake:forget()
		assert.equal("this is layer2\n", img:read("layer2"))
		assert.same({ "GET team/app/blobs/LAYER2 200", "GET team/app/blobs/LAYER3 200" }, remote.sorted(lines()))
		assert.equal("this is layer3\n", img.layers[3]:read("layer3"))
		assert.same({}, lines())
		assert.equal("this is layer1\n", img:read("layer1"))
		assert.same({ "GET team/app/blobs/LAYER1 200" }, lines())
	end)

	it("fetches one layer when one is asked for", function()
		local img = open()
		fake:forget()
		assert.equal("this is layer2\n", img.layers[2]:read("layer2"))
		assert.same({ "GET team/app/blobs/LAYER2 200" }, lines())
	end)

	it("has a root file system, trees and entries", function()
		local img, home = open(), at_home()
		local function paths(one)
			local found = {}
			for entry in one:rootfs():walk() do
				found[#found + 1] = entry.path
			end
			return found
		end
		assert.same(paths(home), paths(img))
		assert.equal(tostring(home:tree()), tostring(img:tree()))
		local count = 0
		for entry, layer in img:entries() do
			count = count + 1
			assert.equal(img.layers[count], layer)
			assert.equal("layer" .. count, entry.path)
		end
		assert.equal(3, count)
	end)

	it("is filtered, squashed, edited and saved as at home", function()
		local digests = {}
		for i, img in ipairs({ open(), at_home() }) do
			assert(img:filter(function(entry)
				return entry.path ~= "layer2"
			end))
			assert(img:squash(1, 2))
			img.config:set_label("a", "b")
			assert(img:save(dir:file("out" .. i), { format = "oci-archive" }))
			local back = assert(strata.open(dir:file("out" .. i)))
			assert(back:verify())
			digests[i] = back.digest
		end
		assert.equal(digests[1], digests[2])
	end)

	for _, format in ipairs({ "docker", "docker-legacy", "oci", "oci-archive" }) do
		it("is saved as " .. format, function()
			local img = open()
			fake:forget()
			assert(img:save(dir:file("out"), { format = format }))
			assert.same(all_layers(), remote.sorted(lines()))
			local back = assert(strata.open(dir:file("out")))
			assert.equal(image.config, back.id)
			assert(back:verify())
			if format:find("^oci") then
				assert.equal(image.digest, back.digest)
			end
		end)
	end

	it("is extracted and checked", function()
		local img = open()
		assert(img:extract(dir:file("root")))
		assert.equal("this is layer1\n", shell.read(dir:file("root/layer1")))
		assert(img:verify())
		assert.same({}, img:files())
		assert.equal(tostring(assert(at_home():check())), tostring(assert(img:check())))
	end)

	it("is edited once more after it was saved", function()
		local img = open()
		assert(img.layers[1]:read("layer1"))
		assert(img:save(dir:file("out"), { format = "oci-archive" }))
		fake:forget()
		assert(img:remove("layer1"))
		assert(img:save(dir:file("out2"), { format = "oci-archive" }))
		assert.same({}, lines())
	end)

	it("leaves no descriptor open when it is closed", function()
		hub = remote.client({ parallel = 1 })
		local first = open()
		assert(first:verify())
		first:close()
		local before = process.descriptors()
		local img = open()
		assert(img:verify())
		assert.is_true(process.descriptors() >= before + 3)
		img:close()
		img = nil -- luacheck: ignore
		assert.equal(before, process.descriptors())
	end)

	it("that is not there", function()
		for _, what in ipairs({ "/team/app:2", "/team/nothing:1" }) do
			local img, message, code = strata.open("docker://" .. fake.host .. what, { registry = hub })
			assert.is_nil(img)
			assert.equal("ENOENT", code)
			assert.is_truthy(message:find("docker://" .. fake.host .. what, 1, true))
			assert.is_truthy(message:find("404", 1, true))
		end
		assert.equal(2, #fake:log())
	end)

	it("with a bad reference takes no request", function()
		for _, what in ipairs({ "docker://" .. fake.host, "docker://" .. fake.host .. "/App:1", "docker://",
			ref .. "@sha256:abc", ref .. "?x", ref .. "#x", "docker://u:p@" .. fake.host .. "/app:1", ref .. "%41",
			ref .. "\n" }) do
			local ok, message = pcall(function()
				return (strata.open(what, { registry = hub }))
			end)
			assert.is_false(ok)
			assert.matches("^spec/registry/open_spec.lua:%d+: open: docker://", message)
			assert.is_nil(message:find("u:p@", 1, true))
		end
		assert.same({}, fake:log())
	end)

	it("of a registry that is not there", function()
		hub = remote.client({ retries = 1 })
		local img, message, code = strata.open("docker://127.0.0.1:1/team/app:1", { registry = hub })
		assert.is_nil(img)
		assert.equal("ENETWORK", code)
		assert.is_truthy(message:find("^docker://127.0.0.1:1/team/app:1: GET "))
	end)

	it("of what is no registry", function()
		fake:fault({ status = 200, body = "<html><title>Welcome</title></html>" })
		local img, message, code = strata.open(ref, { registry = hub })
		assert.is_nil(img)
		assert.equal("EFORMAT", code)
		assert.is_truthy(message:find("manifest", 1, true))
	end)
end)

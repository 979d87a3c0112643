-- Annotations of manifests, of the descriptors that lead to them, of layers and of indexes: only their spans change.

local cjson = require "cjson"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local policy = require "strata.policy"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local NAME = "org.opencontainers.image.ref.name"

local dir = tmp.dir()
local count = 0

local function fresh(name)
	count = count + 1
	return dir:file(count .. "-" .. name)
end

--- A layout with two images in an index, each document with annotations; index.json leads to both twice.
local function layout()
	local made = oci_layout.new()
	local children = {}
	for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
		local layer = made:file_layer(platform, { descriptor = { annotations = { kind = "layer" } } })
		children[i] = made:image({
			layers = { layer },
			platform = platform,
			manifest = { annotations = { kind = "manifest", ["x/y~z"] = "1" }, ["com.example.unknown"] = oci_layout.raw("1.0") },
			descriptor = { annotations = { kind = "descriptor" } },
		}).descriptor
	end
	local index = made:index(children, { index = { annotations = { kind = "index" } } })
	made:list(index, "app:1"):list(index, "app:2")
	made.root.annotations = { kind = "root" }
	return made, children, index
end

local function open(path, options)
	local img = assert(strata.open(path, options))
	return img
end

--- An archive of Docker Engine 20.10, which has no manifest that could be annotated.
local function docker_saved(image)
	return docker_dialects.of.docker_1_10(image):write(fresh("saved.tar"))
end

local function blob(path, digest)
	return shell.read(path .. "/" .. oci_layout.blob_name(digest))
end

local RULES = { root_user = true, secrets = { env = { "^token=" } } }
local AMD64 = { platform = "linux/amd64" }

describe("annotations", function()
	local server

	after_each(function()
		if server then
			server:stop()
			server = nil
		end
	end)

	teardown(function()
		dir:remove()
	end)

	it("are those of the manifest, of its descriptor, of the layer's descriptor and of the index", function()
		local img = open(layout():directory(fresh("layout")), AMD64)
		assert.same({ kind = "manifest", ["x/y~z"] = "1" }, img.annotations)
		assert.same({ kind = "descriptor" }, img.descriptor_annotations)
		assert.same({ kind = "layer" }, img.layers[1].annotations)
		assert.same({ kind = "index" }, img.index.annotations)
		local index = strata.open_index(img.path)
		assert.same({ kind = "root" }, index.annotations)
		assert.is_false(img.edited)
	end)

	it("change a span of the manifest's text and nothing else", function()
		local made, children = layout()
		local path = made:directory(fresh("layout"))
		local before = made.blobs[children[1].digest]
		local img = open(path, AMD64)
		img:set_annotation("kind", "other"):set_annotation("new", 'a "text"\n')
		assert.equal("img", img:remove_annotation("x/y~z") == img and "img")
		img.layers[1]:set_annotation("kind", "l")
		assert.is_true(img.edited)
		local saved = assert(img:save(path))
		local after = blob(path, saved.digest)
		local expected = before:gsub('{"kind":"manifest","x/y~z":"1"}', '{"kind":"other","new":"a \\"text\\"\\n"}')
			:gsub('{"kind":"layer"}', '{"kind":"l"}')
		assert.equal(expected, after)
		assert.equal(saved.digest, img.digest)
	end)

	it("of a descriptor change wherever it is, and the tags are not among them", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") } })
		made:list(image.descriptor, { [NAME] = "app:1", one = "1" }):list(image.descriptor, { [NAME] = "app:2", two = "2" })
		for _, path in ipairs({ made:directory(fresh("layout")), made:archive(fresh("layout.tar")) }) do
			local img = open(path)
			assert.same({ one = "1" }, img.descriptor_annotations)
			img:set_descriptor_annotation("two", "3")
			assert(img:save(path))
			local index = cjson.decode(path:find("tar$") and shell.check({ "tar", "-xOf", path, "./index.json" }) or
				shell.read(path .. "/index.json"))
			assert.same({ one = "1", two = "3", [NAME] = "app:1" }, index.manifests[1].annotations)
			assert.same({ two = "3", [NAME] = "app:2" }, index.manifests[2].annotations)
			img = open(path)
			assert.same({ "app:1", "app:2" }, img.tags)
			img.descriptor_annotations = { three = "3" }
			assert(img:save(path))
			img = open(path)
			assert.same({ three = "3" }, img.descriptor_annotations)
			assert.same({ "app:1", "app:2" }, img.tags)
			assert.is_nil((img:remove_descriptor_annotation("two")))
			img.descriptor_annotations = nil
			assert(img:save(path))
			assert.same({}, open(path).descriptor_annotations)
			assert.same({ "app:1", "app:2" }, open(path).tags)
		end
	end)

	it("of index.json and of an index below it change with all that leads to them, and the images stay", function()
		local made, children, index = layout()
		for _, path in ipairs({ made:directory(fresh("layout")), made:archive(fresh("layout.tar")) }) do
			local all = assert(strata.open_index(path))
			assert.equal(all, all:set_annotation("kind", "index.json"))
			assert.equal(all, all:set_annotation("more", "nested", { digest = index.digest }))
			assert.same({ kind = "index.json" }, all.annotations)
			assert(all:save(path))
			all = assert(strata.open_index(path))
			assert.same({ kind = "index.json" }, all.annotations)
			local img = open(path, AMD64)
			assert.same({ kind = "index", more = "nested" }, img.index.annotations)
			assert.equal(children[1].digest, img.digest)
			assert.equal(all, all:remove_annotation("kind", { digest = img.index.digest }))
			all.annotations = { a = "b", c = "d" }
			local copy = fresh("copy")
			assert(all:save(copy, { format = "oci" }))
			assert.same({ a = "b", c = "d" }, strata.open_index(copy).annotations)
			assert.same({ more = "nested" }, open(copy, AMD64).index.annotations)
			-- A layout that is there keeps its own.
			local into = oci_layout.new():directory(fresh("into"))
			local _, lost = assert(all:save(into, { format = "oci" }))
			assert.same({ "the annotations of index.json" }, lost)
		end
	end)

	it("of nothing that is there are ENOENT", function()
		local img = open(layout():directory(fresh("layout")), AMD64)
		local all = strata.open_index(img.path)
		for _, call in ipairs({
			function() return img:remove_annotation("none") end,
			function() return img:remove_descriptor_annotation("none") end,
			function() return img.layers[1]:remove_annotation("none") end,
			function() return all:remove_annotation("none") end,
			function() return all:set_annotation("a", "b", { digest = img.digest }) end,
		}) do
			local ok, message, code = call()
			assert.is_nil(ok)
			assert.is_string(message)
			assert.equal("ENOENT", code)
		end
		img.annotations = img.annotations
		img:set_annotation("kind", "manifest")
		img.descriptor_annotations = { kind = "descriptor" }
		img.layers[1].annotations = { kind = "layer" }
		assert.is_false(img.edited)
	end)

	it("are strings, whose names are none of the tags: anything else throws at the caller's line", function()
		local img = open(layout():directory(fresh("layout")), AMD64)
		local all, layer = strata.open_index(img.path), img.layers[1]
		for pattern, call in pairs({
			["set_annotation: the annotation 'a' should be a string, not number"] = function() img:set_annotation("a", 1) end,
			["set_annotation: the annotation 'a' should be a string, not nil"] = function() layer:set_annotation("a") end,
			["set_annotation: the annotation 'a' should be a string, not boolean"] = function()
				all:set_annotation("a", false)
			end,
			["the name of an annotation is a string that is not empty"] = function() img:set_annotation("", "b") end,
			["img.annotations: the annotation 'a' should be a string, not boolean"] = function()
				img.annotations = { a = true }
			end,
			["img.annotations: the name of an annotation is a string that is not empty"] = function()
				img.annotations = { "a" }
			end,
			["index.annotations should be a table of names and strings, not string"] = function() all.annotations = "a" end,
			["the annotation 'a' is no valid UTF%-8"] = function() layer.annotations = { a = "\255" } end,
			["names the image: assign img.tags, or use img:tag and img:untag"] = function()
				img:set_descriptor_annotation(NAME, "app:3")
			end,
			["img.annotations cannot be changed in place: assign the whole table, or use img:set_annotation"] = function()
				img.annotations.new = "a"
			end,
			["layer.annotations cannot be changed in place"] = function()
				layer.annotations.kind = "a"
				layer:set_annotation("b", "c")
			end,
			["index.annotations cannot be changed in place"] = function() all.annotations.new = "a" end,
			["set_annotation has no option 'diggest'; did you mean 'digest'%?"] = function()
				all:set_annotation("a", "b", { diggest = "c" })
			end,
		}) do
			local ok, message = pcall(call)
			assert.is_false(ok, pattern)
			assert.matches(pattern, message)
			assert.matches("annotations_spec.lua:%d+: ", message)
		end
		assert.is_false(img.edited)
	end)

	it("of an image without a manifest are those of its first one, and told as lost where it gets none", function()
		local image = docker_archive.image({ tags = { "app:1" }, layers = docker_archive.layers(2) })
		local path = docker_saved(image)
		local img = open(path)
		assert.same({}, img.annotations)
		img:set_annotation("a", "b"):set_descriptor_annotation("c", "d")
		img.layers[2]:set_annotation("e", "f")
		img:append({ files = { x = "y" } })
		img.layers[3]:set_annotation("g", "h")
		for _, format in ipairs({ "oci", "oci-archive", "docker" }) do
			local to = fresh(format)
			local result, lost = img:save(to, { format = format })
			assert(result, lost)
			assert.is_nil(lost)
			local again = open(to)
			assert.same({ a = "b" }, again.annotations)
			assert.same({ c = "d" }, again.descriptor_annotations)
			assert.same({}, again.layers[1].annotations)
			assert.same({ e = "f" }, again.layers[2].annotations)
			assert.same({ g = "h" }, again.layers[3].annotations)
			-- An archive with both lists is edited in place.
			again:set_annotation("i", "j"):set_descriptor_annotation("c", "k")
			again.layers[2].annotations = nil
			assert(again:save(to))
			again = open(to)
			assert.same({ a = "b", i = "j" }, again.annotations)
			assert.same({ c = "k" }, again.descriptor_annotations)
			assert.same({}, again.layers[2].annotations)
		end
		for _, options in ipairs({ {}, { format = "docker-legacy" } }) do
			local _, lost = assert(img:save(fresh("lost.tar"), options))
			assert.equal(4, #lost)
			for _, line in ipairs(lost) do
				assert.matches("annotations", line)
			end
		end
		img:revert()
		assert.is_false(img.edited)
		assert.same({}, img.annotations)
		assert.same({}, img.layers[2].annotations)
		assert.same({}, img.descriptor_annotations)
	end)

	it("are edited in an archive with both lists, and a purge takes them out of it", function()
		local image = docker_archive.image({ tags = { "app:1" }, layers = docker_archive.layers(2) })
		for _, dialect in ipairs({ "docker_25", "docker_29" }) do
			local path = docker_dialects.of[dialect](image):write(fresh(dialect .. ".tar"))
			local img = open(path)
			local before = img.config:text()
			img:set_annotation("token", "abc")
			img.layers[1]:set_annotation("token", "abc")
			assert(img:save(path))
			local all = strata.open_index(path)
			all:set_annotation("kind", "root")
			assert(all:save(path))
			assert.same({ kind = "root" }, strata.open_index(path).annotations)
			img = open(path)
			assert.equal("abc", img.annotations.token)
			assert(img:purge(nil, { labels = "^token=", prove = "abc" }))
			assert(img:save(path))
			img = open(path)
			assert.is_nil(img.annotations.token)
			assert.is_nil(img.layers[1].annotations.token)
			assert.equal(before, img.config:text())
			assert.is_nil((shell.read(path):find("token", 1, true)))

			all = strata.open_index(path)
			all.annotations = { kind = "new" }
			local _, lost = assert(all:save(fresh("legacy.tar"), { format = "docker-legacy" }))
			assert.matches("the annotations of index.json", table.concat(lost, "\n"))
		end
	end)

	it("of a directory of skopeo's are those of its manifest or index, which no descriptor leads to", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") }, manifest = { annotations = { kind = "manifest" } } })
		local path = made:list(image.descriptor):flat(fresh("flat"))
		local img = open(path)
		img:set_annotation("a", "b"):set_descriptor_annotation("c", "d")
		local result, lost = img:save(path)
		assert(result, lost)
		assert.same({ "the annotations of the descriptor: no index leads to the image" }, lost)
		assert.same({ kind = "manifest", a = "b" }, open(path).annotations)
		assert.is_nil(strata.open_index(path).annotations)

		made = layout()
		path = made:flat(fresh("flat"))
		local all = strata.open_index(path)
		assert.same({ kind = "index" }, all.annotations)
		assert.equal(all, all:set_annotation("a", "b", { digest = open(path, AMD64).index.digest }))
		for one in all:images(AMD64) do
			one:set_descriptor_annotation("c", "d")
		end
		assert(all:save(path))
		assert.same({ kind = "index", a = "b" }, strata.open_index(path).annotations)
		assert.same({ kind = "descriptor", c = "d" }, open(path, AMD64).descriptor_annotations)
	end)

	it("of an index that another save has replaced are ESTALE", function()
		local made, _, index = layout()
		local path = made:directory(fresh("layout"))
		local all = strata.open_index(path)
		all:set_annotation("a", "b", { digest = index.digest })
		local img = open(path, AMD64)
		img:set_annotation("c", "d")
		assert(img:save(path))
		assert.equal("ESTALE", select(3, all:save(path)))
	end)

	it("of a layer go with it into another image", function()
		local img, layer = strata.new(), assert(strata.layer({ files = { a = "b" } }))
		layer:set_annotation("made", "here")
		img:append({ layer = layer })
		local from = open(layout():directory(fresh("layout")), AMD64)
		img:append({ layer = from.layers[1] })
		local to = fresh("new.tar")
		assert(img:save(to, { format = "oci-archive" }))
		img = open(to)
		assert.same({ made = "here" }, img.layers[1].annotations)
		assert.same({ kind = "layer" }, img.layers[2].annotations)
	end)

	it("that an edit has set are taken back with it when it fails", function()
		for _, path in ipairs({
			layout():directory(fresh("layout")),
			docker_saved(docker_archive.image({ layers = docker_archive.layers(1) })),
		}) do
			local img = open(path, AMD64)
			local before = { img.annotations, img.descriptor_annotations, img.layers[1].annotations }
			assert.is_false(pcall(img.filter, img, function()
				img:set_annotation("a", "b"):set_descriptor_annotation("c", "d")
				img.layers[1]:set_annotation("e", "f")
				error("no")
			end))
			assert.same(before, { img.annotations, img.descriptor_annotations, img.layers[1].annotations })
			assert.is_false(img.edited)
		end
	end)

	it("that were set are seen by a policy, and go by a purge", function()
		for _, path in ipairs({
			layout():directory(fresh("layout")),
			docker_saved(docker_archive.image({ layers = docker_archive.layers(1) })),
		}) do
			local img = open(path, AMD64)
			img:set_annotation("token", "abc"):set_descriptor_annotation("token", "abc")
			img.layers[1]:set_annotation("token", "abc")
			assert.equal(3, #policy.check(img, RULES))
			local report = assert(img:purge(nil, { labels = "^token=", prove = "abc" }))
			assert.same({ "token" }, report.annotations)
			local to = fresh("purged")
			assert(img:save(to, { format = "oci" }))
			img = open(to)
			for _, one in ipairs({ img.annotations, img.descriptor_annotations, img.layers[1].annotations }) do
				assert.is_nil(one.token)
			end
			assert.same({}, policy.check(img, RULES))
		end
	end)

	it("go to a registry, where a descriptor of a tag has none", function()
		server = registry.start()
		local hub = remote.client()
		local img = open(layout():directory(fresh("layout")), AMD64)
		img:set_annotation("a", "b"):set_descriptor_annotation("c", "d")
		local ref = ("docker://%s/app:one"):format(server.host)
		local _, lost = assert(img:save(ref, { registry = hub }))
		assert.equal(1, #lost)
		assert.matches("annotations of the descriptor", lost[1])
		assert.equal("b", open(ref, { registry = hub }).annotations.a)

		local made, _, index = layout()
		local all = strata.open_index(made:directory(fresh("layout")))
		all:set_annotation("kind", "new", { digest = index.digest })
		for one in all:images(AMD64) do
			one:set_descriptor_annotation("e", "f")
		end
		ref = ("docker://%s/app:all"):format(server.host)
		_, lost = assert(all:save(ref, { registry = hub }))
		assert.same({ "the annotations of index.json" }, lost)
		all = assert(strata.open_index(ref, { registry = hub }))
		assert.same({ kind = "new" }, all.annotations)
		assert.same({ kind = "descriptor", e = "f" }, open(ref, { platform = "linux/amd64", registry = hub })
			.descriptor_annotations)

		server:forget()
		all:set_annotation("kind", "again", { digest = assert(hub:digest(ref)) })
		assert(all:save(ref, { registry = hub }))
		local puts = 0
		for _, line in ipairs(server:lines()) do
			puts = puts + (line:find("^PUT") and 1 or 0)
		end
		assert.equal(1, puts)
		assert.same({ kind = "again" }, strata.open_index(ref, { registry = hub }).annotations)
	end)

	it("of an index are nil where there is none", function()
		local image = docker_archive.image({ layers = docker_archive.layers(1) })
		local all = strata.open_index(docker_saved(image))
		assert.is_nil(all.annotations)
		assert.equal("ENOENT", select(3, all:set_annotation("a", "b")))
		assert.has_error(function() all.annotations = { a = "b" } end)
	end)
end)

local collect = require "spec.support.collect"
local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local types = oci_layout.types
local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	dir:remove()
end)

-- What is expected of both ways to store a layout.
local function each_way(made, check)
	check(made:directory(dir:file("layout")), "directory")
	check(made:archive(dir:file("layout.tar")), "archive")
	shell.check({ "rm", "-rf", dir:file("layout") })
end

local function refuse(code, parts, path, opts)
	local img, message, got = strata.open(path, opts)
	assert.is_nil(img)
	assert.equal(code, got, message)
	for _, part in ipairs(parts) do
		assert.truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
	end
end

-- Every layer has the one file that it is called after.
local function expect_layers(img, names)
	assert.equal(#names, #img.layers)
	for i, name in ipairs(names) do
		assert.equal("this is " .. name .. "\n", img.layers[i]:read(name))
	end
	assert.is_true(assert(img:verify()))
end

local function simple(options)
	local made = oci_layout.new()
	local layers = { made:file_layer("a", options), made:file_layer("b", options) }
	local image = made:image({ layers = layers, platform = "linux/amd64", family = options and options.family })
	made:list(image.descriptor, "1.0")
	return made, image, layers
end

describe("an OCI layout", function()
	it("is opened as a directory and as an archive", function()
		local made, image, layers = simple()
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.equal(image.id, img.id)
			assert.equal(image.descriptor.digest, img.digest)
			assert.equal(image.config, img.config:text())
			assert.equal("linux/amd64", tostring(img.platform))
			assert.same({ "1.0" }, img.tags)
			assert.equal(path, img.path)
			assert.is_false(img.edited)
			assert.is_nil(img.index)
			expect_layers(img, { "a", "b" })
			for i, layer in img:layers() do
				assert.equal(layers[i].descriptor.digest, layer.digest)
				assert.equal(layers[i].diff_id, layer.diff_id)
				assert.equal(#layers[i].bytes, layer.size)
				assert.equal("gzip", layer.compression)
				assert.equal(types.oci.gzip, layer.media_type)
				assert.is_false(layer.foreign)
				assert.same({}, layer.annotations)
			end
		end)
	end)

	it("is told by its content, not by its name", function()
		local made, image = simple()
		for _, name in ipairs({ "image.tar", "noname", "x.docker", "a b.tgz" }) do
			assert.equal(image.id, assert(strata.open(made:archive(dir:file(name)))).id)
		end
		assert.equal(image.id, assert(strata.open(made:directory(dir:file("x.tar")))).id)
		assert.equal(image.id, assert(strata.open(dir:file("x.tar") .. "//")).id)
	end)

	it("is read in every order and form of members", function()
		local made, image = simple()
		local forms = { { "--format=pax" }, { "--format=gnu" }, { "--format=ustar" }, { "--transform=s,^\\./,,S" } }
		for i, options in ipairs(forms) do
			assert.equal(image.id, assert(strata.open(made:archive(dir:file(i .. ".tar"), options))).id)
		end
		made:directory(dir:file("layout"))
		local orders = { "index.json oci-layout blobs", "blobs index.json oci-layout", "oci-layout blobs index.json" }
		for _, order in ipairs(orders) do
			shell.sh('cd "$1"; tar -cf "$2" $3', dir:file("layout"), dir:file("order.tar"), order)
			expect_layers(assert(strata.open(dir:file("order.tar"))), { "a", "b" })
		end
	end)

	it("may have other files, blobs that nothing leads to, and no oci-layout", function()
		local made, image = simple()
		made:blob("nothing leads here")
		made.extra["README"] = "hello"
		made.extra["blobs/sha256/README"] = "hello"
		made.extra["manifests/old.json"] = "{"
		made.layout = false
		each_way(made, function(path)
			assert.equal(image.id, assert(strata.open(path)).id)
		end)
	end)

	it("holds layers that are plain, gzip or zstd, in several parts, too", function()
		local made = oci_layout.new()
		local tar = docker_archive.tar({ { name = "f", data = ("this is f\n"):rep(500) } })
		local half = #tar / 2
		local one, two = tar:sub(1, half), tar:sub(half + 1)
		local function gzip(bytes) return oci_layout.filter(bytes, "gzip -nc") end
		local function zstd(bytes) return oci_layout.filter(bytes, "zstd -qc") end
		local skippable = "\80\42\77\24\5\0\0\0hello"
		local bytes = {
			{ "none", tar },
			{ "gzip", gzip(tar) },
			{ "gzip", gzip(one) .. gzip(two) },
			{ "gzip", gzip(tar) .. ("\0"):rep(100) },
			{ "zstd", zstd(tar) },
			{ "zstd", zstd(one) .. zstd(two) },
			{ "zstd", skippable .. zstd(one) .. skippable .. zstd(two) .. skippable },
		}
		local layers = {}
		for i, how in ipairs(bytes) do
			local entries = { { name = "f", data = ("this is f\n"):rep(500) } }
			layers[i] = made:layer(entries, { compression = how[1], bytes = how[2] })
		end
		made:list(made:image({ layers = layers }).descriptor)
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.is_true(assert(img:verify()))
			for i, layer in img:layers() do
				assert.equal(bytes[i][1], layer.compression)
				assert.equal(types.oci[bytes[i][1]], layer.media_type)
				assert.equal(("this is f\n"):rep(500), layer:read("f"))
			end
		end)
	end)

	it("may hold Docker's manifests of schema 2 and its lists", function()
		local made = oci_layout.new()
		local images = {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			local layer = made:file_layer(platform:gsub("/", "-"), { family = "docker" })
			images[i] = made:image({ layers = { layer }, platform = platform, family = "docker" })
		end
		local list = made:index({ images[1].descriptor, images[2].descriptor }, { family = "docker" })
		made:list(list, { [oci_layout.NAME] = "docker.io/library/app:3", [oci_layout.REF_NAME] = "3" })
		each_way(made, function(path)
			local img = assert(strata.open(path, { platform = "linux/arm64" }))
			assert.equal(images[2].descriptor.digest, img.digest)
			assert.same({ "app:3" }, img.tags)
			assert.equal(types.docker.gzip, img.layers[1].media_type)
			assert.equal(list.digest, img.index.digest)
			assert.equal(types.docker.index, img.index.media_type)
			assert.equal(2, img.index.count)
			expect_layers(img, { "linux-arm64" })
		end)
	end)

	it("may have indexes in indexes; the image knows the one that it is in", function()
		local made = oci_layout.new()
		local one = made:image({ layers = { made:file_layer("one") }, platform = "linux/amd64" })
		local two = made:image({ layers = { made:file_layer("two") }, platform = "linux/arm64" })
		local inner = made:index({ one.descriptor }, { index = { annotations = { ["org.example.build"] = "7" } } })
		local outer = made:index({ inner, two.descriptor })
		made:list(outer, "both")
		each_way(made, function(path)
			local img = assert(strata.open(path, { platform = "linux/amd64" }))
			assert.equal(one.descriptor.digest, img.digest)
			assert.same({ "both" }, img.tags)
			assert.same({
				digest = inner.digest,
				media_type = types.oci.index,
				size = inner.size,
				count = 1,
				annotations = { ["org.example.build"] = "7" },
			}, img.index)
			expect_layers(img, { "one" })
			img = assert(strata.open(path, { platform = "linux/arm64" }))
			assert.equal(outer.digest, img.index.digest)
			assert.equal(2, img.index.count)
		end)
	end)

	it("may leave media types out", function()
		local made = oci_layout.new()
		local layer = made:file_layer("a", { descriptor = { mediaType = false } })
		local image = made:image({ layers = { layer }, platform = "linux/amd64", manifest = { mediaType = false } })
		made.root.mediaType = nil
		made:list(made:index({ oci_layout.with(image.descriptor, { mediaType = false }) }, {
			index = { mediaType = false },
			descriptor = { mediaType = false },
		}))
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.equal(image.descriptor.digest, img.digest)
			assert.is_string(img.layers[1].media_type)
			expect_layers(img, { "a" })
		end)
	end)

	it("may have null where a field is not needed", function()
		local made, null = oci_layout.new(), oci_layout.null
		local layer = made:file_layer("a", { descriptor = { annotations = null, urls = null, platform = null } })
		local image = made:image({
			layers = { layer },
			manifest = { annotations = null, mediaType = null, subject = null, artifactType = null },
			descriptor = { platform = null, annotations = null },
		})
		made.root.annotations, made.root.mediaType, made.root.layers = null, null, null
		made:list(made:index({ image.descriptor }, { index = { config = null, layers = null } }))
		each_way(made, function(path)
			expect_layers(assert(strata.open(path)), { "a" })
		end)
	end)

	it("can hold an image without layers", function()
		for _, layers in ipairs({ oci_layout.list(), oci_layout.null }) do
			local made = oci_layout.new()
			local image = made:image({ layers = {}, manifest = { layers = layers } })
			made:list(image.descriptor)
			each_way(made, function(path)
				local img = assert(strata.open(path))
				assert.equal(0, #img.layers)
				assert.equal(image.descriptor.digest, img.digest)
				assert.is_true(assert(img:verify()))
				assert.is_table(img:files())
			end)
		end
	end)

	it("has the annotations of a layer's descriptor", function()
		local made = oci_layout.new()
		local annotations = { ["containerd.io/snapshot/stargz/toc.digest"] = "sha256:1", ["org.example/x"] = "ä\n\"" }
		local layers = { made:file_layer("a", { descriptor = { annotations = annotations } }), made:file_layer("b") }
		made:list(made:image({ layers = layers }).descriptor)
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.same(annotations, img.layers[1].annotations)
			assert.same({}, img.layers[2].annotations)
		end)
	end)

	it("lists its files with their hashes and what they are for", function()
		local made, image, layers = simple()
		each_way(made, function(path)
			local found = {}
			for _, file in ipairs(assert(assert(strata.open(path)):files())) do
				if file.type == "file" then
					found[file.name] = { file.role, file.digest, file.size }
				end
			end
			local index = made:index_text()
			local function blob(digest) return oci_layout.blob_name(digest) end
			assert.same({
				["index.json"] = { "index", oci_layout.sha256(index), #index },
				["oci-layout"] = { "layout", oci_layout.sha256(made.layout), #made.layout },
				[blob(image.id)] = { "config", image.id, #image.config },
				[blob(image.descriptor.digest)] = { "manifest", image.descriptor.digest, image.descriptor.size },
				[blob(layers[1].descriptor.digest)] = { "layer 1", layers[1].descriptor.digest, #layers[1].bytes },
				[blob(layers[2].descriptor.digest)] = { "layer 2", layers[2].descriptor.digest, #layers[2].bytes },
			}, found)
		end)
	end)
end)

describe("what is no image", function()
	local REFERENCE = "vnd.docker.reference."

	local function with_attestation()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") }, platform = "linux/amd64" })
		local statement = made:document('{"predicateType":"x"}', "application/vnd.in-toto+json")
		local attestation = made:image({
			layers = {},
			config = { architecture = "unknown", os = "unknown" },
			manifest = { layers = { statement } },
			descriptor = {
				platform = { architecture = "unknown", os = "unknown" },
				annotations = {
					[REFERENCE .. "type"] = "attestation-manifest",
					[REFERENCE .. "digest"] = image.descriptor.digest,
				},
			},
		})
		made:list(made:index({ image.descriptor, attestation.descriptor }), "1")
		return made, image, attestation
	end

	it("is an attestation: the image beside it is opened", function()
		local made, image, attestation = with_attestation()
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.equal(image.descriptor.digest, img.digest)
			refuse("EUNSUPPORTED", { path, attestation.descriptor.digest, "attestation" }, path,
				{ digest = attestation.descriptor.digest })
			refuse("ENOENT", { path, "unknown/unknown" }, path, { platform = "unknown/unknown" })
			local count = 0
			for one in assert(strata.images(path)) do
				count = count + 1
				assert.equal(image.descriptor.digest, one.digest)
			end
			assert.equal(1, count)
			local index = assert(strata.open_index(path))
			assert.equal(1, #collect(index:images()))
			assert.equal("image", index.manifests[1].kind)
			assert.equal("attestation", index.manifests[2].kind)
			assert.equal(attestation.descriptor.digest, index.manifests[2].digest)
			assert.equal("unknown/unknown", tostring(index.manifests[2].platform))
		end)
	end)

	it("is an artifact: listed, never read as an image", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") }, platform = "linux/amd64" })
		local empty = "application/vnd.oci.empty.v1+json"
		local chart = made:document({
			schemaVersion = 2,
			mediaType = types.oci.manifest,
			config = made:document('{"name":"chart"}', "application/vnd.cncf.helm.config.v1+json"),
			layers = { made:document("not a tar", "application/vnd.cncf.helm.chart.content.v1.tar+gzip") },
		}, types.oci.manifest)
		local signature = made:document({
			schemaVersion = 2,
			mediaType = types.oci.manifest,
			artifactType = "application/vnd.example+json",
			config = made:document("{}", empty),
			layers = { made:document("{}", empty) },
			subject = image.descriptor,
		}, types.oci.manifest)
		local other = made:document('{"what":"ever"}', "application/vnd.example.thing.v1+json")
		made:list(chart, "chart"):list(other, "other"):list(image.descriptor, "image"):list(signature)
		each_way(made, function(path)
			assert.equal(image.descriptor.digest, assert(strata.open(path)).digest)
			refuse("ENOENT", { path, "image" }, path, { ref = "chart" })
			refuse("EUNSUPPORTED", { path, chart.digest, "artifact" }, path, { digest = chart.digest })
			local kinds = {}
			for _, entry in ipairs(assert(strata.open_index(path)).manifests) do
				kinds[entry.digest] = entry.kind .. " " .. table.concat(entry.tags, ",")
			end
			assert.equal("artifact chart", kinds[chart.digest])
			assert.equal("image image", kinds[image.descriptor.digest])
			assert.equal("artifact ", kinds[signature.digest])
		end)
	end)

	it("is an image that has an artifactType, too, and is opened", function()
		local made = oci_layout.new()
		local image = made:image({
			layers = { made:file_layer("a") },
			manifest = { artifactType = "application/vnd.example.model.v1" },
		})
		made:list(image.descriptor)
		each_way(made, function(path)
			expect_layers(assert(strata.open(path)), { "a" })
		end)
	end)

	it("is all that there is", function()
		local made = oci_layout.new()
		each_way(made, function(path)
			refuse("ENOENT", { path, "no image", "none" }, path)
			assert.is_nil(assert(strata.images(path))())
			assert.same({}, assert(strata.open_index(path)).manifests)
		end)
	end)
end)

describe("a part of a layout that is missing", function()
	it("is another image's: that one is listed and left alone", function()
		local made = oci_layout.new()
		local here = made:image({ layers = { made:file_layer("a") }, platform = "linux/amd64" })
		local there = made:image({ layers = { made:file_layer("b") }, platform = "linux/arm64" })
		made.blobs[there.descriptor.digest] = nil
		made:list(made:index({ here.descriptor, there.descriptor }), "1")
		each_way(made, function(path)
			assert.equal(here.descriptor.digest, assert(strata.open(path)).digest)
			refuse("ENOENT", { path, there.descriptor.digest, "manifest" }, path, { platform = "linux/arm64" })
			local list = {}
			for img in assert(strata.images(path)) do
				list[#list + 1] = img.digest
			end
			assert.same({ here.descriptor.digest }, list)
			local index = assert(strata.open_index(path))
			assert.is_false(index.manifests[1].missing)
			assert.is_true(index.manifests[2].missing)
			assert.equal("linux/arm64", tostring(index.manifests[2].platform))
			assert.equal(1, #collect(index:images()))
		end)
	end)

	it("is a nested index, a config or a manifest", function()
		local made = oci_layout.new()
		local one = made:image({ layers = { made:file_layer("one") }, platform = "linux/amd64" })
		local two = made:image({ layers = { made:file_layer("two") }, platform = "linux/arm64" })
		local nested = made:index({ two.descriptor })
		made.blobs[nested.digest] = nil
		made.blobs[one.id] = nil
		made:list(nested, "nested"):list(one.descriptor, "one")
		each_way(made, function(path)
			refuse("ENOENT", { path, "config", one.id }, path)
			assert.is_true(assert(strata.open_index(path)).manifests[1].missing)
		end)
	end)

	it("is a layer: only what needs it fails", function()
		local made = oci_layout.new()
		local layers = { made:file_layer("a"), made:file_layer("b", { absent = true }) }
		local image = made:image({ layers = layers })
		made:list(image.descriptor)
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.equal(image.id, img.id)
			assert.equal(image.descriptor.digest, img.digest)
			assert.equal("this is a\n", img.layers[1]:read("a"))
			assert.equal(layers[2].descriptor.digest, img.layers[2].digest)
			local content, message, code = img.layers[2]:read("b")
			assert.is_nil(content)
			assert.equal("ENOENT", code)
			assert.truthy(message:find("layer 2/2", 1, true), message)
			assert.error_matches(function() img.layers[2]:entries() end, "layer 2/2.*not there")
			assert.equal("ENOENT", select(3, img:verify()))
			assert.equal("ENOENT", select(3, img:filter(function() return true end)))
		end)
	end)

	it("is a foreign layer's, whose bytes are elsewhere", function()
		for _, family in ipairs({ "oci", "docker" }) do
			local made = oci_layout.new()
			local layers = {
				made:file_layer("base", {
					absent = true,
					descriptor = { mediaType = types[family].foreign, urls = { "https://example.com/base" } },
				}),
				made:file_layer("a", { family = family }),
			}
			local image = made:image({ layers = layers, family = family, platform = "windows/amd64" })
			made:list(image.descriptor, "1")
			each_way(made, function(path)
				local img = assert(strata.open(path))
				assert.is_true(img.layers[1].foreign)
				assert.is_false(img.layers[2].foreign)
				assert.equal(types[family].foreign, img.layers[1].media_type)
				assert.equal("this is a\n", img.layers[2]:read("a"))
				assert.equal("ENOENT", select(3, img.layers[1]:read("base")))
				assert.is_true(assert(img:verify()))
				assert.is_false(assert(strata.open_index(path)).manifests[1].missing)
			end)
		end
	end)
end)

describe("links in a layout", function()
	local function linked(change)
		local made, image = simple()
		local path = made:directory(dir:file("layout"))
		shell.sh("cd \"$1\"; " .. change, path, (oci_layout.blob_name(image.id)), image.id:sub(8))
		return path, image, made
	end

	it("are followed as long as they stay inside", function()
		for i, change in ipairs({
			'mkdir store; for f in blobs/sha256/*; do mv $f store; ln -s ../../store/${f##*/} $f; done',
			"mv blobs real; ln -s real blobs",
			"mv blobs/sha256 .store; ln -s ../.store blobs/sha256",
			"mv index.json x; ln -s x index.json; mv oci-layout y; ln -s y oci-layout",
		}) do
			local path, image = linked(change)
			local img = assert(strata.open(path))
			assert.equal(image.id, img.id)
			expect_layers(img, { "a", "b" })
			shell.sh('tar -C "$1" -cf "$2" .', path, dir:file("linked.tar"))
			-- Directories that are links have no members below them in an archive.
			if i ~= 2 and i ~= 3 then
				expect_layers(assert(strata.open(dir:file("linked.tar"))), { "a", "b" })
			end
			shell.check({ "rm", "-rf", path })
		end
	end)

	it("are refused when they lead outside", function()
		for _, change in ipairs({
			'mv "$2" ..; ln -s "../../../$3" "$2"',
			'mv "$2" ..; ln -s "$(dirname "$PWD")/$3" "$2"',
			'mv index.json x; ln -s "$PWD/x" index.json',
			'mv index.json ../outside; ln -s ../outside index.json',
			'mv blobs ../outside; ln -s ../outside blobs',
			'mv blobs ../outside; ln -s "$(dirname "$PWD")/outside" blobs',
		}) do
			local path = linked(change)
			local img, message, code = strata.open(path)
			assert.is_nil(img, change)
			assert.equal("EXDEV", code, change .. ": " .. tostring(message))
			assert.truthy(message:find(path, 1, true), message)
			shell.check({ "rm", "-rf", path, dir:file("outside") })
		end
	end)

	it("are refused when they go in circles, and what they lead to when it is no file", function()
		local path = linked('ln -sf "$3" "$2"')
		refuse("ELOOP", { path }, path)
		shell.check({ "rm", "-rf", path })
		path = linked('rm "$2"; mkdir "$2"')
		refuse("EISDIR", { path }, path)
		shell.check({ "rm", "-rf", path })
		path = linked('rm "$2"; mkfifo "$2"')
		refuse("EUNSUPPORTED", { path }, path)
	end)
end)

describe("a directory of skopeo's", function()
	it("is opened as skopeo writes it", function()
		peers.need("skopeo")
		local made, image = simple()
		made:directory(dir:file("layout"))
		skopeo.copy("oci:" .. dir:file("layout") .. ":1.0", "dir:" .. dir:file("flat"))
		local img = assert(strata.open(dir:file("flat")))
		assert.equal(image.descriptor.digest, img.digest)
		assert.same({}, img.tags)
		expect_layers(img, { "a", "b" })
		skopeo.copy("oci:" .. dir:file("layout") .. ":1.0", "docker-archive:" .. dir:file("d.tar") .. ":app:1")
		skopeo.copy("docker-archive:" .. dir:file("d.tar"), "dir:" .. dir:file("schema2"))
		img = assert(strata.open(dir:file("schema2")))
		assert.equal(oci_layout.sha256(shell.read(dir:file("schema2/manifest.json"))), img.digest)
		expect_layers(img, { "a", "b" })
	end)

	it("is opened as skopeo writes all images of an index", function()
		peers.need("skopeo")
		local made = oci_layout.new()
		local one = made:image({ layers = { made:file_layer("one") }, platform = "linux/amd64" })
		local two = made:image({ layers = { made:file_layer("two") }, platform = "linux/arm64" })
		local list = made:index({ one.descriptor, two.descriptor })
		made:list(list, "1"):directory(dir:file("layout"))
		shell.check({
			"skopeo", "--insecure-policy", "copy", "--quiet", "--all",
			"oci:" .. dir:file("layout") .. ":1", "dir:" .. dir:file("flat"),
			env = { PATH = shell.PATH },
		})
		refuse("EAMBIGUOUS", { "linux/amd64 " .. one.descriptor.digest, "linux/arm64" }, dir:file("flat"))
		local img = assert(strata.open(dir:file("flat"), { platform = "linux/arm64" }))
		assert.equal(two.descriptor.digest, img.digest)
		assert.equal(list.digest, img.index.digest)
		expect_layers(img, { "two" })
	end)

	it("is opened when made by hand, with its files told", function()
		local made, image, layers = simple({ family = "docker" })
		local path = made:flat(dir:file("flat"))
		local img = assert(strata.open(path))
		assert.equal(image.descriptor.digest, img.digest)
		assert.equal(image.id, img.id)
		assert.equal(types.docker.gzip, img.layers[1].media_type)
		expect_layers(img, { "a", "b" })
		local roles = {}
		for _, file in ipairs(assert(img:files())) do
			roles[file.name] = file.role or "none"
		end
		assert.same({
			version = "none",
			["manifest.json"] = "manifest",
			[image.id:sub(8)] = "config",
			[layers[1].descriptor.digest:sub(8)] = "layer 1",
			[layers[2].descriptor.digest:sub(8)] = "layer 2",
		}, roles)
	end)

	it("is saved edited as skopeo reads it, one image and an index", function()
		local reason = peers.missing("skopeo")
		local made = simple()
		local single = made:flat(dir:file("single"))
		local many = oci_layout.new()
		local one = many:image({ layers = { many:file_layer("one") }, platform = "linux/amd64" })
		local two = many:image({ layers = { many:file_layer("two") }, platform = "linux/arm64" })
		many:list(many:index({ one.descriptor, two.descriptor }))
		for _, path in ipairs({ single, many:flat(dir:file("many")) }) do
			local img = assert(strata.open(path, { platform = "linux/amd64" }))
			img.config:set_env("EDITED", "yes")
			local result = assert(img:save(dir:file("new")))
			assert.equal("dir", result.format)
			local again = assert(strata.open(dir:file("new"), { platform = "linux/amd64" }))
			assert.equal(result.digest, again.digest)
			assert.equal("yes", again.config:get_env("EDITED"))
			assert.is_true(assert(again:verify()))
			if not reason then
				skopeo.copy("dir:" .. dir:file("new"), "oci:" .. dir:file("checked"))
				assert.equal(result.id, assert(strata.open(dir:file("checked"))).id)
				shell.check({ "rm", "-rf", dir:file("checked") })
			end
			assert(img:save(path))
			assert.equal("", shell.check({ "diff", "-r", path, dir:file("new") }))
			shell.check({ "rm", "-rf", dir:file("new") })
		end
	end)
end)

-- Takes seconds: not for make check.
-- Blobs that are named by their SHA-512: verified by it, kept under that name while nobody edits them. The
-- digests of the fixtures come from openssl, what is found in a result from sha256sum and sha512sum.

local blobs = require "spec.support.blobs"
local oci_layout = require "spec.support.oci_layout"
local push = require "spec.support.push"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local sha256, sha512, with = oci_layout.sha256, oci_layout.sha512, oci_layout.with
local COMPRESSIONS = { "gzip", "none", "zstd" }
local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	collectgarbage()
	dir:remove()
end)

local function kind_of(bytes)
	for _, pair in ipairs({ { '"rootfs"', "config" }, { '"manifests"', "index" }, { '"layers"', "manifest" } }) do
		if bytes:find("^{") and bytes:find(pair[1], 1, true) then
			return pair[2]
		end
	end
	return "layer"
end

-- An image below an index, of a layer in each compression. `named` says what is named by SHA-512; nil: all of it.
local function build(named)
	local made = oci_layout.new()
	function made.hash(bytes)
		return ((not named or named[kind_of(bytes)]) and sha512 or sha256)(bytes)
	end
	local layers = {}
	for i, compression in ipairs(COMPRESSIONS) do
		layers[i] = made:file_layer("file" .. i, { compression = compression })
	end
	local image = made:image({ layers = layers, platform = "linux/amd64" })
	made:list(made:index({ image.descriptor }), "app")
	return made, image, layers
end

local function each_way(made, fn)
	fn(made:directory(dir:file("layout")), "layout")
	fn(made:archive(dir:file("layout.tar")), "layout.tar")
end

local function look(path)
	local found = blobs.look(path)
	assert.same({}, found.problems)
	for digest in pairs(found.blobs) do
		assert.is_true(found.reached[digest], "nothing leads to " .. digest)
	end
	return found
end

local function algorithms(found)
	local image, list = found.images[1], {}
	for i, layer in ipairs(image.layers) do
		list[i] = layer.digest:match("^%w+")
	end
	local manifest, config = image.digest:match("^%w+"), image.manifest.config.digest:match("^%w+")
	return ("%s %s %s"):format(manifest, config, table.concat(list, " "))
end

local function drop_file1(entry)
	return entry.path ~= "file1"
end

describe("SHA-512", function()
	it("of any blobs of an image: it is opened, listed, read, verified and extracted", function()
		for number = 0, 15 do
			local named = {}
			for i, kind in ipairs({ "index", "manifest", "config", "layer" }) do
				named[kind] = math.floor(number / 2 ^ (i - 1)) % 2 == 1
			end
			local made, image, layers = build(named)
			local path = made:directory(dir:file("layout" .. number))
			local img = assert(strata.open(path, { strict = true }))
			assert.equal(image.descriptor.digest, img.digest)
			assert.equal(sha256(image.config), img.id)
			for i, layer in img:layers() do
				assert.equal(layers[i].descriptor.digest, layer.digest)
				assert.equal(sha256(layers[i].tar), layer.diff_id)
				assert.equal("file" .. i, layer:entries()().path)
				assert.equal(("this is file%d\n"):format(i), layer:read("file" .. i))
			end
			assert.is_true(img:verify())
			assert.equal("none", tostring(img:check({ severity = "note" })))
			img:close()
		end
		local img = assert(strata.open(build():archive(dir:file("layout.tar"))))
		assert(img:extract(dir:file("rootfs"), { unprivileged = true }))
		assert.equal("file1\nfile2\nfile3\n", shell.sh('ls "$1"', dir:file("rootfs")))
		img:close()
	end)

	it("of a manifest: the image is found by it, and listed with it", function()
		local made, image = build()
		made:list(made:image({ layers = {}, platform = "linux/arm64" }).descriptor, "other")
		each_way(made, function(path)
			local digest = image.descriptor.digest
			local index = assert(strata.open_index(path))
			assert.equal(digest, index.manifests[1].digest)
			index:close()
			local ids = {}
			for img in assert(strata.images(path)) do
				ids[#ids + 1] = img.id
			end
			assert.equal(sha256(image.config), ids[1])
			assert.equal(2, #ids)
			for _, opts in ipairs({ { digest = digest }, { ref = digest }, { ref = sha256(image.config) } }) do
				local img = assert(strata.open(path, opts))
				assert.equal(digest, img.digest)
				img:close()
			end
		end)
	end)

	it("of a document that is another: it is not opened", function()
		for _, kind in ipairs({ "config", "manifest", "index" }) do
			local made = build()
			for digest, bytes in pairs(made.blobs) do
				if kind_of(bytes) == kind then
					made.blobs[digest] = bytes:gsub("2", "3", 1)
					assert.is_false(made.blobs[digest] == bytes)
					each_way(made, function(path)
						refusal.of_open(path, "EDIGEST", { digest })
					end)
					shell.sh('rm -r "$1" "$1.tar"', dir:file("layout"))
				end
			end
		end
	end)

	-- The tar of the layer is the right one, so that its diff_id says nothing.
	local function renamed_layer(number)
		local made, image, layers = build()
		local layer = layers[number]
		local wrong = sha512("something else")
		local manifest = oci_layout.encode(image.manifest):gsub(layer.descriptor.digest, wrong)
		local again = oci_layout.new()
		again.hash, again.blobs = sha512, with(made.blobs, { [layer.descriptor.digest] = false, [wrong] = layer.bytes })
		again:list(again:document(manifest, oci_layout.types.oci.manifest))
		return again, wrong
	end

	it("of a layer that is another: EDIGEST, which names both", function()
		for number in ipairs(COMPRESSIONS) do
			local made, wrong = renamed_layer(number)
			each_way(made, function(path)
				local img = assert(strata.open(path))
				local ok, message, code = img:verify()
				assert.is_nil(ok)
				assert.equal("EDIGEST", code)
				assert.truthy(message:find(("layer %d/3 "):format(number), 1, true), message)
				assert.truthy(message:find(wrong, 1, true), message)
				img:close()
			end)
			shell.sh('rm -r "$1" "$1.tar"', dir:file("layout"))
		end
	end)

	it("of a layer that is another: nothing is saved or extracted", function()
		for number in ipairs(COMPRESSIONS) do
			local made, wrong = renamed_layer(number)
			each_way(made, function(path, name)
				for _, format in ipairs({ "own", "oci", "oci-archive", "docker", "docker-legacy", "edited" }) do
					local img = assert(strata.open(path))
					local opts = { format = format ~= "own" and format ~= "edited" and format or nil }
					if format == "edited" then
						img.config:set_env("A", "b")
					end
					local result, message, code = img:save(dir:file("out"), opts)
					assert.is_nil(result)
					assert.equal("EDIGEST", code, name .. " " .. format)
					assert.truthy(message:find(wrong, 1, true), message)
					assert.equal("", shell.sh('find "$1" -path "*/out*" -type f', dir.path))
					shell.sh('rm -rf "$1"', dir:file("out"))
					img:close()
				end
				local img = assert(strata.open(path))
				assert.equal("EDIGEST", select(3, img:extract(dir:file("rootfs"), { unprivileged = true })))
				assert.equal("", shell.sh('find "$1" -path "*/rootfs*"', dir.path))
				img:close()
			end)
			shell.sh('rm -r "$1" "$1.tar"', dir:file("layout"))
		end
	end)

	it("of a layer that is another: nothing is read of it, and its entries are listed when it is plain", function()
		for number, compression in ipairs(COMPRESSIONS) do
			local made, wrong = renamed_layer(number)
			local img = assert(strata.open(made:directory(dir:file("layout" .. number))))
			local content, message, code = img.layers[number]:read("file" .. number)
			assert.is_nil(content)
			assert.equal("EDIGEST", code)
			assert.truthy(message:find(wrong, 1, true), message)
			-- Of a plain layer the headers are read, and not all of it.
			assert.equal(compression == "none", (pcall(img.layers[number].entries, img.layers[number])))
			img:close()
		end
	end)

	it("stays when nothing is edited: the same archive, the same files", function()
		local made = build()
		each_way(made, function(path, name)
			local img = assert(strata.open(path))
			local out = dir:file("same-" .. name)
			local result = assert(img:save(out))
			assert.equal(img.digest, result.digest)
			assert.equal("", shell.sh('diff -r "$1" "$2"', path, out))
			img:close()
		end)
	end)

	it("stays in layouts and archives of them", function()
		local made, image = build()
		each_way(made, function(path, name)
			for _, format in ipairs({ "oci", "oci-archive" }) do
				local img = assert(strata.open(path))
				local plan = assert(img:plan({ format = format }))
				local result = assert(img:save(dir:file(name .. format), { format = format }))
				assert.equal(image.descriptor.digest, result.digest)
				assert.equal(result.digest, plan.digest)
				assert.equal(sha256(image.config), result.id)
				local found = look(dir:file(name .. format))
				assert.equal("sha512 sha512 sha512 sha512 sha512", algorithms(found))
				assert.equal(image.descriptor.digest, found.images[1].digest)
				img:close()
			end
		end)
	end)

	it("is not what Docker's archives have: blobs are named by SHA-256, their bytes stay", function()
		for _, named in ipairs({ false, { manifest = true }, { layer = true } }) do
			local made, image, layers = build(named or nil)
			local img = assert(strata.open(made:directory(dir:file("layout"))))
			local result = assert(img:save(dir:file("docker.tar"), { format = "docker" }))
			assert.equal(sha256(image.config), result.id)
			assert.equal("copied", result.layers[1].action)
			assert.equal(sha256(layers[1].bytes), result.layers[1].digest)
			local found = look(dir:file("docker.tar"))
			assert.equal("sha256 sha256 sha256 sha256 sha256", algorithms(found))
			assert.equal(result.digest, found.images[1].digest)
			for i, layer in ipairs(layers) do
				local path = "blobs/" .. sha256(layer.bytes):gsub(":", "/")
				assert.truthy(shell.sh('tar -xOf "$1" manifest.json', dir:file("docker.tar")):find(path, 1, true))
				assert.equal(layer.bytes, shell.sh('tar -xOf "$1" "$2"', dir:file("docker.tar"), path))
				assert.equal(layer.descriptor.mediaType, found.images[1].layers[i].type)
			end
			img:close()
			local again = assert(strata.open(dir:file("docker.tar"), { strict = true }))
			assert.equal(sha256(image.config), again.id)
			assert.is_true(again:verify())
			again:close()
			shell.sh('rm -r "$1"', dir:file("layout"))
		end
	end)

	it("is not what old archives for Docker have", function()
		local made, image, layers = build()
		local img = assert(strata.open(made:archive(dir:file("layout.tar"))))
		assert(img:save(dir:file("legacy.tar"), { format = "docker-legacy" }))
		local again = assert(strata.open(dir:file("legacy.tar")))
		assert.equal(sha256(image.config), again.id)
		assert.equal(sha256(layers[1].tar), again.layers[1].diff_id)
		assert.is_true(again:verify())
		again:close()
		img:close()
	end)

	it("keeps the annotations of layers that are only named anew", function()
		local made = oci_layout.new()
		made.hash = sha512
		local toc = { annotations = { ["containerd.io/snapshot/stargz/toc.digest"] = "sha256:x" } }
		local layer = made:file_layer("a", { descriptor = toc })
		made:list(made:image({ layers = { layer } }).descriptor)
		local img = assert(strata.open(made:directory(dir:file("layout"))))
		assert(img:save(dir:file("docker.tar"), { format = "docker" }))
		assert.same(toc.annotations, look(dir:file("docker.tar")).images[1].layers[1].annotations)
		img:close()
	end)
end)

describe("an edited image with SHA-512", function()
	it("has a SHA-256 for what is new, and keeps the others", function()
		local made, _, layers = build()
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert(img:filter(drop_file1))
			local digest = img.digest
			local result = assert(img:save(path))
			assert.equal(digest, result.digest)
			img:close()
			local found = look(path)
			assert.equal("sha256 sha256 sha256 sha512 sha512", algorithms(found))
			assert.equal(digest, found.images[1].digest)
			assert.equal(layers[2].descriptor.digest, found.images[1].layers[2].digest)
			local again = assert(strata.open(path, { strict = true }))
			assert.is_true(again:verify())
			again:close()
		end)
	end)

	it("has a new config and keeps all layers", function()
		each_way((build()), function(path)
			local img = assert(strata.open(path))
			img.config:set_env("A", "b")
			assert(img:save(path))
			img:close()
			assert.equal("sha256 sha256 sha512 sha512 sha512", algorithms(look(path)))
		end)
	end)

	it("keeps its manifest when only the name is another", function()
		local made, image = build()
		each_way(made, function(path)
			local img = assert(strata.open(path))
			img.tags = { "app:2" }
			assert(img:save(path))
			img:close()
			local found = look(path)
			assert.equal(image.descriptor.digest, found.images[1].digest)
			assert.truthy(found.root:find("app:2", 1, true))
		end)
	end)

	it("leaves the other images of the layout as they are", function()
		local made, image, layers = build()
		local other = made:image({ layers = layers, platform = "linux/arm64", name = "other" })
		made:list(other.descriptor, "other")
		each_way(made, function(path)
			local img = assert(strata.open(path, { digest = image.descriptor.digest }))
			assert(img:filter(drop_file1))
			assert(img:save(path))
			img:close()
			local found = look(path)
			assert.equal(other.descriptor.digest, found.by_name.other.digest)
			assert.equal(layers[1].descriptor.digest, found.by_name.other.layers[1].digest)
			assert.is_true(found.blobs[layers[1].descriptor.digest])
		end)
	end)

	it("is compressed anew under a SHA-256", function()
		local img = assert(strata.open((build()):directory(dir:file("layout"))))
		assert(img:save(dir:file("out"), { format = "oci", compression = "gzip" }))
		assert.equal("sha256 sha512 sha512 sha256 sha256", algorithms(look(dir:file("out"))))
		img:close()
	end)

	it("replaces what has the name of a blob and other bytes", function()
		local made, _, layers = build()
		local img = assert(strata.open(made:archive(dir:file("layout.tar"))))
		assert(img:save(dir:file("out"), { format = "oci" }))
		local right = dir:file("out") .. "/" .. oci_layout.blob_name(layers[1].descriptor.digest)
		local wrong = dir:file("out") .. "/" .. oci_layout.blob_name(layers[2].descriptor.digest)
		local inode = shell.sh('stat -c %i "$1"', right)
		shell.write(wrong, ("x"):rep(#layers[2].bytes))
		assert(img:save(dir:file("out"), { format = "oci" }))
		assert.equal(layers[2].bytes, shell.read(wrong))
		assert.equal(inode, shell.sh('stat -c %i "$1"', right))
		look(dir:file("out"))
		img:close()
	end)

	it("gives a layer to an archive of Docker's, which gets a SHA-256", function()
		local made, _, layers = build()
		local from = assert(strata.open(made:directory(dir:file("layout"))))
		local base = assert(strata.open(build({}):directory(dir:file("base"))))
		assert(base:save(dir:file("docker.tar"), { format = "docker" }))
		base:close()
		local img = assert(strata.open(dir:file("docker.tar")))
		img.layers[2]:filter(function() return false end)
		assert(img:append({ layer = from.layers[1] }))
		local digest = img.digest
		assert(img:save(dir:file("docker.tar")))
		local found = look(dir:file("docker.tar"))
		assert.equal(sha256(layers[1].bytes), found.images[1].layers[4].digest)
		assert.equal(digest, found.images[1].digest)
		img:close()
		assert(from:append({ layer = from.layers[1] }))
		assert(from:save(dir:file("layout")))
		assert.equal(layers[1].descriptor.digest, look(dir:file("layout")).images[1].layers[4].digest)
		from:close()
	end)
end)

describe("several images with SHA-512", function()
	local function two()
		local made, image, layers = build()
		local other = made:image({ layers = { layers[1] }, platform = "linux/arm64", name = "other" })
		made.blobs[made.root.manifests[1].digest] = nil
		made.root.manifests = oci_layout.list()
		made:list(made:index({ image.descriptor, other.descriptor }), "app")
		return made, layers
	end

	it("are edited and saved as one index", function()
		local made, layers = two()
		each_way(made, function(path)
			local index = assert(strata.open_index(path))
			for img in assert(index:images()) do
				img.layers[1]:rewrite(function(entry) entry.mtime = 7 end)
			end
			assert(index:save(path))
			index:close()
			local found = look(path)
			assert.equal(2, #found.images)
			assert.equal("sha256 sha256 sha256 sha512 sha512", algorithms(found))
			assert.is_nil(found.blobs[layers[1].descriptor.digest])
			assert.is_true(found.blobs[layers[2].descriptor.digest])
		end)
	end)

	it("are saved together, beside one of SHA-256", function()
		local path, images = two():directory(dir:file("layout")), {}
		for img in assert(strata.images(path)) do
			images[#images + 1] = img
		end
		images[3] = assert(strata.open(build({}):directory(dir:file("other"))))
		images[3].tags = { "other" }
		assert(strata.save(images, dir:file("all"), { format = "oci" }))
		assert.equal(3, #look(dir:file("all")).images)
		images[2].tags = { "arm" }
		assert(strata.save(images, dir:file("all.tar"), { format = "docker" }))
		local found = look(dir:file("all.tar"))
		for digest in pairs(found.blobs) do
			assert.truthy(digest:find("^sha256:"))
		end
		local ids = {}
		for _, image in ipairs(found.images) do
			ids[image.id] = true
		end
		for _, img in ipairs(images) do
			assert.is_true(ids[img.id])
			img:close()
		end
	end)
end)

describe("a directory of skopeo's with SHA-512", function()
	it("is opened, verified, and saved as it came", function()
		local made = oci_layout.new()
		made.hash = sha512
		local layers = { made:file_layer("file1"), made:file_layer("file2", { compression = "none" }) }
		made:list(made:image({ layers = layers, platform = "linux/amd64" }).descriptor)
		local path = made:flat(dir:file("flat"))
		local img = assert(strata.open(path))
		assert.is_true(img:verify())
		assert(img:save(dir:file("same")))
		assert.equal("", shell.sh('diff -r "$1" "$2"', path, dir:file("same")))
		img.layers[1]:rewrite(function(entry) entry.mtime = 7 end)
		assert(img:save(dir:file("edited")))
		img:close()
		local again = assert(strata.open(dir:file("edited")))
		assert.is_true(again:verify())
		assert.equal(layers[2].descriptor.digest, again.layers[2].digest)
		assert.truthy(again.layers[1].digest:find("^sha256:"))
		again:close()
		shell.write(path .. "/" .. layers[2].descriptor.digest:match("%x+$"), ("x"):rep(#layers[2].bytes))
		img = assert(strata.open(path))
		assert.equal("EDIGEST", select(3, img:verify()))
		assert.equal("EDIGEST", select(3, img:save(dir:file("bad"))))
		img:close()
	end)
end)

describe("an archive of both lists with SHA-512", function()
	-- With a manifest.json that names the same blobs.
	local function hybrid(change)
		local made, image, layers = build()
		local names = {}
		for i, layer in ipairs(layers) do
			names[i] = oci_layout.blob_name(layer.descriptor.digest)
		end
		local item = { Config = oci_layout.blob_name(image.manifest.config.digest), RepoTags = { "app:1" }, Layers = names }
		made.extra["manifest.json"] = oci_layout.encode({ with(item, change) })
		return made, image, layers
	end

	it("is one image, known by its SHA-256 to Docker", function()
		local made, image = hybrid()
		local path = made:archive(dir:file("hybrid.tar"))
		local index = assert(strata.open_index(path))
		assert.equal(1, #index.manifests)
		index:close()
		for _, prefer in ipairs({ "docker", "oci", false }) do
			local img = assert(strata.open(path, { prefer = prefer or nil }))
			assert.equal(sha256(image.config), img.id)
			assert.equal(prefer ~= "docker" and image.descriptor.digest or nil, img.digest)
			assert.is_true(img:verify())
			assert(img:save(dir:file("same.tar")))
			assert.equal("", shell.sh('cmp "$1" "$2"', path, dir:file("same.tar")))
			img:close()
		end
		assert.equal("none", tostring(assert(strata.open(path)):check()))
	end)

	it("is refused when the lists name other layers", function()
		local _, _, layers = hybrid()
		local names = {}
		for i, layer in ipairs(layers) do
			names[4 - i] = oci_layout.blob_name(layer.descriptor.digest)
		end
		refusal.of_open(hybrid({ Layers = names }):archive(dir:file("hybrid.tar")), "EFORMAT", { "disagree" })
	end)

	it("is refused when a list names a layer by what cannot be verified", function()
		local made, image, layers = build({})
		local wrong = "blake3:" .. ("0"):rep(64)
		local text = oci_layout.encode(image.manifest):gsub(layers[1].descriptor.digest, wrong)
		made.root.manifests = oci_layout.list()
		made:list(made:document(text, oci_layout.types.oci.manifest))
		local names = {}
		for i, layer in ipairs(layers) do
			names[i] = "layer" .. i .. ".tar"
			made.extra[names[i]] = layer.bytes
		end
		made.extra["manifest.json"] = oci_layout.encode({ { Config = oci_layout.blob_name(image.id), Layers = names } })
		refusal.of_open(made:archive(dir:file("hybrid.tar")), "EUNSUPPORTED", { "layer 1", wrong })
	end)

	it("keeps both lists together when it is edited", function()
		local path = hybrid():archive(dir:file("hybrid.tar"))
		for _, prefer in ipairs({ "docker", "oci", false }) do
			for what, edit in pairs({
				layer = function(img) assert(img:filter(drop_file1)) end,
				config = function(img) img.config:set_env("A", "b") end,
				tags = function(img) img.tags = { "app:2" } end,
			}) do
				local img = assert(strata.open(path, { prefer = prefer or nil }))
				edit(img)
				local id = img.id
				assert(img:save(dir:file("edited.tar")))
				img:close()
				local found = look(dir:file("edited.tar"))
				assert.equal(({
					layer = "sha256 sha256 sha256 sha512 sha512",
					config = "sha256 sha256 sha512 sha512 sha512",
					tags = "sha512 sha512 sha512 sha512 sha512",
				})[what], algorithms(found), what)
				assert.equal(id, sha256(found.images[1].config_text))
				local again = assert(strata.open(dir:file("edited.tar"), { strict = true }))
				assert.equal(id, again.id)
				assert.equal(found.images[1].digest, again.digest)
				assert.is_true(again:verify())
				again:close()
			end
		end
	end)

	it("keeps what manifest.json calls by another name, hashed or not", function()
		for _, verify in ipairs({ true, false }) do
			local made, image, layers = hybrid()
			local names = {}
			for i, layer in ipairs(layers) do
				names[i] = "layer" .. i .. ".tar"
				made.extra[names[i]] = layer.bytes
			end
			local config = oci_layout.blob_name(image.manifest.config.digest)
			made.extra["manifest.json"] = oci_layout.encode({ { Config = config, Layers = names } })
			local path = made:archive(dir:file("hybrid.tar"))
			local img = assert(strata.open(path, { prefer = "docker" }))
			img.config:set_env("A", "b")
			assert(img:save(dir:file("edited.tar"), { verify = verify }))
			img:close()
			local found = blobs.look(dir:file("edited.tar")).images[1]
			for i, layer in ipairs(layers) do
				assert.equal(layer.descriptor.digest, found.layers[i].digest)
			end
		end
	end)

	it("goes through a stream, edited as by a save", function()
		local path = hybrid():archive(dir:file("hybrid.tar"))
		local bytes = shell.read(path)
		assert.equal(bytes, push.through(assert(strata.stream.image({})), bytes))
		for _, edits in ipairs({
			{ filter = drop_file1 },
			{ rewrite = function(entry) entry.mtime = 7 end },
			{ config = function(config) config:set_env("A", "b") end },
		}) do
			local out = assert(push.through(assert(strata.stream.image(edits)), bytes))
			assert.same((push.members((assert(push.saved(path, edits))))), (push.members(out)))
		end
	end)

	it("does not go through a stream when a blob is another", function()
		local made, image, layers = hybrid()
		for _, digest in ipairs({
			layers[1].descriptor.digest,
			layers[2].descriptor.digest,
			image.manifest.config.digest,
			image.descriptor.digest,
		}) do
			local right = made.blobs[digest]
			made.blobs[digest] = right:gsub("[1-8]", "9", 1)
			assert.is_false(right == made.blobs[digest])
			local path = made:archive(dir:file("hybrid.tar"))
			for _, edits in ipairs({ {}, { filter = drop_file1 }, { tags = { "app:2" } } }) do
				local out, _, code = push.through(assert(strata.stream.image(edits)), shell.read(path))
				assert.is_nil(out)
				assert.equal("EDIGEST", code)
			end
			made.blobs[digest] = right
		end
	end)
end)

describe("img:check with SHA-512", function()
	local function codes(made)
		local img = assert(strata.open(made:directory(dir:file("layout"))))
		local list = {}
		for i, one in ipairs(assert(img:check({ severity = "note" }))) do
			list[i] = one.code
		end
		img:close()
		shell.sh('rm -r "$1"', dir:file("layout"))
		return list
	end

	it("compares the data inside of a descriptor", function()
		local made = oci_layout.new()
		made.hash = sha512
		local config = made:image({ layers = {}, platform = "linux/amd64" }).config
		for _, pair in ipairs({ { config, {} }, { config:gsub("amd64", "arm64"), { "embedded-data" } } }) do
			local data = oci_layout.filter(pair[1], "base64 -w0")
			local again = oci_layout.new()
			again.hash = sha512
			local image = again:image({ layers = {}, config_descriptor = { data = data }, platform = "linux/amd64" })
			assert.same(pair[2], codes(again:list(image.descriptor)))
		end
	end)

	it("tells blobs that no document names", function()
		local made = build()
		made:blob("nobody's")
		assert.same({ "unreferenced-blob" }, codes(made))
	end)
end)

describe("a diff_id that is a SHA-512", function()
	it("is not supported, and said to be so", function()
		local made = oci_layout.new()
		local layer = made:file_layer("a")
		layer.diff_id = sha512(layer.tar)
		made:list(made:image({ layers = { layer } }).descriptor)
		refusal.of_open(made:directory(dir:file("layout")), "EUNSUPPORTED", { "diff_id", "sha256" })
	end)
end)

-- Takes seconds: not for make check.
local collect = require "spec.support.collect"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local raw, types, with = oci_layout.raw, oci_layout.types, oci_layout.with

-- A manifest or an index that was not what its descriptor said kept every other image of the layout from being opened.
describe("a layout with one entry that is not what its descriptor says", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function other(digest)
		return "sha256:" .. digest:sub(8):reverse()
	end

	-- What becomes of a descriptor in index.json, given the layout; and the code.
	local KINDS = {
		["another size"] = { "EDIGEST", function(_, one) return with(one, { size = one.size + 1 }) end },
		["content of another digest"] = {
			"EDIGEST",
			function(made, one)
				made:blob(made.blobs[one.digest], other(one.digest))
				return with(one, { digest = other(one.digest) })
			end,
		},
		["the type of Docker"] = { "EFORMAT", function(_, one) return with(one, { mediaType = types.docker.manifest }) end },
		["the type of an index"] = { "EFORMAT", function(_, one) return with(one, { mediaType = types.oci.index }) end },
		["the type of a layer"] = { "EFORMAT", function(_, one) return with(one, { mediaType = types.oci.gzip }) end },
		["a text that is no JSON"] = {
			"EFORMAT",
			function(made, one) return with(made:blob("nonsense"), { mediaType = one.mediaType }) end,
		},
		["an index that is broken"] = {
			"EFORMAT",
			function(made) return made:document({ manifests = raw("[5]") }, types.oci.index) end,
		},
	}

	-- The bad entry stands between two good ones, and shares a layer with the first.
	local function build(change)
		local made = oci_layout.new()
		local shared, images = made:file_layer("shared"), {}
		for i, name in ipairs({ "first", "bad", "last" }) do
			images[i] = made:image({ layers = { shared, made:file_layer(name) }, platform = "linux/amd64", name = name })
		end
		made:list(images[1].descriptor, "first:1")
		made:list(change(made, images[2].descriptor), "bad:1")
		made:list(images[3].descriptor, "last:1")
		return made, images, shared
	end

	for name, kind in pairs(KINDS) do
		local expected, change = kind[1], kind[2]

		it("opens the others: " .. name, function()
			local made, images = build(change)
			local paths = { made:directory(dir:file("layout")), made:archive(dir:file("layout.tar")) }
			for _, path in ipairs(paths) do
				for ref, image in pairs({ ["first:1"] = images[1], ["last:1"] = images[3] }) do
					local img = assert(strata.open(path, { ref = ref }))
					assert.equal(image.id, img.id)
					assert.is_true(img:verify())
				end
				local ids = {}
				for img in assert(strata.images(path)) do
					ids[#ids + 1] = img.id
				end
				assert.same({ images[1].id, images[3].id }, ids)

				local list = assert(strata.open_index(path))
				assert.equal(2, #collect(list:images()))
				assert.is_nil(list.manifests[1].problem)
				assert.is_true(list.manifests[2].missing)
				assert.same({ "bad:1" }, list.manifests[2].tags)

				for _, opts in ipairs({ { ref = "bad:1" }, { ref = "bad:1", platform = "linux/amd64" } }) do
					for _, open in ipairs({ strata.open, strata.images }) do
						local img, message, code = open(path, opts)
						assert.is_nil(img)
						assert.equal(expected, code, message)
						assert.equal(list.manifests[2].problem, message)
					end
				end
				for _, open in ipairs({ strata.open, strata.images, strata.open_index }) do
					local img, message, code = open(path, { strict = true })
					assert.is_nil(img)
					assert.equal(expected, code, message)
				end
				local img, message, code = strata.open(path)
				assert.is_nil(img)
				assert.equal("EAMBIGUOUS", code)
				assert.is_nil(message:find("bad:1", 1, true), message)
			end
		end)

		it("is told by a check of the others: " .. name, function()
			local made, images = build(change)
			for _, path in ipairs({ made:directory(dir:file("layout")), made:archive(dir:file("layout.tar")) }) do
				local problem = assert(strata.open_index(path)).manifests[2].problem
				for ref, image in pairs({ ["first:1"] = images[1], ["last:1"] = images[3] }) do
					local img = assert(strata.open(path, { ref = ref }))
					assert.equal(image.id, img.id)
					local errors = {}
					for _, finding in ipairs(img:check({ severity = "note" })) do
						errors[#errors + 1] = finding.severity ~= "note" and finding or nil
					end
					assert.equal(1, #errors)
					assert.same({ "error", "index", "broken-image" }, { errors[1].severity, errors[1].where, errors[1].code })
					assert.truthy(errors[1].message:find("bad:1", 1, true), errors[1].message)
					assert.truthy(errors[1].message:find(problem:gsub("^.-: ", ""), 1, true), errors[1].message)
				end
			end
		end)

		it("is saved with the entry as it was: " .. name, function()
			local made, images, shared = build(change)
			local path = made:directory(dir:file("layout"))
			local img = assert(strata.open(path, { ref = "first:1" }))
			assert(img.layers[1]:rewrite(function(entry) entry.mtime = 5 end))
			assert(img:save(path))
			assert(strata.open(path, { ref = "first:1" }):verify())
			assert.equal(images[3].id, assert(strata.open(path, { ref = "last:1" })).id)
			assert.is_nil((strata.open(path, { ref = "bad:1" })))
			shell.check({ "test", "-e", path .. "/" .. oci_layout.blob_name(shared.descriptor.digest) })
		end)
	end

	it("is refused when nothing else is there", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") }, descriptor = { size = 5 } })
		local path = made:list(image.descriptor, "1"):directory(dir:file("layout"))
		for _, open in ipairs({ strata.open, strata.images }) do
			local img, _, code = open(path)
			assert.is_nil(img)
			assert.equal("EDIGEST", code)
		end
	end)

	it("keeps the layers that only the bad manifest and the edited one name", function()
		local made = oci_layout.new()
		local layer = made:file_layer("shared")
		local good = made:image({ layers = { layer }, name = "good" })
		local bad = made:image({ layers = { layer }, name = "bad", descriptor = { size = 5 } })
		made:list(good.descriptor, "good:1"):list(bad.descriptor, "bad:1")
		local path = made:directory(dir:file("layout"))
		local img = assert(strata.open(path, { ref = "good:1" }))
		assert(img.layers[1]:rewrite(function(entry) entry.mtime = 5 end))
		assert(img:save(path))
		shell.check({ "test", "-e", path .. "/" .. oci_layout.blob_name(layer.descriptor.digest) })
	end)

	local function codes_of(img)
		local found = {}
		for _, one in ipairs(img:check({ severity = "note" })) do
			found[#found + 1] = one.severity .. " " .. one.code
		end
		table.sort(found)
		return found
	end

	-- What becomes of the file of the bad manifest: the code of opening it, and what check tells.
	local FILES = {
		["gone"] = { 'rm "$1"', "ENOENT", "note missing-image" },
		["a directory"] = { 'rm "$1"; mkdir "$1"', "EISDIR", "error broken-image" },
		["a fifo"] = { 'rm "$1"; mkfifo "$1"', "EUNSUPPORTED", "error broken-image" },
		["a link to nothing"] = { 'ln -sf nowhere "$1"', "ENOENT", "note missing-image" },
		["a link to itself"] = { 'ln -sf "${1##*/}" "$1"', "ELOOP", "error broken-image" },
		["a link out of the layout"] = { 'ln -sf /etc/passwd "$1"', "EXDEV", "error broken-image" },
		["empty"] = { ': >"$1"', "EDIGEST", "error broken-image" },
		["larger than a document may be"] = { 'truncate -s 8388608 "$1"', "ELIMIT", "error broken-image", 8388608 },
	}

	for name, row in pairs(FILES) do
		it("opens the others when the manifest is " .. name, function()
			local made = oci_layout.new()
			local good = made:image({ layers = { made:file_layer("good") }, name = "good" })
			local bad = made:image({ layers = { made:file_layer("bad") }, name = "bad" })
			made:list(good.descriptor, "good:1"):list(with(bad.descriptor, { size = row[4] }), "bad:1")
			local path = made:directory(dir:file("layout"))
			shell.sh(row[1], path .. "/" .. oci_layout.blob_name(bad.descriptor.digest))
			local img = assert(strata.open(path, { ref = "good:1" }))
			assert.is_true(img:verify())
			local found = codes_of(img)
			assert.equal(row[3], found[1])
			for i = 2, #found do
				assert.equal("note unreferenced-blob", found[i])
			end
			assert.equal(1, #collect(assert(strata.open_index(path)):images()))
			local none, message, code = strata.open(path, { ref = "bad:1" })
			assert.is_nil(none)
			assert.equal(row[2], code, message)
		end)
	end

	it("tells images and indexes that are not here, and not the layers of the image itself twice", function()
		local made = oci_layout.new()
		local good = made:image({ layers = { made:file_layer("good", { absent = true }) }, name = "good" })
		local second = made:image({ layers = { made:file_layer("other", { absent = true }) }, name = "other" })
		local index = made:index({ second.descriptor })
		local gone = made:index({ good.descriptor, second.descriptor })
		made.blobs[gone.digest] = nil
		made:list(good.descriptor, "good:1"):list(index, "other:1"):list(gone, "gone:1")
		local img = assert(strata.open(made:directory(dir:file("layout")), { ref = "good:1" }))
		assert.same({ "error missing-blob", "note missing-image", "note missing-image" }, codes_of(img))
	end)
end)

-- Docker 25 and later write both lists.
describe("an archive with a manifest.json and one entry of index.json that cannot be read", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local one = docker_archive.image({ layers = docker_archive.layers(1) })
	local two = docker_archive.image({ layers = docker_archive.layers(1), tags = { "other:1" }, name = "other" })

	local function manifest_of(archive, image)
		for _, member in ipairs(archive.members) do
			if member.data and member.data:find('"config":{[^}]*' .. image.id) then
				return member
			end
		end
	end

	it("opens the images whose manifests are right", function()
		local archive = docker_dialects.of.docker_25(one, two)
		manifest_of(archive, two).data = "{}"
		local path = archive:write(dir:file("in.tar"))
		local img = assert(strata.open(path, { ref = "app:1" }))
		assert.equal("sha256:" .. one.id, img.id)
		assert.truthy(img.digest)
		local found = {}
		for _, finding in ipairs(img:check({ severity = "note" })) do
			found[#found + 1] = finding.severity ~= "note" and finding.code or nil
		end
		assert.same({ "broken-image" }, found)
		for _, opts in ipairs({ { ref = "other:1" }, { strict = true }, { ref = "app:1", strict = true } }) do
			local none, message, code = strata.open(path, opts)
			assert.is_nil(none)
			assert.equal("EDIGEST", code, message)
		end
		local ids = {}
		for image in assert(strata.images(path)) do
			ids[#ids + 1] = image.id
		end
		assert.same({ img.id }, ids)
		assert.equal("sha256:" .. two.id, assert(strata.open(path, { ref = "other:1", prefer = "docker" })).id)

		img.config:set_env("A", "b")
		local saved = assert(img:save(dir:file("out.tar")))
		assert.equal(saved.id, assert(strata.open(dir:file("out.tar"), { ref = "app:1" })).id)
		assert.equal("sha256:" .. two.id, assert(strata.open(dir:file("out.tar"), { ref = "other:1", prefer = "docker" })).id)
	end)

	it("refuses an image whose name the entry has", function()
		local archive = docker_dialects.of.docker_25(one)
		local list = archive:member("index.json")
		list.data = list.data:gsub('"manifests":%[({.-}})', '"manifests":[%1,%1', 1)
		local count
		list.data, count = list.data:gsub('"size":(%d+)(.*)"size":%d+', '"size":%1%2"size":1')
		assert.equal(1, count)
		local none, message, code = strata.open(archive:write(dir:file("in.tar")))
		assert.is_nil(none)
		assert.equal("EDIGEST", code, message)
	end)

	it("is refused when it holds no other image", function()
		local archive = docker_dialects.of.docker_25(one)
		manifest_of(archive, one).data = "{}"
		local none, message, code = strata.open(archive:write(dir:file("in.tar")))
		assert.is_nil(none)
		assert.equal("EDIGEST", code, message)
	end)
end)

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
				assert.equal(2, #list.images)
				assert.is_nil(list.entries[1].problem)
				assert.is_true(list.entries[2].missing)
				assert.same({ "bad:1" }, list.entries[2].tags)

				for _, opts in ipairs({ { ref = "bad:1" }, { ref = "bad:1", platform = "linux/amd64" } }) do
					for _, open in ipairs({ strata.open, strata.images }) do
						local img, message, code = open(path, opts)
						assert.is_nil(img)
						assert.equal(expected, code, message)
						assert.equal(list.entries[2].problem, message)
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
end)

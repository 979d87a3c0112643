local oci_layout = require "spec.support.oci_layout"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- The manifest of an archive that has a manifest.json as well was taken over as it was: what was saved
-- from it as a layout could not be opened again.
describe("an archive with manifest.json whose manifest is not to be read", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	-- One image in both lists; `changes` go into the descriptor of its config or of its layer.
	local function write(what, changes)
		local made = oci_layout.new()
		local layer = made:file_layer("a", { compression = "none", descriptor = what == "layer" and changes or nil })
		local image = made:image({ layers = { layer }, config_descriptor = what == "config" and changes or nil })
		made:list(image.descriptor, "1")
		made.extra["manifest.json"] = oci_layout.encode({
			{
				Config = oci_layout.blob_name(image.id),
				RepoTags = { "app:1" },
				Layers = { oci_layout.blob_name(layer.descriptor.digest) },
			},
		})
		return made:archive(dir:file("hybrid.tar"))
	end

	for _, case in ipairs({
		{ "without the size of its config", "config", { size = false }, "bad size" },
		{ "with no number as the size of its config", "config", { size = "\0" }, "bad size" },
		{ "with another size of its config", "config", { size = 1 }, "and 1 in the other" },
		{ "with a negative size of a layer", "layer", { size = -1 }, "bad size" },
		{ "with another size of a layer", "layer", { size = 1 }, "and 1 in the other" },
		{ "with a media type that is no text", "layer", { mediaType = 5 }, "bad mediaType" },
	}) do
		local name, what, changes, part = (table.unpack or unpack)(case)

		it("is refused " .. name, function()
			local img, message, code = strata.open(write(what, changes))
			assert.is_nil(img)
			assert.equal("EFORMAT", code)
			assert.truthy(message:find("manifest.json and index.json disagree", 1, true), message)
			assert.truthy(message:find(part, 1, true), message)
			assert.is_nil(message:find("%c"))
		end)

		it("is opened by manifest.json alone, and saved so that it opens again, " .. name, function()
			local img = assert(strata.open(write(what, changes), { prefer = "docker" }))
			local out = dir:file("saved.tar")
			assert(img:save(out, { format = "oci-archive" }))
			local again = assert(strata.open(out))
			assert.is_true(again:verify())
			assert.equal(img.id, again.id)
		end)
	end

	it("is opened when it agrees", function()
		assert.equal(1, #assert(strata.open(write())).layers)
	end)
end)

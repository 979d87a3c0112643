-- A manifest with "Layers" and without "layers" had no layers here, and layers in Docker and podman, whose reader knows
-- no case; "ſ" is an "s" for it.

local oci_layout = require "spec.support.oci_layout"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a manifest", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- Opens an image whose manifest has one text replaced by another.
	local function open(from, to)
		local layout = oci_layout.new()
		local layer = layout:layer({ { name = "file", data = "x" } })
		local made = layout:image({ layers = { layer }, platform = "linux/amd64" }).descriptor
		local text = layout.blobs[made.digest]
		local first, last = text:find(from, 1, true)
		assert(first, from .. " is not in " .. text)
		local edited = text:sub(1, first - 1) .. to .. text:sub(last + 1)
		layout:list(layout:document(edited, made.mediaType), "app:1")
		return strata.open(layout:directory(dir:file("layout")))
	end

	for _, case in ipairs({
		{ '"layers":', '"Layers":', "'layers' written as 'Layers'" },
		{ '"layers":', '"layer\197\191":', "'layers' written as" },
		{ '"layers":', '"layer\\u017f":', "'layers' written as" },
		{ '"config":', '"CONFIG":', "'config' written as 'CONFIG'" },
		{ '"digest":', '"Digest":', "'digest' written as 'Digest'" },
		{ '"layers":', '"layer\\u017f":[],"layers":', "differ in their case only" },
	}) do
		it("with " .. case[2] .. " is refused", function()
			local img, message, code = open(case[1], case[2])
			assert.is_nil(img)
			assert.equal("EFORMAT", code)
			assert.is_truthy(message:find(case[3], 1, true), message)
		end)
	end

	it("is what it was without", function()
		assert.equal(1, #assert(open('"layers":', '"layers":')).layers)
	end)
end)

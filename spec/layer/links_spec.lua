-- Hardlinks from one layer into another.

local strata = require "strata"

local function image()
	local img = strata.new({ platform = "linux/amd64" })
	img:append({ files = { ["srv/file"] = { content = "data", mode = 416, uid = 7 }, ["srv/other"] = "other" } })
	img:append({ files = { ["srv/link"] = { type = "hardlink", linkpath = "/srv/file" } } })
	return img
end

local function all_but(...)
	local unwanted = {}
	for _, path in ipairs({ ... }) do
		unwanted[path] = true
	end
	return function(entry)
		return not unwanted[entry.path]
	end
end

describe("a hardlink to a file of a lower layer", function()
	it("says that its own layer does not have the file", function()
		local img = image()
		local link = img.layers[2]:entry("srv/link")
		assert.is_true(link.dangling)
		assert.equal("srv/file", link.linkpath)
		assert.is_false(img.layers[1]:entry("srv/file").dangling)
	end)

	it("is made with the mode and the owner of the file", function()
		local link = image().layers[2]:entry("srv/link")
		assert.equal(416, link.mode)
		assert.equal(7, link.uid)
	end)

	it("is not left behind alone: a filter that drops the file is refused, and nothing is changed", function()
		local img = image()
		local ok, message, code = img:filter(all_but("srv/file"))
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.is_truthy(message:find("layer 2: hardlink 'srv/link' shares the file 'srv/file' of layer 1", 1, true))
		assert.is_truthy(img.layers[1]:entry("srv/file"))
		assert.is_truthy(img.layers[2]:entry("srv/link"))
		assert.is_false(img.layers[1]:entry("srv/file").dangling)
		assert.equal("data", img.layers[1]:read("srv/file"))
	end)

	it("goes together with the file", function()
		local img = image()
		assert(img:filter(all_but("srv/file", "srv/link")))
		assert.is_nil(img.layers[1]:entry("srv/file"))
		assert.is_nil(img.layers[2]:entry("srv/link"))
	end)

	it("does not keep other files", function()
		local img = image()
		assert(img:filter(all_but("srv/other")))
		assert.is_nil(img.layers[1]:entry("srv/other"))
	end)

	it("cannot be made to what is not there", function()
		local img = image()
		assert.has_error(function()
			img:append({ files = { link = { type = "hardlink", linkpath = "nothing" } } })
		end, "files[\"link\"]: \"nothing\", which it should link to, is not a file")
	end)
end)

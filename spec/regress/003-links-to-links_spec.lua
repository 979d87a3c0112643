local layer = require("spec.support.layer")

describe("hardlinks to hardlinks", function()
	-- A link in front of the link that it names lost its file.
	local function forward()
		return layer.index({
			{ name = "a", typeflag = "1", linkpath = "b" },
			{ name = "b", typeflag = "1", linkpath = "c" },
			{ name = "c", data = "text" },
			{ name = "d", typeflag = "1", linkpath = "a" },
		})
	end

	it("are read in any order", function()
		for i = 1, 4 do
			assert.equal("text", forward():entry(i):read())
		end
	end)

	it("follow a link that is renamed", function()
		local index = forward()
		index:entry(2).path = "renamed"
		local read = layer.rewritten(index)
		assert.equal("renamed", read:entry(1).linkpath)
		assert.equal("c", read:entry(2).linkpath)
		assert.equal("text", read:entry(1):read())
	end)

	it("stay what they are when they lead round in a circle or nowhere", function()
		local bytes = layer.tar({
			{ name = "a", typeflag = "1", linkpath = "b" },
			{ name = "b", typeflag = "1", linkpath = "a" },
			{ name = "c", typeflag = "1", linkpath = "c" },
			{ name = "d", typeflag = "1", linkpath = "a" },
			{ name = "e", typeflag = "1", linkpath = "missing" },
			{ name = "f", typeflag = "1", linkpath = "e" },
		})
		local index = layer.index(bytes)
		for i = 1, 6 do
			local content, _, code = index:entry(i):read()
			assert.is_nil(content)
			assert.equal("ENOENT", code)
		end
		assert.equal(bytes, layer.write(index))
	end)
end)

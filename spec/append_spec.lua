local strata = require "strata"

describe("img:append", function()
	it("takes the mode of a file as stat gives it, without the bits of its type", function()
		local img = strata.new({})
		assert(img:append({ files = { ["/run"] = { content = "x", mode = 35309 } } })) -- 0104755
		assert.equal(2541, img.layers[1]:entry("run").mode) -- 04755
	end)
end)

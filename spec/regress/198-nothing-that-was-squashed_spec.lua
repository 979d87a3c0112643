-- img:flatten of an image without layers, and img:squash above a base that has all of its layers, gave the image as if
-- there were one layer now.

local strata = require "strata"

describe("making one layer", function()
	it("of no layers is a failure", function()
		local img = strata.new()
		local ok, message, code = img:flatten()
		assert.same({ nil, "flatten: the image has no layers", "EINVAL" }, { ok, message, code })
	end)

	it("of none above a base is a failure", function()
		local img = assert(strata.new():append({ files = { a = "text" } }))
		for _, base in ipairs({ 1, img }) do
			local ok, message, code = img:squash({ above = base })
			assert.same({ nil, "squash: no layer is above the base", "EINVAL" }, { ok, message, code })
		end
		assert.is_true(img:squash({ above = 0 }) == img)
		assert.is_true(img:flatten() == img)
	end)
end)

-- img:squash above a base that has all of the image's layers gave the image, as if there were one layer above it now.

local strata = require "strata"

describe("squashing above a base", function()
	it("fails where no layer is above it", function()
		local img = assert(strata.new():append({ files = { a = "text" } }))
		for _, base in ipairs({ 1, img }) do
			local ok, message, code = img:squash({ above = base })
			assert.same({ nil, "squash: no layer is above the base", "EINVAL" }, { ok, message, code })
		end
		assert.is_true(img:squash({ above = 0 }) == img)
	end)
end)

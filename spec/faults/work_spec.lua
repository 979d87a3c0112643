-- How often the system is asked, where the work could grow with the square of the input.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("the work of applying a layer", function()
	it("W5 with many opaque markers over a big tree is that of the tree and of the markers", function()
		local names, markers = 2 * 2440 + 2000, 4040
		for calls in faulty.run("work", {}):gmatch("%d+") do
			-- So many for each name and each marker; eight million were it their product.
			assert.is_true(tonumber(calls) < 10 * (names + markers), calls)
		end
	end)
end)

-- A directory stayed when looking at it or opening it failed just after it was made.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a directory that was made in vain", function()
	it("goes again: of a layout", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "meta", "open" }, nil, "save oci"))
	end)

	it("goes again: of an extraction", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "meta", "open", "few descriptors" }, nil, "extract"))
	end)
end)

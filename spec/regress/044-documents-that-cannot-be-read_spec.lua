-- Documents that could not be read counted as missing: a save left them as they were, or the image was not found.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a document that cannot be read", function()
	it("is not left as it was by a save", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "read" }, nil, "save layers"))
	end)

	it("is not missing when images are listed", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "read", "open", "meta" }, nil, "images"))
	end)
end)

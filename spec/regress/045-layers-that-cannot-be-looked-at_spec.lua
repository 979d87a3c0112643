-- In overlay mode a whiteout was left out when looking for what it hides failed.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a layer below that cannot be looked at", function()
	it("does not make a deleted file come back", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "open", "meta" }, nil, "extract overlay"))
	end)
end)

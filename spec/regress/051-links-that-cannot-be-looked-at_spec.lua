-- A hardlink waits for its target. When what stands in its place could not be looked at again, it counted as replaced,
-- and stayed an empty file. And an I/O error of a chown passed for want of privilege.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("extracting for overlayfs", function()
	it("is refused whatever cannot be looked at, or be set", function()
		assert.matches("^%d+ runs, 0 problems", faulty.run("sweep", { 1, "meta" }, nil, "extract a tree as overlay"))
	end)
end)

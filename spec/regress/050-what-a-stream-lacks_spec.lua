-- A document that could not be read at the end of a stream counted as one that is not there: what repeats its edits
-- in other lists was left as it had been. And a layer for which there was no memory was called no tar.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a stream is refused", function()
	for what, why in pairs({ read = "read what it has put aside", memory = "get memory" }) do
		it("when it cannot " .. why .. ", wherever it is", function()
			assert.matches("^%d+ runs, 0 problems", faulty.run("sweep", { 1, what }, nil, "stream"))
		end)
	end
end)

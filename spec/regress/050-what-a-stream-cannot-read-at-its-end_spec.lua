-- A document that could not be read at the end of a stream counted as one that is not there: what repeats its edits
-- in other lists was left as it had been.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a stream that cannot read what it has put aside", function()
	it("is refused, whichever read it is", function()
		assert.matches("^%d+ runs, 0 problems", faulty.run("sweep", { 1, "read" }, nil, "stream"))
	end)
end)

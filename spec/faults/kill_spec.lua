-- The process is killed while it saves. STRATA_KILLS says how often at random moments.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a process that is killed while it saves", function()
	it("leaves the old file or the whole new one, and names that the next save clears away", function()
		local sum = faulty.run("kills", { tonumber(os.getenv("STRATA_KILLS")) or 40 })
		assert.matches("0 problems", sum)
		local before, after = sum:match("(%d+) before, (%d+) after")
		assert.is_true(tonumber(before) > 10 and tonumber(after) > 10, sum)
	end)
end)

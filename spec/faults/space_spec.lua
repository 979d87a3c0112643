-- The file system is too small, by one page less each time.

local faulty = require "spec.support.faulty"
local shell = require "spec.support.shell"

if not faulty.is_here() then
	return
end

describe("a file system that is full", function()
	it("is ENOSPC at whatever page: what was there stays, and nothing else", function()
		local words = { "unshare", "--mount" }
		if shell.run({ words[1], words[2], "true" }).status ~= 0 then
			return pending("nothing can be mounted here")
		end
		assert.matches("0 problems", faulty.run("space", { faulty.is_thorough() and 1 or 3 }, words))
	end)
end)

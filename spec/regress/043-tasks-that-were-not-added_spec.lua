-- A job went on without the tasks that there was no memory for, so that an archive lacked parts.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("a task that there is no memory for", function()
	it("does not keep the others from being all that is written", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "memory" }, nil, "save docker-legacy"))
	end)
end)

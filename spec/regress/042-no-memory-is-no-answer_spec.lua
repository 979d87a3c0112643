-- Look-ups in documents and layers gave nil for want of memory, which was taken for "not there".

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

describe("want of memory", function()
	it("is not taken for what a document lacks", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "memory" }, nil, "config"))
	end)

	it("is not taken for a path that no layer has", function()
		assert.matches(" 0 problems", faulty.run("sweep", { 1, "memory" }, nil, "rootfs"))
	end)
end)

-- What the system is asked for fails, at every place in turn.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

local function sweep(stride, ...)
	local sum = faulty.run("sweep", { faulty.is_thorough() and 1 or stride, ... })
	assert.matches("^%d+ runs, 0 problems", sum)
	assert.is_true(tonumber(sum:match("^%d+")) > 20, sum)
end

describe("when the system fails", function()
	it("to give memory, nothing is lost and nothing left, and nil is no answer", function()
		sweep(19, "memory", "library memory")
	end)

	it("to give any memory from some point on, it is the same", function()
		sweep(61, "no more memory")
	end)

	it("to read or to write, it is EIO, and nothing is left", function()
		sweep(6, "read", "write", "sync")
	end)

	it("to open, to look at or to name files, it is EIO, and nothing is taken for missing", function()
		sweep(6, "open", "meta", "name")
	end)

	it("to give more descriptors, it is EMFILE", function()
		sweep(4, "descriptors", "few descriptors")
	end)

	it("to start threads, fewer do, and none is EAGAIN", function()
		sweep(2, "threads", "no threads")
	end)

	it("to copy between files, the bytes are copied by hand", function()
		sweep(2, "copy", "no copying", "no copying across", "copying refused")
	end)

	it("by being interrupted, or by doing less than it was asked for, nothing comes of it", function()
		sweep(12, "interrupted", "always interrupted", "short", "always short")
	end)
end)

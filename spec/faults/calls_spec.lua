-- What the system is asked for fails: on some of the ways that lead to a call, each in its turn, and with
-- STRATA_SWEEP=ways, as in `make coverage`, on every way.

local faulty = require "spec.support.faulty"

if not faulty.is_here() then
	return
end

-- Each call, or each way to one.
local function sweep_as(wrapper, ...)
	local sum = faulty.run("sweep", { faulty.stride(), ... }, wrapper)
	assert.matches("^%d+ runs, 0 problems", sum)
	assert.is_true(tonumber(sum:match("^%d+")) > (faulty.stride() < -1 and 0 or 20), sum)
end

local function sweep(...)
	sweep_as(nil, ...)
end

describe("when the system fails", function()
	it("to give memory, nothing is lost and nothing left, and nil is no answer", function()
		sweep("memory", "library memory")
	end)

	it("to give any memory from some point on, it is the same", function()
		sweep("no more memory")
	end)

	it("to read or to write, it is EIO, and nothing is left", function()
		sweep("read", "write", "sync")
	end)

	it("to open, to look at or to name files, it is EIO, and nothing is taken for missing", function()
		sweep("open", "meta", "name")
	end)

	it("to remove files, to tell what they are, or to give random numbers, it is the same", function()
		sweep("unlink", "look", "random")
	end)

	it("to do anything for an ordinary user, it is the same", function()
		local wrapper = faulty.as_user()
		if not wrapper then
			return pending("becoming another user needs root")
		end
		sweep_as(wrapper, "open", "meta", "look", "name", "write", "memory", "unlink")
	end)

	it("to set the modes of layers side by side for an ordinary user, nothing is lost track of", function()
		local wrapper = faulty.as_user()
		if not wrapper then
			return pending("becoming another user needs root")
		end
		local sum = faulty.run("sweep", { 1, "chmod 1" }, wrapper, "extract a tree as overlay")
		assert.matches("^%d+ runs, 0 problems", sum)
	end)

	it("to give more descriptors, it is EMFILE", function()
		sweep("descriptors", "few descriptors")
	end)

	it("to start threads, fewer do, and none is EAGAIN", function()
		sweep("threads", "no threads")
	end)

	it("to copy between files, the bytes are copied by hand", function()
		sweep("copy", "no copying", "no copying across", "copying refused")
	end)

	it("to know what not every one knows, it is done another way", function()
		sweep("no unnamed files", "no openat2", "openat2 refused", "always raced")
	end)

	it("with any errno, nothing is lost track of", function()
		local EPERM, ENOENT, EACCES, EEXIST, ENOTDIR, EINVAL, ENOTEMPTY, ELOOP, ENOTSUP = 1, 2, 13, 17, 20, 22, 39, 40, 95
		local kinds = {}
		for _, class in ipairs({ "open", "meta", "name", "unlink", "look" }) do
			for _, errno in ipairs({ EPERM, ENOENT, EACCES, EEXIST, ENOTDIR, EINVAL, ENOTEMPTY, ELOOP, ENOTSUP }) do
				kinds[#kinds + 1] = class .. " " .. errno
			end
		end
		kinds[#kinds + 1] = "lock 11"
		sweep((unpack or table.unpack)(kinds))
	end)

	it("and goes on to fail, nothing is lost track of", function()
		sweep("open 5 on", "meta 5 on", "name 5 on", "unlink 5 on", "look 5 on", "traces 5 on", "read 5 on", "write 5 on")
	end)

	it("by being interrupted, or by doing less than it was asked for, nothing comes of it", function()
		sweep("interrupted", "always interrupted", "short", "always short")
	end)
end)

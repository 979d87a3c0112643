local core = require("strata.core")
local layer = require("spec.support.layer")

-- An index that was closed, or edited, between the adding of a task and the start of its job was read through a null
-- pointer, or written as it no longer was.
describe("a job whose index changes before it starts", function()
	local function small()
		return layer.index({ { name = "file", data = "text" }, { name = "other", data = "more" } })
	end

	local function assembly(...)
		local a = core.assemble()
		for i, index in ipairs({ ... }) do
			assert.equal(i, a:source(index))
			assert(a:add(i, 1))
		end
		return a
	end

	local function refused(job, message)
		local ok, said, code = job:start()
		assert.is_nil(ok)
		assert.equal(message, said)
		assert.equal("EINVAL", code)
		assert.is_true(job:wait(0))
		job:close()
	end

	local function file()
		return assert(core.temp_file())
	end

	it("does not start when an index of an assembly is closed", function()
		local first, second, job = small(), small(), core.job()
		job:assemble({ label = "new", assembly = assembly(first, second), to = file() })
		second:close()
		refused(job, "new: its index has been closed, or has no content")
		assert.equal("file", first:entry(1).path) -- it is free again
	end)

	it("does not start when an index of an assembly is edited", function()
		local index, job = small(), core.job()
		job:assemble({ label = "new", assembly = assembly(index), to = file() })
		index:entry(2):remove()
		refused(job, "new: its index has been edited")
	end)

	it("does not start when the index of any other task is closed", function()
		for _, kind in ipairs({ "scan", "write", "prepare" }) do
			local index, job = small(), core.job()
			job[kind](job, { label = kind, index = index, to = file() })
			index:close()
			refused(job, kind .. ": its index has been closed, or has no content")
		end
	end)

	it("does not write an index that has not been scanned", function()
		local bytes = layer.tar({ { name = "file", data = "text" } })
		local job = core.job()
		job:write({ label = "old", index = core.entry_index(layer.file(bytes), 0, #bytes, "none"), to = file() })
		refused(job, "old: its index has not been scanned")
	end)

	it("does not write a copy, which has no content", function()
		local job = core.job()
		job:write({ label = "copy", index = small():copy(), to = file() })
		refused(job, "copy: its index has been closed, or has no content")
	end)
end)

local core = require("strata.core")
local layer = require("spec.support.layer")
local process = require("spec.support.process")

-- Two tasks could work on one index at the same time, and its entries be read while a task changed them.
describe("an index that a job works on", function()
	-- A job that takes as long as `work` does: its second task cannot be hurried.
	local function busy(index, work)
		local bytes = ("0123456789abcdef"):rep(64 * 1024)
		local job, file = core.job(), layer.file(bytes)
		for _ = 1, 300 do
			job:hash({ file = file, offset = 0, size = #bytes })
		end
		job:write({ index = index, to = assert(core.temp_file()) })
		assert(job:start(1))
		work()
		job:close()
	end

	local function small()
		return layer.index({ { name = "file", data = "text" }, { name = "link", typeflag = "1", linkpath = "file" } })
	end

	it("is for one task at a time", function()
		local index, job = small(), core.job()
		for _ = 1, 2 do
			job:write({ index = index, to = assert(core.temp_file()) })
		end
		local ok, _, code = job:start()
		assert.is_nil(ok)
		assert.equal("EBUSY", code)
		assert.is_true(job:wait(0))
		assert.equal("file", index:entry(1).path) -- it is free again
	end)

	it("is for one job at a time, whenever that was made", function()
		local index, other = small(), core.job()
		other:write({ index = index, to = assert(core.temp_file()) })
		busy(index, function()
			local ok, _, code = other:start()
			assert.is_nil(ok)
			assert.equal("EBUSY", code)
			assert.is_true(other:wait(0))
			other:close()
			assert.has_error(function()
				index:entry(1)
			end, "the layer is in use by a save that has not ended")
		end)
		assert.equal("file", index:entry(1).path)
	end)

	it("does not show its entries", function()
		local index = small()
		local entry = index:entry(2)
		busy(index, function()
			assert.has_error(function()
				return entry.linkpath
			end, "the layer is in use by a save that has not ended")
			assert.equal("strata.Entry(in use)", tostring(entry))
			assert.equal("strata.EntryIndex(in use)", tostring(index))
		end)
		assert.equal("file", entry.linkpath)
	end)

	it("is freed with its file when it is collected before the job", function()
		local before = process.descriptors()
		local function leave_a_job()
			local job = core.job() -- older than its index, so collected behind it
			local bytes = ("0123456789abcdef"):rep(1024 * 1024)
			local file = layer.file(bytes)
			for _ = 1, 20 do
				job:hash({ file = file, offset = 0, size = #bytes })
			end
			job:scan({ index = core.entry_index(file, 0, #bytes, "none") })
			assert(job:start(1))
		end
		for _ = 1, 5 do
			leave_a_job()
		end
		for _ = 1, 4 do
			collectgarbage()
		end
		assert.is_true(process.descriptors() <= before) -- fewer when an earlier spec left garbage
	end)

	it("has its results when the job has ended, not before", function()
		local job, bytes = core.job(), ("0123456789abcdef"):rep(1024 * 1024)
		local file = layer.file(bytes)
		for _ = 1, 50 do
			job:hash({ file = file, offset = 0, size = #bytes })
		end
		assert(job:start(1))
		assert.has_error(function()
			job:result()
		end, "the job has not ended")
		assert.has_error(function()
			job:task(1)
		end, "the job has not ended")
		job:close()
	end)
end)

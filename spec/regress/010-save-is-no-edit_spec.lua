local core = require("strata.core")
local layer = require("spec.support.layer")

describe("carrying edits out", function()
	-- Pointing links at their renamed file counted as edits of their own, made by another thread.
	it("leaves the revision of the index as it is", function()
		local index = layer.index({ { name = "a", data = "text" }, { name = "b", typeflag = "1", linkpath = "a" } })
		index:entry(1).path = "c"
		local revision = index:revision()
		local once = assert(layer.write(index))
		assert.equal(revision, index:revision())
		assert.equal(once, assert(layer.write(index)))
		assert.equal("c", layer.index(once):entry(2).linkpath)
	end)

	-- A layer that has to be inflated first was counted twice.
	it("does not get beyond all of the bytes", function()
		local data = {}
		for i = 1, 4000 do
			data[i] = core.sha256(tostring(i))
		end
		local bytes = layer.tar({
			{ name = "a", data = table.concat(data) },
			{ name = "b", typeflag = "1", linkpath = "a" },
		})
		local packed, job = assert(core.temp_file()), core.job()
		job:write({ index = layer.index(bytes), to = packed, compression = "gzip" })
		assert.is_true(layer.run(job))
		local index = core.entry_index(packed, 0, packed:size(), "gzip")
		assert(index:scan())
		index:entry(1):remove()
		job = core.job()
		job:write({ index = index, to = assert(core.temp_file()) })
		assert.is_true(layer.run(job))
		local done, total = job:progress()
		assert.equal(packed:size(), total)
		assert.equal(total, done)
	end)
end)

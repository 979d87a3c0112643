local layer = require("spec.support.layer")

-- Assigning xattrs failed with EINVAL when a PAX record held a field of the entry: its path, its mtime.
describe("xattrs of an entry whose fields are in PAX records", function()
	local path = ("long"):rep(80) .. "/n\195\164me"

	it("are set and leave the fields alone", function()
		local index = layer.index({ { name = path, data = "text", mtime = 5, mtime_nsec = 100, uid = 3000000 } })
		index:entry(1).xattrs = { ["user.a"] = "1" }
		local entry = layer.rewritten(index):entry(1)
		assert.same({ ["user.a"] = "1" }, entry.xattrs)
		assert.equal(path, entry.path)
		assert.equal(3000000, entry.uid)
		assert.equal(100, entry.mtime_nsec)
	end)

	it("change together with the fields", function()
		local index = layer.index({ { name = path, data = "text" } })
		local entry = index:entry(1)
		entry.xattrs, entry.path, entry.uid = { ["user.a"] = "1" }, path .. "2", 4000000
		entry = layer.rewritten(index):entry(1)
		assert.same({ ["user.a"] = "1" }, entry.xattrs)
		assert.equal(path .. "2", entry.path)
		assert.equal(4000000, entry.uid)
	end)

	it("are set on a hardlink that takes the place of its file", function()
		local index = layer.index({
			{ name = "file", data = "text", mtime_nsec = 100 },
			{ name = path, typeflag = "1", linkpath = "file" },
		})
		index:entry(2).xattrs = { ["user.a"] = "1" }
		index:entry(1):remove()
		local entry = layer.rewritten(index):entry(1)
		assert.equal("file", entry.type)
		assert.same({ ["user.a"] = "1" }, entry.xattrs)
		assert.equal("text", entry:read())
	end)
end)

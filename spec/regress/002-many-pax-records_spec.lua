local layer = require("spec.support.layer")

-- Both took time with the square of the number of records: minutes for one header of 1 MiB.
describe("an entry with 35000 xattrs", function()
	local function record(key, value)
		local body = " " .. key .. "=" .. value .. "\n"
		local len = #body + #tostring(#body)
		return #body + #tostring(len) .. body
	end

	local records = {}
	for i = 1, 35000 do
		records[i] = record("SCHILY.xattr.user.k" .. i, "v")
	end
	records = table.concat(records)

	local function seconds(edit)
		local index = layer.index({ { name = "file", records = records } })
		local start = os.clock()
		edit(index:entry(1))
		local entry = layer.rewritten(index):entry(1)
		return os.clock() - start, entry.xattrs
	end

	it("loses them within seconds", function()
		local took, xattrs = seconds(function(entry)
			entry.xattrs = {}
		end)
		assert.same({}, xattrs)
		assert.is_true(took < 10)
	end)

	it("gets another one within seconds", function()
		local took, xattrs = seconds(function(entry)
			local all = entry.xattrs
			all["user.new"], all["user.k7"] = "v", "other"
			entry.xattrs = all
		end)
		assert.equal("v", xattrs["user.new"])
		assert.equal("other", xattrs["user.k7"])
		assert.equal("v", xattrs["user.k35000"])
		assert.is_true(took < 10)
	end)
end)

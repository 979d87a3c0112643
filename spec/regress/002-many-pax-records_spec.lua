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

	local function rewritten(edit)
		local index = layer.index({ { name = "file", records = records } })
		edit(index:entry(1))
		return layer.rewritten(index):entry(1).xattrs
	end

	it("loses them", function()
		local xattrs = rewritten(function(entry)
			entry.xattrs = {}
		end)
		assert.same({}, xattrs)
	end)

	it("gets another one", function()
		local xattrs = rewritten(function(entry)
			local all = {}
			for name, value in pairs(entry.xattrs) do
				all[name] = value
			end
			all["user.new"], all["user.k7"] = "v", "other"
			entry.xattrs = all
		end)
		assert.equal("v", xattrs["user.new"])
		assert.equal("other", xattrs["user.k7"])
		assert.equal("v", xattrs["user.k35000"])
	end)
end)

local layer = require("spec.support.layer")

-- "/" as a new path gave an entry without a name, which readers refuse or skip.
describe("a path of nothing but slashes and dots", function()
	for _, path in ipairs({ "/", "//", "./", "/./", "." }) do
		it("is the root: " .. path, function()
			for _, name in ipairs({ "dir/", "./dir/", "/dir/" }) do
				local index = layer.index({ { name = name, typeflag = "5" } })
				index:entry(1).path = path
				local entry = layer.rewritten(index):entry(1)
				assert.equal("./", entry.name)
				assert.equal(".", entry.path)
			end
		end)
	end
end)

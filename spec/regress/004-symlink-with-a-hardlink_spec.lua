local layer = require("spec.support.layer")

-- A new linkpath of a dropped symlink was lost when a hardlink took its place.
describe("a hardlink that takes the place of a symlink", function()
	it("leads to where the symlink does", function()
		local index = layer.index({
			{ name = "symbolic", typeflag = "2", linkpath = "old" },
			{ name = "hard", typeflag = "1", linkpath = "symbolic" },
		})
		index:entry(1).linkpath = "new"
		index:entry(1):remove()
		local entry = layer.rewritten(index):entry(1)
		assert.equal("hard", entry.path)
		assert.equal("symlink", entry.type)
		assert.equal("new", entry.linkpath)
	end)
end)

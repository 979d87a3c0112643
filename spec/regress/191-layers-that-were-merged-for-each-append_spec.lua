-- img:append merged all layers below anew for each layer, to find where paths lead: many layers put on an image with
-- many entries took as often as long as all entries do. The tree is kept now, and the next layer put on it.

local core = require "strata.core"
local strata = require "strata"

describe("the tree that layers are added to", function()
	-- How often a layer is put on a tree while fn runs.
	local function merges(fn)
		local tree = assert(core.tree())
		local methods = getmetatable(tree).__index
		local apply, count = methods.apply, 0
		tree:close()
		methods.apply = function(...)
			count = count + 1
			return apply(...)
		end
		local ok, message = pcall(fn)
		methods.apply = apply
		assert(ok, message)
		return count
	end

	it("gets each layer once", function()
		local img = strata.new()
		assert.equal(39, merges(function()
			for i = 1, 40 do
				assert(img:append({ files = { ["f" .. i] = "x" } }))
			end
		end))
		img:close()
	end)

	-- Where a file goes that is put below `link`.
	local function place_below(img)
		assert(img:append({ files = { ["link/f"] = "x" } }))
		for entry in img.layers[#img.layers]:entries() do
			if entry.type == "file" then
				return entry.path
			end
		end
	end

	local function image()
		local img = strata.new()
		assert(img:append({ files = {
			one = { type = "dir" }, two = { type = "dir" }, link = { type = "symlink", linkpath = "one" },
		} }))
		return img
	end

	it("follows an edit of entries", function()
		local img = image()
		assert.equal("one/f", place_below(img))
		img.layers[1]:entry("link").linkpath = "two"
		assert.equal("two/f", place_below(img))
		assert(img.layers[1]:remove("link"))
		assert.equal("link/f", place_below(img))
		img:close()
	end)

	it("follows a change of the list of layers, and one that fails", function()
		local img = image()
		assert(img:append({ files = { link = { type = "symlink", linkpath = "two" } } }))
		assert.equal("two/f", place_below(img))
		assert.is_nil((img.layers[1]:remove({ "one", "nothing of the kind" })))
		assert.equal("two/f", place_below(img))
		assert(img:move_layer(1, 2))
		assert.equal("one/f", place_below(img))
		assert(img:remove_layer(2))
		assert.equal("two/f", place_below(img))
		assert(img:append({ files = { ["link/g"] = "x" }, at = #img.layers }))
		assert.equal("x", img.layers[#img.layers - 1]:entry("two/g"):read())
		assert.equal("two/f", place_below(img))
		img:close()
	end)

	it("is another one after everything was taken back", function()
		local img = image()
		assert.equal("one/f", place_below(img))
		assert(img:revert())
		assert.equal(0, #img.layers)
		assert.equal("link/f", place_below(img))
		img:close()
	end)
end)

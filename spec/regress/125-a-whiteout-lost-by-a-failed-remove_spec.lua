-- layer:remove dropped a whiteout of a layer above, found then that one of the names matches nothing, and took back
-- only what it had dropped of its own layer: the image showed again what the whiteout had hidden.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

describe("a removal from one layer", function()
	specify("that fails leaves the whiteouts of the layers above", function()
		local bench = archive.bench()
		local img, _, path = bench:open({
			{ entries = { { name = "a", data = "1" }, { name = "b", data = "2" } } },
			{ entries = { { name = ".wh.a" }, { name = "c", data = "3" } } },
		})
		local done, message, code = img.layers[1]:remove({ "a", "no/such" })
		assert.is_nil(done)
		assert.equal("remove: nothing matches 'no/such'", message)
		assert.equal("ENOENT", code)
		local out = bench.dir:file("out.tar")
		assert(img:save(out))
		assert.is_false(img.edited)
		assert.is_true(shell.read(path) == shell.read(out))

		assert(img.layers[1]:remove("a")) -- as it drops them where it ends well
		for entry in img.layers[2]:entries() do
			assert.equal("c", entry.path)
		end
		bench:close()
	end)
end)

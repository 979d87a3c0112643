-- The root of an image without layers has no entry in any layer. Its attributes were looked for in the first layer,
-- which does not exist, and the process died.

local strata = require "strata"

describe("the root of an image without layers", function()
	it("has the attributes of a directory without an entry", function()
		local root = assert(strata.new():rootfs())
		local entry = assert(root:stat("/"))
		assert.same({ "dir", 493, 0, 0, 0 }, { entry.type, entry.mode, entry.uid, entry.gid, entry.mtime })
		assert.is_nil(next(entry.xattrs))
		assert.is_nil(entry.layer)
	end)
end)

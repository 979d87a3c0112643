-- fold gave a directory the extended attributes of one that repeats it in a layer above. overlayfs's mark of an opaque
-- directory says what its own layer hides: in the lower layer it hid nothing, and one that was there was lost.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)
local MARK = { ["SCHILY.xattr.trusted.overlay.opaque"] = "y" }

describe("a directory with overlayfs's mark of an opaque one", function()
	local FILE = { entries = { { name = "d", type = "dir", mode = 493 }, { name = "d/file", data = "1" } } }
	local MARKED = { entries = { { name = "d", type = "dir", mode = 493, pax = MARK }, { name = "b", data = "2" } } }
	local AGAIN = { entries = { { name = "d", type = "dir", mode = 448 }, { name = "c", data = "3" } } }

	for _, row in ipairs {
		{ "is not folded into another one", { FILE, MARKED } },
		{ "has no other one folded into it", { FILE, MARKED, AGAIN } },
	} do
		specify(row[1], function()
			local bench = archive.bench()
			local img, _, path = bench:open(row[2])
			assert.is_nil(img:rootfs():stat("d/file"))
			assert.equal(0, (assert(img:fold())))
			local out = bench.dir:file("out.tar")
			assert(img:save(out))
			assert.is_true(shell.read(path) == shell.read(out))
			bench:close()
		end)
	end
end)

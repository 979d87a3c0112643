-- An opaque marker whose directory a symlink of its own layer leads to, and that the layer has a whiteout of as well,
-- kept that directory in what was extracted: the layer had gone into it, so it counted as the layer's own.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

describe("a directory that its layer hides, with an opaque marker behind a symlink to it", function()
	specify("is not extracted, as the root file system has it not", function()
		local bench = archive.bench()
		local img = bench:open({
			{ entries = { { name = "m", type = "dir", mode = 493 }, { name = "m/b", type = "dir", mode = 493 } } },
			{ entries = {
				{ name = "l", type = "symlink", linkname = "m/b" }, { name = "m/.wh.b" }, { name = "l/.wh..wh..opq" },
			} },
		})
		assert.is_nil(img:rootfs():lstat("m/b"))
		local out = bench.dir:file("root")
		assert(img:extract(out, { unprivileged = true }))
		assert.equal("l\nm\n", shell.sh('cd "$1" && find . -mindepth 1 -printf "%P\\n" | sort', out))
		bench:close()
	end)
end)

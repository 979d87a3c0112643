-- fold gave a file the attributes of one that repeats it in a layer above, and with it a hardlink that comes before the
-- file in its layer: by the letter of the specification, which fold went by, that is a name of another file, of a lower
-- layer, but runtimes make it a name of this one.

local archive = require "spec.support.archive"
local model = require "spec.support.model"
local runtime_views = require "spec.support.runtime_views"

local specify = archive.specify(it, pending)

describe("fold", function()
	local DIR = { name = "m", type = "dir", mode = 493 }

	specify("leaves a file alone that has a hardlink before it", function()
		local bench = archive.bench()
		local img, _, path = bench:open({
			{ entries = { DIR, { name = "m/file", type = "symlink", linkname = "nowhere" } } },
			{ entries = { { name = "link", type = "hardlink", linkname = "m/file" }, DIR, { name = "m/file", data = "text" } } },
			{ entries = { { name = "m/file", data = "text", mode = 384, mtime = 5 } } },
		})
		local before = runtime_views.strata(path)
		assert.equal(420, img:rootfs():stat("link").mode)
		assert(img:fold())
		assert.equal(420, img:rootfs():stat("link").mode)
		local out = bench.dir:file("out.tar")
		assert(img:save(out))
		assert.same({}, model.differences(before.rows, runtime_views.strata(out).rows))
		bench:close()
	end)

	specify("leaves what is below a directory that overlayfs hides things with", function()
		local bench = archive.bench()
		local sub = { name = "l/l", type = "dir", mode = 493 }
		local mark = { ["SCHILY.xattr.trusted.overlay.opaque"] = "y" }
		local img = bench:open({
			{ entries = { sub } }, { entries = { { name = "l", type = "dir", mode = 493, pax = mark }, sub } },
		})
		assert.equal(0, (assert(img:fold())))
		assert.equal("dir", img:rootfs():stat("l/l").type)
		bench:close()
	end)
end)

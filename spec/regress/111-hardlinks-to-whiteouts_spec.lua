-- A hardlink whose target is a whiteout at that time is a whiteout, also when a file of that name comes later in its
-- layer. Extraction took the directory of a lower layer, which is there till the layer's end, for the target; the
-- merged view took the later file. And the header of a hardlink that is a whiteout by its own name set the owner of its
-- target when layers were merged.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

describe("a hardlink to a whiteout", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function paths(layers)
		local requests = {}
		for i, entries in ipairs(layers) do
			requests[i] = { entries = entries }
		end
		local img = bench:open(requests)
		local seen, dir = {}, bench.dir:file("extracted")
		for entry in img:rootfs():walk() do
			seen[#seen + 1] = entry.path
		end
		assert(img:extract(dir))
		local there = {}
		for path in shell.sh('cd "$1" && find . -mindepth 1 | LC_ALL=C sort', dir):gmatch("%./([^\n]+)") do
			there[#there + 1] = path
		end
		assert.same(seen, there)
		return seen
	end

	specify("that hides a directory of a lower layer", function()
		assert.same({ "l", "usr" }, paths({
			{ { name = "l", type = "dir" } },
			{
				{ name = ".wh.l" },
				{ name = "usr/e", type = "hardlink", linkname = "l" },
				{ name = "l", type = "symlink", linkname = "../../usr" },
			},
		}))
	end)

	specify("through another hardlink, before a file of that name", function()
		assert.same({ "d", "l", "lib", "usr", "usr/l" }, paths({
			{
				{ name = ".wh.l" },
				{ name = "d/g", type = "hardlink", linkname = "l" },
				{ name = "usr/l", data = "x" },
				{ name = "lib/e", type = "hardlink", linkname = "d/g" },
				{ name = "l", type = "hardlink", linkname = "usr/l" },
			},
		}))
	end)

	specify("by its own name gives no file its owner when layers are merged", function()
		local img = bench:open({
			{
				entries = {
					{ name = "d", data = "x" },
					{ name = "l/.wh.e", type = "hardlink", linkname = "d", uid = 1000 },
					{ name = "e", type = "hardlink", linkname = "d", uid = -1 },
				},
			},
		})
		local function owner()
			return assert(img:rootfs()):stat("e").uid
		end
		assert.equal(0, owner())
		assert(img:flatten())
		assert.equal(0, owner())
	end)
end)

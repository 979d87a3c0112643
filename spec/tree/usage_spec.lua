--- What directories add up to, and the largest files: root:usage, root:largest.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"

local specify = archive.specify(it, pending)

describe("a root file system's usage", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open()
		local img = bench:open({
			{
				entries = {
					{ name = "a/one", data = ("1"):rep(100) },
					{ name = "a/b/two", data = ("2"):rep(20) },
					{ name = "a/b/three", type = "hardlink", linkname = "a/b/two" },
					{ name = "a/c/", type = "dir" },
					{ name = "gone", data = ("g"):rep(5000) },
				},
			},
			{
				entries = {
					{ name = ".wh.gone" },
					{ name = "z/four", data = ("4"):rep(20) },
					{ name = "a/link", type = "symlink", linkname = "b" },
				},
			},
		})
		return assert(img:rootfs()), img
	end

	specify("is the bytes and paths below, a file with several names once", function()
		local root = open()
		assert.same({ bytes = 140, entries = 9 }, root:usage())
		assert.same({ bytes = 120, entries = 6 }, root:usage("a"))
		assert.same({ bytes = 20, entries = 2 }, root:usage("/a/b"))
		assert.same({ bytes = 0, entries = 0 }, root:usage("a/c"))
		assert.same({ bytes = 100, entries = 0 }, root:usage("a/one"))
		assert.same({ bytes = 0, entries = 0 }, root:usage("a/link"))
		assert.equal("120 B in 6 paths", tostring(root:usage("a")))
		assert.equal("ENOENT", select(3, root:usage("none")))
	end)

	specify("follows edits of the layers", function()
		local root, img = open()
		assert.equal(140, root:usage().bytes)
		assert(img:remove("a/one"))
		assert.equal(40, root:usage().bytes)
	end)

	specify("counts a file in each directory that has a name of it", function()
		local img = bench:open({
			{
				entries = {
					{ name = "x/1", data = ("x"):rep(10) },
					{ name = "x/2", type = "hardlink", linkname = "x/1" },
					{ name = "y/d/3", type = "hardlink", linkname = "x/1" },
					{ name = "y/d/e/4", type = "hardlink", linkname = "x/1" },
					{ name = "y/f/5", type = "hardlink", linkname = "x/1" },
				},
			},
		})
		local root = assert(img:rootfs())
		for _, path in ipairs({ "/", "x", "y", "y/d", "y/d/e", "y/f" }) do
			assert.equal(10, root:usage(path).bytes, path)
		end
	end)

	specify("tells the largest files, with one name each", function()
		local root = open()
		local function names(count)
			local list = {}
			for i, entry in ipairs(assert(root:largest(count))) do
				list[i] = entry.path
			end
			return list
		end
		assert.same({ "a/one", "a/b/three", "z/four" }, names())
		assert.same({ "a/one", "a/b/three" }, names(2))
		assert.same({}, names(0))
		assert.has_error(function()
			root:largest(-1)
		end)
	end)

	specify("is what du says of random layers #stacks", function()
		for seed = 1, 12 do
			local img = bench:open(stacks.layers(seed, true))
			local dir = bench.dir:file("root" .. seed)
			if img:extract(dir, { unprivileged = true }) then
				local root = assert(img:rootfs())
				for path in shell.check({ "find", dir, "-type", "d", "-printf", "%P\n" }):gmatch("[^\n]+") do
					local sum, seen = 0, {}
					local files = shell.check({ "find", dir .. "/" .. path, "-type", "f", "-printf", "%i %s\n" })
					for inode, size in files:gmatch("(%d+) (%d+)") do
						sum = sum + (seen[inode] and 0 or tonumber(size))
						seen[inode] = true
					end
					assert.equal(sum, root:usage("/" .. path).bytes, seed .. " " .. path)
				end
			end
		end
	end)
end)

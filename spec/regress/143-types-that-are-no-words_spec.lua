-- Messages called a directory "a dir", and one of anything "1 layers".

local archive = require "spec.support.archive"

local it = archive.specify(it, pending) -- luacheck: ignore 431

describe("messages in words", function()
	local bench

	before_each(function()
		bench = archive.bench()
	end)

	after_each(function()
		bench:close()
	end)

	it("say what an entry is that is no file", function()
		local img = bench:open({ { entries = {
			{ name = "d", type = "dir" }, { name = "f", type = "fifo" }, { name = "c", type = "char", major = 1, minor = 3 },
			{ name = "b", type = "block", major = 1, minor = 3 }, { name = "s", type = "symlink", linkname = "nowhere" },
		} } })
		local root = img:rootfs()
		for path, words in pairs({ d = "a directory", f = "a FIFO", c = "a character device", b = "a block device",
			s = "a symlink" }) do
			local _, message = img.layers[1]:read(path)
			assert.matches(("'%s' is %s, not a file"):format(path, words), message, 1, true)
			if path ~= "s" then
				_, message = root:read(path)
				assert.matches(("is %s, not a file"):format(words), message, 1, true)
			end
		end
		assert.equal("strata.Rootfs(1 layer, 6 paths)", tostring(root))
	end)
end)

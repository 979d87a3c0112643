-- The entry of the root was applied when it came: a layer whose digest turned out to be wrong had opened a directory
-- to everybody, or given one that was there before another mode. And a tree that was deeper than twice limits.depth,
-- as symlinks can make it, stayed behind after a failure.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

describe("extracting a layer that is refused at its end", function()
	local bench, target

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("target")
	end)

	after_each(function()
		bench:close()
	end)

	-- A hardlink to nothing is only known for one when everything has come.
	local BROKEN = { name = "z", type = "hardlink", linkname = "nowhere" }

	it("leaves mode and time of a directory as they were", function()
		shell.sh('mkdir -m 700 "$1" && touch -d @1000 "$1"', target)
		local img = bench:open({ { entries = { { name = "./", type = "dir", mode = 511, mtime = 5 }, BROKEN } } })
		local result, _, code = img:extract(target, { unprivileged = true })
		assert.is_nil(result)
		assert.equal("ENOENT", code)
		assert.equal("700", shell.sh('stat -c %a "$1"', target):match("%d+"))
	end)

	it("leaves nothing of a tree that symlinks have made deep", function()
		local entries, at = {}, ""
		for i = 1, 3 do
			local run = ("d/"):rep(6)
			entries[#entries + 1] = { name = at .. run .. "x", type = "dir", mode = 493 }
			entries[#entries + 1] = { name = "l" .. i, type = "symlink", linkname = (at .. run .. "x"):gsub("^l", "l") }
			at = "l" .. i .. "/"
		end
		entries[#entries + 1] = BROKEN
		local img = bench:open({ { entries = entries } })
		local result, _, code = img:extract(target, { unprivileged = true, limits = { depth = 8 } })
		assert.is_nil(result)
		assert.equal("ENOENT", code)
		assert.are_not.equal(0, shell.run({ "test", "-e", target }).status)
	end)

	it("sets the root's mode and time when all has been verified", function()
		local img = bench:open({
			{ entries = { { name = "./", type = "dir", mode = 457, mtime = 5 }, { name = "f", data = "x" } } },
			{ entries = { { name = "g", data = "x" } } },
		})
		assert(img:extract(target, { unprivileged = true }))
		assert.equal("711 5", shell.sh('stat -c "%a %Y" "$1"', target):match("^[^\n]*"))
	end)
end)

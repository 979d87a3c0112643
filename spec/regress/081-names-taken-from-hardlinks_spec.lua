-- A hardlink to a lower layer's file whose directory the same layer replaced later: to give the file the attributes of
-- the hardlink, extract made the directory again, in place of what the layer has there.

local archive = require "spec.support.archive"
local entries_of = require "spec.support.entries"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local dir, file, hardlink = entries_of.dir, entries_of.file, entries_of.hardlink

describe("a hardlink to a lower layer's file", function()
	local bench, target

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("rootfs")
	end)

	after_each(function()
		bench:close()
	end)

	local function extracted(...)
		local layers = { { entries = { file("low") } }, { entries = { ... } } }
		assert(bench:open(layers):extract(target, { unprivileged = true }))
		return entries_of.contents(tree.read(target), target)
	end

	it("leaves its directory's name to a file that comes later", function()
		assert.same({ low = "low", d = "d" }, extracted(hardlink("d/link", "low"), file("d")))
	end)

	it("leaves its name to what replaces its directory", function()
		local again = extracted(hardlink("d/link", "low"), file("d"), dir("d"))
		assert.same({ low = "low", d = "dir" }, again)
	end)

	it("leaves its own name to a file that comes later", function()
		assert.same({ low = "low", link = "own" }, extracted(hardlink("link", "low"), file("link", "own")))
	end)
end)

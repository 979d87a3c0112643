-- After the path of one entry was changed, or one was dropped, the next layer:entry(path) read the paths of the whole
-- layer again: both in turn grew with the square of its entries. The table of paths follows each edit now.

local pack = require "spec.support.pack"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("paths that are looked up between edits are those of the entries", function()
	local dir, img, layer

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	after_each(function()
		img:close()
	end)

	local function open(names)
		local entries = {}
		for i, name in ipairs(names) do
			entries[i] = { name = name, data = tostring(i) }
		end
		pack.image(dir:file("a.tar"), { entries })
		img = assert(strata.open(dir:file("a.tar")))
		layer = img.layers[1]
	end

	-- The content of the last entry of each path, by reading them all.
	local function expected()
		local last = {}
		for entry in layer:entries() do
			last[entry.path] = assert(entry:read())
		end
		return last
	end

	local function check(paths)
		local last = expected()
		for path in pairs(paths) do
			local entry = layer:entry(path)
			assert.equal(last[path], entry and assert(entry:read()), path)
		end
	end

	-- The same numbers in each run, in every Lua.
	local seed
	local function random(most)
		seed = (seed * 16807) % 2147483647
		return seed % most + 1
	end

	-- Renames entries, onto others too when there are few names, and drops some.
	local function work(count, names, rounds)
		seed = 4711
		local list, paths = {}, {}
		for i = 1, count do
			list[i] = "n" .. random(names)
			paths[list[i]] = true
		end
		open(list)
		for round = 1, rounds do
			local from, to = "n" .. random(names), "n" .. random(names)
			local entry = layer:entry(from)
			paths[to] = true
			if entry and round % 5 == 0 then
				assert(layer:remove(from))
			elseif entry then
				entry.path = to
			end
			check(paths)
			if round % 40 == 0 then -- all is taken back by an edit that fails
				local before = expected()
				assert.is_nil((layer:remove({ from, to, "nothing of the kind" })))
				assert.same(before, expected())
				check(paths)
			end
		end
	end

	it("where most paths are there once", function()
		work(60, 3000, 120)
	end)

	it("where paths are there several times", function()
		work(60, 40, 120)
	end)

	it("when a path goes away and comes back", function()
		open({ "a", "b", "c" })
		assert(layer:entry("a")).path = "x"
		assert.is_nil(layer:entry("a"))
		assert(layer:entry("x")).path = "b"
		assert.equal("2", layer:entry("b"):read())
		assert(layer:entry("c")).path = "a"
		assert.equal("3", layer:entry("a"):read())
		assert(img:revert())
		layer = img.layers[1]
		assert.equal("1", layer:entry("a"):read())
		assert.equal("2", layer:entry("b"):read())
		assert.is_nil(layer:entry("x"))
	end)
end)

-- Where one path was in a layer twice, after any edit of a path the next layer:entry(path) read the paths of all its
-- entries again. Only an edit of such a path does so now.

local pack = require "spec.support.pack"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a layer with a path twice", function()
	local dir, img, layer

	before_each(function()
		dir = tmp.dir()
		local entries = {}
		for i, name in ipairs({ "a", "b", "a", "c", "a", "b", "d" }) do
			entries[i] = { name = name, data = tostring(i) }
		end
		pack.image(dir:file("a.tar"), { entries })
		img = assert(strata.open(dir:file("a.tar")))
		layer = img.layers[1]
		assert.equal("5", layer:entry("a"):read()) -- the table of paths is there
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	local function contents()
		local found = {}
		for _, path in ipairs({ "a", "b", "c", "d", "x" }) do
			local entry = layer:entry(path)
			found[path] = entry and entry:read()
		end
		return found
	end

	-- The entry of a place, from 1.
	local function at(place)
		local i = 0
		for entry in layer:entries() do
			i = i + 1
			if i == place then
				return entry
			end
		end
	end

	it("has the one before, when the last one is renamed", function()
		layer:entry("a").path = "x"
		assert.same({ a = "3", b = "6", c = "4", d = "7", x = "5" }, contents())
		layer:entry("a").path = "x" -- onto one that comes later
		assert.same({ a = "1", b = "6", c = "4", d = "7", x = "5" }, contents())
		layer:entry("x").path = "d"
		assert.same({ a = "1", b = "6", c = "4", d = "7", x = "3" }, contents())
		layer:entry("d").path = "x"
		assert.same({ a = "1", b = "6", c = "4", d = "5", x = "7" }, contents())
	end)

	it("has the last one, when one before is renamed", function()
		at(1).path = "x"
		assert.same({ a = "5", b = "6", c = "4", d = "7", x = "1" }, contents())
		at(3).path = "c"
		assert.same({ a = "5", b = "6", c = "4", d = "7", x = "1" }, contents())
		layer:entry("c").path = "b"
		assert.same({ a = "5", b = "6", c = "3", d = "7", x = "1" }, contents())
		layer:entry("a").path = "x"
		assert.same({ b = "6", c = "3", d = "7", x = "5" }, contents())
	end)

	it("has the one before, when an entry comes to its path and goes on", function()
		layer:entry("d").path = "c"
		assert.same({ a = "5", b = "6", c = "7" }, contents())
		layer:entry("c").path = "d"
		assert.same({ a = "5", b = "6", c = "4", d = "7" }, contents())
	end)
end)

-- A check looked for the attributes of a directory without an entry in all layers below, one after the other, for each
-- such directory; config:get_env read all variables for each call; whiteouts that hide nothing any more were compared
-- with each layer.
--
-- Steps of Lua are counted, not seconds. What runs ten times as long for ten times as much is linear; what grew with
-- the square ran up to a hundred times as long.

local pack = require "spec.support.pack"
local steps = require "spec.support.steps"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local FEW, MANY = 60, 600

describe("ten times as much is done by ten times as many steps:", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	-- work(count) gives the function whose steps count.
	local function is_linear(work)
		work(FEW)() -- what is loaded with the first call is there
		local few = steps.of(work(FEW))
		local many = steps.of(work(MANY))
		assert.is_true(many / few <= 12, ("%.1f times as many steps"):format(many / few))
	end

	-- An image of layers as entries_of(i) has them, all scanned.
	local function open(count, entries_of)
		local layers = {}
		for i = 1, count do
			layers[i] = entries_of(i)
		end
		local path = dir:file(count .. ".tar")
		pack.image(path, layers)
		local img = assert(strata.open(path))
		for _, layer in ipairs(img.layers) do
			assert(layer.count)
		end
		return img
	end

	it("a check of layers with directories without an entry", function()
		is_linear(function(count)
			local img = open(count, function(i)
				return { { name = "usr/d" .. i .. "/f" }, { name = "usr/same/g" .. i } }
			end)
			return function()
				assert(img:check({ second_reader = false }))
				img:close()
			end
		end)
	end)

	it("a filter that leaves whiteouts with nothing to hide", function()
		is_linear(function(count)
			local img = open(count, function(i)
				return { { name = "f" .. i }, i > 1 and { name = ".wh.f" .. i - 1 } or nil }
			end)
			return function()
				assert(img:filter(function(entry)
					return entry.whiteout ~= nil
				end))
				for _, layer in ipairs(img.layers) do
					assert.equal(0, layer.count)
				end
				img:close()
			end
		end)
	end)

	it("reading all variables", function()
		is_linear(function(count)
			local img = strata.new()
			for i = 1, count do
				img.config:set_env("NAME" .. i, "x" .. i)
			end
			return function()
				for i = 1, count do
					assert.equal("x" .. i, img.config:get_env("NAME" .. i))
				end
				img:close()
			end
		end)
	end)
end)

it("a variable that was read is read again after an edit", function()
	local img = strata.new()
	local config = img.config
	assert.is_nil(config:get_env("A"))
	config:set_env("A", "1"):set_env("B", "x=y\nz")
	assert.equal("1", config:get_env("A"))
	assert.equal("x=y\nz", config:get_env("B"))
	config:set_env("A", "2")
	assert.equal("2", config:get_env("A"))
	config.Env = { "A=3", "A=4", "B" }
	assert.equal("4", config:get_env("A")) -- the last one counts
	assert.is_nil(config:get_env("B"))
	assert(config:remove_env("A"))
	assert.is_nil(config:get_env("A"))
	assert(img:revert())
	assert.is_nil(config:get_env("A"))
	img:close()
end)

it("a check finds what is in the way of an implied directory behind layers that have none of its names", function()
	local dir = tmp.dir()
	local layers = {
		{ { name = "x", type = "dir", mode = 493 }, { name = "x/y", data = "a file" } },
		{ { name = "x", type = "dir", mode = 493 }, { name = "x/.wh.y" } },
	}
	for i = 3, 20 do
		layers[i] = { { name = "other" .. i } }
	end
	layers[21] = { { name = "x/y/z/f" } }
	pack.image(dir:file("a.tar"), layers)
	local img = assert(strata.open(dir:file("a.tar")))
	local found
	for _, finding in ipairs(assert(img:check({ second_reader = false }))) do
		found = found or finding.code == "copied-attributes" and finding.message
	end
	assert.matches("in layer 2", found, 1, true)
	img:close()
	dir:remove()
end)

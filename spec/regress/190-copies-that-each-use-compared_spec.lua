-- A table that config.Labels gave was compared as a whole by each later use of the config: to remove 10,000 labels
-- one by one after a look at them took 47 seconds. So was img.layers where it is a copy, which was made anew for each
-- look at it. A change to a copy is found all the same, of a big one some uses later, and before a save.

local pack = require "spec.support.pack"
local steps = require "spec.support.steps"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("copies that an object hands out", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	local function labelled(count)
		local img, labels = strata.new(), {}
		for i = 1, count do
			labels["label" .. i] = tostring(i)
		end
		img.config.Labels = labels
		return img
	end

	it("cost as much for each use, however big they are", function()
		steps.are_linear(300, 3000, function(count)
			local img = labelled(count)
			local copy = img.config.Labels
			return function()
				for i = 1, count do
					assert(copy["label" .. i])
					assert(img.config:remove_label("label" .. i))
				end
				img:close()
			end
		end)
	end)

	it("of layers, too", function()
		steps.are_linear(300, 3000, function(count)
			local layers = {}
			for i = 1, count do
				layers[i] = { { name = "f" .. i } }
			end
			pack.image(dir:file("a.tar"), layers)
			local img = assert(strata.open(dir:file("a.tar")))
			return function()
				for i = 1, count do
					assert.equal(i, img.layers[i].position)
				end
				img:close()
			end
		end)
	end)

	it("are found to be changed by the next use when they are small", function()
		local img = labelled(50)
		img.config.Labels.label1 = "changed"
		assert.has_error(function()
			return img.config.User
		end)
		img:close()
	end)

	it("are found to be changed within some uses when they are big", function()
		local img = labelled(1000)
		img.config.Labels.label1 = "changed"
		assert.has_error(function()
			for _ = 1, 11 do
				local _ = img.config.User
			end
		end)
		img:close()
	end)

	it("are found to be changed before a save, however big they are", function()
		local img = labelled(100000)
		img.config.Labels.label1 = "changed"
		assert.has_error(function()
			img:save(dir:file("out.tar"))
		end)
		assert.is_nil(io.open(dir:file("out.tar")))
		assert(img:save(dir:file("out.tar"))) -- told once
		img:close()
	end)

	it("of layers are others once the list is another one", function()
		local img = strata.new()
		assert(img:append({ files = { a = "1" } }))
		assert.equal(1, #img.layers)
		assert(img:append({ files = { b = "2" } }))
		assert.equal(2, #img.layers)
		assert(img:move_layer(1, 2))
		assert.truthy(img.layers[1]:entry("b"))
		assert.is_nil((img:append({ archive = dir:file("none") })))
		assert.equal(2, #img.layers)
		assert(img:remove_layer(1))
		assert.equal(1, #img.layers)
		assert(img:revert())
		assert.equal(0, #img.layers)
		img:close()
	end)
end)

-- Looking at thousands of layers starts no job, so that a host, which has a function called before threads start and
-- while they are waited for, could not end it.

local job = require "strata.util.job"
local pack = require "spec.support.pack"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a deadline ends", function()
	local dir, img

	setup(function()
		dir = tmp.dir()
		local layers = {}
		for i = 1, 300 do
			layers[i] = {}
			for k = 1, 40 do
				layers[i][k] = { name = "d" .. i .. "/f" .. k }
			end
			layers[i][41] = { name = "e/.wh.h" .. i }
		end
		pack.image(dir:file("a.tar"), layers)
	end)

	teardown(function()
		dir:remove()
	end)

	before_each(function()
		img = assert(strata.open(dir:file("a.tar")))
		for _, layer in ipairs(img.layers) do
			assert(layer.count)
		end
	end)

	after_each(function()
		job.on_wait(nil)
		img:close()
	end)

	-- Fails unless the function of on_wait gets to end fn; then the image is as it was.
	local function ends(fn)
		local id = img.id
		img.layers[1]:entry("d1/f1").uid = 3 -- nothing is known any more
		job.on_wait(function()
			error("too late", 0)
		end)
		local ok, message = pcall(fn)
		job.on_wait(nil)
		assert.is_false(ok)
		assert.equal("too late", message)
		assert(img:revert())
		assert.equal(id, img.id)
	end

	it("the chain_ids of layers", function()
		ends(function()
			return img.layers[300].chain_id
		end)
	end)

	it("inspect", function()
		ends(function()
			return img:inspect()
		end)
	end)

	it("a filter whose function does nothing", function()
		ends(function()
			return img:filter(function()
				return true
			end)
		end)
	end)

	it("a rewrite", function()
		ends(function()
			return img:rewrite(function() end)
		end)
	end)

	it("what one layer loses, for all that whiteouts of others hide", function()
		ends(function()
			return img.layers[1]:remove("d1/f2")
		end)
	end)
end)

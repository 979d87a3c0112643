-- A save with `expect` that had reached the registry, and whose answer was lost, could not be made again: the tag had
-- the very image that was saved, and that was ESTALE.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("a save with expect that is made again", function()
	local fake, hub, image

	before_each(function()
		fake, hub, image = registry.start(), remote.client(), remote.image()
		remote.put(fake, "app", image.layout, image.digest, "1")
	end)

	after_each(function()
		hub:close()
		fake:stop()
	end)

	-- Labels what the first digest names, and saves it.
	local function save(value, tag, expect)
		local img = assert(strata.open("docker://" .. fake.host .. "/app@" .. image.digest, { registry = hub }))
		img.config:set_label("a", value)
		return img:save("docker://" .. fake.host .. "/app:" .. tag, { registry = hub, expect = expect })
	end

	it("succeeds, and moves nothing", function()
		for tag, expect in pairs({ ["1"] = image.digest, ["2"] = false }) do
			local first = assert(save("b", tag, expect))
			local again = assert(save("b", tag, expect))
			assert.equal(first.digest, again.digest)
			assert.equal(0, again.uploaded)
			assert.equal(1, again.requests)
		end
	end)

	it("is stale when the tag has something else", function()
		assert(save("b", "1", image.digest))
		local saved, _, code = save("c", "1", image.digest)
		assert.is_nil(saved)
		assert.equal("ESTALE", code)
	end)
end)

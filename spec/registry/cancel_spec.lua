-- What ends a call to a registry, as doc/registry.md says.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("a progress function", function()
	local fake, hub, image

	before_each(function()
		fake, hub = registry.start({}), remote.client()
		image = strata.new()
		assert(image:append({ files = { a = remote.noise(100000) } }))
	end)

	after_each(function()
		fake:stop()
	end)

	local function save(progress)
		return image:save("docker://" .. fake.host .. "/app:1", { registry = hub, progress = progress })
	end

	it("that throws ends the call, and no tag is written", function()
		local ok, message = pcall(save, function(_, _, what)
			if what == "pushing" then
				error("enough", 0)
			end
		end)
		assert.is_false(ok)
		assert.equal("enough", message)
		assert.is_nil(fake:get_manifest("app", "1"))
		assert(save())
	end)

	it("that returns false ends nothing", function()
		assert(save(function()
			return false
		end))
		assert.is_string((fake:get_manifest("app", "1")))
	end)
end)

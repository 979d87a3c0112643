-- `progress` was called only while bytes moved: nobody could end, or be told of, a wait for a registry that says 429.

local registry = require "spec.support.registry"
local strata = require "strata"

describe("progress of a request that moves no bytes", function()
	it("is called while it waits, and ends it", function()
		local fake = registry.start()
		local hub = assert(strata.registry({ system = false, credentials = {} }))
		fake:fault({ as_status = 429, retry_after = 60 })
		local calls = {}
		local ok, thrown = pcall(strata.open, "docker://" .. fake.host .. "/app:1", {
			registry = hub,
			progress = function(...)
				calls[#calls + 1] = { ... }
				error("enough", 0)
			end,
		})
		assert.is_false(ok)
		assert.equal("enough", thrown)
		assert.equal(1, #calls)
		assert.same({ 0, 1 }, { calls[1][1], calls[1][2] })
		assert.is_string(calls[1][3])
		hub:close()
		fake:stop()
	end)
end)

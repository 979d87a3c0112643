-- strata.on_wait: what a host does while strata works, in all of its calls.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("strata.on_wait", function()
	after_each(function()
		strata.on_wait()
	end)

	it("gives the function that there was", function()
		local function one() end
		assert.is_nil(strata.on_wait(one))
		assert.equal(one, strata.on_wait(nil))
		assert.is_nil(strata.on_wait())
	end)

	it("takes nothing but a function", function()
		local ok, message = pcall(strata.on_wait, "often")
		assert.is_false(ok)
		assert.is_truthy(message:find("function expected, got string", 1, true))
	end)

	it("is called by work that was given no progress, which it can end", function()
		local img = strata.new()
		assert(img:append({ files = { a = remote.noise(100000) } }))
		local calls, path = 0, os.tmpname()
		os.remove(path)
		strata.on_wait(function()
			calls = calls + 1
			error({ enough = true }, 0)
		end)
		local ok, thrown = pcall(img.save, img, path)
		assert.is_false(ok)
		assert.is_true(thrown.enough)
		assert.equal(1, calls)
		assert.is_nil(io.open(path))
		strata.on_wait()
		assert(img:save(path))
		os.remove(path)
	end)

	it("is called while a registry is waited for", function()
		local fake = registry.start()
		local hub = assert(strata.registry({ system = false, credentials = {} }))
		fake:fault({ as_status = 429, retry_after = 60 })
		local calls = 0
		strata.on_wait(function()
			calls = calls + 1
			if calls > 3 then
				error("enough", 0)
			end
		end)
		local ok, thrown = pcall(strata.open, "docker://" .. fake.host .. "/app:1", { registry = hub })
		assert.is_false(ok)
		assert.equal("enough", thrown)
		hub:close()
		fake:stop()
	end)
end)

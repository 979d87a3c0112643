-- Jobs that save to a registry refused the options of such saves (tags, expect, exists), and an empty table among those
-- of its client.

local jobs = require "strata.jobs"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"

describe("a job that saves to a registry", function()
	local fake

	setup(function()
		fake = registry.start({})
		local image = remote.image({ count = 1 })
		remote.put(fake, "app", image.layout, image.digest, "1")
	end)

	teardown(function()
		fake:stop()
	end)

	local function ref(tag)
		return "docker://" .. fake.host .. "/app:" .. tag
	end

	local function run(to, save)
		return jobs.run("edit", { path = ref("1"), to = to, edit = { labels = { a = "b" } }, save = save,
			registry = { credentials = {}, system = false } })
	end

	it("takes the options of such saves", function()
		local made, message = run(ref("2"), { tags = { "3" }, expect = false, exists = "never" })
		assert.is_truthy(made, message)
		assert.equal(made.digest, fake:tags("app")["3"])
		local _, _, code = run(ref("1"), { expect = false })
		assert.equal("ESTALE", code)
	end)

	it("refuses them for a file before it does anything", function()
		fake:forget()
		local made, message, code = run("/nowhere/app.tar", { tags = { "3" } })
		assert.is_nil(made)
		assert.equal("EINVAL", code)
		assert.matches("save has no option 'tags'", message, 1, true)
		assert.same({}, fake:log())
	end)
end)

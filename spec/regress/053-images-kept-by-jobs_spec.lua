-- A job keeps images that it has only read. One that had been opened without `strict`, or with other limits, was
-- taken where they were asked for.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local jobs = require "strata.jobs"
local tmp = require "spec.support.tmp"

describe("a job on an image that another one has read", function()
	local dir, path

	before_each(function()
		dir = tmp.dir()
		local twice = archive.layer({ { name = "a", data = "1" }, { name = "a", data = "2" } })
		path = dialects.of.docker_25(archive.image({ layers = { twice } })):write(dir:file("app.tar"))
		assert(jobs.run("inspect", { path = path }))
	end)

	after_each(function()
		dir:remove()
	end)

	it("is refused what strict refuses", function()
		local result, _, code = jobs.run("inspect", { path = path, open = { strict = true } })
		assert.is_nil(result)
		assert.equal("EFORMAT", code)
	end)

	it("keeps to its own limits", function()
		local result, _, code = jobs.run("inspect", { path = path, open = { limits = { entries = 1 } } })
		assert.is_nil(result)
		assert.equal("ELIMIT", code)
	end)
end)

-- A directory as the target of what is saved into a file.

local specimens = require "spec.support.specimens"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a directory that is there", function()
	local specimen, dir

	setup(function()
		specimen, dir = specimens.new(), tmp.dir()
	end)

	teardown(function()
		specimen:close()
		dir:remove()
	end)

	it("is written to with the format oci, which the message names", function()
		local img = assert(strata.open(specimen.app))
		for _, fn in ipairs({
			function(options)
				return img:save(dir.path, options)
			end,
			function(options)
				return strata.copy(specimen.app, dir.path, options)
			end,
		}) do
			local made, message, code = fn()
			assert.is_nil(made)
			assert.equal("EISDIR", code)
			assert.equal(dir.path .. ': Is a directory; format = "oci" writes a layout into a directory', message)
			assert.equal("oci", assert(fn({ format = "oci" })).format)
		end
		img:close()
	end)
end)

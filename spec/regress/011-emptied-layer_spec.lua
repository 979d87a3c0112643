local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- A layer of no bytes was not compared with its digest when it was copied.
describe("a layer that has lost all its bytes", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	local function emptied()
		local made = dialects.of.docker_1_10(archive.image({ layers = archive.layers(2) }))
		for _, member in ipairs(made.members) do
			if member.name:find("/layer.tar", 1, true) then
				member.data = ""
			end
		end
		return made:write(dir:file("emptied.tar"))
	end

	for _, format in ipairs({ "as it came", "docker", "docker-legacy", "oci-archive", "oci" }) do
		it("is not saved, with the format " .. format, function()
			local img = assert(strata.open(emptied()))
			img.config:set_env("NEW", "value")
			local out = dir:file("saved")
			local saved, message, code = img:save(out, format ~= "as it came" and { format = format } or nil)
			assert.is_nil(saved)
			assert.equal("EDIGEST", code)
			assert.truthy(message:find("layer 1/2", 1, true), message)
			assert.is_nil(io.open(out))
		end)
	end
end)

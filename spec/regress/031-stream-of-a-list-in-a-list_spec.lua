local archive = require "spec.support.docker_archive"
local push = require "spec.support.push"
local strata = require "strata"

-- An item of manifest.json that is an array was looked through as if it were an object.
describe("a stream whose manifest.json", function()
	for _, text in ipairs({ "[[{}]]", "[[1]]", '[["Layers"]]', "[[]]" }) do
		it("is " .. text .. " is refused", function()
			local bytes = archive.new():add("config.json", "{}"):add("manifest.json", text):bytes()
			for _, edits in ipairs({ {}, { config = function() end } }) do
				local out, message, code = push.through(assert(strata.stream.image(edits)), bytes)
				assert.is_nil(out)
				assert.equal("EFORMAT", code)
				assert.truthy(message:find("manifest.json", 1, true), message)
			end
		end)
	end
end)

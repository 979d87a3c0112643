-- An empty string, which a variable that is not set becomes in many scripts, was taken for the root directory:
-- layer:apply("") wrote over the machine's own files.

local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an empty path", function()
	local dir
	before_each(function()
		dir = tmp.dir()
	end)
	after_each(function()
		dir:remove()
	end)

	-- A layer that any place but the root would refuse, so that nothing is written if this fails.
	local function image()
		local img = strata.new()
		assert(img:append({ files = { ["proc/self/strata-spec"] = "x" } }))
		return img
	end

	for name, act in pairs({
		extract = function(img)
			return img:extract("")
		end,
		apply = function(img)
			return img.layers[1]:apply("")
		end,
		save = function(img)
			return img:save("")
		end,
		export = function(img)
			return img:export("")
		end,
		open = function()
			return strata.open("")
		end,
		open_index = function()
			return strata.open_index("")
		end,
	}) do
		it("is no place for " .. name, function()
			local ok, message = pcall(act, image())
			assert.is_false(ok)
			assert.matches(name .. ": a path is wanted, not an empty string", message, 1, true)
		end)
	end
end)

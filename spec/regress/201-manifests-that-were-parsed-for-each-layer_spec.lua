-- What the manifest says of a layer was looked up by parsing all of it: img:check of 3,200 layers parsed 3,200
-- times as much JSON as there is. Bytes that are parsed are counted, not seconds.

local core = require "strata.core"
local oci_layout = require "spec.support.oci_layout"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("the descriptors of many layers", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	-- How many bytes of JSON are parsed while fn runs.
	local function parsed(fn)
		local json, count = core.json, 0
		core.json = function(text, ...)
			count = count + #text
			return json(text, ...)
		end
		local ok, message = pcall(fn)
		core.json = json
		assert(ok, message)
		return count
	end

	local function layers_of(count)
		local layout, layers = oci_layout.new(), {}
		local one = layout:layer({ { name = "f", data = "x" } }, { descriptor = { annotations = { number = "one" } } })
		for i = 1, count do
			layers[i] = one
		end
		layout:list(layout:image({ layers = layers }).descriptor, "app:1")
		return assert(strata.open(layout:directory(dir:file(tostring(count)))))
	end

	for name, work in pairs({
		check = function(img)
			return assert(img:check())
		end,
		["a look at the annotations of each"] = function(img)
			for _, layer in img:layers() do
				assert.equal("one", layer.annotations.number)
			end
		end,
	}) do
		it("take as much parsing as they are long: " .. name, function()
			local counts = {}
			for i, count in ipairs({ 10, 100 }) do
				local img = layers_of(count)
				counts[i] = parsed(function()
					work(img)
				end)
				img:close()
			end
			assert.is_true(counts[2] < 12 * counts[1], counts[2] / counts[1])
		end)
	end
end)

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

	-- Ten times as many layers take about ten times as much parsing.
	local function is_linear(work)
		local counts = {}
		for i, count in ipairs({ 10, 100 }) do
			local img = layers_of(count)
			counts[i] = parsed(function()
				work(img)
			end)
			img:close()
		end
		assert.is_true(counts[1] > 0 and counts[2] < 12 * counts[1], counts[2] / counts[1])
	end

	it("are parsed with their manifest once in a check", function()
		is_linear(function(img)
			assert(img:check())
		end)
	end)

	it("are parsed with their manifest once for the annotations of all", function()
		is_linear(function(img)
			for _, layer in img:layers() do
				assert.equal("one", layer.annotations.number)
			end
		end)
	end)
end)

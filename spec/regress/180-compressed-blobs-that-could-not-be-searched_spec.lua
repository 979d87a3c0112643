-- A blob of a layout that could not be inflated, by a limit for example, was searched in its compressed bytes: a secret
-- in it was not found, and the report of img:purge did not say that nobody had looked.

local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a purge with prove, of a layout with a blob that cannot be inflated", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function image(content)
		local img = strata.new({ platform = "linux/amd64" })
		assert(img:append({ files = { a = content } }))
		img:tag("a:1")
		return img
	end

	for _, compression in ipairs({ "gzip", "zstd" }) do
		it("says so, compression " .. compression, function()
			local layout = dir:file("layout")
			assert(image("TOPSECRET" .. ("x"):rep(300000)):save(layout, { format = "oci", compression = compression }))
			local before = assert(strata.open(layout)).layers[1].digest
			assert(image("b"):save(layout, { format = "oci", compression = compression }))
			local img = assert(strata.open(layout, { limits = { bytes = 100000 } }))
			local report = assert(img:purge(nil, { prove = "TOPSECRET" }))
			assert.equal(1, #(report.left or {}))
			assert.matches(before .. ", which no index leads to, was not looked at: ", report.left[1], 1, true)
			assert.matches("limits.bytes", report.left[1], 1, true)
		end)
	end
end)

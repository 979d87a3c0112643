-- A layout may have blobs that no index leads to any more: a save that takes the name of another image leaves those of
-- that image. img:purge with `prove` did not look at them, and a copy of the whole layout has them as well.

local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a purge with prove", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function image(platform)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { ["root/key"] = "TOPSECRET", a = "a" } }))
		img:tag("a:1")
		return img
	end

	for _, compression in ipairs({ "none", "gzip", "zstd" }) do
		it("tells of blobs that no index leads to, compression " .. compression, function()
			local layout = dir:file("layout")
			assert(image():save(layout, { format = "oci", compression = compression }))
			local before = assert(strata.open(layout)).layers[1].digest
			local img = image()
			assert(img:purge("root/key", { prove = "TOPSECRET" }))
			assert(img:save(layout, { format = "oci", compression = compression }))
			assert(strata.copy(layout, dir:file("a.tar"), { format = "oci-archive" }))
			for _, name in ipairs({ "layout", "a.tar" }) do
				img = assert(strata.open(dir:file(name)))
				local report = assert(img:purge(nil, { prove = { "ABSENT", "TOPSECRET" } }))
				assert.equal(1, #(report.left or {}), name)
				assert.equal(name == "layout", report.left[1]:find("strata.gc", 1, true) ~= nil)
				assert.matches(("the blob %s, which no index leads to, has secret 2"):format(before), report.left[1], 1, true)
				assert.is_nil(assert(img:purge(nil, { prove = "ABSENT" })).left)
			end
			assert(strata.gc(layout, { remove = true }))
			assert.is_nil(assert(assert(strata.open(layout)):purge(nil, { prove = "TOPSECRET" })).left)
		end)
	end

	it("tells of layers of other images", function()
		local images = { image("linux/amd64"), image("linux/arm64") }
		assert(images[2]:append({ files = { other = "TOPSECRET" } }))
		assert(strata.save(images, dir:file("layout"), { format = "oci" }))
		local img = assert(strata.open(dir:file("layout"), { platform = "linux/amd64" }))
		local report = assert(img:purge("root/key", { prove = "TOPSECRET" }))
		local text = table.concat(report.left, "\n")
		local other = assert(strata.open(dir:file("layout"), { platform = "linux/arm64" })).layers[2].digest
		assert.matches("layer 1 as it was, with 'root/key'", text, 1, true)
		assert.matches(("the blob %s has secret 1"):format(other), text, 1, true)
		assert.equal(2, #report.left, text)
	end)
end)

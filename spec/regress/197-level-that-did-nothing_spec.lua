-- An export at level 9 was a plain tar, since no compression was named, and a level that gzip does not have was taken
-- as the highest one: a level was accepted, and did nothing.

local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a level of compression", function()
	local dir, img, out

	setup(function()
		dir = tmp.dir()
		img, out = assert(strata.new():append({ files = { a = "text" } })), dir:file("out")
	end)

	teardown(function()
		img:close()
		dir:remove()
	end)

	-- What is thrown, which nothing is written before.
	local function refused(fn, ...)
		local ok, message = pcall(fn, ...)
		assert.is_false(ok)
		assert.is_nil(io.open(out))
		assert.matches("^[^:]*197%-level[^:]*:%d+: ", message)
		return (message:gsub("^[^:]*:%d+: ", ""))
	end

	it("is refused where nothing is compressed", function()
		local why = 'level is for compression = "gzip" or "zstd"; with "none" nothing is compressed'
		assert.equal("export: " .. why, refused(function()
			img:export(out, { level = 9 })
		end))
		assert.equal("save: " .. why, refused(function()
			img:save(out, { compression = "none", level = 1 })
		end))
		assert.equal("save: " .. why, refused(function()
			img.layers[1]:save(out, { compression = "none", level = 1 })
		end))
	end)

	it("is one that the compression has", function()
		assert.equal("export: level of gzip should be a whole number from 0 to 9, not 15", refused(function()
			img:export(out, { compression = "gzip", level = 15 })
		end))
		assert.equal("save: level of zstd should be a whole number from 1 to 19, not 0", refused(function()
			img:save(out, { compression = "zstd", level = 0 })
		end))
		assert(img:export(out, { compression = "zstd", level = 19 }))
		os.remove(out)
	end)
end)

-- What is compressed is told by its first bytes, by Docker as well. A tar has the name of its first entry there: an
-- edit that brings such a name to the front made a layer that nobody could read.

local archive = require "spec.support.archive"
local push = require "spec.support.push"
local shell = require "spec.support.shell"

local it = archive.specify(it, pending) -- luacheck: ignore 431

describe("a layer whose first entry has the name", function()
	local bench

	before_each(function()
		bench = archive.bench()
	end)

	after_each(function()
		bench:close()
	end)

	local function drop(entry)
		return entry.path ~= "a"
	end

	for compression, name in pairs({ zstd = "(\181/\253x", gzip = "\31\139\8x" }) do
		it("of the magic of " .. compression .. " is refused when it is plain, and fine when it is compressed", function()
			local entries = { { name = "a", data = "1" }, { name = name, data = "2" } }
			local img = bench:open({ { entries = entries, format = "gnu" } })
			local bytes = shell.read(img.path)
			assert(img:filter(drop))
			local saved, message, code = img:save(bench.dir:file("out.tar"))
			assert.is_nil(saved)
			assert.equal("EUNSUPPORTED", code)
			assert.is_truthy(message:find("layer 1/1 .*first entry begins as " .. compression), message)
			assert.is_nil(table.concat(bench.dir:names(), " "):find("out.tar", 1, true))

			local out, why, how = push.edited(bytes, { filter = drop })
			assert.same({ "nil", "EUNSUPPORTED" }, { tostring(out), how }, why)

			assert(img:save(bench.dir:file("out.tar"), { compression = "gzip" }))
			local again = bench:load(bench.dir:file("out.tar"))
			assert.is_true(assert(again:verify()))
			assert.equal("2", again.layers[1]:read(name))
			assert.equal("EUNSUPPORTED", select(3, again:save(bench.dir:file("plain.tar"), { compression = "none" })))
		end)
	end
end)

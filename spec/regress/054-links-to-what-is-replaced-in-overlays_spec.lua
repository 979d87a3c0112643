-- Extracting for overlayfs took every hardlink for one to a lower layer's file, which the layer may have another file
-- for: a link to a file of its own layer became a name of what replaced that file there.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("extracting, a hardlink", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function extract(mode, ...)
		local layers = { archive.layer({ { name = "f", data = "below" } }), archive.layer({ ... }) }
		local path = dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("app.tar"))
		local img = assert(strata.open(path))
		assert(img:extract(dir:file("out"), { mode = mode, xattrs = mode == "overlay" and rights.xattrs or nil }))
		img:close()
		return function(name)
			return shell.read(dir:file(mode == "overlay" and "out/2/" .. name or "out/" .. name))
		end
	end

	for _, mode in ipairs({ "flat", "overlay" }) do
		it("to a file that its own layer replaces keeps what it was: " .. mode, function()
			local read = extract(mode, { name = "f", data = "first" }, { name = "l", type = "hardlink", linkpath = "f" }, {
				name = "f",
				data = "second",
			})
			assert.equal("first", read("l"))
			assert.equal("second", read("f"))
		end)

		it("to a lower layer's file that its own layer replaces becomes the new one: " .. mode, function()
			local read = extract(mode, { name = "l", type = "hardlink", linkpath = "f" }, { name = "f", data = "new" })
			assert.equal("new", read("l"))
			assert.equal("new", read("f"))
		end)

		it("to a link to a lower layer's file becomes the new one as well: " .. mode, function()
			local read = extract(mode, { name = "l", type = "hardlink", linkpath = "f" },
				{ name = "m", type = "hardlink", linkpath = "l" }, { name = "f", data = "new" })
			assert.equal("new", read("l"))
			assert.equal("new", read("m"))
		end)
	end
end)

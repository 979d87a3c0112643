-- A hardlink whose target had not come yet was put through a symlink of a lower layer; an opaque marker then made
-- a directory of the symlink. What stood for the hardlink stayed where it was, as an empty file.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a hardlink that came through a symlink which is a directory later", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function extract(opts, ...)
		local image = archive.image({
			layers = {
				archive.layer({ { name = "b", type = "symlink", linkpath = "there" } }),
				archive.layer({ { name = "b/l", type = "hardlink", linkpath = "target" }, ... }),
			},
		})
		local path = dialects.of.docker_25(image):write(dir:file("app.tar"))
		local img = assert(strata.open(path))
		local result, message, code = img:extract(dir:file("out"), opts)
		img:close()
		return result, message, code
	end

	local opaque = { name = "b/.wh..wh..opq" }
	local new_dir = { name = "b", type = "dir" }
	local target = { name = "target", data = "x" }

	for _, mode in ipairs({ "flat", "overlay" }) do
		for name, replaced in pairs({ opaque = opaque, ["new directory"] = new_dir }) do
			for _, rest in ipairs({ { replaced }, { replaced, target } }) do
				it(("is refused, %s, %s, target %s"):format(mode, name, rest[2] and "behind it" or "missing"), function()
					local result, message, code = extract({ mode = mode }, rest[1], rest[2])
					assert.is_nil(result)
					assert.equal("EFORMAT", code)
					assert.matches("entry 1 'b/l': a hardlink whose directory is another one", message, 1, true)
					assert.same({ "app.tar" }, dir:names())
				end)
			end
		end
		it("is made when its target came before, " .. mode, function()
			assert(extract({ mode = mode }, target))
		end)
	end
end)

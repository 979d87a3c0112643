-- A hardlink whose target had not come yet was put through a symlink of a lower layer; an opaque marker then made
-- a directory of the symlink. The placeholder of the hardlink stayed behind the symlink, as an empty file. Such a
-- hardlink stands at the end of its layer now, when its directory is the new one.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
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
		local options = { mode = mode, xattrs = mode == "overlay" and rights.xattrs or nil }
		for name, replaced in pairs({ opaque = opaque, ["new directory"] = new_dir }) do
			it(("stands in that directory, %s, %s"):format(mode, name), function()
				assert(extract(options, replaced, target))
				assert.equal("x", shell.read(dir:file(mode == "overlay" and "out/2/b/l" or "out/b/l")))
			end)

			it(("is refused without its target, %s, %s"):format(mode, name), function()
				local result, message, code = extract(options, replaced)
				assert.is_nil(result)
				assert.equal("ENOENT", code)
				assert.matches("entry 1 'b/l': a hardlink to 'target', which is not there", message, 1, true)
				assert.same({ "app.tar" }, dir:names())
			end)
		end
		it("is made when its target came before, " .. mode, function()
			assert(extract(options, target))
		end)
	end
end)

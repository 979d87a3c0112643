-- The header of a hardlink to a file of a lower layer changes that file. When the hardlink's own name was gone, squash
-- left the file as it was below.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

local function base()
	return {
		{ name = "d", type = "dir", mode = 448, uid = 5 },
		{ name = "d/a", data = "content", mode = 420 },
		{ name = "d/b", type = "hardlink", linkname = "d/a", mode = 420 },
		{ name = "other", data = "other" },
		{ name = "s", type = "symlink", linkname = "other" },
	}
end

local function link(target)
	return { name = "x", type = "hardlink", linkname = target, mode = 2541, uid = 7, mtime = 9 }
end

describe("a lower file that a hardlink has changed", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		return bench:open(layers)
	end

	local function squashed(view, ...)
		local img = open(...)
		assert(img:squash(2, 3, { view = view }))
		local look, saved = bench:save(img)
		return bench:load(saved):rootfs({ view = view }), archive.names(look.layers[2].entries), look
	end

	for _, view in ipairs({ "runtime", "spec" }) do
		specify("is in the squashed layer when the hardlink is gone, " .. view, function()
			for _, gone in ipairs({ { name = ".wh.x", data = "" }, { name = "x", data = "new" } }) do
				local root, names, look = squashed(view, base(), { link("d/a") }, { gone })
				for _, name in ipairs({ "d/a", "d/b" }) do
					local stat = root:stat(name)
					assert.same({ 2541, 7, 9, 2 }, { stat.mode, stat.uid, stat.mtime, stat.links })
					assert.equal("content", root:read(name))
				end
				assert.same({ 448, 5 }, { root:stat("d").mode, root:stat("d").uid })
				assert.same({ "d", "d/a", "d/b", gone.name == "x" and "x" or nil }, names)
				assert.equal("d/a", archive.find(look.layers[2].entries, "d/b").linkname)
				assert.is_nil(archive.find(look.layers[2].entries, "other"))
			end
		end)

		specify("is not, when the hardlink is there and changes it again, " .. view, function()
			local root, names, look = squashed(view, base(), { link("d/a") }, { { name = "y", data = "y" } })
			assert.same({ 2541, 7 }, { root:stat("d/b").mode, root:stat("d/b").uid })
			assert.same({ "x", "y" }, names)
			assert.equal("d/a", archive.find(look.layers[2].entries, "x").linkname)
		end)

		specify("may be a symlink, " .. view, function()
			local root, names = squashed(view, base(), { link("s") }, { { name = ".wh.x", data = "" } })
			assert.equal(7, root:lstat("s").uid)
			assert.equal("other", root:readlink("s"))
			assert.same({ "s" }, names)
		end)
	end

	specify("is left as it is when all of its names are gone", function()
		local _, names = squashed("spec", base(), { link("d/a") }, {
			{ name = ".wh.x", data = "" }, { name = "d/.wh.a", data = "" }, { name = "d/.wh.b", data = "" },
		})
		assert.same({ "d/.wh.a", "d/.wh.b" }, names)
	end)
end)

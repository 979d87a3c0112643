-- What is put into an image below a symlink to a directory, as /lib is on many, goes to where the symlink leads. A
-- layer with lib/new would make a directory of it in runtimes, which unpack each layer for itself; a usr-merged system
-- is broken then. And nothing that is hidden or removed by one name comes back by the other.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function base()
	return {
		{ name = "usr", type = "dir" },
		{ name = "usr/lib", type = "dir" },
		file("usr/lib/foo", "OLD"),
		{ name = "lib", type = "symlink", linkname = "usr/lib" },
	}
end

describe("on a usr-merged base", function()
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

	specify("files are appended behind the symlink, and that is told", function()
		local img = open(base())
		local _, skipped, _, moved = assert(img:append({ files = { ["/lib/new"] = "N", ["lib/sub/x"] = "X" } }))
		assert.is_nil(skipped)
		assert.same({ { from = "lib", to = "usr/lib" } }, moved)
		for _, view in ipairs({ "runtime", "spec" }) do
			local root = img:rootfs({ view = view })
			assert.equal("symlink", root:lstat("lib").type)
			assert.equal("N", root:read("usr/lib/new"))
			assert.equal("X", root:read("lib/sub/x"))
		end
		assert.is_nil((select(4, img:append({ files = { ["usr/lib/more"] = "M" } }))))
	end)

	specify("a directory is appended to where its place leads", function()
		local img = open(base())
		assert(img:append({ dir = "spec/support", to = "/lib/support" }))
		assert.is_true(img:rootfs():exists("usr/lib/support/archive.lua"))
		assert.equal("symlink", img:rootfs():lstat("lib").type)
	end)

	specify("a whiteout stays that hides a file by its other name", function()
		local img = open(base(), { file("lib/foo", "SECRET") }, { file("usr/lib/.wh.foo", "") })
		assert(img:filter(function(entry)
			return entry.path ~= "usr/lib/foo"
		end))
		assert.is_false(img:rootfs({ view = "spec" }):exists("usr/lib/foo"))
		img = open(base(), { file("lib/foo", "NEW") }, { file("lib/.wh.foo", "") })
		assert(img:filter(function(entry)
			return entry.path ~= "lib/foo"
		end))
		assert.is_false(img:rootfs({ view = "spec" }):exists("usr/lib/foo"))
	end)

	specify("purge takes a file away by all of its names", function()
		for _, count in ipairs({ 2, 3 }) do
			local layers = { base(), { file("lib/foo", "SECRET") }, { file("usr/lib/.wh.foo", "") } }
			local img = open((table.unpack or unpack)(layers, 1, count))
			local report = assert(img:purge("usr/lib/foo"))
			assert.equal(2, #report.removed)
			for _, layer in img:layers() do
				for entry in layer:entries() do
					assert.is_nil(entry.path:find("foo", 1, true))
				end
			end
		end
	end)

	specify("a file that an upper layer links to by its other name is not dropped", function()
		local img = open(base(), { { name = "bar", type = "hardlink", linkname = "lib/foo" } })
		local ok, message, code = img:filter(function(entry)
			return entry.path ~= "usr/lib/foo"
		end)
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.is_truthy(message:find("'usr/lib/foo' of layer 1", 1, true))
	end)

	specify("a layer that an upper one links to by another name is not removed or moved", function()
		for _, act in ipairs({ "remove_layer", "move_layer" }) do
			local img = open(base(), { { name = "bar", type = "hardlink", linkname = "lib/foo" } })
			local ok, _, code = img[act](img, 1, act == "move_layer" and 2 or nil)
			assert.is_nil(ok)
			assert.equal("EINVAL", code)
		end
	end)
end)

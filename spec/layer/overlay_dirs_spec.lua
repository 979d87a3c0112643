-- A directory per layer, as overlayfs takes them, looked at without a mount (spec/interop mounts them).

local archive = require "spec.support.archive"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local ROOT = rights.root

local LOWER = {
	{ name = "d", type = "dir", mode = 493 },
	{
		name = "d/file",
		type = "file",
		data = "content",
		mode = 416,
		uid = 1000,
		gid = 1001,
		mtime = 1000,
		pax = { ["SCHILY.xattr.user.colour"] = "blue" },
	},
	{ name = "d/link", type = "symlink", linkname = "file", mtime = 2000 },
	{ name = "d/fifo", type = "fifo", mode = 384, mtime = 3000 },
	{ name = "d/null", type = "char", major = 1, minor = 3, mtime = 4000 },
	{ name = "gone", type = "file", data = "gone" },
}

describe("extract with mode overlay", function()
	local bench, target

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("layers")
	end)

	after_each(function()
		bench:close()
	end)

	local function extract(view, ...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		return (bench:open(layers)):extract(target, { mode = "overlay", view = view, xattrs = rights.xattrs })
	end

	local function overlay(...)
		return extract(nil, ...)
	end

	local function look(path)
		return shell.sh('stat -c "%F %a %u:%g %Y" "$1"', target .. "/" .. path):match("^[^\n]*")
	end

	local function rooted(name, body)
		it(name, function()
			if not ROOT then
				pending("owners and devices need root")
				return
			end
			body()
		end)
	end

	rooted("links what a hardlink of an upper layer names in a lower one", function()
		local upper = {}
		for _, name in ipairs({ "file", "link", "fifo", "null" }) do
			upper[#upper + 1] = {
				name = "again/" .. name, type = "hardlink", linkname = "d/" .. name, mode = 384, uid = 7, gid = 8, mtime = 9,
			}
		end
		local result = assert(overlay(LOWER, upper))
		assert.equal(2, #result.directories)
		-- The header of the hardlink is the last one that names the file.
		assert.equal("regular file 600 7:8 9", look("2/again/file"))
		assert.equal("fifo 600 7:8 9", look("2/again/fifo"))
		assert.equal("symbolic link 777 7:8 2000", look("2/again/link"))
		assert.equal("content", shell.read(target .. "/2/again/file"))
		for _, name in ipairs({ "file", "link", "fifo", "null" }) do
			assert.equal(
				shell.sh('stat -c %i "$1"', target .. "/1/d/" .. name),
				shell.sh('stat -c %i "$1"', target .. "/2/again/" .. name)
			)
		end
	end)

	rooted("gives a file nothing of a whiteout that is a hardlink to it", function()
		local function link(name, colour)
			return { name = name, type = "hardlink", linkname = "d/file", pax = { ["SCHILY.xattr.user." .. colour] = "yes" } }
		end
		local entries = { link(".wh.gone", "white"), link("again", "green") }
		assert(overlay(LOWER, { LOWER[1], LOWER[2], entries[1], entries[2] }))
		local found = tree.read(target .. "/2")
		assert.equal("again d/file", found.again.links)
		assert.same({ ["user.colour"] = "blue", ["user.green"] = "yes" }, found["d/file"].xattrs)
		assert.matches("^character special file ", look("2/gone"))
	end)

	rooted("makes what replaces all names of a file with hardlinks", function()
		local list = { LOWER[1], LOWER[2], { name = "again", type = "hardlink", linkname = "d/file" } }
		list[4] = { name = "d/file", type = "file", data = "new" }
		list[5] = { name = "again", type = "file", data = "newer" }
		assert(overlay(list, { { name = ".wh.again", type = "file", data = "" } }, {}))
		assert.equal("new", shell.read(target .. "/1/d/file"))
		assert.equal("newer", shell.read(target .. "/1/again"))
		assert.same({}, tree.read(target .. "/1").again.xattrs)
		assert.equal("directory 755 0:0 0", look("3"))
	end)

	rooted("hides each name of the lower layers below an opaque root", function()
		assert(extract("spec", LOWER, { { name = "more", type = "file", data = "" } }, {
			{ name = ".wh..wh..opq", type = "file", data = "" },
			{ name = "d", type = "dir", mode = 448 },
			{ name = "d/new", type = "file", data = "new" },
		}))
		for _, name in ipairs({ "gone", "more" }) do
			assert.matches("^character special file ", look("3/" .. name))
			assert.matches("^0:0", shell.sh('stat -c %t:%T "$1"', target .. "/3/" .. name))
		end
		assert.matches("^directory 700 ", look("3/d"))
		assert.equal("new", shell.read(target .. "/3/d/new"))
	end)

	rooted("hides a name that a whiteout of an upper layer names, and not one that is not there", function()
		assert(overlay(LOWER, {
			{ name = ".wh.gone", type = "file", data = "" },
			{ name = ".wh.never", type = "file", data = "" },
			{ name = "d/.wh.file", type = "file", data = "" },
		}))
		assert.matches("^character special file ", look("2/gone"))
		assert.matches("^character special file ", look("2/d/file"))
		assert.are_not.equal(0, shell.run({ "test", "-e", target .. "/2/never" }).status)
	end)

	rooted("refuses a hardlink to a directory of a lower layer", function()
		local result, message, code = overlay(LOWER, { { name = "again", type = "hardlink", linkname = "d" } })
		assert.is_nil(result)
		assert.equal("EFORMAT", code)
		assert.matches("a hardlink to a directory", message)
	end)

	rooted("makes a file's place a directory when something stands below it", function()
		assert(overlay(LOWER, {
			{ name = "gone/below", type = "file", data = "below" },
			{ name = ".wh.d", type = "file", data = "" },
			{ name = "d/new", type = "file", data = "new" },
		}))
		assert.equal("below", shell.read(target .. "/2/gone/below"))
		assert.equal("new", shell.read(target .. "/2/d/new"))
	end)
end)

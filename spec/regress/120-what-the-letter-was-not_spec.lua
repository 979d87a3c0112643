-- By the letter of the specification strata showed what no program shows that unpacks one layer over the other.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function dir(name)
	return { name = name, type = "dir" }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target }
end

local function symlink(name, target)
	return { name = name, type = "symlink", linkname = target }
end

describe("by the letter", function()
	local bench, place
	before_each(function()
		bench, place = archive.bench(), tmp.dir()
	end)
	after_each(function()
		bench:close()
		place:remove()
	end)

	-- What the layers add up to, in the root file system and on a disk.
	local function expect(expected, ...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		local img = bench:open(layers)
		local seen = {}
		for entry in assert(img:rootfs({ view = "spec" })):walk() do
			seen[entry.path] = entry.type == "file" and assert(entry:read()) or entry.linkpath or entry.type
		end
		assert.same(expected, seen)
		shell.check({ "rm", "-rf", place:file("out") })
		assert(img:extract(place:file("out"), { view = "spec", unprivileged = true }))
		local found = {}
		for line in shell.sh([[cd "$1"; find . -mindepth 1 -printf '%y %P %l\n']], place:file("out")):gmatch("[^\n]+") do
			local kind, path, target = line:match("^(.) (%S+) ?(.*)$")
			found[path] = kind == "f" and shell.read(place:file("out") .. "/" .. path) or kind == "l" and target or "dir"
		end
		assert.same(expected, found)
		return img
	end

	specify("what is below a name of AUFS is only in the root nobody's", function()
		local img = expect(
			{ opt = "dir", ["opt/.wh..wh.x"] = "dir", ["opt/.wh..wh.x/evil"] = "E" },
			{ dir("opt"), file("opt/.wh..wh.x/evil", "E"), file(".wh..wh.plnk/1.2") }
		)
		for _, finding in ipairs(img:check({ severity = "note" })) do
			assert.equal("note", finding.severity)
		end
		assert(img:flatten({ view = "spec" }))
		assert.equal("E", img:rootfs({ view = "spec" }):read("opt/.wh..wh.x/evil"))
	end)

	specify("a marker below a symlink hides nothing, and leaves the symlink", function()
		expect(
			{ t = "dir", ["t/x"] = "x", l = "t", ["t/y"] = "y" },
			{ dir("t"), file("t/x", "x"), symlink("l", "t") },
			{ file("l/.wh..wh..opq", ""), file("t/y", "y") }
		)
	end)

	specify("a hardlink is one to what is there when it comes", function()
		expect({ a = "old", b = "new" }, { file("b", "old") }, { link("a", "b"), file("b", "new") })
		expect(
			{ a = "old", b = "new", c = "old" },
			{ file("b", "old") },
			{ link("a", "b"), file("b", "new"), link("c", "a") }
		)
	end)

	specify("a hardlink's target is cleaned before it is looked for", function()
		expect({ d = "dir", ["d/f"] = "F", l = "F" }, { dir("d"), file("d/f", "F") }, { link("l", "no/../d/f") })
	end)
end)

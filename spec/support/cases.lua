--- What layers do to each other, case by case, with what a container has to see in the end.
---
--- A case has `layers`, and `sees`: path -> content of a file, "dir", "-> target", "fifo" ...; or `refused`: why they
--- cannot be applied. `modes` and `links` (names of one file) say more. `umoci` tells what is known of umoci 0.4.7:
--- true where it gives the same.

local cases = {}

local list = {}

local function file(name, data, mode)
	return { name = name, data = data or name, mode = mode }
end

local function dir(name, mode)
	return { name = name .. "/", type = "dir", mode = mode or 493 }
end

local function symlink(name, to)
	return { name = name, type = "symlink", linkname = to, mode = 511 }
end

local function link(name, to)
	return { name = name, type = "hardlink", linkname = to }
end

local function white(name)
	return { name = name, data = "", mode = 0 }
end

cases.file, cases.dir, cases.symlink, cases.link, cases.white = file, dir, symlink, link, white

local function case(name, one)
	one.name = name
	list[#list + 1] = one
end

-- ---- whiteouts of one name --------------------------------------------------------

local D_F = { dir("d"), file("d/f", "old"), file("d/g") }

case("a file and, behind it, the whiteout of its name", {
	layers = { D_F, { dir("d"), file("d/f", "new"), white("d/.wh.f") } },
	sees = { d = "dir", ["d/f"] = "new", ["d/g"] = "d/g" },
	umoci = true,
})

case("the whiteout of a name and, behind it, a file", {
	layers = { D_F, { dir("d"), white("d/.wh.f"), file("d/f", "new") } },
	sees = { d = "dir", ["d/f"] = "new", ["d/g"] = "d/g" },
	umoci = true,
})

case("a whiteout below a directory that is not there", {
	layers = { { file("a") }, { white("no/.wh.zz"), file("b") } },
	sees = { a = "a", b = "b" },
	umoci = true,
})

case("a whiteout below a file", {
	layers = { { file("a") }, { white("a/.wh.zz"), file("b") } },
	sees = { a = "a", b = "b" },
	umoci = true,
})

case("a whiteout in the first layer", {
	layers = { { file("a"), white(".wh.zz"), white(".wh.a") } },
	sees = { a = "a" },
	umoci = true,
})

case("a whiteout that is a directory", {
	layers = { D_F, { dir("d/.wh.f") } },
	sees = { d = "dir", ["d/g"] = "d/g" },
	umoci = true,
})

case("a whiteout with content, and one that is a symlink", {
	layers = { { file("a"), file("b"), file("c") }, { file(".wh.a", "content"), symlink(".wh.b", "c") } },
	sees = { c = "c" },
})

case("a whiteout of a whole directory", {
	layers = { { dir("d"), file("d/e/f"), file("a") }, { white(".wh.d") } },
	sees = { a = "a" },
	umoci = true,
})

case("a whiteout of a directory that is made anew, before it", {
	layers = { { dir("d"), file("d/old") }, { white(".wh.d"), dir("d", 448), file("d/new") } },
	sees = { d = "dir", ["d/new"] = "d/new" },
	modes = { d = 448 },
	umoci = true,
})

case("a whiteout of a directory that is made anew, behind it", {
	layers = { { dir("d"), file("d/old") }, { dir("d", 448), file("d/new"), white(".wh.d") } },
	sees = { d = "dir", ["d/new"] = "d/new" },
	modes = { d = 448 },
})

case("a whiteout of a directory that is only this layer's, twice", {
	layers = { { file("a") }, { dir("d"), file("d/f"), white(".wh.d"), white(".wh.d") } },
	sees = { a = "a", d = "dir", ["d/f"] = "d/f" },
})

case("whiteouts of the same names in two layers, and what comes back between", {
	layers = { { file("a", "1") }, { white(".wh.a") }, { file("a", "3") }, { white(".wh.a") }, { white(".wh.a") } },
	sees = {},
	umoci = true,
})

case("what AUFS kept for itself", {
	layers = { { file("a"), white(".wh..wh.aufs"), file(".wh..wh.plnk/1.2") }, { white(".wh..wh.orph/x") } },
	sees = { a = "a" },
})

for _, name in ipairs({ ".wh.", "d/.wh.", "d/.wh..", "d/.wh...", ".wh..", ".wh..." }) do
	case("a whiteout that names nothing: " .. name, {
		layers = { { dir("d"), file("a") }, { file("b"), white(name) } },
		refused = "EFORMAT",
	})
end

-- ---- opaque directories ------------------------------------------------------------

local TREE = { dir("d", 448), file("d/old"), dir("d/sub"), file("d/sub/old"), file("beside") }
local OPAQUE = { beside = "beside", d = "dir", ["d/sub"] = "dir", ["d/sub/new"] = "d/sub/new", ["d/new"] = "d/new" }

case("an opaque marker at the end, with the directories told", {
	layers = { TREE, { dir("d", 448), file("d/new"), dir("d/sub"), file("d/sub/new"), white("d/.wh..wh..opq") } },
	sees = OPAQUE,
	umoci = true,
})

case("an opaque marker at the end, with directories implied", {
	layers = { TREE, { file("d/new"), file("d/sub/new"), white("d/.wh..wh..opq") } },
	sees = OPAQUE,
	modes = { d = 448, ["d/sub"] = 493 },
	umoci = true,
})

case("an opaque marker at the beginning", {
	layers = { TREE, { white("d/.wh..wh..opq"), file("d/new"), file("d/sub/new") } },
	sees = OPAQUE,
	umoci = true,
})

case("an opaque marker of what was a symlink below", {
	layers = {
		{ dir("real"), file("real/kept"), symlink("l", "real") },
		{ dir("l"), white("l/.wh..wh..opq"), file("l/new") },
	},
	sees = { real = "dir", ["real/kept"] = "real/kept", l = "dir", ["l/new"] = "l/new" },
	umoci = true,
})

case("an opaque marker of the root", {
	layers = { TREE, { file("new"), white(".wh..wh..opq") } },
	sees = { new = "new" },
})

case("an opaque marker, and the whiteout of its directory behind what is in it", {
	layers = { { dir("d"), file("d/old") }, { white("d/.wh..wh..opq"), file("d/new"), white(".wh.d") } },
	sees = { d = "dir", ["d/new"] = "d/new" },
})

case("an opaque marker of a directory that is hidden, too", {
	layers = { { file("a"), dir("d"), file("d/old") }, { white("d/.wh..wh..opq"), white(".wh.d") } },
	sees = { a = "a" },
})

-- ---- symlinks ------------------------------------------------------------------------

case("a directory in the place of a symlink", {
	layers = { { dir("real"), file("real/kept"), symlink("l", "real") }, { dir("l"), file("l/new") } },
	sees = { real = "dir", ["real/kept"] = "real/kept", l = "dir", ["l/new"] = "l/new" },
	umoci = true,
})

case("a file below var/run, which is a symlink to /run", {
	layers = { { dir("run"), dir("var"), symlink("var/run", "/run") }, { file("var/run/pid", "1") } },
	sees = { run = "dir", var = "dir", ["var/run"] = "-> /run", ["run/pid"] = "1" },
	umoci = true,
})

case("a file below a symlink that leads up and out of the root", {
	layers = { { symlink("l", "../../../etc") }, { file("l/x") } },
	sees = { l = "-> ../../../etc", etc = "dir", ["etc/x"] = "l/x" },
})

case("a whiteout below a symlink", {
	layers = { { dir("d"), file("d/f"), file("d/g"), symlink("l", "d") }, { white("l/.wh.f") } },
	sees = { d = "dir", ["d/g"] = "d/g", l = "-> d" },
	umoci = true,
})

case("a whiteout of a symlink, which spares its target", {
	layers = { { dir("d"), file("d/f"), symlink("l", "d") }, { white(".wh.l") } },
	sees = { d = "dir", ["d/f"] = "d/f" },
	umoci = true,
})

case("a whiteout below a symlink that the same layer makes", {
	layers = { { dir("d"), file("d/f"), file("d/g") }, { symlink("l", "d"), white("l/.wh.f") } },
	sees = { d = "dir", ["d/g"] = "d/g", l = "-> d" },
})

case("a whiteout below what the same layer has made of a symlink: a directory", {
	layers = { { dir("d"), file("d/f"), symlink("l", "d") }, { dir("l"), white("l/.wh.f") } },
	sees = { d = "dir", ["d/f"] = "d/f", l = "dir" },
})

case("a file written through a symlink, and the whiteout of it by both names", {
	layers = {
		{ dir("d"), file("d/f", "old"), file("d/g"), symlink("l", "d") },
		{ file("l/f", "new"), white("d/.wh.f"), white("l/.wh.f"), white("l/.wh.g") },
	},
	sees = { d = "dir", ["d/f"] = "new", l = "-> d" },
})

case("a symlink that is hidden behind what was written through it", {
	layers = { { dir("d"), symlink("l", "d") }, { file("l/f"), white(".wh.l") } },
	sees = { d = "dir", ["d/f"] = "l/f" },
})

case("a whiteout below a symlink to itself", {
	layers = { { symlink("l", "l") }, { white("l/.wh.x"), file("a") } },
	sees = { l = "-> l", a = "a" },
})

case("a file below a symlink to itself", {
	layers = { { symlink("l", "l") }, { file("l/x") } },
	refused = "ELOOP",
})

-- ---- hardlinks -----------------------------------------------------------------------

case("a hardlink to a file of a lower layer", {
	layers = { { file("low", "123") }, { link("up", "low") } },
	sees = { low = "123", up = "123" },
	links = "low up",
	umoci = true,
})

case("one of three names of a file replaced", {
	layers = { { file("t2", "123"), link("t1", "t2"), link("t3", "t2") }, { file("t1", "456") } },
	sees = { t1 = "456", t2 = "123", t3 = "123" },
	links = "t2 t3",
	umoci = true,
})

case("a hardlink before its file", {
	layers = { { link("a", "b"), file("b", "late") } },
	sees = { a = "late", b = "late" },
	links = "a b",
})

case("a hardlink before its file, which a lower layer has, too", {
	layers = { { file("b", "old") }, { link("a", "b"), file("b", "new") } },
	sees = { a = "old", b = "new" },
	umoci = true,
})

case("a hardlink with an absolute target and no entry for its directory", {
	layers = { { file("bin/app", "app"), link("usr/bin/app", "/bin/app") } },
	sees = { bin = "dir", ["bin/app"] = "app", usr = "dir", ["usr/bin"] = "dir", ["usr/bin/app"] = "app" },
	links = "bin/app usr/bin/app",
	umoci = true,
})

case("a hardlink to a file of a lower layer that is hidden behind it", {
	layers = { { dir("d"), file("d/f", "123") }, { link("up", "d/f"), white(".wh.d") } },
	sees = { up = "123" },
})

case("a hardlink before its file, and an entry of its own name between them", {
	layers = { { link("a", "b"), file("a", "between"), file("b", "late") } },
	sees = { a = "late", b = "late" },
	links = "a b",
})

case("a hardlink before its file, in a directory that is a symlink only then", {
	layers = { { symlink("l", "there") }, { link("l/a", "b"), dir("l"), file("b", "late") } },
	sees = { l = "dir", ["l/a"] = "late", b = "late" },
	links = "b l/a",
})

case("a hardlink to a file that is hidden before it", {
	layers = { { file("f") }, { white(".wh.f"), link("up", "f") } },
	refused = "ENOENT",
})

case("a hardlink to a symlink", {
	layers = { { symlink("l", "nowhere"), link("m", "l") } },
	sees = { l = "-> nowhere", m = "-> nowhere" },
	links = "l m",
})

case("a hardlink to a directory", {
	layers = { { dir("d"), link("l", "d") } },
	refused = "EFORMAT",
})

case("a hardlink to nothing", {
	layers = { { link("l", "nowhere") } },
	refused = "ENOENT",
})

-- ---- entries over others -------------------------------------------------------------

case("two entries of one name", {
	layers = { { file("a", "first"), file("a", "last") } },
	sees = { a = "last" },
	umoci = true,
})

case("an entry for the root", {
	layers = { { file("a") }, { { name = "./", type = "dir", mode = 448 } } },
	sees = { a = "a" },
	modes = { ["."] = 448 },
	umoci = true,
})

case("an entry for the root that is a symlink", {
	layers = { { file("a") }, { symlink(".", "/etc") } },
	refused = "EFORMAT",
})

case("an entry below a file", {
	layers = { { file("a") }, { file("a/b", "b") } },
	sees = { a = "dir", ["a/b"] = "b" },
})

case("a name that leads out of the root", {
	layers = { { file("../../etc/x", "x") } },
	sees = { etc = "dir", ["etc/x"] = "x" },
	umoci = true,
})

case("a directory over a directory, with another mode", {
	layers = { { dir("d", 448), file("d/f") }, { dir("d", 1023) } },
	sees = { d = "dir", ["d/f"] = "d/f" },
	modes = { d = 1023 },
	umoci = true,
})

case("a file in the place of a directory", {
	layers = { { dir("d"), file("d/e/f") }, { file("d", "file") } },
	sees = { d = "file" },
	umoci = true,
})

cases.list = list

return cases

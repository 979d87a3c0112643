--- Images on which runtimes differ, or were seen to: from bug reports about other tools, and from the literature on
--- layers. runtime_inputs.txt has what each runtime makes of them.
---
--- An input has a `name` and `layers` for spec.support.pack; `change` edits the config and the row of the manifest,
--- `stored` makes what stands in the archive instead of a layer; `alone` tells that the archive's own names matter, and
--- `raw` that it is about more than spec.support.runtime_model knows.

local cases = require "spec.support.cases"
local shell = require "spec.support.shell"

local inputs = {}

local list = {}

local function with(entry, options)
	for key, value in pairs(options or {}) do
		entry[key] = value
	end
	return entry
end

local function file(name, data, options)
	return with({ name = name, data = data or "" }, options)
end

local function dir(name, options)
	return with({ name = name .. "/", type = "dir", mode = 493 }, options)
end

local function symlink(name, to, options)
	return with({ name = name, type = "symlink", linkname = to, mode = 511 }, options)
end

local function link(name, to, options)
	return with({ name = name, type = "hardlink", linkname = to }, options)
end

local function node(name, kind, options)
	return with({ name = name, type = kind }, options)
end

local function input(name, layers, options)
	list[#list + 1] = with({ name = name, layers = layers }, options)
end

local RAW = { raw = true }
local EXECUTABLE, SET_UID = 493, 2541
local CAPABILITY = "\1\0\0\2\0\32\0\0" .. ("\0"):rep(12)

-- ---- links into the directory that AUFS kept for files with several names --------------

local PLNK = ".wh..wh.plnk/81.1234"

input("plnk", {
	{
		dir(".wh..wh.plnk"), file(PLNK, "SHARED"), file(".wh..wh.aufs"), dir("bin"), link("bin/a", PLNK),
		link("bin/b", PLNK), file("plain", "p"),
	},
})
input("plnk without its directory", { { file(PLNK, "S"), link("a", PLNK) } })
input("plnk, absolute", { { file("/" .. PLNK, "S"), link("a", "/" .. PLNK) } })
input("plnk, from here", { { file("./" .. PLNK, "S"), link("./a", "./" .. PLNK) } })
input("plnk in a chain", { { file(PLNK, "S"), link("a", PLNK), link("b", "a") } })
input("plnk that is a link itself", { { file("real", "S"), link(PLNK, "real"), link("a", PLNK) } })
input("plnk in an upper layer", { { file("x", "x") }, { file(PLNK, "S"), link("a", PLNK) } })
input("plnk in a directory", { { file("d/" .. PLNK, "S"), link("a", "d/" .. PLNK) } })
input("plnk of a lower layer", { { file(PLNK, "S") }, { link("a", PLNK) } })
input("plnk over a file", {
	{ file("a", "OLD") }, { file(PLNK, "S", { mode = 384 }), link("a", PLNK, { mode = EXECUTABLE }) },
})

-- ---- files below /lib of a base in which that is a link to /usr/lib --------------------

local MERGED = { dir("usr"), dir("usr/lib"), file("usr/lib/foo", "OLD"), symlink("lib", "usr/lib") }
local SECRET = { file("lib/foo", "SECRET") }

input("usr-merge, deleted by the other name", { MERGED, SECRET, { file("usr/lib/.wh.foo") } })
input("usr-merge, replaced by the other name", { MERGED, SECRET })
input("usr-merge, opaque by the other name", { MERGED, SECRET, { dir("usr/lib"), file("usr/lib/.wh..wh..opq") } })
input("usr-merge, deleted by the same name", { MERGED, SECRET, { file("lib/.wh.foo") } })
input("usr-merge, deleted through the link", { MERGED, { file("lib/.wh.foo") } })
input("usr-merge, a directory and a file added", { MERGED, { dir("lib"), file("lib/new", "N") } })
input("usr-merge, a file added", { MERGED, { file("lib/new", "N") } })
input("usr-merge, a hardlink to the target", { MERGED, { link("bar", "usr/lib/foo") } })
input("usr-merge, a hardlink through the link", { MERGED, { link("bar", "lib/foo") } })
input("usr-merge, a hardlink through the link, in the third layer", {
	{ file("other", "o") }, MERGED, { link("bar", "lib/foo") },
})

-- ---- hardlinks ---------------------------------------------------------------------------

local A = file("a", "A")

input("link: no entry for its directory", {
	{ file("bin/app", "APP", { mode = EXECUTABLE }), link("x/y/app", "bin/app") },
})
input("link: a chain", { { file("e", "E"), link("l1", "e"), link("l10", "l1"), link("l2", "l10") } })
input("link: before its file", { { link("z", "a"), A } })
input("link: a chain before its file", { { link("z", "y"), link("y", "x"), file("x", "X") } })
input("link: ways to write a target", {
	{ file("a/f", "F"), link("l", "/a/f"), link("m", "./a/f"), link("n", "a/../a/f"), link("o", "../a/f") },
})
input("link: a way to write a target that leads through nothing", {
	{ file("a", "A", { mode = 3529 }), link("b", "no/../a", { mode = EXECUTABLE, mtime = 5 }) },
})
input("link: to a symlink", { { file("t", "T"), symlink("s", "t"), link("l", "s") } })
input("link: to a dangling symlink", { { symlink("s", "nowhere"), link("l", "s") } })
input("link: to a fifo", { { node("p", "fifo"), link("l", "p") } })
input("link: to a device", { { node("c", "char", { major = 1, minor = 3 }), link("l", "c") } })
input("link: to a directory", { { dir("d"), link("l", "d") } })
input("link: to itself", { { A, link("a", "a") } })
input("link: to itself alone", { { link("a", "a") } })
input("link: in a circle", { { link("a", "b"), link("b", "a") } })
input("link: metadata of its own", {
	{ file("a", "A", { mtime = 100 }), link("b", "a", { mode = SET_UID, uid = 1000, gid = 1000, mtime = 200 }) },
})
input("link: data behind its header", { { file("a", "ABCD"), link("b", "a", { data = "ABCD" }), file("c", "C") } }, RAW)
input("link: to nothing", { { A, link("b", "") } })
input("link: an xattr of its own", { { A, link("b", "a", { xattrs = { ["user.k"] = "v" } }) } })
input("link: to a lower layer's file", { { A }, { link("b", "a") } })
input("link: to a lower layer's file that is hidden", { { A }, { file(".wh.a"), link("b", "a") } })
input("link: to a lower layer's file that is hidden behind it", { { A }, { link("b", "a"), file(".wh.a") } })
input("link: to a lower layer's symlink", { { file("t", "T"), symlink("s", "t") }, { link("l", "s") } })
input("link: through a lower layer's symlink", {
	{ dir("r"), file("r/f", "F"), symlink("k", "r") }, { link("l", "k/f") },
})
input("link: to a name of a file whose other name is replaced", {
	{ A, link("b", "a") }, { file("a", "NEW"), link("c", "b") },
})
input("link: its file replaced in its layer", {
	{ file("x", "x") }, { file("a", "OLD"), link("b", "a"), file("a", "NEW") },
})
input("link: replaced by a file in its layer", { { file("x", "x") }, { A, link("b", "a"), file("b", "B") } })

local SH = file("bin/sh", "SH", { mode = EXECUTABLE, mtime = 100 })

input("link: set-id by its header", { { dir("bin"), SH, link("bin/x", "bin/sh", { mode = SET_UID, mtime = 200 }) } })
input("link: an owner by its header", {
	{ dir("bin"), SH, link("bin/x", "bin/sh", { mode = EXECUTABLE, uid = 1000, gid = 1000 }) },
})
input("link: a capability by its header", {
	{ dir("bin"), SH, link("bin/x", "bin/sh", { mode = EXECUTABLE, xattrs = { ["security.capability"] = CAPABILITY } }) },
})
input("link: a capability that its header does not repeat", {
	{
		file("a", "A", { xattrs = { ["security.capability"] = CAPABILITY, ["user.k"] = "v" } }),
		link("b", "a", { mode = EXECUTABLE }),
	},
})
input("link: a capability that its header does not repeat, of another owner", {
	{ file("a", "A", { xattrs = { ["security.capability"] = CAPABILITY } }), link("b", "a", { uid = 1 }) },
})
input("link: set-id in both headers", {
	{ dir("bin"), file("bin/sh", "SH", { mode = SET_UID }), link("bin/x", "bin/sh", { mode = SET_UID }) },
})
input("link: metadata of one to a symlink", {
	{ symlink("s", "t", { mtime = 100 }), file("t", "T"), link("l", "s", { mode = SET_UID, uid = 5, mtime = 200 }) },
})

-- ---- opaque markers, whiteouts -------------------------------------------------------------

local AB = { A, file("b", "B") }

input("three layers that delete all of the base", {
	AB, { file(".wh.a"), file("c", "C") }, { file(".wh.b"), file("d", "D") },
})
input("opaque: the root", { AB, { file(".wh..wh..opq"), file("c", "C") } })
input("aufs: a file below opt/.wh..wh.x", { { dir("opt"), file("opt/.wh..wh.x/evil", "EVIL", { mode = SET_UID }) } })
input("aufs: a file below .wh..wh.x in the root", { { file(".wh..wh.x/evil", "EVIL", { mode = SET_UID }) } })
input("aufs: a file below opt/.wh.x", { { dir("opt"), file("opt/.wh.x/evil", "EVIL", { mode = SET_UID }) } })
input("aufs: a file below opt/.wh..wh.orph", {
	{ dir("opt"), dir("opt/.wh..wh.orph"), file("opt/.wh..wh.orph/evil", "EVIL", { mode = SET_UID }) },
})
input("aufs: in both layers, in the root and deeper", {
	{ file(".wh..wh.aufs"), dir(".wh..wh.orph"), file("d/.wh..wh.aufs", "x"), A },
	{ file(".wh..wh.aufs"), file(".wh..wh..opqX"), file("d/.wh..wh..opqX") },
})
input("a path through a lower layer's link", { { dir("t"), symlink("l", "t") }, { file("l/x", "X") } })
input("a path through a link of the same layer", { { dir("t"), symlink("l", "t"), file("l/x", "X") } })
input("a path through an absolute link of the same layer", {
	{ dir("t/u"), symlink("t/l", "/t/u"), file("t/l/x", "X") },
})
input("a path through a dangling link of the same layer", { { symlink("l", "t"), file("l/x", "X") } })
input("a path through a link of the same layer to a lower layer's directory", {
	{ dir("t", { mode = 448, uid = 5 }), file("t/y") }, { symlink("l", "t"), file("l/x", "X") },
})

local D_X = { dir("d"), file("d/x", "X") }

input("whiteout and directory", { D_X, { file(".wh.d"), dir("d") } })
input("directory and whiteout", { D_X, { dir("d"), file(".wh.d") } })
input("whiteout and opaque directory", { D_X, { file(".wh.d"), dir("d"), file("d/.wh..wh..opq") } })
input("whiteout, then an entry below", { D_X, { file(".wh.d"), file("d/y", "Y") } })
input("an entry below, then the whiteout", { D_X, { file("d/y", "Y"), file(".wh.d") } })
input("whiteout, then a file", { { A }, { file(".wh.a"), file("a", "NEW") } })
input("a file, then its whiteout", { { A }, { file("a", "NEW"), file(".wh.a") } })
input("whiteout and whiteouts below", { D_X, { file(".wh.d"), file("d/.wh.x") } })
input("whiteouts below and the whiteout", { D_X, { file("d/.wh.x"), file(".wh.d") } })
input("whiteout below what a lower layer deleted", {
	{ dir("d"), dir("d/e"), file("d/e/x", "X") }, { file(".wh.d") }, { file("d/e/.wh.x"), dir("d"), dir("d/e") },
})
input("whiteout below what a lower layer deleted, one level", { D_X, { file(".wh.d") }, { file("d/.wh.x") } })
input("file below what a lower layer deleted", { D_X, { file(".wh.d") }, { file("d/y", "Y") } })
input("whiteout below a lower layer's file", { { A }, { file("a/.wh.x") } })
input("file below a lower layer's file", { { A }, { file("a/x", "X") } })
input("file two levels below a lower layer's file", { { A }, { file("a/b/x", "X") } })
input("whiteout of nothing", { { A }, { file(".wh.zz"), file("no/.wh.zz") } })
input("whiteout in the base", { { A, file(".wh.zz") } })
input("whiteout in the base, of what is before it", { { A, file("b", "B"), file(".wh.a") } })
input("opaque marker in the base, behind files", {
	{ dir("d"), file("d/x", "X"), file("e/y", "Y"), file("d/.wh..wh..opq"), file("e/.wh..wh..opq") },
})
input("opaque marker in the base, behind files whose directories have no entry", {
	{ file("d/e/x", "X"), file("d/y", "Y"), file("d/.wh..wh..opq") },
})
input("opaque marker in the base, behind a directory whose directory has no entry", {
	{ dir("d/e"), file(".wh..wh..opq") },
})
input("whiteout with another owner and mode", { { A, file("b") }, { file(".wh.a", "", { uid = 5, mode = SET_UID }) } })
input("whiteout that is a device", { { A }, { node(".wh.a", "char", { major = 1, minor = 3 }) } })
input("whiteouts that are links", { AB, { symlink(".wh.a", "x"), link(".wh.b", "nowhere") } })
input("opaque: no entry for the directory", {
	{ dir("d", { mode = 448, uid = 5 }), file("d/x", "X") }, { file("d/.wh..wh..opq") },
})
input("opaque: its directory is a lower layer's link", {
	{ dir("t"), file("t/x", "X"), symlink("l", "t") }, { file("l/.wh..wh..opq") },
})
input("opaque: its directory is a link of its layer", {
	{ dir("t"), file("t/x", "X") }, { dir("t"), symlink("l", "t"), file("l/.wh..wh..opq") },
})
input("opaque: below a file of its layer", { { file("b") }, { A, file("a/.wh..wh..opq") } })
input("opaque: below what its layer deletes", { D_X, { file(".wh.d"), file("d/.wh..wh..opq") } })

for _, case in ipairs(cases.list) do
	input("case: " .. case.name, case.layers)
end

-- ---- entries -----------------------------------------------------------------------------

input("xattr: of libarchive alone", { { file("a", "A", { pax = { "LIBARCHIVE.xattr.user.k", "dmFsdWU" } }) } }, RAW)
input("xattr: empty", { { file("a", "A", { xattrs = { ["user.k"] = "" } }) } })
input("xattr: user. of a symlink and of a fifo", {
	{ symlink("s", "t", { xattrs = { ["user.k"] = "v" } }), node("p", "fifo", { xattrs = { ["user.k"] = "v" } }) },
})
input("xattr: user. of a symlink", { { symlink("s", "t", { xattrs = { ["user.k"] = "v" } }) } })
input("xattr: a capability that is none", { { file("a", "A", { xattrs = { ["security.capability"] = "v" } }) } })
input("xattr: trusted.", { { file("a", "A", { xattrs = { ["trusted.k"] = "v" } }) } })
input("xattr: overlayfs's opaque mark", { D_X, { dir("d", { xattrs = { ["trusted.overlay.opaque"] = "y" } }) } })
input("xattr: overlayfs's opaque mark on a whiteout's directory", {
	D_X, { file(".wh.d"), dir("d", { xattrs = { ["trusted.overlay.opaque"] = "y" } }) },
})
input("xattr: overlayfs's redirect", {
	{ dir("d"), file("d/x", "X") }, { dir("e", { xattrs = { ["trusted.overlay.redirect"] = "/d" } }) },
}, RAW)
input("xattr: user.overlay.opaque", { D_X, { dir("d", { xattrs = { ["user.overlay.opaque"] = "y" } }) } })
input("node: char 0:0 over a file", { { A, file("b", "B") }, { node("a", "char") } })
input("node: char 0:0 alone", { { node("a", "char"), file("b", "B") } })
input("node: block 0:0", { { A }, { node("a", "block"), file("b", "B") } })
input("node: a hardlink to a char 0:0", { AB, { node("c", "char"), link("a", "c") } })
input("entry: below a file", { { file("d", "D"), file("d/x", "X") } })
input("entry: a file where the same layer has a directory", { { file("x") }, { D_X[1], D_X[2], file("d", "D") } })
input("entry: two of one name", { { file("a", "1"), file("./a", "2") } })
input("entry: two of one directory", { { dir("d", { mode = 448 }), file("d/x", "X"), dir("d", { mode = 511 }) } })
input("entry: of one name, absolute and relative", { { file("a", "1"), file("/a", "2") } })
input("entry: a directory, then a link to nowhere", { { file("x") }, { dir("d"), symlink("./d/", "nowhere") } })
input("entry: the root, as .", { { A }, { { name = "./", type = "dir", mode = 448, uid = 5 } } })
input("entry: the root, as /", { { A }, { { name = "/", type = "dir", mode = 448, uid = 5 } } })
input("entry: the root as a file", { { A }, { file("/", "x") } })
input("entry: typeflag 7", { { file("a", "A", { type = "7" }) } })
input("entry: typeflag V", { { A, { name = "label", type = "V" } } })
input("entry: a global header", { { { name = "g", type = "g", data = "13 comment=x\n" }, A } }, RAW)
input("entry: uid and gid of -1", { { file("a", "A", { uid = -1, gid = -1 }), dir("d", { uid = -1, gid = -1 }) } })
input("entry: uid and gid of 4294967295", { { file("a", "A", { uid = 4294967295, gid = 4294967295 }) } })
input("entry: uid of -1 in a link's header", { { file("a", "A", { uid = 5 }), link("b", "a", { uid = -1, gid = 7 }) } })
input("entry: uid of 4294967296 in a PAX header", { { file("a", "A", { pax = { "uid", "4294967296" } }) } }, RAW)
input("entry: large owners", { { file("a", "A", { uid = 4294967294, gid = 2097152 }) } })
input("entry: times of a PAX header", {
	{ file("a", "A", { pax = { "mtime", "1234567890.987", "atime", "5", "ctime", "6" } }) },
}, RAW)
input("entry: a time before 1970", {
	{ file("a", "A", { pax = { "mtime", "-5.5" } }), dir("d", { pax = { "mtime", "-5" } }) },
}, RAW)
input("entry: odd modes", {
	{
		file("a", "A", { mode = 4095 }), file("b", "B", { mode = 0 }), dir("d", { mode = 1535 }),
		symlink("s", "a", { mode = 0 }),
	},
})
input("implied: directories over those of lower layers", {
	{ dir("d", { mode = 448, uid = 5, gid = 6, xattrs = { ["user.k"] = "v" } }), dir("d/e", { mode = 511, uid = 7 }) },
	{ file("d/e/f/x", "X") },
})
input("implied: in a directory with a set group", { { dir("d", { mode = 1533, gid = 7 }), file("d/e/x", "X") } })
input("implied: the time of a directory that changes behind its entry", {
	{ dir("d", { mtime = 5 }), dir("d/e", { mtime = 6 }) }, { file("d/e/x", "X") }, { dir("d", { mtime = 7 }) },
})

-- ---- documents ---------------------------------------------------------------------------

local function config(name, change)
	input("config: " .. name, { { A } }, { change = change, raw = true })
end

config("Env an object", function(doc)
	doc.config.Env = { A = "1" }
end)
config("a label that is a number", function(doc)
	doc.config.Labels = { n = 1 }
end)
config("Cmd a string", function(doc)
	doc.config.Cmd = "sh"
end)
config("more rows of the history than layers", function(doc)
	doc.history = { { created_by = "x" }, { created_by = "x" } }
end)
config("created in month 13", function(doc)
	doc.created = "2024-13-01T00:00:00Z"
end)
config("container_config of a classic build", function(doc)
	doc.container_config = { Env = { "API_TOKEN=s3cr3t" }, Cmd = { "|1", "API_TOKEN=s3cr3t", "/bin/sh" } }
end)
input("zeros behind a gzip layer", { { A } }, {
	raw = true,
	stored = function(tar)
		return shell.check({ "gzip", "-nc", input = tar }) .. ("\0"):rep(512)
	end,
})

for _, tag in ipairs({
	"MyApp:1", "my_app:1", "my__app:1", "my..app:1", "-app:1", "app:-1", "app:" .. ("t"):rep(129), "host:5000/App:1",
	"HOST.example/app:1", "localhost/app:1", "a/b/c/d:1", "app@sha256:" .. ("0"):rep(64), "sha256:" .. ("0"):rep(64),
	("0"):rep(64) .. ":1", "app:1:2", "app/:1", "app:t ", "\195\164pp:1", ("a"):rep(256) .. ":1", "a//b:1", "app:.t",
	"Host/app:1",
}) do
	input("tag: " .. (#tag > 40 and tag:sub(1, 20) .. "... of " .. #tag or tag), { { A } }, {
		alone = true,
		raw = true,
		change = function(_, row)
			row.RepoTags = { tag }
		end,
	})
end

inputs.list = list

return inputs

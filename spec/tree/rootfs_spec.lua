-- Takes seconds: not for make check.
--- img:rootfs(): what a container sees, told without unpacking.

local archive = require "spec.support.archive"
local strata = require "strata"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function dir(name, fields)
	local entry = { name = name, type = "dir" }
	for key, value in pairs(fields or {}) do
		entry[key] = value
	end
	return entry
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target }
end

local function symlink(name, target)
	return { name = name, type = "symlink", linkname = target }
end

describe("a root file system", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function view_of(view, ...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		local img = bench:open(layers)
		return assert(img:rootfs({ view = view })), img
	end

	-- The root file system of layers with these entries, as runtimes show it.
	local function rootfs(...)
		return view_of(nil, ...)
	end

	-- By the letter of the specification.
	local function literal(...)
		return view_of("spec", ...)
	end

	-- The paths, with the content of files.
	local function contents(root)
		local seen = {}
		for entry in root:walk() do
			seen[entry.path] = entry.type == "file" and assert(entry:read()) or entry.linkpath or entry.type
		end
		return seen
	end

	describe("hides", function()
		local CASES = {
			{
				"nothing of the layer that a whiteout is in, whichever comes first",
				{ { dir("d"), file("d/f", "old") }, { file("d/f", "new"), file("d/.wh.f") } },
				{ d = "dir", ["d/f"] = "new" },
			},
			{
				"nothing of the layer that an opaque marker at its end is in",
				{ { dir("d"), file("d/old") }, { file("d/new"), file("d/.wh..wh..opq") } },
				{ d = "dir", ["d/new"] = "d/new" },
			},
			{
				"what was removed before it was made again",
				{
					{ dir("d"), file("d/old"), file("f") },
					{ file(".wh.d"), dir("d"), file("d/new"), file(".wh.f"), file("f", "2") },
				},
				{ d = "dir", ["d/new"] = "d/new", f = "2" },
				-- A directory takes the place of its own layer's whiteout, which then hides nothing.
				default = { d = "dir", ["d/new"] = "d/new", ["d/old"] = "d/old", f = "2" },
			},
			{
				"a symlink's target not, when an opaque directory takes the link's place",
				{ { dir("t"), file("t/kept"), symlink("d", "t") }, { dir("d"), file("d/.wh..wh..opq"), file("d/new") } },
				{ t = "dir", ["t/kept"] = "t/kept", d = "dir", ["d/new"] = "d/new" },
			},
			{
				"a symlink's target not, when the opaque marker stands alone",
				{ { dir("t"), file("t/kept"), symlink("d", "t") }, { file("d/.wh..wh..opq") } },
				{ t = "dir", ["t/kept"] = "t/kept", d = "t" },
				default = { t = "dir", ["t/kept"] = "t/kept", d = "dir" },
			},
			{
				"a symlink's target not, when only the link is removed",
				{ { dir("t"), file("t/kept"), symlink("d", "t") }, { file(".wh.d") } },
				{ t = "dir", ["t/kept"] = "t/kept" },
			},
			{
				"what a whiteout below a symlink to a directory names",
				{ { dir("t"), file("t/a"), file("t/b"), symlink("d", "/t") }, { file("d/.wh.a") } },
				{ t = "dir", ["t/b"] = "t/b", d = "/t" },
				default = { t = "dir", ["t/a"] = "t/a", ["t/b"] = "t/b", d = "dir" },
			},
			{
				"nothing by whiteouts of what is not there",
				{
					{ file("f"), file(".wh.f") },
					{ file(".wh.zz"), file("no/.wh.zz"), file("f/.wh.zz"), file("no/.wh..wh..opq") },
				},
				{ f = "f" },
				default = { f = "dir", no = "dir" },
			},
			{
				"a path by a whiteout of any type",
				{ { dir("d"), file("d/f") }, { dir("d/.wh.f") } },
				{ d = "dir" },
			},
			{
				"everything by an opaque root",
				{ { dir("d"), file("d/f"), file("f") }, { file(".wh..wh..opq"), file("new") } },
				{ new = "new" },
				default = { d = "dir", ["d/f"] = "d/f", f = "f", new = "new" },
			},
			{
				"what AUFS keeps for itself",
				{ { dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), link("f", ".wh..wh.plnk/1.2"), file(".wh..wh.aufs") } },
				{ f = "x" },
				default = { f = "x", [".wh..wh.plnk"] = "dir", [".wh..wh.plnk/1.2"] = "x" },
			},
			{
				"what is below a directory that becomes a file, and a file that becomes a directory",
				{ { dir("d"), file("d/f"), file("f") }, { file("d", "file"), dir("f"), file("f/x") } },
				{ d = "file", f = "dir", ["f/x"] = "f/x" },
			},
		}
		for _, case in ipairs(CASES) do
			specify(case[1], function()
				assert.same(case[3], contents(literal((table.unpack or unpack)(case[2]))))
				assert.same(case.default or case[3], contents(rootfs((table.unpack or unpack)(case[2]))))
			end)
		end

		specify("nothing by a whiteout that names nothing: that is refused with its name", function()
			for _, name in ipairs({ ".wh.", "d/.wh..", "d/.wh..." }) do
				local img = bench:open({ { entries = { dir("d") } }, { entries = { file(name) } } })
				local root, message, code = img:rootfs()
				assert.is_nil(root)
				assert.equal("EFORMAT", code)
				assert.is_truthy(message:find("layer 2/2", 1, true))
				assert.is_truthy(message:find("entry 1 '" .. name .. "'", 1, true))
			end
		end)
	end)

	describe("gives directories", function()
		specify("the attributes of the last layer that tells them, with the children of all", function()
			local root = rootfs(
				{ dir("d", { mode = 448, uid = 5 }), file("d/a") },
				{ dir("d", { mode = 493, uid = 7 }), file("d/b") }
			)
			local d = root:stat("d")
			assert.equal(493, d.mode)
			assert.equal(7, d.uid)
			assert.equal(2, d.layer.position)
			assert.same({ "a", "b" }, root:list("d"))
		end)

		specify("that no entry tells of: of root, 0755", function()
			local root = rootfs({ file("a/b/c") })
			local b = root:stat("a/b")
			assert.is_true(b.implied)
			assert.is_nil(b.entry)
			assert.same({ "dir", 493, 0, 0, 0, {} }, { b.type, b.mode, b.uid, b.gid, b.mtime, b.xattrs })
		end)

		specify("the root's own mode, by an entry './'", function()
			local root = rootfs({ dir("./", { mode = 448 }), file("f") })
			assert.equal(448, root:stat("/").mode)
			assert.equal(".", root:stat("/").path)
			assert.is_nil(rootfs({ file("f") }):stat("/").layer)
		end)

		specify("and refuses a root that is none", function()
			local img = bench:open({ { entries = { symlink(".", "/tmp") } } })
			assert.equal("EFORMAT", select(3, img:rootfs({ view = "spec" })))
			assert.equal("dir", img:rootfs():stat("/").type) -- runtimes pass over it
		end)
	end)

	describe("follows symlinks", function()
		specify("inside the root, wherever they point", function()
			local root = rootfs({
				dir("etc"), file("etc/passwd", "root"), symlink("abs", "/etc/passwd"), symlink("rel", "./etc/../etc/passwd"),
				symlink("up", "../../../../etc/passwd"), symlink("dir", "etc"), symlink("chain", "dir/../abs"),
			})
			for _, path in ipairs({ "abs", "/rel", "up", "dir/passwd", "chain", "../../etc/passwd", "dir//./passwd" }) do
				assert.equal("root", root:read(path))
				assert.equal("etc/passwd", root:stat(path).path)
			end
			assert.equal("/etc/passwd", root:readlink("abs"))
			assert.equal("symlink", root:lstat("abs").type)
			assert.equal("dir", root:lstat("dir/").type)
		end)

		specify("and says what stands in the way", function()
			local root = rootfs({
				file("f"), dir("d"), symlink("loop", "pool"), symlink("pool", "loop"), symlink("gone", "nowhere"),
			})
			local function code_of(method, ...)
				local result, message, code = root[method](root, ...)
				assert.is_nil(result)
				assert.is_string(message)
				return code
			end
			assert.equal("ELOOP", code_of("stat", "loop"))
			assert.equal("ELOOP", code_of("read", "d/../loop/x"))
			assert.equal("ENOENT", code_of("stat", "gone"))
			assert.equal("ENOENT", code_of("lstat", "d/x"))
			assert.equal("ENOTDIR", code_of("stat", "f/x"))
			assert.equal("ENOTDIR", code_of("stat", "f/"))
			assert.equal("ENOTDIR", code_of("list", "f"))
			assert.equal("EISDIR", code_of("read", "d"))
			assert.equal("EINVAL", code_of("readlink", "f"))
			assert.is_true(root:exists("f"))
			assert.is_false(root:exists("gone"))
			assert.is_false(root:exists("loop"))
			assert.equal("symlink", root:lstat("loop").type)
		end)

		specify("on the way to what an upper layer puts behind them", function()
			local layers = { { dir("run"), dir("var"), symlink("var/run", "/run") }, { file("var/run/pid", "1") } }
			local root = literal(layers[1], layers[2])
			assert.equal("1", root:read("run/pid"))
			assert.equal("run/pid", root:stat("var/run/pid").path)
			assert.equal("symlink", root:lstat("var/run").type)
			root = rootfs(layers[1], layers[2]) -- runtimes unpack each layer for itself
			assert.is_false(root:exists("run/pid"))
			assert.equal("dir", root:lstat("var/run").type)
			local own = rootfs({ dir("run"), dir("var"), symlink("var/run", "/run"), file("var/run/pid", "1") })
			assert.equal("run/pid", own:stat("var/run/pid").path)
		end)

		specify("to directories that have to be made", function()
			local root = literal({ symlink("opt", "usr/local/opt") }, { file("opt/x", "1") })
			assert.equal("1", root:read("/usr/local/opt/x"))
			assert.is_true(root:stat("usr/local/opt").implied)
		end)

		specify("but not when a directory takes their place", function()
			local root = rootfs({ dir("t"), file("t/f"), symlink("d", "t") }, { dir("d"), file("d/g") })
			assert.same({ t = "dir", ["t/f"] = "t/f", d = "dir", ["d/g"] = "d/g" }, contents(root))
		end)

		specify("and refuses an entry behind a circle of them, by its name", function()
			local img = bench:open({ { entries = { symlink("a", "b"), symlink("b", "a"), file("a/x") } } })
			local _, message, code = img:rootfs()
			assert.equal("ELOOP", code)
			assert.is_truthy(message:find("entry 3 'a/x'", 1, true))
		end)
	end)

	it("does not walk for ever through chains of long symlinks", function()
		local layer = require("spec.support.layer")
		local core = require("strata.core")
		local entries = {}
		for i = 1, 39 do
			local target = ("s%d/%s"):format(i + 1, ("a/"):rep(1900))
			entries[i] = { name = "s" .. i, typeflag = "2", linkpath = target }
		end
		for i = 1, 2000 do
			entries[#entries + 1] = { name = ("s%d/f%d"):format(i % 2 + 1, i) }
		end
		local tree = core.tree(1000000)
		local ok, message, code = tree:apply(layer.index(entries))
		assert.is_nil(ok)
		assert.equal("ELIMIT", code)
		assert.is_truthy(message:find("limits.steps", 1, true))
		assert.has_error(function() tree:find("/") end)
	end)

	describe("binds hardlinks", function()
		specify("to the file of their own layer, whatever an upper one does to its name", function()
			local root = rootfs({ file("a", "AAA"), link("b", "a") }, { file("a", "NEW") })
			assert.same({ a = "NEW", b = "AAA" }, contents(root))
			assert.equal(1, root:stat("b").links)
			assert.same({ b = "AAA" }, contents(rootfs({ file("a", "AAA"), link("b", "a") }, { file(".wh.a") })))
		end)

		specify("with one inode for all names, and the attributes of the last header", function()
			local last = link("c", "b")
			last.mode, last.uid = 2541, 3
			local root = rootfs({ { name = "a", data = "x", mode = 420, uid = 1 }, link("b", "a"), last })
			for _, name in ipairs({ "a", "b", "c" }) do
				local stat = root:stat(name)
				assert.same({ "file", 2541, 3, 3 }, { stat.type, stat.mode, stat.uid, stat.links })
				assert.equal(root:stat("a").inode, stat.inode)
			end
		end)

		specify("across layers, also when the layer itself removes the file", function()
			local root = literal({ file("a", "AAA") }, { link("b", "a"), link("c", "b"), file(".wh.a") })
			assert.same({ b = "AAA", c = "AAA" }, contents(root))
			assert.equal(2, root:stat("b").links)
			assert.equal(2, root:stat("b").layer.position)
			assert.equal(1, root:stat("b").content_layer.position)
		end)

		specify("that stand before their file, or before the whiteout of it", function()
			assert.same({ a = "1", b = "1" }, contents(rootfs({ link("a", "b"), file("b", "1") })))
			assert.same({ b = "1" }, contents(literal({ file("a", "1") }, { link("b", "/a"), file(".wh.a") })))
		end)

		specify("not behind the whiteout of their file, where unpackers do not find it any more", function()
			local root = literal({ file("a", "1") }, { file(".wh.a"), link("b", "/a") })
			assert.equal("hardlink", root:stat("b").type)
			-- Runtimes link the whiteout, which is one by each of its names.
			assert.same({}, contents(rootfs({ file("a", "1") }, { file(".wh.a"), link("b", "/a") })))
		end)

		specify("to the file that had the name when the link was made", function()
			local root = rootfs({ file("a", "1"), link("b", "a"), file("a", "2"), link("c", "a") })
			assert.same({ a = "2", b = "1", c = "2" }, contents(root))
		end)

		specify("to symlinks themselves", function()
			local root = rootfs({ file("f"), symlink("s", "f"), link("l", "s") })
			assert.equal("symlink", root:lstat("l").type)
			assert.equal("f", root:readlink("l"))
			assert.equal("f", root:read("l"))
		end)

		specify("to nothing when there is nothing, and circles of them", function()
			local root = rootfs({ link("a", "gone"), link("x", "y"), link("y", "x") })
			assert.equal("hardlink", root:stat("a").type)
			assert.equal("ENOENT", select(3, root:read("a")))
			assert.equal("hardlink", root:stat("x").type)
			root = rootfs({ link("a", "gone") }, { link("b", "a") })
			assert.equal("hardlink", root:stat("b").type)
			assert.equal("ENOENT", select(3, root:read("b")))
		end)
	end)

	describe("reads", function()
		specify("in pieces", function()
			local root = rootfs({ file("f", ("0123456789"):rep(10000)), file("lines", "one\ntwo\n\nfour") })
			local open = assert(root:open("f"))
			assert.equal(100000, open.size)
			assert.equal("0123", open:read(4))
			assert.equal(99995, open:seek("end", -5))
			assert.equal("56789", open:read())
			assert.is_nil(open:read())
			assert.equal(0, open:seek("set"))
			local total = 0
			for piece in function() return open:read() end do
				total = total + #piece
			end
			assert.equal(100000, total)
			local lines = {}
			for line in assert(root:open("lines")):lines() do
				lines[#lines + 1] = line
			end
			assert.same({ "one", "two", "", "four" }, lines)
			assert.equal("012", root:read("f", 3))
		end)

		specify("from layers that are compressed", function()
			local img = bench:open({ { gzip = true, entries = { file("a", "1"), file("b", "2") } } })
			local root = img:rootfs()
			assert.equal("1", root:read("a"))
			assert.equal("2", root:read("b"))
		end)
	end)

	specify("lists in the order of the bytes, and walks directories before what they hold", function()
		local root = rootfs({ file("b"), file("a/x"), file("a.b"), file("B"), file("caf\233") })
		assert.same({ "B", "a", "a.b", "b", "caf\233" }, root:list())
		local paths = {}
		for entry in root:walk("/") do
			paths[#paths + 1] = entry.path
		end
		assert.same({ "B", "a", "a/x", "a.b", "b", "caf\233" }, paths)
		paths = {}
		for entry in root:walk("a") do
			paths[#paths + 1] = entry.path
		end
		assert.same({ "a/x" }, paths)
		assert.equal(7, root.count)
		assert.has_error(function() root:walk("b") end)
	end)

	specify("finds by patterns", function()
		local root = rootfs({
			file("etc/a.conf"), file("etc/x/b.conf"), file("etc/x/y/c.conf"), file("etc/x/.hidden"), file("etc/a-conf"),
			symlink("link", "etc"), file("etc/[x]"),
		})
		assert.same({ "etc/a.conf", "etc/x/b.conf", "etc/x/y/c.conf" }, root:glob("etc/**/*.conf"))
		assert.same({ "etc/a.conf" }, root:glob("/etc/*.conf"))
		assert.same({ "etc/a-conf", "etc/a.conf" }, root:glob("etc/a?conf"))
		assert.same({ "etc/x/.hidden" }, root:glob("etc/x/*h*"))
		assert.same({ "etc/[x]", "etc/a-conf", "etc/a.conf" }, root:glob("etc/[[a]*"))
		assert.same({ "etc/[x]", "etc/x" }, root:glob("etc/[!a]*"))
		assert.same({ "link/a.conf" }, root:glob("link/*.conf"))
		assert.same({}, root:glob("nothing/**"))
		assert.same({}, root:glob("etc/.."))
		assert.error_matches(function() root:glob("etc/[a") end,
			"^glob: 'etc/%[a' is no glob: its '%[' has no '%]' in the same name")
		assert.equal(10, #root:glob("**"))
	end)

	specify("tells what each layer has done to a path", function()
		local root = rootfs(
			{ dir("d"), file("d/f", "1"), file("d/g") },
			{ { name = "d/f", data = "1", mode = 493 } },
			{ { name = "d/f", data = "2", mode = 493 } },
			{ file("d/.wh.f") },
			{ file("d/f", "3") },
			{ file("d/.wh..wh..opq") },
			{ dir("d") }
		)
		local function actions(path)
			local list = {}
			for i, row in ipairs(assert(root:history(path))) do
				list[i] = row.layer.position .. " " .. row.action
			end
			return list
		end
		assert.same(
			{ "1 added", "2 metadata", "3 changed", "4 deleted", "5 added", "6 hidden" },
			actions("/d/f")
		)
		assert.same({ "1 added", "6 hidden" }, actions("d/g"))
		assert.same({ "1 added", "7 repeated" }, actions("d"))
		assert.same({}, actions("nothing"))
		assert.equal("d/f", root:history("d/f")[2].entry.path)
	end)

	specify("of the first layers only", function()
		local _, img = rootfs({ file("a", "1") }, { file("a", "2"), file("b") })
		assert.same({ a = "1" }, contents(img:rootfs({ upto = 1 })))
		assert.same({}, contents(img:rootfs({ upto = 0 })))
		assert.has_error(function() img:rootfs({ upto = 3 }) end)
	end)

	specify("goes with edits of the layers", function()
		local root, img = rootfs({ file("a", "1"), link("b", "a"), file("c") })
		img:filter(function(entry) return entry.path ~= "a" and entry.path ~= "c" end)
		assert.same({ b = "1" }, contents(root))
		img:rewrite(function(entry) entry.path = "new/" .. entry.path end)
		assert.same({ new = "dir", ["new/b"] = "1" }, contents(root))
		img.layers[1]:entry("new/b"):replace("2")
		assert.equal("2", root:read("new/b"))
	end)

	specify("is drawn with the layers that things come from", function()
		local root = rootfs({ file("a", "1"), link("b", "a"), dir("d"), file("d/x") }, { file("c", "22") })
		assert.equal(
			"/\n├── a  (1 B)  [1]\n├── b = a  [1]\n├── c  (2 B)  [2]\n└── d/  [1]\n    └── x  (3 B)  [1]",
			root:tree({ layers = true })
		)
		assert.equal("d/\n└── x  (3 B)", root:tree({ path = "d" }))
	end)

	specify("is drawn with what is below its directories, each file counted once", function()
		local root = rootfs({ dir("d"), file("d/x"), link("d/y", "d/x"), file("e/f/g", "12345") })
		assert.equal("/  (8 B)\n├── d/  (3 B)\n│   ├── x  (3 B)\n│   └── y = d/x\n└── e/  (5 B)\n    └── f/  (5 B)\n"
			.. "        └── g  (5 B)", root:tree({ sizes = true }))
		assert.equal("/  (8 B)\n├── d/  (3 B)\n└── e/  (5 B)", root:tree({ sizes = true, depth = 1 }))
		assert.equal("e/f/  (5 B)\n└── g  (5 B)", root:tree({ sizes = true, path = "e/f" }))
	end)

	specify("has entries that say what they are", function()
		local root = rootfs({ { name = "f", data = "x", mode = 2541, uid = 1, gid = 2 } })
		assert.equal("strata.RootEntry(f, file, 4755, 1:2, 1 B, layer 1)", tostring(root:stat("f")))
		assert.equal("strata.Rootfs(1 layer, 2 paths)", tostring(root))
		assert.has_error(function() root:stat("f").mode = 1 end)
		assert.is_truthy(strata.help(root))
	end)

	it("cannot be used when its image is closed", function()
		local img = strata.new({ platform = "linux/amd64" })
		img:append({ files = { a = "1" } })
		local root = img:rootfs()
		local entry = root:stat("a")
		img:close()
		assert.has_error(function() return entry.mode end)
		assert.has_error(function() return entry:read() end)
	end)
end)

-- Applying layers to a directory. The images are written by Python's tarfile, the trees read by Python.

local archive = require "spec.support.archive"
local entries_of = require "spec.support.entries"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local ROOT = rights.root

local function need_root()
	if not ROOT then
		pending("owners and devices need root")
	end
	return ROOT
end

local dir, file, symlink, hardlink = entries_of.dir, entries_of.file, entries_of.symlink, entries_of.hardlink

describe("extract", function()
	local bench, target

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("rootfs")
	end)

	after_each(function()
		bench:close()
	end)

	local function contents(found)
		return entries_of.contents(found, target)
	end

	local function open(...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		return (bench:open(layers))
	end

	--- Extracts the layers; what is there then.
	local function extracted(...)
		assert(open(...):extract(target, { unprivileged = not ROOT }))
		return tree.read(target)
	end

	--- The same by the letter of the specification, in a directory of its own, and the contents alone.
	local function by_letter(...)
		local path = bench.dir:file("letter")
		shell.sh('rm -rf "$1"', path)
		assert(open(...):extract(path, { unprivileged = not ROOT, view = "spec" }))
		return entries_of.contents(tree.read(path), path)
	end

	describe("makes each entry as it says:", function()
		it("content, mode with set-id bits, and time of files", function()
			if not need_root() then
				return
			end
			local found = extracted({
				file("plain", "text", { mode = 416, mtime = 1234567890 }),
				file("setuid", "x", { mode = 2541 }), -- 04755
				file("setgid", "x", { mode = 1517 }), -- 02755
				file("empty", ""),
				file("none", "x", { mode = 0 }),
			})
			assert.equal("0640", found.plain.mode)
			assert.equal("1234567890.000000000", found.plain.mtime)
			assert.equal("4755", found.setuid.mode)
			assert.equal("2755", found.setgid.mode)
			assert.equal("0000", found.none.mode)
			assert.equal(0, found.empty.size)
			assert.equal("text", shell.read(target .. "/plain"))
		end)

		it("times to the nanosecond, also of directories, links and the root", function()
			local when = { mtime = "1111111111.123456789" }
			local found = extracted({
				{ name = "./", type = "dir", pax = when },
				dir("d", { pax = when }),
				file("d/f", "x", { pax = { mtime = "-1.5" } }),
				{ name = "l", type = "symlink", linkname = "d", pax = when },
				file("d/g"),
			}, { file("d/h"), file("top") })
			assert.equal("1111111111.123456789", found["."].mtime)
			assert.equal("1111111111.123456789", found.d.mtime)
			assert.equal("1111111111.123456789", found.l.mtime)
			assert.equal("0.000000000", found["d/f"].mtime) -- runtimes set no time before 1970
		end)

		it("owners, devices and FIFOs", function()
			if not need_root() then
				return
			end
			local found = extracted({
				file("owned", "x", { uid = 1000, gid = 2000, mode = 3565 }), -- 06755
				dir("d", { uid = 3, gid = 4, mode = 1023 }),
				{ name = "c", type = "char", major = 5, minor = 1, mode = 438, uid = 7, gid = 8 },
				{ name = "b", type = "block", major = 259, minor = 70000, mode = 416 },
				{ name = "p", type = "fifo", mode = 420, mtime = 5 },
				{ name = "l", type = "symlink", linkname = "nowhere", uid = 9, gid = 10 },
			})
			assert.equal("1000:2000", found.owned.owner)
			assert.equal("6755", found.owned.mode)
			assert.equal("3:4", found.d.owner)
			assert.equal("1777", found.d.mode)
			assert.same({ "char", "5:1", "0666", "7:8" }, { found.c.type, found.c.device, found.c.mode, found.c.owner })
			assert.same({ "block", "259:70000" }, { found.b.type, found.b.device })
			assert.same({ "fifo", "0644", "5.000000000" }, { found.p.type, found.p.mode, found.p.mtime })
			assert.same({ "symlink", "9:10" }, { found.l.type, found.l.owner })
		end)

		it("extended attributes and capabilities, which a change of owner takes away", function()
			if not need_root() then
				return
			end
			local capability = "\1\0\0\2\0\32\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
			local entry = file("capable", "x", {
				uid = 1000,
				mode = 2541,
				pax = { ["SCHILY.xattr.security.capability"] = capability },
			})
			local found = extracted({
				entry,
				file("many", "x", {
					pax = {
						["SCHILY.xattr.trusted.both"] = "schily",
						["LIBARCHIVE.xattr.trusted.both"] = "bGliYXJjaGl2ZQ",
						["LIBARCHIVE.xattr.trusted.a%20b"] = "AAEC",
						["SCHILY.xattr.trusted.a%3Db"] = "equals",
						["SCHILY.xattr.security.selinux"] = "system_u:object_r:x:s0",
					},
				}),
				{ name = "link", type = "symlink", linkname = "x", pax = { ["SCHILY.xattr.trusted.l"] = "on a link" } },
				dir("d", { pax = { ["SCHILY.xattr.trusted.d"] = "one", ["SCHILY.xattr.trusted.e"] = "two" } }),
			}, { dir("d", { pax = { ["SCHILY.xattr.trusted.e"] = "three" } }) })
			assert.equal(capability, found.capable.xattrs["security.capability"])
			assert.equal("4755", found.capable.mode)
			-- No runtime reads the records of libarchive.
			local expected = { ["trusted.both"] = "schily", ["trusted.a=b"] = "equals" }
			assert.same(expected, found.many.xattrs)
			assert.same({ ["trusted.l"] = "on a link" }, found.link.xattrs)
			assert.same({ ["trusted.e"] = "three" }, found.d.xattrs)
		end)

		it("names that are no UTF-8, long ones, and those with . and // in them", function()
			local long = ("d"):rep(255) .. "/" .. ("f"):rep(255)
			local found = contents(extracted({
				file("caf\233", "latin1"),
				file(long, "long"),
				file(".//a/./b", "dots"),
				file("/abs", "abs"),
				file("new\nline\27", "escapes"),
			}))
			assert.equal("latin1", found["caf\233"])
			assert.equal("long", found[long])
			assert.equal("dots", found["a/b"])
			assert.equal("abs", found.abs)
			assert.equal("escapes", found["new\nline\27"])
		end)

		it("sparse files as GNU tar makes them, with their holes", function()
			local source = bench.dir:file("source")
			local script = [[
				mkdir -p "$1/s"; truncate -s 3000000 "$1/s/hole"; printf begin >"$1/s/file"
				truncate -s 2000000 "$1/s/file"; printf end >>"$1/s/file"; truncate -s 5000000 "$1/s/file"
				for i in gnu 0.0 0.1 1.0; do
					if [ $i = gnu ]; then f=--format=gnu; else f="--format=pax --sparse-version=$i"; fi
					tar -C "$1" $f --hole-detection=raw -Scf "$1/$i.tar" s
				done; sha256sum "$1/s/file" "$1/s/hole" | cut -c1-64 ]]
			local file_sum, hole_sum = shell.sh(script, source):match("(%x+)\n(%x+)")
			for _, format in ipairs({ "gnu", "0.0", "0.1", "1.0" }) do
				local img = bench:open({ { file = source .. "/" .. format .. ".tar" } })
				local to = bench.dir:file(format)
				assert(img:extract(to, { unprivileged = not ROOT }))
				local found = tree.read(to)
				assert.equal(file_sum, found["s/file"].content, format)
				assert.equal(hole_sum, found["s/hole"].content, format)
				assert.is_true(found["s/file"].blocks < 2000, format)
				assert.is_true(found["s/hole"].blocks < 2000, format)
			end
		end)

		it("parents that no entry tells of: root's, 0755, time 0", function()
			local found = extracted({ file("a/b/c/f") })
			for _, path in ipairs({ "a", "a/b", "a/b/c" }) do
				assert.equal("0755", found[path].mode)
				assert.equal("0.000000000", found[path].mtime)
				assert.equal(ROOT and "0:0" or found["a/b/c/f"].owner, found[path].owner)
			end
			assert.equal("0755", found["."].mode)
		end)
	end)

	describe("puts one layer on another:", function()
		it("a directory keeps what is in it and gets the new attributes", function()
			local found = extracted(
				{ dir("d", { mode = 448, mtime = 1 }), file("d/old") },
				{ dir("d", { mode = 493, mtime = 2 }), file("d/new") }
			)
			assert.same({ d = "dir", ["d/old"] = "d/old", ["d/new"] = "d/new" }, contents(found))
			assert.equal("0755", found.d.mode)
			assert.equal("2.000000000", found.d.mtime)
		end)

		it("what changes its type is replaced, with all that is in it", function()
			assert.same(
				{ a = "dir", ["a/x"] = "x", b = "file", c = "fifo", d = "a", e = "dir", ["e/y"] = "y" },
				contents(extracted({
					file("a"),
					dir("b"),
					file("b/deep/er/f"),
					symlink("c", "b"),
					dir("d"),
					file("d/f"),
					symlink("e", "b"),
				}, {
					dir("a"),
					file("a/x", "x"),
					file("b", "file"),
					{ name = "c", type = "fifo" },
					symlink("d", "a"),
					dir("e"),
					file("e/y", "y"),
				}))
			)
		end)

		it("a file that is replaced leaves its other names as they were", function()
			local found = extracted(
				{ file("t2", "123"), hardlink("t1", "t2"), hardlink("t3", "t2") },
				{ file("t1", "456") }
			)
			assert.same({ t1 = "456", t2 = "123", t3 = "123" }, contents(found))
			assert.equal("t2 t3", found.t2.links)
		end)

		local LINKED = { file("f"), symlink("var/run", "/run"), dir("run"), symlink("lib", "usr/lib"), dir("usr/lib") }
		local THROUGH = { file("f/g", "g"), file("var/run/pid", "1"), file("lib/so", "so") }

		it("what is below a file or a link replaces the file, and the link by a directory", function()
			local found = contents(extracted(LINKED, THROUGH))
			assert.equal("g", found["f/g"])
			assert.equal("1", found["var/run/pid"])
			assert.equal("dir", found["var/run"])
			assert.equal("so", found["lib/so"])
			assert.equal("dir", found.lib)
			assert.is_nil(found["run/pid"] or found["usr/lib/so"])
		end)

		it("what is below a link follows it inside the root when the link is of the same layer", function()
			local found = contents(extracted({ file("f"), file("run", "a file") }, {
				symlink("var/run", "/run"), file("var/run/pid", "1"), symlink("l", "var"), symlink("l/up", "../../.."),
				file("l/up/d/x", "x"),
			}))
			assert.same({
				f = "f", run = "dir", ["run/pid"] = "1", var = "dir", ["var/run"] = "/run", l = "var",
				["var/up"] = "../../..", d = "dir", ["d/x"] = "x",
			}, found)
		end)

		it("what is below a file or a link replaces the file, and follows the link, by the letter", function()
			local found = by_letter(LINKED, THROUGH)
			assert.equal("g", found["f/g"])
			assert.equal("1", found["run/pid"])
			assert.equal("/run", found["var/run"])
			assert.equal("so", found["usr/lib/so"])
			assert.equal("usr/lib", found.lib)
		end)

		it("the last of several entries of one path counts", function()
			assert.same(
				{ a = "last" },
				contents(extracted({ file("a", "first"), symlink("a", "x"), dir("a"), file("a", "last") }))
			)
		end)
	end)

	describe("links", function()
		it("one content under several names, with absolute targets, and to links themselves", function()
			local found = extracted({
				file("bin/app", "app", { mode = 2541 }),
				hardlink("usr/bin/app", "/bin/app"),
				symlink("l", "bin/app"),
				hardlink("l2", "l"),
			})
			assert.equal("bin/app usr/bin/app", found["bin/app"].links)
			assert.equal("0644", found["usr/bin/app"].mode) -- that of the last header
			assert.equal("l l2", found.l2.links)
			assert.equal("symlink", found.l2.type)
		end)

		it("to a file of a lower layer, and to what comes later", function()
			local found = extracted(
				{ file("low", "low") },
				{ hardlink("b", "c"), hardlink("a", "b"), hardlink("up", "low"), file("c", "late") }
			)
			assert.equal("a b c", found.a.links)
			assert.equal("low up", found.up.links)
		end)

		it("not to what is nowhere, and not to directories or the root", function()
			for to, code in pairs({ nowhere = "ENOENT", d = "EFORMAT", ["."] = "EFORMAT" }) do
				local img = open({ dir("d"), hardlink("link", to) })
				local result, message, got = img:extract(target)
				assert.is_nil(result)
				assert.equal(code, got)
				assert.truthy(message:find("layer 1/1", 1, true) and message:find("entry 2 'link'", 1, true), message)
			end
		end)

		-- The same in each view, into one directory and into one for each layer.
		local function is_refused(code, ...)
			for _, view in ipairs({ "runtime", "spec" }) do
				for _, mode in ipairs({ "merged", "overlay" }) do
					local options = { view = view, unprivileged = not ROOT }
					if mode == "overlay" then
						options.mode, options.xattrs = mode, rights.xattrs
					end
					local done, message, got = open(...):extract(target, options)
					assert.equal(code, got, ("%s, %s: %s"):format(view, mode, tostring(message)))
					assert.equal(code == nil, done ~= nil)
					shell.check({ "rm", "-rf", target })
				end
			end
		end

		it("not to what has no directory, nor in a directory that cannot be", function()
			local lower, loop = { file("f"), dir("d") }, symlink("loop", "loop")
			for _, to in ipairs({ "no/such/file", "d/none", "f/below", "loop/x" }) do
				is_refused("ENOENT", lower, { loop, hardlink("link", to) })
			end
			is_refused("ELOOP", lower, { loop, hardlink("loop/link", "nowhere") })
			is_refused("ELOOP", lower, { loop, file("x"), hardlink("loop/link", "x") })
		end)

		it("not to directories of any layer, nor to what its own directory replaces", function()
			local lower = { dir("d"), file("d/old"), file("f") }
			is_refused("EFORMAT", lower, { hardlink("link", "d") })
			is_refused("EFORMAT", lower, { file("d/new"), hardlink("link", "d") })
			is_refused("EFORMAT", lower, { file(".wh.d", ""), file("d/new"), hardlink("link", "d") })
			local img = open({ file("f"), hardlink("f/link", "f") })
			assert.equal("EFORMAT", (select(3, img:extract(target, { view = "spec", unprivileged = not ROOT }))))
			-- Runtimes refuse it as well. By default extract has what the merged view shows.
			assert.equal("f", assert(img:rootfs()):read("f/link"))
			assert(img:extract(target, { unprivileged = not ROOT }))
			assert.equal("f", shell.read(target .. "/f/link"))
			shell.check({ "rm", "-rf", target })
		end)

		-- Each stands before the one that it names.
		local function chain(len, way)
			local entries = { symlink("s", "."), hardlink("first", way .. "l" .. (len > 80 and len - 79 or 1)) }
			for i = 1, len do
				entries[#entries + 1] = hardlink("l" .. i, i < len and way .. "l" .. (i + 1) or "end")
			end
			return entries
		end

		it("in chains against their order, but not in endless ones", function()
			for len, code in pairs({ [30] = false, [100] = "ENOENT" }) do
				local own, lower = chain(len, "s/"), chain(len, "")
				own[#own + 1] = file("end")
				is_refused(code or nil, own)
				is_refused(code or nil, { file("end") }, lower)
			end
		end)
	end)

	describe("obeys whiteouts", function()
		it("of files and whole directories, wherever they stand, sparing their own layer", function()
			local lower = { dir("d"), file("d/old"), dir("d/sub"), file("d/sub/old"), file("f"), dir("e"), file("e/x") }
			local upper = { dir("d"), file("d/new"), file("d/sub/new"), file("f", "again") }
			local marks = { file("d/.wh.old", ""), file("d/sub/.wh.old", ""), file(".wh.f", ""), file(".wh.e", "") }
			local expected = {
				d = "dir",
				["d/new"] = "d/new",
				["d/sub"] = "dir",
				["d/sub/new"] = "d/sub/new",
				f = "again",
			}
			for _, first in ipairs({ true, false }) do
				local all = {}
				for _, list in ipairs(first and { marks, upper } or { upper, marks }) do
					for _, entry in ipairs(list) do
						all[#all + 1] = entry
					end
				end
				target = bench.dir:file(tostring(first))
				assert.same(expected, contents(extracted(lower, all)))
			end
		end)

		it("not of a directory that the layer has something in, however deep", function()
			local lower = { dir("d"), dir("d/sub"), dir("d/sub/deep"), file("d/sub/deep/old") }
			local found = contents(extracted(lower, { file("d/sub/deep/new"), file("d/.wh.sub", "") }))
			assert.equal("d/sub/deep/new", found["d/sub/deep/new"])
			assert.equal("d/sub/deep/old", found["d/sub/deep/old"])
		end)

		it("opaque markers, first or last, with the directory's entry or without", function()
			local lower = { dir("d", { mode = 448 }), file("d/old"), dir("d/sub"), file("d/sub/old"), file("beside") }
			for number, upper in ipairs({
				{ file("d/.wh..wh..opq", ""), file("d/new"), file("d/sub/new") },
				{ file("d/new"), file("d/sub/new"), file("d/.wh..wh..opq", "") },
				{ dir("d", { mode = 448 }), file("d/sub/new"), file("d/.wh..wh..opq", ""), file("d/new") },
			}) do
				target = bench.dir:file("t" .. number)
				local found = extracted(lower, upper)
				assert.same({
					beside = "beside",
					d = "dir",
					["d/new"] = "d/new",
					["d/sub"] = "dir",
					["d/sub/new"] = "d/sub/new",
				}, contents(found))
				assert.equal("0700", found.d.mode)
				assert.equal("0755", found["d/sub"].mode)
			end
		end)

		it("an opaque marker of the root", function()
			local lower = { file("a"), dir("b"), file("b/c") }
			local upper = { file("new"), file(".wh..wh..opq", ""), file("b/d") }
			assert.same({ new = "new", b = "dir", ["b/d"] = "b/d" }, by_letter(lower, upper))
			-- overlayfs ignores it.
			assert.same(
				{ a = "a", new = "new", b = "dir", ["b/c"] = "b/c", ["b/d"] = "b/d" },
				contents(extracted(lower, upper))
			)
		end)

		it("an opaque marker of what was a link replaces the link and spares its target", function()
			for number, upper in ipairs({
				{ dir("l"), file("l/.wh..wh..opq", ""), file("l/new") },
				{ file("l/.wh..wh..opq", ""), file("l/new") },
			}) do
				target = bench.dir:file("t" .. number)
				local found = contents(extracted({ dir("real"), file("real/kept"), symlink("l", "real") }, upper))
				assert.same(
					{ real = "dir", ["real/kept"] = "real/kept", l = "dir", ["l/new"] = "l/new" },
					found
				)
			end
		end)

		it("opaque markers in each other", function()
			local lower = { dir("d"), dir("d/sub", { mode = 448 }), file("d/sub/old"), file("d/old") }
			for _, view in ipairs({ "spec", "runtime" }) do
				local img = open(lower, { file("d/sub/.wh..wh..opq", ""), file("d/sub/new"), file("d/.wh..wh..opq", "") })
				target = bench.dir:file(view)
				assert(img:extract(target, { view = view, unprivileged = not ROOT }))
				local found = tree.read(target)
				assert.same({ d = "dir", ["d/sub"] = "dir", ["d/sub/new"] = "d/sub/new" }, contents(found))
				assert.equal("0755", found["d/sub"].mode)
			end
		end)

		it("a whiteout and a new directory of that name", function()
			for number, upper in ipairs({
				{ file(".wh.d", ""), dir("d"), file("d/new") },
				{ dir("d"), file("d/new"), file(".wh.d", "") },
			}) do
				target = bench.dir:file("t" .. number)
				local lower = { dir("d"), file("d/old") }
				assert.same({ d = "dir", ["d/new"] = "d/new" }, by_letter(lower, upper))
				-- In a layer that is unpacked for itself the directory replaces the whiteout.
				assert.same({ d = "dir", ["d/new"] = "d/new", ["d/old"] = "d/old" }, contents(extracted(lower, upper)))
			end
		end)

		it("behind a file of the lowest layer alone, as containerd unpacks it", function()
			local found = contents(extracted(
				{ file("a"), file(".wh.a", ""), file(".wh.b", ""), file("b") },
				{ file("c"), file(".wh.c", "") }
			))
			assert.same({ b = "b", c = "c" }, found)
		end)

		it("that are devices, or hardlinks to whiteouts", function()
			if not need_root() then
				return
			end
			local lower = { file("a"), file("b"), file("c"), file("d") }
			local upper = {
				{ name = "a", type = "char", major = 0, minor = 0 },
				hardlink("b", "a"), file(".wh.c", ""), hardlink("d", "c"),
			}
			assert.same({}, contents(extracted(lower, upper)))
		end)

		it("that an attribute of the directory is, as for Docker and podman", function()
			if not need_root() then
				return
			end
			local mark = { ["SCHILY.xattr.trusted.overlay.opaque"] = "y" }
			local found = extracted({ dir("d"), file("d/old") }, { dir("d", { pax = mark }), file("d/new") })
			assert.same({ d = "dir", ["d/new"] = "d/new" }, contents(found))
			assert.same({}, found.d.xattrs)
			for number, other in ipairs({
				{ ["SCHILY.xattr.trusted.overlay.opaque"] = "n" },
				{ ["SCHILY.xattr.trusted.overlay.opaque"] = "yy" },
				{ ["SCHILY.xattr.trusted.overlay.origin"] = "y", comment = "c" },
				{ ["SCHILY.xattr.trusted.overlay.opaques"] = "y" },
				{ ["SCHILY.xattr.user.overlay.opaque"] = "y" },
			}) do
				target = bench.dir:file("t" .. number)
				local img = open({ dir("d"), file("d/old") }, { dir("d", { pax = other }), file("d/new") })
				assert(img:extract(target, { unprivileged = true }))
				assert.equal("d/old", shell.read(target .. "/d/old"))
				assert.equal("d/old", img:rootfs():read("d/old"))
			end
		end)

		it("that hide nothing, without leaving anything", function()
			local lower, upper = { file("f"), file("g"), file(".wh.first", "") }, {
				file("missing/.wh.x", ""),
				file("f/.wh.x", ""),
				file("g"),
				file("g/.wh.x", ""),
				file("a/b/.wh..wh..opq", ""),
				file(".wh..wh.plnk/1.2", "1.2"),
				file(".wh..wh.aufs", ""),
				file(".wh..wh.plnk/.wh.f", ""),
				file(".wh..wh.plnk/.wh.", ""),
			}
			assert.same({ f = "f", g = "g" }, by_letter(lower, upper))
			upper[#upper] = nil
			-- Runtimes make the directories that lead to a whiteout, and know nothing of AUFS but the whiteout itself.
			assert.same({
				missing = "dir", f = "dir", g = "g", a = "dir", ["a/b"] = "dir",
				[".wh..wh.plnk"] = "dir", [".wh..wh.plnk/1.2"] = "1.2",
			}, contents(extracted(lower, upper)))
		end)

		it("keeps the times of directories that it takes something out of", function()
			local found = extracted(
				{ dir("d", { mtime = 7 }), dir("d/e", { mtime = 8 }), file("d/e/f"), file("d/g") },
				{ file("d/.wh.g", ""), file("d/e/.wh.f", "") }
			)
			assert.equal("7.000000000", found.d.mtime)
			assert.equal("8.000000000", found["d/e"].mtime)
		end)
	end)
end)

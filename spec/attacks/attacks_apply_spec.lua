-- Takes seconds: not for make check.
-- Layers that try to get out of the directory that they are applied to, or to keep us busy. Each name begins
-- with the row of the list of known attacks that it stands for.

local archive = require "spec.support.archive"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local strata = require "strata"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local ROOT = require("spec.support.rights").root

describe("applying hostile layers:", function()
	local bench, outside, target, before

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("rootfs")
		-- What must stay as it is, with an absolute path that layers can name.
		outside = bench.dir:file("outside")
		shell.sh(
			[[mkdir -p "$1/dir"; echo secret >"$1/shadow"; echo kept >"$1/dir/kept"; chmod 0600 "$1/shadow"
			touch -d @1000 "$1/shadow" "$1/dir/kept" "$1/dir" "$1"]],
			outside
		)
		before = tree.read(outside)
	end)

	after_each(function()
		bench:close()
	end)

	local function image(...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = type(entries) == "string" and { file = entries } or { entries = entries }
		end
		return (bench:open(layers))
	end

	local function unharmed()
		assert.same({}, tree.differences(before, tree.read(outside)))
	end

	local function contents()
		local list = {}
		for path, row in pairs(tree.read(target)) do
			if path ~= "." then
				list[path] = row.target or (row.type == "file" and shell.read(target .. "/" .. path)) or row.type
			end
		end
		return list
	end

	--- Applies both ways; what is in the target then. Nothing outside may have changed.
	local function apply_by(view, ...)
		local img = image(...)
		shell.sh('rm -rf "$1" "$1.overlay"', target)
		assert(img:extract(target, { view = view, unprivileged = not ROOT }))
		unharmed()
		local options = { view = view, mode = "overlay", unprivileged = not ROOT, xattrs = "user" }
		assert(img:extract(target .. ".overlay", options))
		unharmed()
		return contents()
	end

	local function apply(...)
		return apply_by(nil, ...)
	end

	--- Must be refused, both ways, with nothing left.
	local function refuse_by(view, code, part, ...)
		local img = image(...)
		for _, mode in ipairs({ "flat", "overlay" }) do
			local result, message, got = img:extract(target, { view = view, mode = mode, unprivileged = not ROOT })
			assert.is_nil(result)
			assert.equal(code, got, message)
			assert.truthy(message:find(part, 1, true), message)
			assert.is_nil(message:find("[%z\1-\31\127]"), message)
			assert.is_false(shell.run({ "test", "-e", target }).status == 0)
			unharmed()
		end
	end

	local function refuse(...)
		return refuse_by(nil, ...)
	end

	local function file(name, data)
		return { name = name, data = data or name }
	end

	local function dir(name, mode)
		return { name = name .. "/", type = "dir", mode = mode }
	end

	local function symlink(name, to)
		return { name = name, type = "symlink", linkname = to }
	end

	local function hardlink(name, to)
		return { name = name, type = "hardlink", linkname = to }
	end

	local function hostile(name)
		local corpus = os.getenv("STRATA_CORPUS")
		if not corpus then
			pending("STRATA_CORPUS is not set")
		end
		return corpus and corpus .. "/hostile/" .. name
	end

	describe("P1", function()
		it("names that lead up or are absolute end inside the root", function()
			assert.same(
				{
					etc = "dir",
					["etc/x"] = "up",
					["etc/y"] = "absolute",
					z = "lexical",
					a = "dir",
					w = "dots",
					["..."] = "three",
				},
				apply({
					file("../../etc/x", "up"),
					file("/etc/y", "absolute"),
					dir("a"),
					file("a/../../z", "lexical"),
					dir("a/b/.."),
					file("./.././w", "dots"),
					file("...", "three"),
				})
			)
		end)

		it("the zip-slip archives land inside", function()
			local slip, windows = hostile("snyk-zip-slip.tar"), hostile("snyk-zip-slip-win.tar")
			if not slip then
				return
			end
			local found = apply(slip, windows)
			assert.equal("this is an evil one\n", found["tmp/evil.txt"])
			assert.is_truthy(found["good.txt"])
			local names = table.concat(tree.paths(tree.read(target)), "\n")
			assert.truthy(names:find("..\\..\\", 1, true), "a backslash is a byte like others")
		end)
	end)

	describe("P2", function()
		it("writing through links: absolute, relative, chained, dangling", function()
			local found = apply({
				symlink("abs", outside),
				file("abs/new", "1"),
				symlink("rel", ("../"):rep(40) .. outside:sub(2)),
				file("rel/dir/kept", "2"),
				symlink("one", "two"),
				symlink("two", "/three"),
				symlink("three", outside .. "/dir"),
				file("one/new", "3"),
				symlink("shadow", outside .. "/shadow"),
				file("shadow", "4"),
			})
			local inside = outside:sub(2)
			assert.equal("1", found[inside .. "/new"])
			assert.equal("2", found[inside .. "/dir/kept"])
			assert.equal("3", found[inside .. "/dir/new"])
			assert.equal("4", found.shadow)
			assert.equal(outside, found.abs)
		end)

		it("the archive that escapes by a long chain of links stays inside", function()
			local path = hostile("google-escape.tar")
			if not path then
				return
			end
			local poc = shell.run({ "test", "-e", "/tmp/poc.txt" }).status
			local img = image(path)
			assert(img:extract(target, { unprivileged = not ROOT }))
			unharmed()
			assert.equal(poc, shell.run({ "test", "-e", "/tmp/poc.txt" }).status)
		end)

		it("the images with hostile links are extracted inside, or refused with nothing left", function()
			if not hostile("") then
				return
			end
			for _, name in ipairs({
				"google-overwrite-file.tar",
				"google-symlink-attack.tar",
				"google-symlink-basic.tar",
				"google-symlink-cycle.tar",
				"google-symlink-dangling.tar",
				"google-symlink-depth-exceeded.tar",
				"google-symlink.tar",
				"google-symlinks.tar",
			}) do
				local img = assert(strata.open(hostile(name)))
				local to = bench.dir:file(name)
				local result, message = img:extract(to, { unprivileged = not ROOT })
				assert.is_truthy(result or shell.run({ "test", "-e", to }).status ~= 0, message)
				local paths = {}
				for _, layer in img:layers() do
					for entry in layer:entries() do
						paths[#paths + 1] = entry.path
					end
				end
				assert.is_true(#paths > 0)
				for _, path in ipairs(result and paths or {}) do
					local script = [[ [ -e "$1/$2" ] || [ -L "$1/$2" ] ]]
					-- What a link in it leads to is not looked at from outside.
					assert.equal(0, shell.run({ "sh", "-c", script, "sh", to, path }).status, name .. " " .. path)
				end
				img:close()
			end
			unharmed()
		end)
	end)

	it("P3 a directory that becomes a link in the same layer does not keep its old place", function()
		local found = apply({
			dir("d"),
			file("d/one", "1"),
			symlink("d", outside .. "/dir"),
			file("d/two", "2"),
			dir("real"),
			symlink("l", "real"),
			file("l/three", "3"),
			file("l", "4"),
			dir("l"),
			file("l/five", "5"),
		})
		assert.equal("2", found[outside:sub(2) .. "/dir/two"])
		assert.is_nil(found["d/one"])
		assert.equal("3", found["real/three"])
		assert.equal("5", found["l/five"])
	end)

	it("P4 a link planted by one layer does not lead the next one out", function()
		local planted = { symlink("etc", outside), symlink("shadow", outside .. "/shadow") }
		local used = { file("etc/shadow", "mine"), { name = "shadow", data = "mine", mode = 511 } }
		assert.same({ etc = "dir", ["etc/shadow"] = "mine", shadow = "mine" }, apply(planted, used))
		local found = apply_by("spec", planted, used)
		assert.equal("mine", found[outside:sub(2) .. "/shadow"])
		assert.equal("mine", found.shadow)
		assert.equal(outside, found.etc)
	end)

	it("P5 the root stays a directory", function()
		for _, name in ipairs({ ".", "/", "./", "a/.." }) do
			refuse_by("spec", "EFORMAT", "the root is not a directory", { symlink(name, outside), file("shadow") })
			refuse_by("spec", "EFORMAT", "root", { file("f"), hardlink(name, "f") })
		end
		refuse_by("spec", "EFORMAT", "the root is not a directory", { file(".") })
		-- Runtimes pass over such entries.
		for _, name in ipairs({ ".", "/", "./", "a/.." }) do
			assert.same({ shadow = "shadow" }, apply({ symlink(name, outside), file("shadow") }))
			assert.same({ f = "f" }, apply({ file("f"), hardlink(name, "f") }))
		end
		assert.same({ f = "f" }, apply({ file("."), file("f") }))
	end)

	describe("P6", function()
		it("hardlinks to files of the host have no target", function()
			for _, to in ipairs({ outside .. "/shadow", ("../"):rep(40) .. outside:sub(2) .. "/shadow" }) do
				refuse("ENOENT", "a hardlink to", { hardlink("mine", to) })
			end
			refuse("ENOENT", "a hardlink to", { symlink("l", outside), hardlink("mine", "l/shadow") })
			refuse("ENOENT", "a hardlink to", { symlink("l", "/.."), hardlink("mine", "l/.." .. outside .. "/shadow") })
		end)

		it("those with absolute targets stay inside", function()
			local found = apply({ file(outside:sub(2) .. "/shadow", "inside"), hardlink("mine", outside .. "/shadow") })
			assert.equal("inside", found.mine)
		end)
	end)

	it("P7 a hardlink to a link changes nothing of what the link names", function()
		local found = apply({
			symlink("l", outside .. "/shadow"),
			{ name = "h", type = "hardlink", linkname = "l", mode = 511, uid = 1, mtime = 5 },
			{ name = "h", type = "file", data = "through", mode = 511 },
		})
		assert.equal(outside .. "/shadow", found.l)
		assert.equal("through", found.h)
	end)

	it("P8 a directory entry of a link's name replaces the link", function()
		local found = apply({ symlink("l", outside), dir("l", 511), symlink("m", outside .. "/shadow"), dir("m", 511) })
		assert.same({ l = "dir", m = "dir" }, found)
	end)

	it("P9 another process that swaps directories for links gets nothing out", function()
		local entries = {}
		for i = 1, 3000 do
			entries[i] = file(("a/b%d/f%d"):format(i % 3, i), "x")
		end
		local img = image(entries)
		shell.sh('mkdir -p "$1/a/b0" "$1/a/b1" "$1/a/b2"', target)
		local script = [[
			import os, sys
			root, outside, stop = sys.argv[1:]
			while not os.path.exists(stop):
			    for name in ("a/b0", "a/b1", "a/b2", "a"):
			        path = root + "/" + name
			        try:
			            os.rename(path, root + "/moved")
			            os.symlink(outside, path)
			            os.unlink(path)
			            os.rename(root + "/moved", path)
			        except OSError:
			            pass
		]]
		local stop = bench.dir:file("stop")
		local swapper = bench.dir:write("swap.py", (script:gsub("\n\t\t\t", "\n"):gsub("^%s+", "")))
		local pipe = assert(io.popen(shell.join({ "python3", "-IS", swapper, target, outside, stop }), "w"))
		for _ = 1, 8 do
			local result, message = img:extract(target, { merge = true, unprivileged = not ROOT })
			assert.is_truthy(result or type(message) == "string")
		end
		shell.write(stop, "")
		pipe:close()
		local now = tree.read(outside)
		-- The swapper itself may move something into the directory that its link names.
		now.moved = nil
		assert.same({}, tree.differences(before, now, function(_, field)
			return field == "mtime"
		end))
	end)

	it("P10 paths that are too long, too deep, or have names that are too long are refused", function()
		refuse("ELIMIT", "directories deep", { file(("d/"):rep(256) .. "f") })
		refuse("ENAMETOOLONG", "a name of more than 255", { file("a/" .. ("n"):rep(256)) })
		local img = image({ file(("long/"):rep(900) .. "f") })
		local result, _, code = img:extract(target)
		assert.is_nil(result)
		assert.equal("ELIMIT", code)
		-- Links make a path that is longer than the kernel takes out of short ones.
		local step = ("d"):rep(250)
		local entries, path = {}, step
		for i = 1, 20 do
			entries[i] = symlink("l" .. i, (i > 1 and "l" .. (i - 1) .. "/" or "") .. step)
			path = "l" .. i
		end
		entries[#entries + 1] = symlink("up", path .. "/" .. ("../"):rep(60) .. outside:sub(2))
		entries[#entries + 1] = file("up/shadow", "mine")
		image(entries):extract(bench.dir:file("chain"), { unprivileged = not ROOT })
		unharmed()
	end)

	it("P11 absolute links that are meant so keep working", function()
		local links = { symlink("var/run", "/run"), symlink("lib64", "/usr/lib64"), symlink("bin", "usr/bin"), dir("run") }
		local files = {
			file("var/run/pid", "1"),
			file("lib64/ld.so", "ld"),
			file("bin/sh", "sh"),
			hardlink("bin/ash", "/bin/sh"),
			file("var/run/.wh.nothing", ""),
		}
		local both = {}
		for _, list in ipairs({ links, files }) do
			for _, entry in ipairs(list) do
				both[#both + 1] = entry
			end
		end
		for _, found in ipairs({ apply(both), apply_by("spec", links, files) }) do
			assert.equal("1", found["run/pid"])
			assert.equal("ld", found["usr/lib64/ld.so"])
			assert.equal("sh", found["usr/bin/sh"])
			assert.equal("sh", found["usr/bin/ash"])
			assert.same({ "/run", "/usr/lib64", "usr/bin" }, { found["var/run"], found.lib64, found.bin })
		end
	end)

	it("P12 names are bytes: case, Unicode forms and drive letters are all different", function()
		local names = { "A", "a", "\195\169", "e\204\129", "C:", "C:\\x", "con" }
		local entries = {}
		for i, name in ipairs(names) do
			entries[i] = file(name, name)
		end
		local found = apply(entries)
		for _, name in ipairs(names) do
			assert.equal(name, found[name])
		end
	end)

	it("P13 nothing of the image is opened: FIFOs and links in the place of /etc/passwd and /dev", function()
		local found = apply({
			{ name = "etc/passwd", type = "fifo", uname = "root" },
			symlink("etc/group", outside .. "/shadow"),
			symlink("dev", outside),
			{ name = "work", type = "fifo" },
		}, { { name = "file", data = "x", uname = "user", gname = "user" }, dir("work"), file("etc/passwd", "new") })
		assert.equal("new", found["etc/passwd"])
		assert.equal("dir", found.work)
	end)

	it("P14 links into /proc lead to the image's own /proc", function()
		local found = apply({
			symlink("cwd", "/proc/self/cwd"),
			symlink("root", "/proc/self/root"),
			symlink("fd", "/proc/self/fd/3"),
			file("cwd/x", "1"),
			file("root/x", "2"),
			file("fd/x", "3"),
		})
		assert.equal("1", found["proc/self/cwd/x"])
		assert.equal("2", found["proc/self/root/x"])
		assert.equal("3", found["proc/self/fd/3/x"])
	end)

	it("P14 the descriptors of an extract are not inherited, and closed", function()
		local img = image({ file("a/b/c"), symlink("l", "/proc/self/fd") })
		assert(img:extract(bench.dir:file("once")))
		local open = process.descriptors()
		assert(img:extract(target))
		assert.equal(open, process.descriptors())
	end)

	-- Of all that is mounted on this machine, where others mount things meanwhile, what is of this spec.
	local function mounted()
		local own = {}
		for line in shell.read("/proc/self/mountinfo"):gmatch("[^\n]+") do
			if line:find(bench.dir.path, 1, true) then
				own[#own + 1] = line
			end
		end
		return own
	end

	it("P15 nothing is ever mounted", function()
		local config = { config = { Volumes = { ["/" .. outside] = { x = 1 } } } }
		local img = bench:open({ { entries = { symlink("data", outside), file("data/x") } } }, { config = config })
		assert(img:extract(target, { unprivileged = not ROOT }))
		assert.same({}, mounted())
		unharmed()
	end)

	it("W1 a whiteout of the empty name is refused", function()
		refuse("EFORMAT", "a whiteout of no name", { dir("d") }, { file(".wh.", "") })
		refuse("EFORMAT", "a whiteout of no name", { file("d/.wh.", "") })
	end)

	it("W2 a whiteout of . is refused, and only the exact marker is one", function()
		refuse("EFORMAT", "a whiteout of no name", { file("d/f") }, { file("d/.wh..", "") })
		local found = apply(
			{ file("d/f"), file("d/.opq", "x"), file("d/.wh", "x") },
			{ file("d/.wh..opq", ""), file("d/.wh..wh..opqx", ""), file("d/.wh..wh.x", "") }
		)
		assert.same({ d = "dir", ["d/f"] = "d/f", ["d/.wh"] = "x" }, found)
	end)

	it("W3 a whiteout of .. is refused", function()
		for _, name in ipairs({ ".wh...", "d/.wh...", "./.wh...", "d/../.wh..." }) do
			refuse("EFORMAT", "a whiteout of no name", { dir("d") }, { file(name, "") })
		end
	end)

	it("W4 whiteouts through links stay inside, and hide nothing where a link leads nowhere", function()
		local lower = {
			symlink("out", outside),
			symlink("shadow", outside .. "/shadow"),
			symlink("dead", "nowhere"),
			symlink("loop", "loop"),
			dir("real"),
			file("real/f"),
			symlink("l", "real"),
			symlink("opaque", outside .. "/dir"),
		}
		local upper = {
			file("out/.wh.shadow", ""),
			file("out/dir/.wh..wh..opq", ""),
			file(".wh.shadow", ""),
			file("dead/.wh.x", ""),
			file("loop/.wh.x", ""),
			file("loop/y/.wh..wh..opq", ""),
			file("l/.wh.f", ""),
			file("opaque/.wh..wh..opq", ""),
		}
		-- Each link on the way becomes a directory.
		assert.same({
			out = "dir", ["out/dir"] = "dir", dead = "dir", loop = "dir", ["loop/y"] = "dir", real = "dir",
			["real/f"] = "real/f", l = "dir", opaque = "dir",
		}, apply(lower, upper))
		assert.same({
			out = outside,
			dead = "nowhere",
			loop = "loop",
			real = "dir",
			l = "real",
			opaque = outside .. "/dir",
		}, apply_by("spec", lower, upper))
	end)

	-- spec/faults/work_spec.lua counts what that takes.
	it("W5 many opaque markers over a big tree leave what is above them", function()
		local lower, upper, path = {}, {}, "d"
		for depth = 1, 120 do
			path = path .. "/d"
			for i = 1, 20 do
				lower[#lower + 1] = file(path .. "/f" .. i, "")
			end
			upper[depth] = file(path .. "/.wh..wh..opq", "")
		end
		for i = 1, 2000 do
			table.insert(upper, 1, file(path .. "/new" .. i, ""))
		end
		for _ = 1, 4000 do
			upper[#upper + 1] = file("d/.wh..wh..opq", "")
		end
		local img = image(lower, upper)
		assert(img:extract(target))
		assert.equal("2121", shell.sh('find "$1" -mindepth 1 | wc -l', target):match("%d+"))
	end)

	it("W6 what is removed is never followed", function()
		local found = apply({
			dir("d"),
			symlink("d/out", outside),
			symlink("d/deep/out", outside .. "/dir"),
			hardlink("d/again", "d/out"),
			dir("e"),
			symlink("e/out", outside),
			symlink("f", outside),
			dir("g/h"),
			symlink("g/h/out", outside),
		}, { file(".wh.d", ""), file("e/.wh..wh..opq", ""), file(".wh.f", ""), file("g", "file") })
		assert.same({ e = "dir", g = "file" }, found)
	end)

	it("W6 what is mounted in the tree is not emptied", function()
		if not ROOT then
			pending("mounting needs root")
			return
		end
		shell.check({ "mkdir", "-p", target .. "/d/m" })
		if shell.run({ "mount", "--bind", outside, target .. "/d/m" }).status ~= 0 then
			pending("nothing can be mounted here")
			return
		end
		local codes = {}
		for i, upper in ipairs({ file(".wh.d", ""), file("d/m/.wh..wh..opq", ""), file("d/.wh.m", ""), file("d") }) do
			local _, _, code = image({ upper }):extract(target, { merge = true })
			codes[i] = code
		end
		shell.check({ "umount", target .. "/d/m" })
		assert.same({ "EBUSY", "EBUSY", "EBUSY", "EBUSY" }, codes)
		unharmed()
	end)

	it("W7 whiteouts of any type and size are whiteouts", function()
		assert.same(
			{ k = "k" },
			apply({ file("a"), file("b"), dir("c"), file("c/x"), file("d"), file("e"), file("k") }, {
				file(".wh.a", "payload"),
				symlink(".wh.b", outside),
				dir(".wh.c"),
				hardlink(".wh.d", "k"),
				{ name = ".wh.e", type = "fifo" },
			})
		)
	end)

	it("X3 nobody looks into a new directory before it is done", function()
		local img = image({ { name = "setuid", data = ("x"):rep(100), mode = 2541 } })
		local seen
		assert(img:extract(target, {
			unprivileged = not ROOT,
			progress = function(done, total)
				if done < total then
					seen = shell.check({ "stat", "-c", "%a", target })
				end
			end,
		}))
		assert.is_true(seen == nil or seen == "700\n")
		assert.equal("755\n", shell.check({ "stat", "-c", "%a", target }))
	end)
end)

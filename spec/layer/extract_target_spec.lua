-- Extracting to a directory: which one, by whom, and what is left when it fails.

local archive = require "spec.support.archive"
local entries_of = require "spec.support.entries"
local child = require "spec.support.child"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local strata = require "strata"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local ROOT = require("spec.support.rights").root
local NOBODY = 65534

local function need_root()
	if not ROOT then
		pending("owners and devices need root")
	end
	return ROOT
end

local dir, file, hardlink = entries_of.dir, entries_of.file, entries_of.hardlink

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

	describe("and the directory:", function()
		it("one that is not there is made, an empty one is taken", function()
			local img = open({ file("f") })
			assert(img:extract(target .. "/"))
			shell.check({ "mkdir", bench.dir:file("empty") })
			assert.equal(bench.dir:file("empty"), assert(img:extract(bench.dir:file("empty"))).path)
			assert.equal("f", shell.read(bench.dir:file("empty/f")))
		end)

		it("one with something in it is refused, unless merge says otherwise", function()
			local img = open({ file("f") })
			shell.check({ "mkdir", target })
			shell.write(target .. "/kept", "kept")
			local result, message, code = img:extract(target)
			assert.is_nil(result)
			assert.equal("ENOTEMPTY", code)
			assert.truthy(message:find(target, 1, true))
			assert(img:extract(target, { merge = true }))
			assert.same({ f = "f", kept = "kept" }, contents(tree.read(target)))
		end)

		it("one that cannot be made or is none is an error that names it", function()
			local img = open({ file("f") })
			shell.write(bench.dir:file("plain"), "")
			for path, expected in pairs({ ["no/such"] = "ENOENT", plain = "ENOTDIR", ["plain/x"] = "ENOTDIR" }) do
				local result, message, code = img:extract(bench.dir:file(path))
				assert.is_nil(result)
				assert.equal(expected, code)
				assert.truthy(message:find(bench.dir:file(path), 1, true), message)
			end
		end)

		it("a failed extract removes what it made, unless keep_partial", function()
			local img = open({ file("a/b"), hardlink("l", "nowhere") })
			assert.is_nil((img:extract(target)))
			assert.is_false(shell.run({ "test", "-e", target }).status == 0)
			shell.check({ "mkdir", target })
			assert.is_nil((img:extract(target)))
			assert.equal("", shell.check({ "ls", "-A", target }))
			assert.is_nil((img:extract(target, { keep_partial = true })))
			assert.equal("a/b", shell.read(target .. "/a/b"))
		end)

		it("a failed merge leaves what was there before", function()
			local img = open({ file("f"), hardlink("l", "nowhere") })
			shell.check({ "mkdir", target })
			shell.write(target .. "/kept", "kept")
			assert.is_nil((img:extract(target, { merge = true })))
			assert.equal("kept", shell.read(target .. "/kept"))
		end)

		it("what is mounted in it is not emptied", function()
			local mount = target .. "/a/b/mount"
			shell.check({ "mkdir", "-p", mount })
			if shell.run({ "mount", "-t", "tmpfs", "tmpfs", mount }).status ~= 0 then
				return pending("nothing can be mounted here")
			end
			shell.write(mount .. "/kept", "kept")
			local told = {}
			for i, entry in ipairs({ file("a"), file("a/b/mount/.wh..wh..opq", "") }) do
				local result, message, code = open({ entry }):extract(target, { merge = true })
				told[i] = { result or message, code }
			end
			local kept = shell.read(mount .. "/kept")
			shell.check({ "umount", mount })
			for i = 1, 2 do
				assert.equal("EBUSY", told[i][2])
				assert.matches("another file system is mounted", told[i][1], 1, true)
			end
			assert.equal("kept", kept)
		end)

		it("labels of the machine in it stay, other attributes do not", function()
			shell.check({ "mkdir", "-p", target .. "/d" })
			local set = "import os, sys\nfor n in ('security.selinux', 'user.k'): os.setxattr(sys.argv[1], n, b'v')"
			if shell.run({ "python3", "-IS", "-c", set, target .. "/d" }).status ~= 0 then
				return pending("such attributes cannot be set here")
			end
			assert(open({ dir("d") }):extract(target, { merge = true }))
			local list = "import os, sys\nprint(*os.listxattr(sys.argv[1]))"
			assert.equal("security.selinux\n", shell.check({ "python3", "-IS", "-c", list, target .. "/d" }))
		end)
	end)

	it("checks every digest, and leaves nothing of a layer whose bytes are not its own", function()
		for _, gzip in ipairs({ false, true }) do
			local zero = ("0"):rep(64)
			local img = bench:open(
				{ { entries = { file("f") }, gzip = gzip } },
				{ config = { rootfs = { type = "layers", diff_ids = { "sha256:" .. zero } } } }
			)
			local result, message, code = img:extract(target)
			assert.is_nil(result)
			assert.equal("EDIGEST", code)
			assert.truthy(message:find("layer 1/1", 1, true) and message:find(zero, 1, true), message)
			assert.is_false(shell.run({ "test", "-e", target }).status == 0)
		end
	end)

	it("gives the edited image, from gzip as from plain layers, with any number of threads", function()
		local before
		for _, gzip in ipairs({ false, true }) do
			for threads = 1, 3 do
				local img = bench:open({
					{ entries = { file("keep", ("x"):rep(500000)), file("drop"), file("own") }, gzip = gzip },
				})
				img:filter(function(entry)
					return entry.path ~= "drop"
				end)
				img:rewrite(function(entry)
					entry.mode = 384
				end)
				target = bench.dir:file(tostring(gzip) .. threads)
				local seen = 0
				assert(img:extract(target, {
					threads = threads,
					progress = function(done, total)
						assert(done <= total)
						seen = seen + 1
					end,
				}))
				assert.is_true(seen > 0)
				local found = tree.read(target)
				assert.is_nil(found.drop)
				assert.equal("0600", found.own.mode)
				assert.same({}, tree.differences(before or found, found))
				before = found
			end
		end
	end)

	it("tells what it did", function()
		if not need_root() then
			return
		end
		local result = assert(open({ file("a", "12345") }, { file(".wh.a", ""), file("b", "1") }):extract(target))
		assert.equal(target, result.path)
		assert.equal("flat", result.mode)
		assert.same({ 2, 3, 6 }, { result.layers, result.entries, result.bytes })
		assert.same({}, result.skipped)
		assert.equal(0, result.skipped_count)
	end)

	it("leaves no descriptor open, whether it ends well or not", function()
		local good, bad = open({ file("a/b") }), open({ file("a/b"), hardlink("l", "x") })
		good:extract(bench.dir:file("first"))
		local before = process.descriptors()
		for i = 1, 5 do
			assert(good:extract(bench.dir:file("good" .. i)))
			assert.is_nil((bad:extract(bench.dir:file("bad" .. i))))
		end
		assert.equal(before, process.descriptors())
	end)

	it("throws for what is no directory name and no option", function()
		local img = open({ file("f") })
		assert.has_error(function()
			img:extract(nil)
		end)
		assert.has_error(function()
			img:extract(target, { mode = "sideways" })
		end)
		assert.has_error(function()
			img.layers[1]:apply(target, { mode = "overlay" })
		end)
	end)

	it("applies a single layer to what is there", function()
		local img = open({ file("a"), file("b") }, { file("c"), file(".wh.a", "") })
		assert(img.layers[1]:apply(target))
		assert(img.layers[2]:apply(target))
		assert.same({ b = "b", c = "c" }, contents(tree.read(target)))
		local result, _, code = img.layers[1]:apply(target, { merge = false })
		assert.is_nil(result)
		assert.equal("ENOTEMPTY", code)
	end)

	describe("by a user", function()
		local SCRIPT = [[
			local strata = require "strata"
			local img = assert(strata.open(arg[1]))
			local result = assert(img:extract(arg[2], { rootless = arg[3] == "rootless" or nil }))
			for _, one in ipairs(result.skipped) do
				print(one.layer, one.what, one.path, one.code, one.name or "")
			end
			print(result.skipped_count)
		]]

		local function extract_as_user(entries, how)
			local _, _, path = bench:open({ { entries = entries } })
			shell.check({ "chmod", "-R", "a+rwX", bench.dir.path, bench.dir.path .. "/.." })
			return child.run({
				script = SCRIPT,
				arguments = { path, target, how },
				wrapper = { "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups" },
			})
		end

		it("does what a user can do and reports the rest", function()
			if not need_root() then
				return
			end
			local done = extract_as_user({
				dir("d", { mode = 365, uid = NOBODY, gid = NOBODY }), -- 0555
				file("d/f", "x", { uid = NOBODY, gid = NOBODY, mode = 2541 }),
				file("root", "x", { mode = 2541 }),
				{ name = "null", type = "char", major = 1, minor = 3, uid = NOBODY, gid = NOBODY },
				file("capable", "x", {
					uid = NOBODY,
					gid = NOBODY,
					pax = { ["SCHILY.xattr.security.capability"] = "\1\0\0\2\0\32\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
				}),
				{ name = "fifo", type = "fifo", uid = NOBODY, gid = NOBODY },
			})
			assert.equal(0, done.status, done.stderr)
			assert.equal(
				"1\towner\troot\tEPERM\t\n1\tmode\troot\tEPERM\t\n1\tdevice\tnull\tEPERM\t\n"
					.. "1\txattr\tcapable\tEPERM\tsecurity.capability\n4\n",
				done.stdout
			)
			local found = tree.read(target)
			assert.equal("0555", found.d.mode)
			assert.equal("4755", found["d/f"].mode)
			assert.equal("0755", found.root.mode)
			assert.is_nil(found.null)
			assert.equal("fifo", found.fifo.type)
		end)

		it("records owners for rootless containers on request", function()
			if not need_root() then
				return
			end
			local probe = bench.dir:write("probe", "")
			if shell.run({ "python3", "-c", "import os,sys; os.setxattr(sys.argv[1], 'user.x', b'')", probe }).status ~= 0 then
				pending("the file system has no attributes of users")
				return
			end
			-- A hardlink with an ID of -1 leaves what its file has.
			local done = extract_as_user({
				file("f", "x", { uid = 1000, gid = 300 }),
				dir("d", { gid = 5 }),
				file("g"),
				{ name = "g2", type = "hardlink", linkname = "g", uid = 1000, pax = { gid = "-1" } },
				file("h"),
				{ name = "h2", type = "hardlink", linkname = "h", gid = 300, pax = { uid = "-1" } },
			}, "rootless")
			assert.equal("0\n", done.stdout, done.stderr)
			local found = tree.read(target)
			for name, owner in pairs({ f = "\8\232\7\16\172\2", d = "\16\5", g = "\8\232\7", h = "\16\172\2" }) do
				assert.equal(owner, found[name].xattrs["user.rootlesscontainers"])
			end
		end)
	end)

	it("says which entry there was no room for", function()
		if not need_root() then
			return
		end
		local mount = bench.dir:file("small")
		shell.check({ "mkdir", mount })
		if shell.run({ "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount }).status ~= 0 then
			pending("nothing can be mounted here")
			return
		end
		local img = open({ file("a/small"), file("a/big", ("x"):rep(200000)) })
		local result, message, code = img:extract(mount)
		local left = shell.check({ "ls", "-A", mount })
		shell.check({ "umount", mount })
		assert.is_nil(result)
		assert.equal("ENOSPC", code)
		assert.truthy(message:find("entry 2 'a/big'", 1, true), message)
		assert.equal("", left)
	end)

	it("is ended by a progress function that throws, and leaves nothing", function()
		local img = open({ file("a/b", ("x"):rep(100000)) })
		assert.has_error(function()
			img:extract(target, {
				progress = function()
					error("enough", 0)
				end,
			})
		end, "enough")
		collectgarbage()
		assert.equal("strata.Image", tostring(strata.open(img.path)):match("^[^(]+"))
	end)
end)

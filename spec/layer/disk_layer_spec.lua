-- Takes seconds: not for make check.
--- strata.layer: layers that are made of directories of the host.

local archive = require "spec.support.archive"
local child = require "spec.support.child"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

local ROOT = require("spec.support.rights").root

describe("strata.layer", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	-- Runs Python with the directory as its working directory.
	local function python(script)
		shell.check({ "python3", "-IS", "-c", "import os\n" .. script, cwd = dir.path })
	end

	-- A directory with everything that a layer can hold.
	local function make_tree(name)
		python(([[
os.makedirs("%s/d/sub"); os.chdir("%s")
open("d/file", "w").write("content")
open("d/big", "wb").write(bytes(range(256)) * 4096)
open("d-e", "w").write("sorts between d and d/file")
open(b"caf\xe9", "w").write("latin")
open("d/empty", "w").close()
os.link("d/file", "again"); os.link("d/file", "d/sub/third")
os.symlink("d/file", "link"); os.symlink("/etc/passwd", "absolute"); os.symlink("nowhere", "d/dangling")
os.mkfifo("fifo")
open("setuid", "w").close()
long = "long" * 30
os.makedirs(long + "/" + long); open(long + "/" + long + "/" + long, "w").write("deep")
with open("sparse", "wb") as f: f.truncate(1 << 20); f.seek(1 << 19); f.write(b"middle")
os.chmod("setuid", 0o4755); os.chmod("d", 0o1777); os.chmod("d/sub", 0o700)
for top, dirs, files in os.walk(".", topdown=False):
    for one in dirs + files:
        os.utime(os.path.join(top, one), (1500000000, 1500000000), follow_symlinks=False)
if os.getuid() == 0:
    os.mknod("null", 0o20666, os.makedev(1, 3)); os.chmod("null", 0o666)
    os.chown("d/empty", 1000, 2000); os.lchown("link", 3, 4)
    os.utime("null", (1500000000, 1500000000))
    os.setxattr("d/file", "trusted.color", b"red\nblue=1"); os.setxattr("d", "trusted.100%%=x", b"1")
]]):format(name, name))
		return dir:file(name)
	end

	-- What an image of the one layer extracts to.
	local function extracted(layer, name)
		local img = strata.new({}):append({ layer = layer })
		local result = assert(img:extract(dir:file(name or "out")))
		assert.same({}, result.skipped)
		return tree.read(dir:file(name or "out"))
	end

	-- The directory itself is not in the layer.
	local function is_top(path)
		return path == "."
	end

	local function plain(layer, name)
		assert(strata.new({}):append({ layer = layer }):export(dir:file("x")))
		local path = dir:file(name or "layer.tar")
		local img = strata.new({}):append({ layer = layer })
		assert(img:save(dir:file("i.tar")))
		shell.check({ "mkdir", "-p", dir:file("unpacked") })
		local unpacked = tarlist.unpack_image(dir:file("i.tar"), { path = dir:file("unpacked"), file = function(_, n)
			return dir:file("unpacked/" .. n)
		end })
		shell.check({ "cp", "-L", unpacked.layers[1], path })
		return path
	end

	local function names(layer)
		local list = {}
		for entry in layer:entries() do
			list[#list + 1] = entry.name
		end
		return list
	end

	describe("from a directory", function()
		it("gives what is in it, entry by entry", function()
			local path = make_tree("src")
			local layer, skipped = assert(strata.layer({ dir = path }))
			assert.is_nil(skipped)
			assert.same({}, tree.differences(tree.read(path), extracted(layer), is_top))
		end)

		it("writes what GNU tar lists, sorted, with links to the first name of a file", function()
			local layer = assert(strata.layer({ dir = make_tree("src") }))
			local listed, paths = tarlist.entries(plain(layer)), {}
			for i, entry in ipairs(listed) do
				paths[i] = entry.path
				assert.is_nil(entry.name:find("^%.?/"))
				assert.equal(entry.type == "dir", entry.name:sub(-1) == "/")
				assert.equal(1500000000, entry.mtime)
			end
			local sorted = {}
			for i, path in ipairs(paths) do
				sorted[i] = path
			end
			table.sort(sorted, function(a, b)
				for i = 1, math.min(#a, #b) do
					if a:byte(i) ~= b:byte(i) then
						return a:byte(i) < b:byte(i)
					end
				end
				return #a < #b
			end)
			assert.same(sorted, paths)
			assert.equal("file", archive.find(listed, "again").type)
			for _, name in ipairs({ "d/file", "d/sub/third" }) do
				local entry = archive.find(listed, name)
				assert.same({ "hardlink", "again" }, { entry.type, entry.linkpath })
			end
			assert.equal(1048576, archive.find(listed, "sparse").size)
		end)

		it("has names of no user, no group and no machine", function()
			local layer = assert(strata.layer({ dir = make_tree("src") }))
			for entry in layer:entries() do
				assert.equal("", entry.uname .. entry.gname)
			end
			local bytes = shell.read(plain(layer))
			assert.is_nil(bytes:find(dir.path, 1, true))
			assert.is_nil(bytes:find("atime", 1, true))
			assert.is_nil(bytes:find("ctime", 1, true))
		end)

		it("gives the same bytes whatever the umask, the locale and the working directory are", function()
			local path = make_tree("src")
			local first = assert(strata.layer({ dir = path })).diff_id
			shell.check({ "cp", "-a", path, dir:file("copy") })
			assert.equal(first, assert(strata.layer({ dir = dir:file("copy") })).diff_id)
			local script = [[print(require("strata").layer({ dir = "src" }).diff_id)]]
			local done = child.run({
				script = script,
				cwd = dir.path,
				env = { LC_ALL = "C.UTF-8", TZ = "Asia/Tokyo" },
				wrapper = { "sh", "-c", 'umask 777; exec "$@"', "sh" },
			})
			assert.equal(first .. "\n", done.stdout, done.stderr)
		end)

		it("leaves the working directory and the umask alone", function()
			local before = shell.check({ "sh", "-c", "readlink /proc/$PPID/cwd" })
			assert(strata.layer({ dir = make_tree("src") }))
			assert.equal(before, shell.check({ "sh", "-c", "readlink /proc/$PPID/cwd" }))
		end)

		it("cuts fractions of seconds off, or keeps them, or sets or clamps the time", function()
			python('os.mkdir("s"); open("s/a", "w"); open("s/b", "w")\n'
				.. 'os.utime("s/a", ns=(1, 1600000000999999999)); os.utime("s/b", ns=(1, -1500000000))')
			local function times(opts)
				opts.dir = dir:file("s")
				local layer = assert(strata.layer(opts))
				local a, b = layer:entry("a"), layer:entry("b")
				return { a.mtime, b.mtime }
			end
			assert.same({ 1600000000, -2 }, times({}))
			assert.same({ 1600000000.999999999, -1.5 }, times({ exact_mtime = true }))
			assert.same({ 7, 7 }, times({ mtime = 7 }))
			assert.same({ 1000, -2 }, times({ clamp_mtime = 1000 }))
		end)

		it("skips sockets, and says so", function()
			python('os.mkdir("s"); import socket; socket.socket(socket.AF_UNIX).bind("s/sock"); open("s/f", "w")')
			local layer, skipped = assert(strata.layer({ dir = dir:file("s") }))
			assert.same({ "f" }, names(layer))
			assert.equal(1, #skipped)
			assert.is_truthy(skipped[1]:find("sock", 1, true))
		end)

		it("leaves out what shows the state of the machine, but not the directory it is mounted on", function()
			python('os.makedirs("s/proc"); open("s/f", "w")')
			if not ROOT or shell.run({ "mount", "-t", "proc", "proc", dir:file("s/proc") }).status ~= 0 then
				return pending("proc cannot be mounted here")
			end
			local layer, skipped = strata.layer({ dir = dir:file("s") })
			shell.check({ "umount", dir:file("s/proc") })
			assert.same({ "f", "proc/" }, names(assert(layer, skipped)))
			assert.is_truthy(skipped[1]:find("'proc'", 1, true), skipped[1])
		end)

		it("gives all names of a file the attributes of the first", function()
			python('os.mkdir("s"); open("s/a", "w"); os.link("s/a", "s/b")')
			local layer = assert(strata.layer({ dir = dir:file("s"), mode = { file = 256 }, owner = function(path)
				return path == "a" and 1 or 2
			end }))
			local b = layer:entry("b")
			assert.same({ "hardlink", 1, 256 }, { b.type, b.uid, b.mode })
		end)

		it("leaves labels of the machine out, and makes capabilities portable", function()
			if not ROOT then
				return pending("owners and devices need root")
			end
			python([[
import struct
os.mkdir("s")
for name in "2", "3", "user": open("s/" + name, "w")
os.setxattr("s/2", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
os.setxattr("s/3", "security.capability", struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, 1000))
os.setxattr("s/3", "trusted.overlay.origin", b"x")
]])
			local layer = assert(strata.layer({ dir = dir:file("s") }))
			local wanted = "\1\0\0\2\0\32\0\0" .. ("\0"):rep(12)
			assert.same({ ["security.capability"] = wanted }, layer:entry("2").xattrs)
			assert.same({ ["security.capability"] = wanted }, layer:entry("3").xattrs)
		end)

		it("puts everything below a place, and maps owners and modes", function()
			python('os.makedirs("s/d"); open("s/d/f", "w"); os.link("s/d/f", "s/g"); os.symlink("f", "s/d/l")\n'
				.. 'os.chmod("s/d", 0o700); os.chmod("s/d/f", 0o600)')
			local uid = tonumber((shell.check({ "id", "-u" })))
			local seen = {}
			local layer = assert(strata.layer({
				dir = dir:file("s"),
				to = "/srv/app/",
				owner = { uid = { [uid] = 33 }, gid = function(path, stat)
					seen[path] = stat.type
					return 44
				end },
				mode = { dir = 493, [384] = 420 },
			}))
			assert.same({ "srv/app/d/", "srv/app/d/f", "srv/app/d/l", "srv/app/g" }, names(layer))
			assert.same({ d = "dir", ["d/f"] = "file", ["d/l"] = "symlink" }, seen)
			assert.equal("srv/app/d/f", layer:entry("srv/app/g").linkpath)
			for entry in layer:entries() do
				assert.same({ 33, 44 }, { entry.uid, entry.gid })
			end
			assert.equal(493, layer:entry("srv/app/d").mode)
			assert.equal(420, layer:entry("srv/app/d/f").mode)
		end)

		it("does not even read what is excluded, nor what is below it", function()
			python('os.makedirs("s/.git/x"); open("s/.git/x/.wh.bad", "w"); open("s/a.o", "w"); open("s/a.c", "w")')
			local asked = {}
			local layer = assert(strata.layer({ dir = dir:file("s"), exclude = function(path, stat)
				asked[#asked + 1] = path .. " " .. stat.type
				return path == ".git" or path:find("%.o$") ~= nil
			end }))
			assert.same({ "a.c" }, names(layer))
			assert.same({ ".git dir", "a.c file", "a.o file" }, asked)
			layer = assert(strata.layer({ dir = dir:file("s"), exclude = ".git" }))
			assert.same({ "a.c", "a.o" }, names(layer))
		end)

		it("moves the content to the next name when the first is excluded", function()
			python('os.mkdir("s"); open("s/a", "w").write("x"); os.link("s/a", "s/b"); os.link("s/a", "s/c")')
			local layer = assert(strata.layer({ dir = dir:file("s"), exclude = "a" }))
			assert.same({ "file", "hardlink", "b" }, { layer:entry("b").type, layer:entry("c").type,
				layer:entry("c").linkpath })
			assert.equal("x", assert(layer:read("c")))
		end)

		it("follows the path that is given, and nothing below it", function()
			python('os.mkdir("s"); os.mkdir("o"); open("o/secret", "w").write("s")\n'
				.. 'os.symlink("../o", "s/l"); os.symlink("s", "there")')
			local layer = assert(strata.layer({ dir = dir:file("there") }))
			assert.same({ "l" }, names(layer))
			assert.same({ "symlink", "../o" }, { layer:entry("l").type, layer:entry("l").linkpath })
		end)

		it("compresses, with the diff_id that the plain layer has", function()
			local path = make_tree("src")
			local plain_one = assert(strata.layer({ dir = path }))
			for _, how in ipairs({ "gzip", "zstd" }) do
				local layer = assert(strata.layer({ dir = path, compression = how }))
				assert.equal(plain_one.diff_id, layer.diff_id)
				assert.equal(how, layer.compression)
				assert.is_true(layer.size < plain_one.size)
				assert.same(names(plain_one), names(layer))
			end
		end)

		it("refuses names that would become whiteouts", function()
			dir:write(".wh.x", "")
			local layer, message, code = strata.layer({ dir = dir.path })
			assert.is_nil(layer)
			assert.equal("EINVAL", code)
			assert.is_truthy(message:find(".wh.x", 1, true), message)
		end)

		it("refuses a whiteout of overlayfs", function()
			if not ROOT then
				return pending("owners and devices need root")
			end
			python('os.mkdir("s"); os.mknod("s/gone", 0o20000, os.makedev(0, 0))')
			local _, message, code = strata.layer({ dir = dir:file("s") })
			assert.equal("EINVAL", code)
			assert.is_truthy(message:find("overlay_upper", 1, true), message)
		end)

		it("says which directory is not there, is a file, or cannot be read", function()
			local _, message, code = strata.layer({ dir = dir:file("no") })
			assert.equal("ENOENT", code)
			assert.is_truthy(message:find(dir:file("no"), 1, true), message)
			assert.equal("ENOTDIR", (select(3, strata.layer({ dir = dir:write("f", "") }))))
			assert.equal("EUNSUPPORTED", (select(3, strata.layer({ dir = "/proc/self" }))))
			if ROOT then
				shell.check({ "mkdir", "-p", dir:file("s/closed") })
				shell.check({ "chmod", "0", dir:file("s/closed") })
				shell.sh('chmod 755 "$(dirname "$1")" "$1"', dir.path)
				local done = child.run({
					script = [[print(require("strata").layer({ dir = arg[1] }))]],
					arguments = { dir:file("s") },
					wrapper = { "setpriv", "--reuid", "65534", "--clear-groups" },
				})
				assert.is_truthy(done.stdout:find("closed.*\tEACCES"), done.stdout .. done.stderr)
			end
		end)

		it("notices that a file was changed, replaced or removed meanwhile", function()
			for _, script in ipairs({
				'open("s/f", "a").write("more")',
				'os.truncate("s/f", 10)',
				'os.rename("s/f", "s/x"); open("s/f", "wb").write(b"x" * 70000)',
				'os.remove("s/f"); os.symlink("/etc/passwd", "s/f")',
				'os.remove("s/f"); os.mkfifo("s/f")',
				'os.remove("s/f")',
			}) do
				shell.check({ "rm", "-rf", dir:file("s") })
				python('os.mkdir("s"); open("s/f", "wb").write(b"x" * 70000)')
				local layer, message, code = strata.layer({ dir = dir:file("s"), owner = function()
					if script then
						python(script)
						script = nil
					end
					return 0, 0
				end })
				assert.is_nil(layer)
				assert.is_truthy(code == "ESTALE" or code == "ENOENT", tostring(code))
				assert.is_truthy(message:find("'f'", 1, true), message)
			end
		end)

		it("notices that a directory became a link to another one", function()
			python('os.makedirs("s/d"); open("s/d/f", "w"); os.makedirs("o"); open("o/secret", "w")')
			local layer, message, code = strata.layer({ dir = dir:file("s"), exclude = function(path)
				if path == "d" then
					python('os.rename("s/d", "was"); os.symlink("../o", "s/d")')
				end
				return false
			end })
			assert.is_nil(layer)
			assert.equal("ESTALE", code, message)
		end)

		it("keeps to its limit of entries", function()
			python('os.mkdir("s"); [open("s/%d" % i, "w") for i in range(10)]')
			local layer, message, code = strata.layer({ dir = dir:file("s"), limits = { entries = 9 } })
			assert.is_nil(layer)
			assert.equal("ELIMIT", code)
			assert.is_truthy(message:find("limits.entries", 1, true), message)
			assert(strata.layer({ dir = dir:file("s"), limits = { entries = 10 } }))
		end)

		it("ends in an error, not in a crash, where paths are too long", function()
			python('os.mkdir("s"); os.chdir("s")\nfor i in range(40): os.mkdir("n" * 200); os.chdir("n" * 200)')
			local layer, message, code = strata.layer({ dir = dir:file("s") })
			assert.is_nil(layer)
			assert.equal("ELIMIT", code, message)
		end)

		it("makes an empty layer of an empty directory", function()
			local layer = assert(strata.layer({ dir = dir.path }))
			assert.is_true(layer.empty)
			assert.same({}, names(layer))
		end)

		it("leaves no descriptor open", function()
			local path = make_tree("src")
			local function count()
				collectgarbage()
				collectgarbage()
				return tonumber((shell.check({ "sh", "-c", "ls /proc/$PPID/fd | wc -l" })))
			end
			assert(strata.layer({ dir = path }))
			local before = count()
			for _ = 1, 5 do
				assert(strata.layer({ dir = path }))
			end
			assert.equal(before, count())
		end)
	end)

	describe("of the difference of two directories", function()
		-- The lower directory in an image, the difference on it: all of it must be as the upper one.
		local function check(lower, upper, opts)
			opts = opts or {}
			opts.lower, opts.upper = lower, upper
			local layer = assert(strata.layer(opts))
			local img = strata.new({}):append({ dir = lower }):append({ layer = layer })
			local path = dir:file("result")
			shell.check({ "rm", "-rf", path })
			assert(img:extract(path))
			-- The image of the lower directory says nothing of the directory itself.
			local ignored = not layer:entry(".") and is_top or nil
			assert.same({}, tree.differences(tree.read(upper), tree.read(path), ignored))
			return layer
		end

		local CHANGES = [[
os.remove("u/d/empty"); os.remove("u/link"); os.remove("u/fifo")
open("u/d/file", "a").write("more")
open("u/d/new", "w").write("new")
os.chmod("u/setuid", 0o600)
os.remove("u/d-e"); os.mkdir("u/d-e"); open("u/d-e/in", "w")
import shutil
shutil.rmtree("u/" + "long" * 30)
os.remove("u/d/sub/third"); open("u/d/sub/third", "w").write("alone")
os.link("u/d/big", "u/also-big")
os.makedirs("u/deep/er/est"); os.symlink("er", "u/deep/l")
for top, dirs, files in os.walk("u"):
    for one in dirs + files:
        st = os.lstat(os.path.join(top, one))
        if st.st_mtime_ns % 10**9: os.utime(os.path.join(top, one), (1700000000, 1700000000), follow_symlinks=False)
os.utime("u", (1700000000, 1700000000)); os.utime("l", (1600000000, 1600000000))
]]

		it("turns the lower one into the upper one", function()
			shell.check({ "cp", "-a", make_tree("l"), dir:file("u") })
			python(CHANGES)
			local layer = check(dir:file("l"), dir:file("u"))
			local listed = {}
			for _, name in ipairs(names(layer)) do
				listed[name] = true
			end
			assert.is_nil(listed["caf\233"])
			assert.is_true(listed[".wh.link"])
			assert.is_true(listed["d/.wh.empty"])
			assert.is_nil(listed[".wh.d-e"]) -- there is something else of the name
			assert.is_true(listed[".wh." .. ("long"):rep(30)])
		end)

		it("says nothing of equal directories", function()
			shell.check({ "cp", "-a", make_tree("l"), dir:file("u") })
			assert.same({}, names(check(dir:file("l"), dir:file("u"))))
			assert.same({}, names(assert(strata.layer({ lower = dir:file("l"), upper = dir:file("l") }))))
		end)

		it("has whiteouts before their siblings and below nothing that is gone", function()
			python('os.makedirs("l/d/e"); open("l/d/e/f", "w"); open("l/d/z", "w"); open("l/!a", "w")\n'
				.. 'os.makedirs("u/d"); open("u/d/!first", "w")\n'
				.. 'os.utime("u", (5, 5))')
			local layer = assert(strata.layer({ lower = dir:file("l"), upper = dir:file("u"), mtime = 1 }))
			assert.same({ "./", ".wh.!a", "d/", "d/.wh.e", "d/.wh.z", "d/!first" }, names(layer))
		end)

		it("trusts equal times only where they have fractions of seconds, unless it is told to compare", function()
			python('os.makedirs("l"); os.makedirs("u")\nfor d in "lu":\n'
				.. '    for n, t in ("whole", 5 * 10**9), ("exact", 5 * 10**9 + 7):\n'
				.. '        open(d + "/" + n, "w").write(d + "1"); os.utime(d + "/" + n, ns=(t, t))\n'
				.. '    os.utime(d, (1, 1))')
			local function changed(opts)
				opts.lower, opts.upper = dir:file("l"), dir:file("u")
				return names(assert(strata.layer(opts)))
			end
			assert.same({ "whole" }, changed({}))
			assert.same({ "exact", "whole" }, changed({ content = true }))
		end)

		it("notices owners and extended attributes", function()
			if not ROOT then
				return pending("owners and devices need root")
			end
			python('os.makedirs("l")\nfor n in "abcd": open("l/" + n, "w")\nos.setxattr("l/c", "trusted.x", b"1")\n'
				.. 'os.setxattr("l/d", "trusted.x", b"1")')
			shell.check({ "cp", "-a", dir:file("l"), dir:file("u") })
			python('os.setxattr("u/c", "trusted.x", b"2"); os.removexattr("u/d", "trusted.x"); os.setxattr("u/b", '
				.. '"trusted.y", b"1")\nfor n in "bcd": os.utime("u/" + n, ns=(1, os.stat("l/" + n).st_mtime_ns))')
			assert.same({ "b", "c", "d" }, names(assert(strata.layer({ lower = dir:file("l"), upper = dir:file("u") }))))
			python('os.chown("u/a", 1, 1)')
			assert.equal(1, strata.layer({ lower = dir:file("l"), upper = dir:file("u") }):entry("a").uid)
		end)

		it("is the same for what is excluded from both", function()
			python('os.makedirs("l/x"); os.makedirs("u/y")\nfor d in "lu": os.utime(d, (1, 1))')
			local pair = { lower = dir:file("l"), upper = dir:file("u"), exclude = { pattern = "^[xy]$" } }
			local layer = assert(strata.layer(pair))
			assert.same({}, names(layer))
		end)
	end)

	describe("of the upper directory of an overlay", function()
		if not ROOT then
			return
		end

		it("makes whiteouts and opaque markers of those of overlayfs", function()
			python([[
os.makedirs("up/opaque/sub"); os.makedirs("up/plain"); os.mkdir("up/x")
for n in "up/gone", "up/plain/gone2", "up/opaque/needless": os.mknod(n, 0o20000, os.makedev(0, 0))
open("up/plain/xattr", "w").close(); os.setxattr("up/plain/xattr", "trusted.overlay.whiteout", b"y")
os.setxattr("up/opaque", "trusted.overlay.opaque", b"y"); os.setxattr("up/plain", "trusted.overlay.opaque", b"x")
os.setxattr("up/plain", "trusted.overlay.origin", b"abc"); os.setxattr("up/plain", "trusted.overlay.impure", b"y")
os.setxattr("up/x", "trusted.overlay.overlay.mine", b"kept"); os.setxattr("up/x", "user.overlay.opaque", b"y")
open("up/opaque/file", "w").write("f")
]])
			local layer = assert(strata.layer({ overlay_upper = dir:file("up") }))
			assert.same({ ".wh.gone", "opaque/", "opaque/.wh..wh..opq", "opaque/file", "opaque/sub/", "plain/",
				"plain/.wh.gone2", "plain/.wh.xattr", "x/", "x/.wh..wh..opq" }, names(layer))
			assert.same({ ["trusted.overlay.mine"] = "kept" }, layer:entry("x").xattrs)
			assert.same({}, layer:entry("plain").xattrs)
			local moved = assert(strata.layer({ overlay_upper = dir:file("up"), to = "/sub" }))
			assert.equal("sub/.wh.gone", names(moved)[1])
		end)

		for _, mark in ipairs({ "redirect", "metacopy" }) do
			it("refuses what has its content elsewhere: " .. mark, function()
				python(('os.makedirs("up/d"); os.setxattr("up/d", "trusted.overlay.%s", b"/x")'):format(mark))
				local layer, message, code = strata.layer({ overlay_upper = dir:file("up") })
				assert.is_nil(layer)
				assert.equal("EUNSUPPORTED", code)
				assert.is_truthy(message:find("overlay." .. mark, 1, true), message)
			end)
		end
	end)

	describe("gives a layer that", function()
		local function sample()
			python('os.makedirs("s/d"); open("s/d/f", "w").write("content"); os.symlink("f", "s/d/l")')
			return assert(strata.layer({ dir = dir:file("s") }))
		end

		it("says what it is", function()
			local layer = sample()
			assert.is_truthy(tostring(layer):find("^strata.Layer%(standalone, sha256:%x+, .*, none%)$"), tostring(layer))
			assert.is_nil(layer.position)
			assert.is_nil(layer.chain_id)
			assert.is_nil(layer.created_by)
			assert.equal(layer.diff_id, layer.digest)
			assert.is_truthy(layer:tree():find("f", 1, true))
			assert.equal("content", assert(layer:read("d/f")))
			assert.is_truthy(strata.help(layer):find("diff_id", 1, true))
		end)

		it("can be filtered and rewritten, before and after it is in an image", function()
			local layer = sample()
			local before = layer.diff_id
			assert(layer:filter(function(entry) return entry.type ~= "symlink" end))
			assert(layer:rewrite(function(entry) entry.uid = 5 end))
			assert.not_equal(before, layer.diff_id)
			local img = strata.new({}):append({ layer = layer })
			assert.equal(layer.diff_id, img.layers[1].diff_id)
			img.layers[1]:entry("d/f").uid = 6
			assert.equal(5, layer:entry("d/f").uid)
			assert.not_equal(layer.diff_id, img.layers[1].diff_id)
			local _, removed = assert(layer:remove("d/f"))
			assert.equal(1, #removed)
			assert.is_nil(layer:entry("d/f"))
		end)

		it("can be applied to a directory", function()
			assert(sample():apply(dir:file("out")))
			assert.equal("content", shell.read(dir:file("out/d/f")))
		end)

		it("keeps whiteouts that hide nothing by themselves", function()
			local layer = assert(strata.layer({ files = { a = "" } }))
			assert.is_nil(layer:entry(".wh.x"))
			python('os.makedirs("l"); os.makedirs("u"); open("l/x", "w"); open("u/y", "w")')
			layer = assert(strata.layer({ lower = dir:file("l"), upper = dir:file("u") }))
			layer:filter(function(entry) return entry.path ~= "y" end)
			assert.is_truthy(layer:entry(".wh.x"))
		end)
	end)

	it("takes modes as numbers and as octal digits", function()
		shell.sh('cd "$1"; mkdir s; touch s/f s/g; chmod 600 s/f; chmod 644 s/g', dir.path)
		local function modes(mode)
			local list = {}
			for entry in assert(strata.layer({ dir = dir:file("s"), mode = mode })):entries() do
				list[#list + 1] = ("%s %04o"):format(entry.path, entry.mode)
			end
			return table.concat(list, ", ")
		end
		assert.equal("f 0400, g 4755", modes({ file = "4755", ["0600"] = "400" }))
		assert.equal("f 0400, g 4755", modes({ file = 2541, [384] = 256 }))
		assert.equal("f 1777, g 0644", modes(function(path) return path == "f" and "1777" or nil end))
		assert.error_matches(function() modes({ fil = "0644" }) end, "^mode: 'fil' is no mode, nor 'file' or 'dir'$")
		assert.error_matches(function() modes({ file = "0884" }) end,
			'^mode: that of \'file\' should be a whole number from 0 to 4095, or octal digits such as "0755"$')
		assert.error_matches(function() modes(function() return "x" end) end, "^mode: that of 'f' should be")
	end)

	it("throws what makes no sense", function()
		local path = dir.path
		for _, bad in ipairs({
			"x", {}, { dir = 1 }, { dir = path, tar = path }, { upper = path }, { lower = path }, { dir = path, at = 1 },
			{ dir = path, created_by = "x" }, { dir = path, oner = {} }, { dir = path, owner = 1 },
			{ dir = path, owner = { user = 1 } }, { dir = path, mtime = 1, clamp_mtime = 2 },
			{ dir = path, compression = "xz" }, { dir = path, content = true }, { dir = path, exclude = 1 },
			{ dir = path, exclude = { pattern = "[" } }, { dir = path, exclude = {} },
			{ dir = path, to = "a\0b" }, { files = {}, exclude = "x" }, { dir = path .. "\0" }, { dir = path, level = 1.5 },
		}) do
			assert.error(function() strata.layer(bad) end)
		end
		dir:write("f", "")
		assert.error_matches(function()
			strata.layer({ dir = path, exclude = function() end })
		end, "exclude: the function returned nil for 'f'")
		for _, bad in ipairs({ -1, 2 ^ 32, 1.5, "0" }) do
			assert.error(function() strata.layer({ dir = path, owner = { uid = bad } }) end)
			assert.error(function() strata.layer({ dir = path, mode = function() return bad == "0" and "8" or bad end }) end)
			assert.error(function() strata.layer({ dir = path, mode = { file = bad == "0" and "010000" or bad } }) end)
		end
		assert.error_matches(function()
			strata.layer({ dir = path, exclude = function() error("stop", 0) end })
		end, "stop")
	end)
end)

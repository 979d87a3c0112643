local archive = require "strata.archive"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

-- Every type of entry, without the need to be root.
local MTREE = [[
#mtree
./etc type=dir mode=0755 uid=0 gid=0 uname=root gname=root time=1600000000.0
./etc/passwd type=file mode=4755 uid=1000 gid=70000 uname=app gname=users time=1600000001.0 contents=passwd
./etc/link type=link mode=0777 uid=0 gid=0 time=1600000002.0 link=../passwd
./dev/null type=char mode=0666 uid=0 gid=0 time=1600000003.0 device=native,1,3
./dev/disk type=block mode=0660 uid=0 gid=6 time=1600000004.0 device=native,8,17
./run/pipe type=fifo mode=0600 uid=0 gid=0 time=1600000005.0
]]

local function by_path(entries)
	local map = {}
	for _, entry in ipairs(entries) do
		map[entry.path:gsub("^%./", ""):gsub("/$", "")] = entry
	end
	return map
end

local function paths(entries)
	local list = {}
	for i, entry in ipairs(entries) do
		list[i] = entry.path:gsub("^%./", ""):gsub("/$", "")
	end
	table.sort(list)
	return list
end

describe("archive.entries", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function bsdtar(name, ...)
		shell.check({ "bsdtar", "-c", "-f", name, cwd = dir.path, ... })
		return dir:file(name)
	end

	local function gnutar(name, ...)
		shell.check({ "tar", "-c", "-f", name, cwd = dir.path, env = { LC_ALL = "C.UTF-8" }, ... })
		return dir:file(name)
	end

	it("tells every type of entry with its fields", function()
		dir:write("passwd", "root:x:0:0\n")
		dir:write("spec.mtree", MTREE)
		local entries = by_path(assert(archive.entries(bsdtar("a.tar", "--format=ustar", "@spec.mtree"))))

		local file = entries["etc/passwd"]
		assert.equal("file", file.type)
		assert.equal(tonumber("4755", 8), file.mode)
		assert.equal(1000, file.uid)
		assert.equal(70000, file.gid)
		assert.equal("app", file.uname)
		assert.equal("users", file.gname)
		assert.equal(11, file.size)
		assert.equal(1600000001, file.mtime)
		assert.is_nil(file.linkpath)
		assert.is_nil(file.major)
		assert.is_nil(file.digest)
		assert.is_nil(file.warning)
		assert.same({}, file.xattrs)

		assert.equal("dir", entries.etc.type)
		assert.equal("symlink", entries["etc/link"].type)
		assert.equal("../passwd", entries["etc/link"].linkpath)
		assert.equal("char", entries["dev/null"].type)
		assert.equal(1, entries["dev/null"].major)
		assert.equal(3, entries["dev/null"].minor)
		assert.equal("block", entries["dev/disk"].type)
		assert.equal(8, entries["dev/disk"].major)
		assert.equal(17, entries["dev/disk"].minor)
		assert.equal("fifo", entries["run/pipe"].type)
	end)

	it("keeps the order of the archive and entries that come twice", function()
		dir:write("b", "1")
		dir:write("a", "2")
		local path = gnutar("x.tar", "b", "a", "b", "--hard-dereference")
		local list = {}
		for i, entry in ipairs(assert(archive.entries(path))) do
			list[i] = entry.path
		end
		assert.same({ "b", "a", "b" }, list)
	end)

	it("tells hardlinks and what they point to", function()
		dir:write("one", "content")
		shell.check({ "ln", "one", "two", cwd = dir.path })
		local entries = by_path(assert(archive.entries(gnutar("x.tar", "one", "two"), { digest = true })))
		assert.equal("file", entries.one.type)
		assert.equal("hardlink", entries.two.type)
		assert.equal("one", entries.two.linkpath)
		assert.is_nil(entries.two.digest)
	end)

	it("gives digests of contents on demand", function()
		dir:write("empty", "")
		dir:write("big", ("0123456789abcdef"):rep(100000))
		local entries = by_path(assert(archive.entries(gnutar("x.tar", "empty", "big"), { digest = true })))
		for _, name in ipairs({ "empty", "big" }) do
			assert.equal("sha256:" .. shell.sha256(dir:file(name)), entries[name].digest)
		end
	end)

	it("reads the holes of sparse files as zeros", function()
		shell.sh([[
			cd "$1"
			truncate -s 3M holes
			printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
		]], dir.path)
		for _, format in ipairs({ "gnu", "pax" }) do
			local path = gnutar(format .. ".tar", "-S", "--format=" .. format, "holes")
			local entry = assert(archive.entries(path, { digest = true }))[1]
			assert.equal(3 * 1024 * 1024, entry.size)
			assert.equal("sha256:" .. shell.sha256(dir:file("holes")), entry.digest)
		end
	end)

	it("gives times with their fraction and before 1970", function()
		dir:write("new", "")
		dir:write("old", "")
		shell.check({ "touch", "-d", "@1600000000.25", "new", cwd = dir.path })
		shell.check({ "touch", "-d", "@-86400", "old", cwd = dir.path })
		local entries = by_path(assert(archive.entries(gnutar("x.tar", "--format=pax", "new", "old"))))
		assert.equal(1600000000.25, entries.new.mtime)
		assert.equal(-86400, entries.old.mtime)
	end)

	it("gives extended attributes as bytes", function()
		dir:write("file", "")
		local path = gnutar("x.tar", "--format=pax", "--pax-option=SCHILY.xattr.user.note:=a value", "file")
		assert.same({ ["user.note"] = "a value" }, assert(archive.entries(path))[1].xattrs)
	end)

	for _, filter in ipairs({ "--gzip", "--bzip2", "--xz", "--zstd", "--lz4", "--lzma", "--compress" }) do
		it("reads a tar packed with " .. filter:sub(3), function()
			dir:write("file", "content")
			local entries = assert(archive.entries(bsdtar("x", filter, "file"), { digest = true }))
			assert.same({ "file" }, paths(entries))
			assert.equal("sha256:" .. shell.sha256(dir:file("file")), entries[1].digest)
		end)
	end

	for _, format in ipairs({ "zip", "cpio", "newc", "7zip", "xar", "iso9660" }) do
		it("reads " .. format, function()
			shell.check({ "mkdir", dir:file("in") })
			dir:write("in/file", "some content")
			local entries = by_path(assert(archive.entries(bsdtar("x", "--format=" .. format, "in"), { digest = true })))
			assert.equal("dir", entries["in"].type)
			assert.equal("file", entries["in/file"].type)
			assert.equal("sha256:" .. shell.sha256(dir:file("in/file")), entries["in/file"].digest)
		end)
	end

	for _, format in ipairs({ "ustar", "gnu", "pax" }) do
		it("keeps the bytes of names that are not ASCII in " .. format, function()
			local names = { "gr\195\188n", "\233t\233", "\255" }
			for _, name in ipairs(names) do
				dir:write(name, "")
			end
			table.sort(names)
			local path = gnutar("x.tar", "--format=" .. format, names[1], names[2], names[3])
			assert.same(names, paths(assert(archive.entries(path))))
		end)
	end

	it("says what libarchive warned of with the entry", function()
		dir:write("gr\195\188n", "")
		-- A record of its own: GNU tar writes it only where the header cannot hold the name.
		local long = ("gr\195\188n"):rep(40)
		dir:write(long, "")
		local entries = assert(archive.entries(gnutar("x.tar", "--format=pax", long)))
		assert.equal(long, entries[1].path)
		assert.equal(1, #entries[1].warning)
		assert.matches("locale", entries[1].warning[1])
	end)

	it("finds nothing in an empty file and in an empty archive", function()
		assert.same({}, archive.entries(dir:write("empty", "")))
		assert.same({}, archive.entries(gnutar("x.tar", "-T", "/dev/null")))
	end)

	it("fails with ENOENT when there is no such file", function()
		local entries, message, code = archive.entries(dir:file("missing\27"))
		assert.is_nil(entries)
		assert.equal("ENOENT", code)
		assert.matches("missing\\x1b': open: No such file or directory", message, 1, true)
	end)

	it("fails with EISDIR when it is a directory", function()
		local entries, _, code = archive.entries(dir.path)
		assert.is_nil(entries)
		assert.equal("EISDIR", code)
	end)

	it("fails with EFORMAT when it is no archive", function()
		local entries, message, code = archive.entries(dir:write("text", ("some text\n"):rep(1000)))
		assert.is_nil(entries)
		assert.equal("EFORMAT", code)
		assert.matches("Unrecognized archive format", message, 1, true)
	end)

	it("does not take a text for a description of files to open", function()
		dir:write("passwd", "secret")
		local entries, _, code = archive.entries(dir:write("spec.mtree", MTREE))
		assert.is_nil(entries)
		assert.equal("EFORMAT", code)
	end)

	it("fails with EFORMAT when the file is truncated", function()
		dir:write("a", ("x"):rep(5000))
		dir:write("b", ("y"):rep(5000))
		local path = gnutar("x.tar", "a", "b")
		local whole = shell.read(path)
		for _, size in ipairs({ 512 + 100, 512 + 5120 + 100, 512 + 5120 + 512 + 100 }) do
			local entries, message, code = archive.entries(dir:write("cut", whole:sub(1, size)), { digest = true })
			assert.is_nil(entries)
			assert.equal("EFORMAT", code)
			assert.matches("Truncated", message, 1, true)
		end
		local packed = shell.read(bsdtar("x.tgz", "--gzip", "a", "b"))
		local entries, _, code = archive.entries(dir:write("cut", packed:sub(1, -20)), { digest = true })
		assert.is_nil(entries)
		assert.equal("EFORMAT", code)
	end)

	it("closes its file at once, found or failed", function()
		local good = gnutar("x.tar", "-T", "/dev/null")
		local bad = dir:write("text", ("some text\n"):rep(1000))
		collectgarbage("stop") -- or it would close them later
		for _ = 1, 300 do
			assert(archive.entries(good))
			assert(not archive.entries(bad))
		end
		local leaked = io.open("/proc/self/fd/250")
		collectgarbage("restart")
		assert.is_nil(leaked)
	end)

	it("throws when it is misused", function()
		assert.has_error(function()
			archive.entries()
		end)
		assert.has_error(function()
			archive.entries("a\0b")
		end)
		assert.has_error(function()
			archive.entries("x", "digest")
		end)
	end)
end)

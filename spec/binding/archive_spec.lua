local archive = require "strata.archive"
local core = require "strata.core"
local process = require "spec.support.process"
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

-- Everything that archive.contents gives: the fields of each entry, and `data` of those with content.
local function read(path, opts)
	local file = assert(core.open_file(path))
	local reader, message, code = archive.contents(file, opts)
	file:close()
	if not reader then
		return nil, message, code
	end
	local entries = {}
	while true do
		local entry
		entry, message, code = reader:next()
		if not entry then
			reader:close()
			return not message and entries or nil, message, code
		end
		entries[#entries + 1] = entry
		if entry.content then
			local to = assert(core.temp_file())
			local size
			size, message, code = reader:copy(to, 0)
			if not size then
				reader:close()
				return nil, message, code
			end
			entry.data = size == 0 and "" or assert(to:read(0, size))
			to:close()
		end
	end
end

describe("archive.contents", function()
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
		local entries = by_path(assert(read(bsdtar("a.tar", "--format=ustar", "@spec.mtree"))))

		local file = entries["etc/passwd"]
		assert.equal("file", file.type)
		assert.equal(tonumber("4755", 8), file.mode)
		assert.equal(1000, file.uid)
		assert.equal(70000, file.gid)
		assert.equal("app", file.uname)
		assert.equal("users", file.gname)
		assert.equal(11, file.size)
		assert.equal("root:x:0:0\n", file.data)
		assert.equal(1600000001, file.mtime)
		assert.is_nil(file.linkpath)
		assert.is_nil(file.major)
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
		for i, entry in ipairs(assert(read(path))) do
			list[i] = entry.path
		end
		assert.same({ "b", "a", "b" }, list)
	end)

	it("tells hardlinks and what they point to", function()
		dir:write("one", "content")
		shell.check({ "ln", "one", "two", cwd = dir.path })
		local entries = by_path(assert(read(gnutar("x.tar", "one", "two"))))
		assert.equal("file", entries.one.type)
		assert.equal("hardlink", entries.two.type)
		assert.equal("one", entries.two.linkpath)
		assert.is_nil(entries.two.data)
	end)

	it("reads the holes of sparse files as zeros", function()
		shell.sh([[
			cd "$1"
			truncate -s 3M holes
			printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
		]], dir.path)
		for _, format in ipairs({ "gnu", "pax" }) do
			local path = gnutar(format .. ".tar", "-S", "--format=" .. format, "holes")
			local entry = assert(read(path))[1]
			assert.equal(3 * 1024 * 1024, entry.size)
			assert.is_true(entry.data == shell.read(dir:file("holes")))
		end
	end)

	it("gives times with their fraction and before 1970", function()
		dir:write("new", "")
		dir:write("old", "")
		shell.check({ "touch", "-d", "@1600000000.25", "new", cwd = dir.path })
		shell.check({ "touch", "-d", "@-86400", "old", cwd = dir.path })
		local entries = by_path(assert(read(gnutar("x.tar", "--format=pax", "new", "old"))))
		assert.same({ 1600000000, 250000000 }, { entries.new.mtime, entries.new.mtime_nsec })
		assert.equal(-86400, entries.old.mtime)
	end)

	it("gives extended attributes as bytes", function()
		dir:write("file", "")
		local path = gnutar("x.tar", "--format=pax", "--pax-option=SCHILY.xattr.user.note:=a value", "file")
		assert.same({ ["user.note"] = "a value" }, assert(read(path))[1].xattrs)
	end)

	for _, format in ipairs({ "zip", "cpio", "newc", "7zip", "xar", "iso9660" }) do
		it("reads " .. format, function()
			shell.check({ "mkdir", dir:file("in") })
			dir:write("in/file", "some content")
			local path = bsdtar("x", "--format=" .. format, "in")
			local entries = by_path(assert(read(path, { max_dictionary = math.huge })))
			assert.equal("dir", entries["in"].type)
			assert.equal("file", entries["in/file"].type)
			assert.equal("some content", entries["in/file"].data)
		end)
	end

	it("undoes compress alone: what has a dictionary goes through archive.decompress, or the core", function()
		dir:write("file", "content")
		assert.same({ "file" }, paths(assert(read(bsdtar("x", "--compress", "file")))))
		for _, filter in ipairs({ "--gzip", "--bzip2", "--xz", "--zstd", "--lz4", "--lzma", "--lzip" }) do
			assert.equal("EFORMAT", select(3, read(bsdtar("x", filter, "file"))), filter)
		end
	end)

	for _, format in ipairs({ "ustar", "gnu", "pax" }) do
		it("keeps the bytes of names that are not ASCII in " .. format, function()
			local names = { "gr\195\188n", "\233t\233", "\255" }
			for _, name in ipairs(names) do
				dir:write(name, "")
			end
			table.sort(names)
			local path = gnutar("x.tar", "--format=" .. format, names[1], names[2], names[3])
			assert.same(names, paths(assert(read(path))))
		end)
	end

	it("finds nothing in an empty file and in an empty archive", function()
		assert.same({}, read(dir:write("empty", "")))
		assert.same({}, read(gnutar("x.tar", "-T", "/dev/null")))
	end)

	it("fails with EFORMAT when it is no archive", function()
		local entries, message, code = read(dir:write("text", ("some text\n"):rep(1000)))
		assert.is_nil(entries)
		assert.equal("EFORMAT", code)
		assert.matches("Unrecognized archive format", message, 1, true)
	end)

	it("does not take a text for a description of files to open", function()
		dir:write("passwd", "secret")
		local entries, _, code = read(dir:write("spec.mtree", MTREE))
		assert.is_nil(entries)
		assert.equal("EFORMAT", code)
	end)

	it("fails with EFORMAT when the file is truncated", function()
		dir:write("a", ("x"):rep(5000))
		dir:write("b", ("y"):rep(5000))
		local path = gnutar("x.tar", "a", "b")
		local whole = shell.read(path)
		for _, size in ipairs({ 512 + 100, 512 + 5120 + 100, 512 + 5120 + 512 + 100 }) do
			local entries, message, code = read(dir:write("cut", whole:sub(1, size)))
			assert.is_nil(entries)
			assert.equal("EFORMAT", code)
			assert.matches("Truncated", message, 1, true)
		end
	end)

	it("throws when it is misused", function()
		local file = assert(core.open_file(dir:write("empty", "")))
		local options = { 1, { max_bytes = -1 }, { max_dictionary = {} } }
		for _, wrong in ipairs({ {}, { "a path" }, { file, options[1] }, { file, options[2] }, { file, options[3] } }) do
			assert.has_error(function()
				archive.contents(wrong[1], wrong[2])
			end)
		end
		file:close()
	end)
end)

describe("archive.decompress", function()
	local TEXT
	local dir

	setup(function()
		TEXT = shell.check({ "seq", "100000" })
	end)

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- By the program that the compression has its name from, where there is one.
	local PACKERS = {
		xz = "xz -c plain >packed",
		bzip2 = "bzip2 -c plain >packed",
		lz4 = "lz4 -q -c plain >packed",
		lzma = "xz --format=lzma -c plain >packed",
	}

	local function packed(compression, bytes)
		dir:write("plain", bytes)
		shell.sh(('cd "$1"; %s; rm plain'):format(PACKERS[compression]), dir.path)
		return dir:file("packed")
	end

	local function read_all(reader, size)
		local chunks = {}
		while true do
			local chunk, message, code = reader:read(size)
			if not chunk then
				return not message and table.concat(chunks) or nil, message, code
			end
			chunks[#chunks + 1] = chunk
		end
	end

	-- What reading gives, or the error of opening or of reading.
	local function decompress(source, compression, opts)
		local reader, message, code = archive.decompress(source, compression, opts)
		if not reader then
			return nil, message, code
		end
		local bytes
		bytes, message, code = read_all(reader)
		reader:close()
		return bytes, message, code
	end

	local function fails(expected, source, compression, opts)
		local bytes, message, code = decompress(source, compression, opts)
		assert.is_nil(bytes)
		assert.equal(expected, code)
		return message
	end

	for _, compression in ipairs({ "xz", "bzip2", "lz4", "lzma" }) do
		it("reads " .. compression, function()
			local path = packed(compression, TEXT)
			assert.is_true(#shell.read(path) < #TEXT)
			assert.is_true(decompress(path, compression) == TEXT)
		end)

		it("reads nothing out of nothing in " .. compression, function()
			assert.equal("", decompress(packed(compression, ""), compression))
		end)

		it("fails when " .. compression .. " is truncated", function()
			local whole = shell.read(packed(compression, TEXT))
			for _, size in ipairs({ #whole - 1, #whole - 4, math.floor(#whole / 2), 20, 7 }) do
				fails("EFORMAT", dir:write("cut", whole:sub(1, size)), compression)
			end
		end)

		it("fails when something stands behind " .. compression, function()
			local whole = shell.read(packed(compression, TEXT))
			fails("EFORMAT", dir:write("junk", whole .. "junk of more than a few bytes"), compression)
		end)

		it("fails when it is not " .. compression, function()
			for _, bytes in ipairs({ TEXT, "", "x", ("\0"):rep(100) }) do
				fails("EFORMAT", dir:write("text", bytes), compression)
			end
			local other = packed(compression == "xz" and "bzip2" or "xz", TEXT)
			fails("EFORMAT", other, compression)
		end)
	end

	for _, compression in ipairs({ "xz", "bzip2", "lz4" }) do
		it("fails when a byte of " .. compression .. " is wrong", function()
			local whole = shell.read(packed(compression, TEXT))
			local middle = math.floor(#whole / 2)
			local wrong = string.char((whole:byte(middle) + 1) % 256)
			fails("EFORMAT", dir:write("bad", whole:sub(1, middle - 1) .. wrong .. whole:sub(middle + 1)), compression)
		end)

		it("reads streams of " .. compression .. " one behind the other", function()
			local one = shell.read(packed(compression, TEXT))
			local path = dir:write("two", one .. shell.read(packed(compression, "more")))
			assert.is_true(decompress(path, compression) == TEXT .. "more")
		end)

		it("stops at max_bytes of " .. compression, function()
			local path = packed(compression, TEXT)
			assert.is_true(decompress(path, compression, { max_bytes = #TEXT }) == TEXT)
			local message = fails("ELIMIT", path, compression, { max_bytes = #TEXT - 1 })
			assert.matches(("inflates to more than %d bytes (max_bytes)"):format(#TEXT - 1), message, 1, true)
			fails("ELIMIT", path, compression, { max_bytes = 0 })
		end)
	end

	it("takes off one compression only", function()
		local once = shell.read(packed("xz", TEXT))
		assert.is_true(decompress(packed("xz", once), "xz") == once)
	end)

	it("does not let a bomb go off", function()
		local path = dir:file("bomb")
		shell.sh('head -c 64M /dev/zero | xz -1 -c >"$1"', path)
		local reader = assert(archive.decompress(path, "xz", { max_bytes = 1000000 }))
		local total = 0
		local chunk, _, code
		repeat
			chunk, _, code = reader:read(65536)
			total = total + (chunk and #chunk or 0)
		until not chunk
		assert.equal("ELIMIT", code)
		assert.is_true(total <= 1000000)
		assert.is_true(reader:consumed() < 100000)
		reader:close()
	end)

	it("gives as many bytes as are wanted", function()
		local reader = assert(archive.decompress(packed("xz", "0123456789"), "xz"))
		assert.equal("0", reader:read(1))
		assert.equal("1234", reader:read(4))
		assert.equal("56789", reader:read(100))
		assert.same({ n = 1 }, { n = select("#", reader:read(1)), (reader:read(1)) })
		reader:close()
	end)

	it("gives the same error again", function()
		local reader = assert(archive.decompress(packed("xz", TEXT), "xz", { max_bytes = 10 }))
		local _, message, code = reader:read()
		assert.same({ n = 3, nil, message, code }, { n = select("#", reader:read()), reader:read() })
		reader:close()
	end)

	it("tells how far it is", function()
		local path = packed("bzip2", TEXT)
		local reader = assert(archive.decompress(path, "bzip2"))
		assert(read_all(reader))
		assert.equal(#shell.read(path), reader:consumed())
		reader:close()
	end)

	it("reads a strata.File, without a name and wherever its position is", function()
		local bytes = shell.read(packed("lz4", TEXT))
		local file = assert(core.temp_file())
		assert(file:write(0, bytes))
		assert.is_true(decompress(file, "lz4") == TEXT)
		local reader = assert(archive.decompress(file, "lz4"))
		file:close()
		assert.is_true(read_all(reader) == TEXT)
		reader:close()
	end)

	it("can be written on to a file", function()
		local reader = assert(archive.decompress(packed("xz", TEXT), "xz"))
		local file = assert(core.temp_file())
		for chunk in function() return reader:read() end do
			assert(file:write(file:size(), chunk))
		end
		reader:close()
		assert.is_true(file:read(0, file:size()) == TEXT)
		file:close()
	end)

	it("fails for what is no regular file", function()
		shell.check({ "mkfifo", dir:file("fifo") })
		fails("EUNSUPPORTED", dir:file("fifo"), "xz")
		fails("EUNSUPPORTED", "/dev/null", "xz")
		fails("EISDIR", dir.path, "xz")
		local message = fails("ENOENT", dir:file("missing\27"), "xz")
		assert.matches("missing\\x1b': No such file or directory", message, 1, true)
	end)

	it("closes its file at once, found or failed", function()
		local good, bad = packed("xz", "x"), dir:write("text", "x")
		local before = process.descriptors()
		collectgarbage("stop") -- or it would close them later
		for _ = 1, 20 do
			assert.equal("x", decompress(good, "xz"))
			fails("EFORMAT", bad, "xz")
		end
		local after = process.descriptors()
		collectgarbage("restart")
		assert.equal(before, after)
	end)

	it("says what it is, and that it is closed", function()
		local path = packed("xz", "x")
		local reader = assert(archive.decompress(path, "xz"))
		assert.equal(("strata.archive.Decompressor('%s')"):format(path), tostring(reader))
		reader:close()
		reader:close()
		assert.equal("strata.archive.Decompressor(closed)", tostring(reader))
		assert.has_error(function()
			reader:read()
		end, "attempt to use a closed strata.archive.Decompressor")
	end)

	it("throws when it is misused", function()
		local path = packed("xz", "x")
		local closed = assert(core.temp_file())
		closed:close()
		for _, wrong in ipairs({
			{ n = 0 }, { path }, { path, "gzip" }, { path, "compress" }, { path, "lzip" }, { path .. "\0", "xz" }, { 1, "xz" },
			{ {}, "xz" }, { io.stdout, "xz" }, { closed, "xz" }, { path, "xz", 1 }, { path, "xz", { max_bytes = -1 } },
			{ path, "xz", { max_bytes = {} } },
		}) do
			assert.has_error(function()
				archive.decompress(wrong[1], wrong[2], wrong[3])
			end)
		end
		local reader = assert(archive.decompress(path, "xz"))
		for _, wrong in ipairs({ 0, -1, 0.5, 2 ^ 40, "x" }) do
			assert.has_error(function()
				reader:read(wrong)
			end)
		end
		reader:close()
	end)
end)

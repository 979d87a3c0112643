-- Takes seconds: not for make check.
-- Tars that are made to be read in two ways, or to keep a reader busy. Each name begins with the row of the list of
-- known attacks that it stands for.

local archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local rawtar = require "spec.support.rawtar"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local tar, entry, pax, long, header = rawtar.tar, rawtar.entry, rawtar.pax, rawtar.long, rawtar.header
local KIB = ("x"):rep(1024)
local corpus = os.getenv("STRATA_CORPUS")

describe("hostile tars:", function()
	local dir, images

	before_each(function()
		dir, images = tmp.dir(tmp.for_peers()), {}
	end)

	after_each(function()
		for _, img in ipairs(images) do
			img:close()
		end
		dir:remove()
	end)

	--- An image with one layer of these bytes; `stored` is how they are stored, plain unless given.
	local function image(bytes, opts, stored)
		local config = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}'
		local built = archive.new()
		built:add("config.json", config:format(archive.sha256(bytes))):add("layer.tar", stored or bytes)
		built:add("manifest.json", '[{"Config":"config.json","Layers":["layer.tar"]}]')
		local img = assert(strata.open(built:write(dir:file(("image%d.tar"):format(#images + 1))), opts))
		images[#images + 1] = img
		return img
	end

	--- "name size" of each entry, or nil and the error.
	local function list(bytes, opts, stored)
		local rows = {}
		local ok, message = pcall(function()
			for one in image(bytes, opts, stored).layers[1]:entries() do
				rows[#rows + 1] = ("%s %d"):format(one.name, one.size)
			end
		end)
		if not ok then
			return nil, message
		end
		return rows
	end

	local function report(bytes)
		return assert(strata.check_tar(dir:write("checked.tar", bytes), { severity = "note" }))
	end

	local function finding(bytes, code)
		local found = report(bytes)
		for _, one in ipairs(found) do
			if one.code == code then
				return one
			end
		end
		error("no finding " .. code .. ":\n" .. tostring(found))
	end

	--- It is read in one way, a check tells of another, and strict refuses it.
	local function differential(code, expected, bytes)
		assert.same(expected, list(bytes))
		local one = finding(bytes, code)
		assert.equal("error", one.severity)
		local rows, message = list(bytes, { strict = true })
		assert.is_nil(rows)
		assert.truthy(message:find("[" .. code .. "]", 1, true), message)
		return one
	end

	local function refuse(code, part, bytes, opts, stored)
		local layer = image(bytes, opts, stored).layers[1]
		local content, message, got = layer:read("file", 10)
		refusal.expect(content, message, got)
		assert.equal(code, got, message)
		assert.truthy(message:find(part, 1, true), message)
		assert.truthy(message:find("layer 1/1", 1, true), message)
		assert.is_false((pcall(layer.entries, layer)))
		return message
	end

	local function from_corpus(name)
		if not corpus then
			pending("STRATA_CORPUS is not set")
			return nil
		end
		return shell.read(corpus .. "/" .. name)
	end

	local hidden = entry({ name = "hidden" }, ("h"):rep(10))

	describe("T1", function()
		it("T1: a PAX size over the header's 0 makes the inner archive content", function()
			local bytes = tar(pax({ "size", "1024" }), header({ name = "outer", size = 0 }), hidden, entry({ name = "last" }))
			local one = differential("size-overridden", { "outer 1024", "last 0" }, bytes)
			assert.equal(1, one.entry)
			assert.equal(0, one.offset)
			assert.equal("outer", one.path)
		end)

		it("T1: the public one is read as Go reads it, and told", function()
			local bytes = from_corpus("hostile/astral-sh-pax-header-precedence.tar")
			if bytes then
				finding(bytes, "size-overridden")
				assert.equal(3, #list(bytes))
			end
		end)
	end)

	it("T2: a PAX size of 0 over the header's n makes the content entries", function()
		local bytes = tar(pax({ "size", "0" }), header({ name = "outer", size = 1024 }), hidden, entry({ name = "last" }))
		differential("size-overridden", { "outer 0", "hidden 10", "last 0" }, bytes)
	end)

	describe("T3", function()
		local bytes = tar(pax({ "size", "2048" }), long("L", "longname.txt"), entry({ name = "short" }, KIB .. KIB))

		it("T3: a PAX size before a long name belongs to the file", function()
			differential("mixed-extensions", { "longname.txt 2048" }, bytes)
		end)

		it("T3: the public ones are read as Go reads them", function()
			local public = from_corpus("hostile/astral-sh-pax-overrides-extension-header.tar")
			if not public then
				return
			end
			assert.same({ "longname.txt 2048", "file_b 0" }, list(public))
			finding(public, "mixed-extensions")
			public = from_corpus("hostile/astral-sh-pax-hidden-entry.tar")
			assert.same({ "file_a 1536", "file_b 0", "hidden 73" }, list(public))
			public = from_corpus("hostile/astral-sh-pax-phantom-entry.tar")
			assert.same({ "file_a 512", "file_b 1536" }, list(public))
		end)
	end)

	describe("T4", function()
		it("T4: two kinds of long names for one entry, and headers of no entry, are refused", function()
			local file = entry({ name = "file" })
			refuse("EFORMAT", "both a GNU long name", tar(pax({ "path", "pax" }), long("L", "gnu"), file))
			refuse("EFORMAT", "both a GNU long name", tar(long("L", "gnu"), pax({ "path", "pax" }), file))
			refuse("EFORMAT", "belong to no entry", tar(file, pax({ "path", "pax" })))
			refuse("EFORMAT", "belong to no entry", tar(file, long("L", "gnu")))
			refuse("EFORMAT", "belong to no entry", file .. pax({ "path", "pax" }))
			refuse("EFORMAT", "before a global header", tar(pax({ "path", "a" }), pax({ "comment", "b" }, "g"), file))
		end)

		it("T4: of two path records the last counts, and it is told", function()
			differential("duplicate-record", { "two 0" }, tar(pax({ "path", "one", "path", "two" }), header({})))
			local bytes = tar(pax({ "path", "one" }), pax({ "path", "two" }), header({}))
			differential("repeated-extension", { "two 0" }, bytes)
		end)

		it("T4: records that do not end where they say are refused, and none is read for ever", function()
			for _, text in ipairs({
				"13 path=name",
				"0 path=name\n",
				"00 a=b\n",
				"99 path=name\n",
				"5 path=name\n",
				"-13 path=name\n",
				"+13 path=name\n",
				"path=name\n",
				"9 pathna\n",
				"5 =b\n",
				"99999999999999999999999 a=b\n",
				" ",
				"\0\0\0",
			}) do
				refuse("EFORMAT", "PAX record", tar(pax(text), header({})))
			end
		end)

		it("T4: numbers with a sign, a space or other digits are refused", function()
			for _, value in ipairs({ "+5", "-5", " 5", "5 ", "0x5", "5.0", "1e1", ("9"):rep(30) }) do
				for _, key in ipairs({ "size", "uid", "gid" }) do
					refuse("EFORMAT", "PAX record " .. key, tar(pax({ key, value }), header({})))
				end
			end
		end)

		it("T4: sparse records that are no map are told", function()
			local records = { "GNU.sparse.major", "7", "GNU.sparse.minor", "7", "GNU.sparse.realsize", "1000" }
			differential("sparse-ignored", { "file 0" }, tar(pax(records), header({})))
		end)

		it("T4: the public ones are refused", function()
			for _, name in ipairs({
				"hostile/astral-sh-diff-014-unterminated-pax.tar",
				"hostile/astral-sh-diff-024-pending-pax-boundary.tar",
				"hostile/astral-sh-diff-039-truncated-entry-body.tar",
				"tars/golang-issue12435.tar",
				"tars/golang-pax-bad-hdr-file.tar",
				"tars/golang-pax-path-hdr.tar",
			}) do
				local bytes = from_corpus(name)
				if not bytes then
					return
				end
				assert.is_nil((list(bytes)), name)
				assert.is_truthy(finding(bytes, "unreadable").offset)
			end
		end)
	end)

	describe("T5", function()
		it("T5: NUL in the names of records is refused", function()
			for _, key in ipairs({ "path", "linkpath", "uname", "gname", "GNU.sparse.name" }) do
				refuse("EFORMAT", "NUL in the PAX record " .. key, tar(pax({ key, "ok\0evil" }), header({})))
			end
			refuse("EFORMAT", "NUL in the key", tar(pax({ "SCHILY.xattr.user.a\0b", "x" }), header({})))
			local bytes = tar(pax({ "SCHILY.xattr.user.a", "x\0y" }), header({}))
			assert.equal("x\0y", image(bytes).layers[1]:entry("file").xattrs["user.a"])
		end)

		it("T5: what is behind the NUL of a long name is told", function()
			differential("nul-in-name", { "ok 0" }, tar(long("L", "ok\0evil"), header({})))
		end)

		it("T5: the public ones are refused", function()
			for _, name in ipairs({ "tars/golang-pax-nul-path.tar", "tars/golang-pax-nul-xattrs.tar" }) do
				local bytes = from_corpus(name)
				if bytes then
					assert.is_nil((list(bytes)))
				end
			end
		end)
	end)

	describe("T6", function()
		it("T6: sizes below zero and beyond all measure are refused", function()
			local negative = { ("\255"):rep(12), "-3", "-0000000003", "\255" .. ("\0"):rep(11) }
			for _, size in ipairs(negative) do
				for _, kind in ipairs({ "0", "x", "L", "K", "g", "S", "Z" }) do
					local message = refuse("EFORMAT", "size", tar(header({ size = size, type = kind }), header({})))
					assert.truthy(message:find("tar entry 1", 1, true), message)
				end
			end
			for _, size in ipairs({ "\128" .. ("\255"):rep(11), "\128\0\0\0\127" .. ("\255"):rep(7) }) do
				for _, kind in ipairs({ "0", "S", "Z" }) do
					refuse("EFORMAT", "size", tar(header({ size = size, type = kind }), header({})))
				end
			end
		end)

		it("T6: the public one is refused", function()
			local bytes = from_corpus("tars/golang-neg-size.tar")
			if bytes then
				assert.is_nil((list(bytes)))
			end
		end)
	end)

	it("T7: extension headers of gigabytes are refused before they are read", function()
		for _, kind in ipairs({ "x", "L", "K", "g" }) do
			for _, size in ipairs({ 1048577, 8589934591, rawtar.base256(2 ^ 40, 12) }) do
				refuse("ELIMIT", "limits.extension", tar(header({ size = size, type = kind }), header({})))
			end
			local fits = header({ size = 1048576, type = kind })
			local _, message = list(fits)
			assert.truthy(message:find("ends inside a header", 1, true), message)
		end
		local many = {}
		for i = 1, 5 do
			many[i] = entry({ type = "x" }, rawtar.record("comment", ("x"):rep(1000000)))
		end
		refuse("ELIMIT", "before one entry", tar(table.concat(many), header({})))
	end)

	describe("T8", function()
		it("T8: maps of more extents than the limit are refused", function()
			local block = ("00000000000\00000000000000\0"):rep(21) .. "\1" .. ("\0"):rep(7)
			local first = { type = "S", magic = rawtar.GNU, prefix = ("\0"):rep(137) .. "\1" }
			refuse("ELIMIT", "limits.sparse", tar(header(first), block:rep(3200), header({})))
			local map = ("0,0,"):rep(65537) .. "0,0"
			local records =
				{ "GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.numblocks", "65538", "GNU.sparse.map", map }
			refuse("ELIMIT", "limits.sparse", tar(pax(records), header({})))
		end)

		it("T8: a map in front of the content is read no further than the limit", function()
			local records = { "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "10" }
			for text, code in pairs({
				["99999999\n"] = "ELIMIT",
				["1\n0\n"] = "EFORMAT",
				["-1\n"] = "EFORMAT",
				["1\n5\n10\n"] = "EFORMAT",
				["2\n5\n1\n0\n1\n"] = "EFORMAT",
				[("1"):rep(600)] = "EFORMAT",
			}) do
				local bytes = tar(pax(records), entry({}, text))
				local content, message, got = image(bytes).layers[1]:read("file")
				refusal.expect(content, message, got)
				assert.equal(code, got, message)
				assert.equal("error", finding(bytes, "sparse-map").severity)
			end
		end)
	end)

	it("T9: a terabyte of holes is a size, and nothing that is read or kept", function()
		local size = ("%.0f"):format(2 ^ 40)
		local records = { "GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.numblocks", "0" }
		records[#records + 1] = "GNU.sparse.size"
		records[#records + 1] = size
		local img = image(tar(pax(records), header({})))
		local one = img.layers[1]:entry("file")
		assert.equal(2 ^ 40, one.size)
		assert.equal(("\0"):rep(16), one:read(16, 2 ^ 39))
		assert.equal(("\0"):rep(16), img.layers[1]:read("file", 16))
		-- This would take an hour, were the holes read.
		assert.equal("note", finding(shell.read(dir:write("t9.tar", tar(pax(records), header({})))), "sparse").severity)
	end)

	describe("T10", function()
		local bytes = tar(entry({}, "x")) .. ("\0"):rep(64 * 1024 * 1024)

		it("T10: zeros behind the end stream through, and count for the diff_id", function()
			assert.same({ "file 1" }, list(bytes, nil, archive.gzip(bytes)))
			assert.is_true(images[1]:verify())
		end)

		it("T10: they count against the limit", function()
			refuse("ELIMIT", "1048576", bytes, { limits = { bytes = 1048576 } }, archive.gzip(bytes))
		end)
	end)

	describe("T11", function()
		it("T11: a bomb ends at the limit of bytes", function()
			local bytes = tar(entry({}, ("\0"):rep(8 * 1024 * 1024)))
			for _, command in ipairs({ "gzip -9nc", "zstd -qc" }) do
				local stored = oci_layout.filter(bytes, command)
				assert.is_true(#stored * 100 < #bytes)
				refuse("ELIMIT", "65536", bytes, { limits = { bytes = 65536 } }, stored)
				assert.same({ "file 8388608" }, list(bytes, nil, stored))
			end
		end)

		it("T11: a big bomb ends at the limit of the ratio", function()
			local size = 257 * 1024 * 1024
			local command = ("{ cat; head -c %d /dev/zero; } | zstd -1 -qc"):format(size)
			local stored = oci_layout.filter(header({ size = size }), command)
			refuse("ELIMIT", "limits.ratio", "", nil, stored)
			refuse("ELIMIT", "limits.ratio (100)", "", { limits = { ratio = 100 } }, stored)
		end)

		it("T11: a zstd window beyond the limit is refused", function()
			local bytes = tar(entry({}, ("\0"):rep(1024 * 1024)))
			local stored = oci_layout.filter(bytes, "zstd -qc --ultra --long=31 -3")
			local rows, message = list(bytes, { limits = { zstd_window = 65536 } }, stored)
			assert.is_nil(rows)
			assert.truthy(message:find("window", 1, true), message)
		end)

		it("T11: empty gzip members in their thousands are as nothing", function()
			local bytes = tar(entry({}, "x"))
			local stored = archive.gzip(""):rep(100000) .. archive.gzip(bytes)
			assert.same({ "file 1" }, list(bytes, nil, stored))
			refuse("ELIMIT", "limits.members (1000)", bytes, { limits = { members = 1000 } }, stored)
		end)
	end)

	it("T12: entries, names and extension headers have limits with a name", function()
		local many = {}
		for i = 1, 1000 do
			many[i] = header({ name = "f" .. i })
		end
		local bytes = tar(table.concat(many))
		refuse("ELIMIT", "limits.entries (999)", bytes, { limits = { entries = 999 } })
		assert.equal(1000, #list(bytes, { limits = { entries = 1000 } }))
		refuse("ELIMIT", "limits.path (4096)", tar(long("L", ("n"):rep(4097)), header({})))
		refuse("ELIMIT", "limits.path (150)", tar(long("L", ("n"):rep(151)), header({})), { limits = { path = 150 } })
		refuse("ELIMIT", "limits.path", tar(long("K", ("n"):rep(4097)), header({ type = "2" })))
		local records = {}
		for i = 1, 20000 do
			records[#records + 1] = rawtar.record("SCHILY.xattr.user.x" .. i, ("v"):rep(20))
		end
		local xattrs = tar(entry({ type = "x" }, table.concat(records)), header({}))
		assert.equal(1, #list(xattrs))
		refuse("ELIMIT", "limits.extension (100000)", xattrs, { limits = { extension = 100000 } })
	end)

	it("T13: a prefix under GNU magic is joined as Go does, and told", function()
		local first = header({ name = "one", prefix = "pre", magic = rawtar.GNU })
		local bytes = tar(first, header({ name = "two", magic = rawtar.GNU }))
		differential("gnu-prefix", { "pre/one 0", "two 0" }, bytes)
		if corpus then
			finding(from_corpus("tars/golang-invalid-go17.tar"), "gnu-prefix")
		end
	end)

	it("T14: a global header renames and resizes nothing, and is told", function()
		for _, records in ipairs({ { "path", "evil" }, { "size", "512" }, { "linkpath", "evil" } }) do
			local bytes = tar(pax(records, "g"), entry({ name = "one" }, "x"), header({ name = "two" }))
			differential("global-override", { "one 1", "two 0" }, bytes)
		end
		local harmless = report(tar(pax({ "comment", "harmless" }, "g"), header({})))
		assert.equal(1, #harmless)
		assert.equal("warning global-header", harmless[1].severity .. " " .. harmless[1].code)
		if corpus then
			local public = from_corpus("tars/golang-pax-global-records.tar")
			assert.equal(4, #list(public))
			finding(public, "global-override")
		end
	end)

	it("T15: of a file, a link and a file of one path the last is all that is left", function()
		local outside = dir:write("outside", "kept")
		local bytes = tar(
			entry({ name = "file" }, "first"),
			header({ name = "file", type = "2", linkname = outside }),
			entry({ name = "file" }, "last")
		)
		differential("duplicate-path", { "file 5", "file 0", "file 4" }, bytes)
		local img = images[1]
		assert.equal("last", img.layers[1]:read("file"))
		assert.equal("last", assert(img:rootfs()):read("file"))
		assert(img:extract(dir:file("rootfs")))
		assert.equal("last", shell.read(dir:file("rootfs/file")))
		assert.equal("kept", shell.read(outside))
		local twice = tar(header({ name = "d", type = "5" }), header({ name = "d/", type = "5" }))
		assert.equal("warning", finding(twice, "duplicate-path").severity)
	end)

	describe("T16", function()
		it("T16: numbers fill their fields, with white space or without an end", function()
			local cases = {
				[{ mtime = "77777777777 " }] = 8 ^ 11 - 1,
				[{ mtime = "777777777777" }] = 8 ^ 12 - 1,
				[{ mtime = "          7 " }] = 7,
				[{ mtime = "\0\0\0\0\0\0\0\0\0\0\0007" }] = 7,
				[{ mtime = (" "):rep(12) }] = 0,
			}
			for fields, seconds in pairs(cases) do
				assert.equal(seconds, image(tar(header(fields))).layers[1]:entry("file").mtime)
			end
			refuse("EFORMAT", "mtime is not a number", tar(header({ mtime = "1 1" })))
			refuse("EFORMAT", "mode is not a number", tar(header({ mode = "abc" })))
			refuse("EFORMAT", "uid or gid is not a number", tar(header({ uid = "8" })))
			refuse("EFORMAT", "mode is not a number", tar(header({ type = "x", mode = "9" }), header({})))
			for _, key in ipairs({ "mtime", "atime", "ctime" }) do
				for _, value in ipairs({ "x", "1.x", "1.2.3", ".5", "-", " 1" }) do
					refuse("EFORMAT", ("PAX record %s is no time"):format(key), tar(pax({ key, value }), header({})))
				end
			end
		end)

		it("T16: names fill their fields without an end", function()
			local full, prefix = ("n"):rep(100), ("p"):rep(155)
			assert.same({ full .. " 0" }, list(tar(header({ name = full }))))
			assert.same({ prefix .. "/" .. full .. " 0" }, list(tar(header({ name = full, prefix = prefix }))))
			local img = image(tar(header({ type = "2", linkname = ("l"):rep(100) })))
			assert.equal(("l"):rep(100), img.layers[1]:entry("file").linkpath)
		end)

		it("T16: a tar that ends anywhere is listed or refused", function()
			local first = pax({ "path", "a/b", "size", "700" }) .. entry({ size = 0 }, ("x"):rep(700))
			local bytes = tar(first, long("K", "target"), header({ type = "2" }))
			for cut = 0, #bytes - 1, 31 do
				local found = report(bytes:sub(1, cut))
				assert.is_true(#found > 0, cut)
			end
			assert.equal("size-overridden", report(bytes)[1].code)
		end)
	end)

	it("T17: devices out of range are refused, and of modes the permissions count", function()
		for _, major in ipairs({ ("\255"):rep(8), rawtar.base256(2 ^ 32, 8) }) do
			refuse("EFORMAT", "device number out of range", tar(header({ type = "3", major = major })))
			refuse("EFORMAT", "device number out of range", tar(header({ type = "4", minor = major })))
			assert.same({ "file 0" }, list(tar(header({ major = major }))))
		end
		refuse("EFORMAT", "out of range", tar(header({ mode = ("\255"):rep(8) })))
		local img = image(tar(header({ mode = "7777777" }), header({ name = "d", type = "5", mode = "0106755" })))
		assert.equal(4095, img.layers[1]:entry("file").mode)
		assert.equal(3565, img.layers[1]:entry("d").mode)
		assert.same({ "device" }, (function()
			local path = dir:write("d.tar", tar(header({ type = "3", major = 1, minor = 3 })))
			local codes = {}
			for _, one in ipairs(assert(strata.check_tar(path, { privileged = true }))) do
				codes[#codes + 1] = one.code
			end
			return codes
		end)())
	end)

	it("T18: names with escapes are raw in fields, and harmless in all that is printed", function()
		local evil = "a\27]0;owned\7\nb\r\127"
		local bytes = tar(header({ name = evil }), header({ name = "l", type = "2", linkname = evil }))
		local img = image(bytes)
		local layer = img.layers[1]
		assert.equal(evil, layer:entry(evil).path)
		assert.equal(evil, layer:entry("l").linkpath)
		local printed = { tostring(layer:entry(evil)), tostring(layer:entry("l")), tostring(layer), tostring(img) }
		printed[#printed + 1] = img:tree():gsub("\n", "")
		printed[#printed + 1] = select(2, layer:read(evil .. "not"))
		for _, line in ipairs({ tostring(finding(bytes, "control-character")), tostring(report(bytes)):gsub("\n", "") }) do
			printed[#printed + 1] = line
		end
		for _, text in ipairs(printed) do
			assert.is_nil(tostring(text):find("[%z\1-\31\127]"), text)
		end
	end)

	describe("T19", function()
		it("T19: a second archive behind the end is not read, and told", function()
			local bytes = tar(header({ name = "one" })) .. tar(header({ name = "two" }))
			differential("data-after-end", { "one 0" }, bytes)
		end)

		it("T19: a lone zero block is told, and what follows it is refused", function()
			differential("lone-zero-block", { "one 0" }, header({ name = "one" }) .. ("\0"):rep(512))
			refuse("EFORMAT", "a zero block, then more data", header({ name = "file" }) .. ("\0"):rep(512) .. tar(header({})))
		end)
	end)

	it("T20: a bad checksum in the middle ends the reading, and nothing is looked for behind it", function()
		local bad = header({ name = "two", checksum = "0000001\0" })
		local bytes = tar(header({ name = "one" }), bad, header({ name = "three" }))
		refuse("EFORMAT", "bad header checksum", bytes)
		local one = finding(bytes, "unreadable")
		assert.equal(2, one.entry)
		assert.equal(512, one.offset)
		assert.equal("error", one.severity)
	end)
end)

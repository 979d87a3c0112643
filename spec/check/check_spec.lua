-- img:check, layer:check, strata.check_tar, and the option `strict`.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local rawtar = require "spec.support.rawtar"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local tar, entry, header, pax = rawtar.tar, rawtar.entry, rawtar.header, rawtar.pax

-- All that a check can tell.
local NOTES = { severity = "note" }

local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	collectgarbage()
	dir:remove()
end)

--- An archive of an image whose layers have these bytes.
local function archive_of(...)
	local built, ids, names = archive.new(), {}, {}
	for i, bytes in ipairs({ ... }) do
		ids[i], names[i] = "sha256:" .. archive.sha256(bytes), "layer" .. i
		built:add(names[i], bytes)
	end
	local config = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":%s}}'
	built:add("config.json", config:format(archive.list(ids)))
	built:add("manifest.json", ('[{"Config":"config.json","Layers":%s}]'):format(archive.list(names)))
	return built
end

local function open(...)
	return assert(strata.open(archive_of(...):write(dir:file("image.tar"))))
end

local function check_tar(bytes, opts)
	return assert(strata.check_tar(dir:write("checked.tar", bytes), opts or NOTES))
end

-- "severity code entry" of each finding.
local function rows(report)
	local list = {}
	for i, one in ipairs(report) do
		list[i] = one.severity .. " " .. one.code .. (one.entry and " " .. one.entry or "")
	end
	return list
end

local function file(name, data)
	return entry({ name = name }, data)
end

local function directory(name)
	return header({ name = name, type = "5" })
end

local function symlink(name, to)
	return header({ name = name, type = "2", linkname = to })
end

local function hardlink(name, to)
	return header({ name = name, type = "1", linkname = to })
end

local GNU_PREFIX = header({ name = "one", prefix = "pre", magic = rawtar.GNU })

-- What is true of a file of some writer, and harms nobody: the attestation that Docker 29 names here has no config.
local HARMLESS = { ["unreferenced-blob"] = true, ["absolute-name"] = true, ["missing-image"] = true }

describe("a check", function()
	it("finds nothing in an image of any writer", function()
		local made = archive.image({ layers = archive.layers(2) })
		for _, name in ipairs(dialects.names()) do
			local img = assert(strata.open(dialects.of[name](made):write(dir:file("image.tar")), { strict = true }))
			local report = assert(img:check(NOTES))
			for _, one in ipairs(report) do
				assert.equal("note", one.severity, name .. ": " .. tostring(one))
				assert.truthy(HARMLESS[one.code], tostring(one))
			end
			img:close()
		end
	end)

	it("tells a history that is too long for Docker, and has a note of a short one", function()
		local made = archive.image({ layers = archive.layers(2) })
		for count, severity in pairs({ [1] = "note", [2] = "none", [3] = "warning" }) do
			local history = {}
			for i = 1, count do
				history[i] = '{"created_by":"step"}'
			end
			local config = made.config:gsub('"history":%b[]', '"history":[' .. table.concat(history, ",") .. "]")
			local built = archive.new({ { name = "config", data = config } })
			built:add("1", made.layers[1].tar):add("2", made.layers[2].tar)
			built:add("manifest.json", '[{"Config":"config","Layers":["1","2"]}]')
			local img = assert(strata.open(built:write(dir:file("image.tar"))))
			local report = assert(img:check(NOTES))
			assert.equal(severity, report[1] and report[1].code == "history" and report[1].severity or "none")
			assert.is_nil(report[2])
			img:close()
		end
	end)

	it("tells the severity, the kind, the layer, the entry and where it is", function()
		local img = open(tar(file("a")), tar(file("b", "x"), GNU_PREFIX))
		local report = assert(img:check(NOTES))
		assert.same({ "error gnu-prefix 2" }, rows(report))
		local one = report[1]
		assert.equal("pre/one", one.path)
		assert.equal(1024, one.offset)
		assert.truthy(one.where:find("^layer 2/2 %(sha256:%x+…%)$"), one.where)
		assert.truthy(one.message:find("GNU magic", 1, true))
		local line = "error: " .. one.where .. ", entry 2 at 0x400: 'pre/one': " .. one.message .. " [gnu-prefix]"
		assert.equal(line, tostring(one))
		assert.equal(line, tostring(report))
		assert.same({ "error gnu-prefix 2" }, rows(assert(img.layers[2]:check(NOTES))))
		assert.same({}, rows(assert(img.layers[1]:check(NOTES))))
		img:close()
	end)

	it("goes through layers however they are compressed, and through tars likewise", function()
		for compression, command in pairs({ none = "cat", gzip = "gzip -nc", zstd = "zstd -qc" }) do
			local bytes = oci_layout.filter(tar(GNU_PREFIX), command)
			assert.same({ "error gnu-prefix 1" }, rows(check_tar(bytes)), compression)
			local made = oci_layout.new()
			local layer = made:layer({ { name = "a/../../b", data = "x" } }, { compression = compression })
			made:list(made:image({ layers = { layer }, platform = "linux/amd64" }).descriptor)
			local img = assert(strata.open(made:directory(dir:file(compression))))
			assert.same({ "error leaves-root 1" }, rows(assert(img:check(NOTES))))
			img:close()
		end
	end)

	it("goes on behind a layer that cannot be read", function()
		local bad = header({ name = "a" }) .. header({ name = "b", checksum = "0000001\0" })
		local img = open(tar(file("a")), tar(bad), tar(GNU_PREFIX))
		local report = assert(img:check(NOTES))
		assert.same({ "error unreadable 2", "error gnu-prefix 1" }, rows(report))
		assert.equal(512, report[1].offset)
		assert.is_nil(report[1].message:find("layer 2/3", 1, true))
		img:close()
		assert.same({ "error limit 1" }, rows(check_tar(header({ type = "x", size = 2000000 }))))
	end)

	it("tells of layers whose bytes are others, or elsewhere", function()
		local made = oci_layout.new()
		local layer = made:file_layer("a")
		local elsewhere = { mediaType = oci_layout.types.oci.foreign }
		local foreign = made:layer({}, { compression = "gzip", absent = true, descriptor = elsewhere })
		local away = made:file_layer("away", { absent = true })
		layer.diff_id = "sha256:" .. ("0"):rep(64)
		made:list(made:image({ layers = { layer, foreign, away }, platform = "linux/amd64" }).descriptor)
		local img = assert(strata.open(made:directory(dir:file("layout"))))
		assert.same({ "error digest", "note missing-blob", "error missing-blob" }, rows(assert(img:check(NOTES))))
		img:close()
	end)

	it("tells of a plain layer that its diff_id is not of", function()
		local made = oci_layout.new()
		local layer = made:layer({ { name = "a", data = "x" } }, { compression = "none" })
		layer.diff_id = "sha256:" .. ("0"):rep(64)
		made:list(made:image({ layers = { layer }, platform = "linux/amd64" }).descriptor)
		local img = assert(strata.open(made:directory(dir:file("layout"))))
		local report = assert(img:check(NOTES))
		assert.same({ "error digest" }, rows(report))
		assert.same({ "error digest" }, rows(assert(img.layers[1]:check(NOTES))))
		img:close()
	end)

	it("tells of zeros behind a gzip stream, and of a skippable frame before zstd's", function()
		local plain = tar(file("a", "x"))
		local gzip, zstd = oci_layout.filter(plain, "gzip -nc"), oci_layout.filter(plain, "zstd -qc")
		assert.same({}, rows(check_tar(gzip)))
		assert.same({}, rows(check_tar(gzip .. oci_layout.filter("", "gzip -nc"))))
		assert.same({ "warning gzip-padding" }, rows(check_tar(gzip .. "\0")))
		assert.same({ "warning gzip-padding" }, rows(check_tar(gzip .. ("\0"):rep(512))))
		assert.same({}, rows(check_tar(zstd)))
		assert.same({ "warning zstd-skippable" }, rows(check_tar("\80\42\77\24\4\0\0\0skip" .. zstd)))
	end)

	it("tells of global headers with attributes, which GNU tar and Python apply", function()
		local report = check_tar(tar(pax({ "uid", "5", "comment", "x" }, "g"), file("a")))
		assert.same({ "warning global-attributes 1" }, rows(report))
		assert.matches("uid", report[1].message)
	end)

	it("tells of media types of two families in one manifest", function()
		local made = oci_layout.new()
		local layer = made:file_layer("a")
		layer.descriptor.mediaType = oci_layout.types.docker.gzip or oci_layout.types.docker.layer
		made:list(made:image({ layers = { layer }, platform = "linux/amd64" }).descriptor)
		local img = assert(strata.open(made:directory(dir:file("mixed"))))
		assert.same({ "warning mixed-media-types" }, rows(assert(img:check(NOTES))))
		img:close()
	end)

	it("is of what the layer is after its edits", function()
		local img = open(tar(GNU_PREFIX, file("../up"), file("two")))
		assert.same({ "error gnu-prefix 1", "error leaves-root 2" }, rows(assert(img:check(NOTES))))
		img:filter(function(one) return one.path == "two" end)
		assert.same({}, rows(assert(img:check(NOTES))))
		assert.equal(1, #{ img.layers[1]:entry("two") })
		img:close()
	end)

	it("counts what there is too much of", function()
		local many = {}
		for i = 1, 1500 do
			many[i] = header({ name = "/f" .. i })
		end
		local report = check_tar(tar(table.concat(many), GNU_PREFIX, GNU_PREFIX))
		assert.equal(1000 + 2 + 1 + 1, #report)
		assert.equal("there are 500 more of these", report[#report].message)
		assert.equal("absolute-name", report[#report].code)
		assert.equal("error", report[1].severity)
	end)

	it("tells what some runtime refuses or differs about, and of lesser severities what is asked for", function()
		local bytes = tar(file("/abs"), file("d/../e"), file("../f"))
		local all = { "note absolute-name 1", "warning dot-dot 2", "error leaves-root 3" }
		local img = open(bytes)
		for severity, count in pairs({ error = 1, warning = 2, note = 3 }) do
			local expected = {}
			for i = 4 - count, 3 do
				expected[#expected + 1] = all[i]
			end
			assert.same(expected, rows(check_tar(bytes, { severity = severity })))
			assert.same(expected, rows(assert(img.layers[1]:check({ severity = severity }))))
			assert.same(expected, rows(assert(img:check({ severity = severity }))))
		end
		assert.same({ all[2], all[3] }, rows(assert(img:check())))
		assert.equal(1, img:check()[1].layer)
		local ok, message = pcall(img.check, img, { privileged = true, severity = "error" })
		assert.is_false(ok)
		assert.matches('privileged = true adds are notes, which severity = "error" leaves out', message)
		img:close()
	end)

	it("throws for what is no option", function()
		local img = open(tar())
		for _, call in ipairs({
			function() img:check({ second_reader = 1 }) end,
			function() img.layers[1]:check({ temp_dir = true }) end,
			function() strata.check_tar("x", { privileged = "yes" }) end,
			function() strata.check_tar() end,
			function() strata.open("x", { strict = 1 }) end,
		}) do
			local ok, message = pcall(call)
			assert.is_false(ok)
			assert.matches("^spec/check/check_spec.lua:%d+: ", message)
		end
		img:close()
	end)

	it("gives three values when the tar is not there or is none that it can inflate", function()
		local report, message, code = strata.check_tar(dir:file("nothing"))
		refusal.expect(report, message, code)
		assert.equal("ENOENT", code)
		report, message, code = strata.check_tar(dir:write("xz", "\2537zXZ\0" .. ("x"):rep(100)))
		refusal.expect(report, message, code)
		assert.equal("EUNSUPPORTED", code)
		report, message, code = strata.check_tar(dir.path)
		refusal.expect(report, message, code)
	end)

	it("leaves nothing behind", function()
		local place = tmp.dir(dir.path)
		local made = oci_layout.new()
		made:list(made:image({ layers = { made:file_layer("a") }, platform = "linux/amd64" }).descriptor)
		local img = assert(strata.open(made:archive(dir:file("image.tar"))))
		assert(img:check({ temp_dir = place.path }))
		local before = refusal.descriptors()
		assert(img:check({ temp_dir = place.path }))
		collectgarbage()
		assert.equal(before, refusal.descriptors())
		assert.same({}, place:names())
		img:close()
	end)
end)

describe("of names a check tells", function()
	it("those that lead out, have dots, are absolute or empty", function()
		local bytes = tar(file("../a"), file("b/../../c"), file("d/../e"), file("/f"), header({ name = "" }), file("./g/h"))
		assert.same(
			{ "error leaves-root 1", "error leaves-root 2", "warning dot-dot 3", "note absolute-name 4", "error empty-name 5" },
			rows(check_tar(bytes))
		)
	end)

	it("control characters", function()
		local report = check_tar(tar(file("a\27[2J"), symlink("b", "c\n"), file("d\195\169")))
		assert.same({ "warning control-character 1", "warning control-character 2" }, rows(report))
		assert.equal("a\27[2J", report[1].path)
		assert.is_nil(tostring(report[1]):find("\27", 1, true))
	end)

	it("paths that are there twice, directories less so", function()
		local bytes = tar(directory("d/"), file("f"), file("./f", "again"), directory("./d"), file("D"))
		assert.same(
			{ "warning duplicate-path 1", "error duplicate-path 2", "note case-duplicate 5" },
			rows(check_tar(bytes))
		)
	end)
end)

describe("of whiteouts a check tells", function()
	it("those of no name", function()
		local bytes = tar(file(".wh."), file("d/.wh.."), file("d/.wh..."), file("d/.wh..wh..opq"), file(".wh.ok"))
		assert.same({ "error bad-whiteout 1", "error bad-whiteout 2", "error bad-whiteout 3" }, rows(check_tar(bytes)))
	end)

	it("those with content, and those that are no files", function()
		local bytes = tar(file(".wh.a", "x"), directory(".wh.b/"), symlink(".wh.c", "x"), file("d/.wh..wh..opq", "x"))
		assert.same({
			"error bad-whiteout 1",
			"warning bad-whiteout 2",
			"warning bad-whiteout 3",
			"error bad-whiteout 4",
		}, rows(check_tar(bytes)))
	end)

	it("those below a directory that is hidden as a whole", function()
		local bytes = tar(file(".wh.d"), file("d/e/.wh.f"), file("d/.wh..wh..opq"), file("g/.wh.h"))
		assert.same(
			{ "warning whiteout-below-whiteout 2", "warning opaque-in-nothing 3" },
			rows(check_tar(bytes))
		)
		assert.same({}, rows(check_tar(tar(file(".wh.d"), directory("d/"), file("d/.wh.f")))))
		assert.same({}, rows(check_tar(tar(file(".wh.d"), file(".wh.e"), file("x/.wh.d")))))
	end)

	it("those behind what they hide, for some readers remove it", function()
		assert.same({ "warning whiteout-behind 2" }, rows(check_tar(tar(file("f"), file(".wh.f")))))
		assert.same({}, rows(check_tar(tar(file(".wh.f"), file("f")))))
	end)

	it("directories that are called like one, and the metadata of AUFS", function()
		local bytes = tar(directory(".wh.d/"), file(".wh.d/f"), directory(".wh..wh.plnk/"), file(".wh..wh.plnk/1.2"))
		assert.same({
			"warning bad-whiteout 1",
			"error whiteout-directory 2",
			"note aufs-metadata 3",
			"note aufs-metadata 4",
		}, rows(check_tar(bytes)))
	end)
end)

describe("of links a check tells", function()
	it("those that lead out of the root", function()
		local links = symlink("a", "../x") .. symlink("d/b", "../x") .. symlink("c", "/../x")
		local bytes = tar(links, hardlink("h", "../../etc/shadow"))
		assert.same(
			{
				"error leaves-root 4",
				"error hardlink-across-layers 4",
				"warning link-leaves-root 1",
				"warning link-leaves-root 3",
			},
			rows(check_tar(bytes))
		)
	end)

	it("those that lead out of the root through others, and no circles", function()
		local back = ("../"):rep(3) .. "tmp"
		local bytes = tar(symlink("out", "here/here/here/" .. back), symlink("here", "."), file("a/b/c/f"),
			symlink("inside", "a/b/c/" .. back), symlink("round", "round/../x"), symlink("d/far", "/here/a/../../here/x"))
		assert.same({ "warning link-leaves-root 1", "warning link-leaves-root 6" }, rows(check_tar(bytes)))
		local few = strata.check_tar(dir:write("few.tar", bytes), { limits = { steps = 20 } })
		assert.equal("limit", few[#few].code)
	end)

	it("nothing of entries that come before the symlink in their way", function()
		assert.same({ "warning link-leaves-root 2" }, rows(check_tar(tar(file("a/f"), symlink("a", "../..")))))
	end)

	it("entries that go through them, worst when they lead out", function()
		local bytes = tar(symlink("in", "/run"), file("in/f"), symlink("out", "../.."), file("out/etc/x"), file("inside"))
		assert.same(
			{
				"warning dangling-parent 2",
				"note through-symlink 2",
				"warning link-leaves-root 3",
				"error through-symlink 4",
			},
			rows(check_tar(bytes))
		)
		assert.same({ "error duplicate-path 1" }, rows(check_tar(tar(symlink("a", "b"), directory("a/"), file("a/f")))))
	end)

	it("hardlinks to what no layer has", function()
		local img = open(tar(file("base")), tar(hardlink("one", "base"), hardlink("two", "/base"), hardlink("three", "no")))
		local expected = { "error hardlink-across-layers 1", "error hardlink-across-layers 2", "error hardlink-target 3" }
		assert.same(expected, rows(assert(img.layers[2]:check(NOTES))))
		local report = assert(img:check(NOTES))
		assert.same(expected, rows(report))
		assert.truthy(report[1].where:find("layer 2/2", 1, true))
		img:close()
	end)

	it("devices and set-id files only when asked", function()
		local bytes = tar(header({ name = "null", type = "3", major = 1, minor = 3 }), header({ name = "su", mode = 2541 }))
		assert.same({}, rows(check_tar(bytes)))
		assert.same({ "note device 1", "note set-id 2" }, rows(check_tar(bytes, { privileged = true })))
	end)
end)

describe("the second reader", function()
	if not pcall(require, "strata.archive") then
		pending("strata.archive is not built")
		return
	end

	-- To Go this is no magic, so that the prefix is none either; libarchive joins it.
	local OTHER_MAGIC = tar(header({ name = "a" }), header({ name = "b", prefix = "p", magic = "ustar000" }))

	it("tells what no other finding explains", function()
		local report = check_tar(OTHER_MAGIC)
		assert.same({ "error parser-differential 2" }, rows(report))
		assert.equal("its name is 'b' to us and 'p/b' to libarchive", report[1].message)
		assert.same({ "error gnu-prefix 1" }, rows(check_tar(tar(GNU_PREFIX, file("b")))))
	end)

	it("tells of entries that it does not see, and of those that only it sees", function()
		local volume = header({ name = "volume", type = "V", magic = rawtar.GNU })
		local bytes = tar(file("a"), volume, file("b"))
		assert.same({ "error unknown-type 2", "error parser-differential 3" }, rows(check_tar(bytes)))
	end)

	it("is not asked when it is not wanted", function()
		assert.same({}, rows(check_tar(OTHER_MAGIC, { second_reader = false })))
		local img = open(OTHER_MAGIC)
		assert.same({ "error parser-differential 2" }, rows(assert(img:check(NOTES))))
		assert.same({}, rows(assert(img:check({ second_reader = false }))))
		img:close()
	end)

	it("reads the archive itself, too", function()
		local built = archive_of(tar(file("a")))
		local bytes = built:bytes()
		bytes = bytes:sub(1, #bytes - 1024) .. GNU_PREFIX .. rawtar.END
		local img = assert(strata.open(dir:write("image.tar", bytes)))
		local report = assert(img:check(NOTES))
		assert.same({ "error gnu-prefix 4" }, rows(report))
		assert.equal("archive", report[1].where)
		img:close()
		img = strata.open(dir:file("image.tar"), { strict = true })
		assert.is_nil(img)
	end)
end)

describe("strict", function()
	local function strict(...)
		return strata.open(archive_of(...):write(dir:file("image.tar")), { strict = true })
	end

	it("is not needed to lower limits for one check", function()
		local path = archive_of(tar(file("a"), file("b"))):write(dir:file("image.tar"))
		local img = assert(strata.open(path))
		assert.same({}, rows(assert(img:check(NOTES))))
		local made, message, code = img:check({ limits = { entries = 1 } })
		assert.is_nil(made)
		assert.equal("ELIMIT", code)
		assert.truthy(message:find("limits.entries (1)", 1, true), message)
		assert(img.layers[1]:rewrite(function(one) one.mtime = 7 end))
		assert.same({ "error limit 2" }, rows(assert(img.layers[1]:check({ limits = { entries = 1 } }))))
		local found = assert(strata.check_tar(dir:write("two.tar", tar(file("a"), file("b"))), { limits = { entries = 1 } }))
		assert.same({ "error limit 2" }, rows(found))
		assert.same({}, rows(assert(img.layers[1]:check(NOTES))))
		img:close()
	end)

	it("changes nothing for an image that is in order", function()
		local path = archive_of(tar(file("a", "x"))):write(dir:file("image.tar"))
		local img = assert(strata.open(path, { strict = true }))
		assert.equal("x", img.layers[1]:read("a"))
		assert(img:extract(dir:file("rootfs"), { unprivileged = true }))
		assert(img:save(dir:file("again.tar")))
		assert.is_true(shell.same(path, dir:file("again.tar")))
		img:close()
	end)

	it("refuses a layer when it is scanned, by whatever needs it", function()
		local img = assert(strict(tar(file("good")), tar(GNU_PREFIX)))
		assert.equal("", img.layers[1]:read("good"))
		local out = dir:file("out")
		for _, call in ipairs({
			function() return img.layers[2]:read("pre/one") end,
			function() return img:rootfs() end,
			function() return img:extract(out, { unprivileged = true }) end,
			function() return img.layers[2]:apply(out, { unprivileged = true }) end,
			function() return img:filter(function() end) end,
		}) do
			local result, message, code = call()
			refusal.expect(result, message, code)
			assert.equal("EFORMAT", code)
			assert.truthy(message:find("layer 2/2", 1, true), message)
			assert.truthy(message:find("entry 1 at 0x0", 1, true), message)
			assert.truthy(message:find("[gnu-prefix]", 1, true), message)
		end
		assert.is_false(pcall(function() return img.layers[2]:entries() end))
		assert.is_false(shell.run({ "test", "-e", out }).status == 0)
		assert.same({ "error gnu-prefix 1" }, rows(assert(img:check(NOTES))))
		assert.is_nil((img.layers[2]:read("pre/one")))
		img:close()
	end)

	it("lets pass what is only a warning or a note", function()
		local img = assert(strict(tar(directory("d"), directory("d/"), file("/abs"), file("f"), file(".wh.f")) .. "\0"))
		assert.is_true(#assert(img:check(NOTES)) >= 3)
		assert.equal("", img.layers[1]:read("abs"))
		img:close()
	end)

	it("refuses what every runtime refuses", function()
		for _, bytes in ipairs({
			tar(hardlink("b", "a"), file("a")),
			tar(directory("d"), hardlink("b", "d")),
			tar(file("d"), file("d/x")),
			tar(file(".wh.d"), file("d/y")),
			tar(header({ name = "a", type = "7" })),
			tar(pax({ "SCHILY.xattr.security.capability", "v" }), file("a")),
		}) do
			local img = assert(strict(bytes))
			assert.is_false(pcall(function() return img.layers[1]:entries() end))
			img:close()
		end
	end)

	it("finds an error behind any number of warnings", function()
		local many = directory("d"):rep(3000)
		local sized = header({ name = "d", type = "5", size = 1 }):rep(3000)
		local img = assert(strict(tar(many, sized, file("d/f"), pax({ "size", "0" }), entry({ name = "last", size = 512 }))))
		local _, message = img.layers[1]:read("d/f")
		assert.truthy(message and message:find("[size-overridden]", 1, true), message)
		img:close()
	end)

	it("goes for the images of strata.images and of an index, too", function()
		local built = archive_of(tar(file("a")))
		table.insert(built.members, { name = "x", data = "1" })
		table.insert(built.members, { name = "x", data = "2" })
		local path = built:write(dir:file("twice.tar"))
		assert.is_false(pcall(assert(strata.images(path, { strict = true }))))
		local index = assert(strata.open_index(path, { strict = true }))
		assert.is_false(pcall(assert(index:images())))
		index:close()
		local img = assert(strata.open(path))
		assert.same({ "error duplicate-member 5" }, rows(assert(img:check(NOTES))))
		img:close()
	end)
end)

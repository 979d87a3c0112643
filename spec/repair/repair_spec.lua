-- img:repair: each finding that has one right answer is mended, nothing else changes, and what is not mended is told.

local archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local rawtar = require "spec.support.rawtar"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local shown = require "spec.support.shown"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local tar, entry, header, pax = rawtar.tar, rawtar.entry, rawtar.header, rawtar.pax

local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	collectgarbage()
	dir:remove()
end)

local CONFIG = '{"architecture":"amd64","os":"linux",%s"rootfs":{"type":"layers","diff_ids":%s}}'

local function archive_of(layers, history)
	local built, ids, names = archive.new(), {}, {}
	for i, bytes in ipairs(layers) do
		ids[i], names[i] = "sha256:" .. archive.sha256(bytes), "layer" .. i
		built:add(names[i], bytes)
	end
	built:add("config.json", CONFIG:format(history or "", archive.list(ids)))
	built:add("manifest.json", ('[{"Config":"config.json","RepoTags":["app:1"],"Layers":%s}]'):format(archive.list(names)))
	return built
end

local function open(layers, history)
	return assert(strata.open(archive_of(layers, history):write(dir:file("image.tar"))))
end

local function layout_of(layers, change)
	local made = oci_layout.new()
	local image = made:image({ layers = layers(made), platform = "linux/amd64" })
	if change then
		change(image)
	end
	made:list(image.descriptor, "app:1")
	return assert(strata.open(made:directory(dir:file("layout"))))
end

local function file(name, data)
	return entry({ name = name }, data)
end

local function directory(name, mode)
	return header({ name = name, type = "5", mode = mode or 493 })
end

local function hardlink(name, to, mode)
	return header({ name = name, type = "1", linkname = to, mode = mode })
end

-- How many findings of a code there are.
local function count(img, code)
	local found = 0
	for _, one in ipairs(assert(img:check({ severity = "note" }))) do
		found = found + (one.code == code and 1 or 0)
	end
	return found
end

local function entries_of(img, number)
	local list = {}
	for one in img.layers[number]:entries() do
		list[#list + 1] = one.name .. (one.linkpath and " -> " .. one.linkpath or "")
	end
	return list
end

local BASE = tar(directory("d/"), file("d/x", "base"), file("kept", "kept"))
local GNU_PREFIX = header({ name = "one", prefix = "pre", magic = rawtar.GNU })

-- Of each mend: the code, the tar of the upper layer, and the names in it afterwards.
local CASES = {
	{ "absolute-name", tar(file("/a", "x"), directory("/b/")), { "a", "b/" } },
	{ "dot-dot", tar(file("b/../a", "x")), { "a" } },
	{ "leaves-root", tar(file("../a", "x"), hardlink("b", "../../a")), { "a", "b -> a" } },
	{ "duplicate-path", tar(file("a", "1"), file("z"), file("./a", "2")), { "z", "./a" } },
	{ "duplicate-path", tar(file("a", "1"), file("z"), file("a", "2"), file("a", "3")), { "z", "a" } },
	{ "duplicate-path", tar(directory("e/", 448), file("e/f", "1"), directory("e/")), { "e/", "e/f" } },
	{ "duplicate-path", tar(file("a", "1"), hardlink("l", "a"), hardlink("m", "a"), file("a", "2")),
		{ "l", "m -> l", "a" } },
	{ "duplicate-path", tar(file("f", "1"), hardlink("a", "f"), hardlink("l", "a"), file("a", "2")),
		{ "f", "l -> f", "a" } },
	{ "hardlink-order", tar(hardlink("b", "a"), hardlink("c", "b"), file("a", "x")), { "a", "b -> a", "c -> b" } },
	{ "hardlink-metadata", tar(file("a", "x"), hardlink("b", "a", 448), file("c")), { "a", "b -> a", "c" } },
	{ "whiteout-behind", tar(file("d/y", "new"), file("d/.wh.y"), file("z")), { "d/.wh.y", "d/y", "z" } },
	{ "whiteout-below-whiteout", tar(file(".wh.d"), file("d/e/.wh.f")), { ".wh.d" } },
	{ "opaque-in-nothing", tar(file("f", "x"), file("f/.wh..wh..opq")), { "f" } },
	{ "whiteout-of-nothing", tar(file(".wh.nothing"), file("d/.wh.x"), file("d/.wh.y")), { "d/.wh.x" } },
	{ "whiteout-of-nothing", tar(file("p/q/.wh.x"), file("p/.wh.y")), { "p/", "p/q/" } },
	{ "bad-whiteout", tar(file("d/.wh.x", "text"), directory(".wh.kept/")), { "d/.wh.x", ".wh.kept" } },
	{ "global-header", tar(pax({ "comment", "x" }, "g"), file("a")), { "a" } },
	{ "global-attributes", tar(pax({ "uid", "5" }, "g"), file("a")), { "a" } },
	{ "global-override", tar(pax({ "path", "b" }, "g"), file("a")), { "a" } },
	{ "gnu-prefix", tar(GNU_PREFIX, file("b")), { "pre/one", "b" } },
	{ "size-overridden", tar(pax({ "size", "0" }), entry({ name = "a", size = 512 }), file("b", "x")), { "a", "b" } },
	{ "needless-size", tar(pax({ "size", "3" }), entry({ name = "a" }, "abc")), { "a" } },
	{ "duplicate-record", tar(pax({ "path", "x", "path", "y" }), file("a", "1")), { "y" } },
	{ "repeated-extension", tar(pax({ "path", "x" }), pax({ "path", "y" }), file("a", "1")), { "y" } },
	{ "mixed-extensions", tar(pax({ "comment", "x" }), entry({ name = "L", type = "L", magic = rawtar.GNU }, "long\0"),
		entry({ name = "a", magic = rawtar.GNU }, "1")), { "long" } },
	{ "bogus-size", tar(header({ name = "e/", type = "5", size = 512 }), file("b")), { "e/", "b" } },
	{ "slash-file", tar(entry({ name = "a/", type = "0" }, "1")), { "a" } },
	{ "contiguous-file", tar(entry({ name = "a", type = "7" }, "1")), { "a" } },
	{ "data-after-end", tar(file("a")) .. file("hidden") .. rawtar.END, { "a" } },
	{ "no-end", file("a", "x"), { "a" } },
	{ "lone-zero-block", file("a", "x") .. ("\0"):rep(512), { "a" } },
	{ "no-padding", header({ name = "a", size = 3 }) .. "abc", { "a" } },
}

describe("a repair", function()
	for i, case in ipairs(CASES) do
		local code, upper, names = case[1], case[2], case[3]
		it(("mends %s (%d), and a container sees the same"):format(code, i), function()
			local img = open({ BASE, upper })
			assert.is_true(count(img, code) > 0)
			local before, base = shown.list(img), img.layers[1].diff_id
			local report = assert(img:repair(code))
			assert.is_nil(report.left)
			for _, one in ipairs(report.mended) do
				assert.equal(code, one.code)
				assert.equal(2, one.layer)
			end
			assert.equal(0, count(img, code))
			assert.same(names, entries_of(img, 2))
			assert.same(before, shown.list(img))
			assert.equal(base, img.layers[1].diff_id)
			assert(img:save(dir:file("again.tar")))
			local again = assert(strata.open(dir:file("again.tar")))
			assert(again:verify())
			assert.equal(0, count(again, code))
			assert.same(before, shown.list(again))
			assert.same({}, assert(again:repair(code)).mended)
			again:close()
			img:close()
		end)
	end

	it("mends all of it at once, and says each", function()
		local img = open({ BASE, tar(hardlink("b", "a"), file("a", "x"), file("/c"), file("c", "2"), file(".wh.none")) })
		local report = assert(img:repair(true))
		assert.same({}, assert(img:check({ severity = "note" })))
		assert.equal(4, #report.mended)
		assert.matches("^4 findings mended\n", tostring(report))
		assert.matches("\n  hardlink%-order: layer 2/2 %(sha256:%x+…%), entry 1 'b': it stands behind its file",
			tostring(report))
		assert.is_nil(report.absent)
		img:close()
	end)

	it("goes through layers however they are compressed, which stay so", function()
		for _, compression in ipairs({ "none", "gzip", "zstd" }) do
			local made = oci_layout.new()
			local twice = { { name = "a", data = "1" }, { name = "a", data = "2" } }
			local layer = made:layer(twice, { compression = compression })
			made:list(made:image({ layers = { made:file_layer("b"), layer }, platform = "linux/amd64" }).descriptor)
			local path = made:directory(dir:file(compression))
			local img = assert(strata.open(path))
			local other, media_type = img.layers[1].digest, img.layers[2].media_type
			assert.equal(1, #assert(img:repair({ "duplicate-path" })).mended)
			assert(img:save(path))
			local again = assert(strata.open(path))
			assert(again:verify())
			assert.equal("2", again:read("a"))
			assert.equal(other, again.layers[1].digest)
			assert.equal(compression, again.layers[2].compression)
			assert.equal(media_type, again.layers[2].media_type)
			again:close()
			img:close()
		end
	end)

	it("keeps every byte of what it was not asked for", function()
		local odd = GNU_PREFIX .. file("b/../c", "dotted")
		local rest = file("last", ("x"):rep(700)) .. ("\0"):rep(10240)
		local img = open({ odd .. file("twice", "1") .. file("twice", "2") .. rest })
		assert(img:repair("duplicate-path"))
		assert(img:save(dir:file("again.tar")))
		local again = assert(strata.open(dir:file("again.tar")))
		assert.equal("sha256:" .. archive.sha256(odd .. file("twice", "2") .. rest), again.layers[1].diff_id)
		assert.equal(1, count(again, "gnu-prefix"))
		assert.equal(1, count(again, "dot-dot"))
		again:close()
		img:close()
	end)

	it("writes headers anew with all that they said", function()
		local records = pax({ "mtime", "12.5", "atime", "3.25", "SCHILY.xattr.user.a", "v", "VENDOR.x", "1",
			"path", "old", "path", "new" })
		local img = open({ tar(records, entry({ name = "a", uid = 5, gid = 6, mode = 2541, mtime = 9 }, "abc")) })
		local before = shown.list(img)
		assert(img:repair("duplicate-record"))
		assert.same(before, shown.list(img))
		local one = img.layers[1]:entry("new")
		assert.equal(12.5, one.mtime)
		assert.equal(3.25, one.atime)
		assert.equal("1", one.pax["VENDOR.x"])
		assert.equal("v", one.xattrs["user.a"])
		img:close()
	end)

	it("is taken back by revert, and the next edits are of what it made", function()
		local img = open({ tar(file("a", "1"), file("a", "2"), file("b")) })
		local id = img.id
		assert(img:repair("duplicate-path"))
		assert.is_true(img.edited)
		assert(img:remove("b"))
		assert.same({ "a" }, entries_of(img, 1))
		assert(img:revert())
		assert.equal(id, img.id)
		assert.equal(1, count(img, "duplicate-path"))
		img:close()
	end)

	it("is of what edits have made of the image", function()
		local img = open({ tar(file("/a", "1"), file("/b", "2"), GNU_PREFIX) })
		assert(img:remove("a"))
		assert(img:rewrite(function(one) one.mtime = 7 end))
		local report = assert(img:repair({ "absolute-name", "gnu-prefix" }))
		assert.equal(2, #report.mended)
		assert.same({ "b", "pre/one" }, entries_of(img, 1))
		assert.equal(7, img.layers[1]:entry("b").mtime)
		img:close()
	end)

	it("has the second reader see what all others do", function()
		if not pcall(require, "strata.archive") then
			local img = open({ tar(file("a")) })
			assert.equal("EUNSUPPORTED", select(3, img:repair("parser-differential")))
			img:close()
			return
		end
		-- To Go this is no magic, so that the prefix is none either; libarchive joins it.
		local function odd(name) return entry({ name = name, prefix = "p", magic = "ustar000" }, name) end
		local img = open({ tar(file("a", "1"), odd("b"), odd("c"), GNU_PREFIX) })
		local before = shown.list(img)
		local report = assert(img:repair("parser-differential"))
		assert.equal(2, #report.mended)
		assert.equal(0, count(img, "parser-differential"))
		assert.same(before, shown.list(img))
		img:close()
	end)
end)

describe("a repair that fails", function()
	it("leaves the image as it was", function()
		local path = archive_of({ BASE, tar(file("a", "1"), file("a", "2")) }):write(dir:file("image.tar"))
		local img = assert(strata.open(path))
		local function expect_untouched()
			assert.is_false(img.edited)
			assert.same({ "a", "a" }, entries_of(img, 2))
			assert(img:save(dir:file("same.tar")))
			assert.is_true(shell.same(path, dir:file("same.tar")))
		end
		local result, message, code = img:repair("duplicate-path", { temp_dir = dir:file("nowhere") })
		refusal.expect(result, message, code)
		assert.equal("ENOENT", code)
		expect_untouched()
		local ok, thrown = pcall(img.repair, img, "duplicate-path", { progress = function() error("enough", 0) end })
		assert.is_false(ok)
		assert.equal("enough", thrown)
		expect_untouched()
		local seen = {}
		assert(img:repair("duplicate-path", { threads = 1, progress = function(_, _, what) seen[what] = true end }))
		assert.is_true(seen.mending)
		img:close()
	end)

	it("does so when the bytes of the layer are not those of its digest", function()
		local built = archive_of({ tar(file("a", "1"), file("a", "2")) })
		built.members[1].data = tar(file("a", "1"), file("a", "3"))
		local img = assert(strata.open(built:write(dir:file("image.tar"))))
		local result, message, code = img:repair("duplicate-path")
		refusal.expect(result, message, code)
		assert.equal("EDIGEST", code)
		assert.is_false(img.edited)
		img:close()
	end)
end)

describe("what a repair does not mend", function()

	it("fails when it was named, and changes nothing", function()
		local path = archive_of({ tar(hardlink("b", "a"), file("a", "x")), tar(hardlink("c", "a"), file("a", "y")) })
			:write(dir:file("image.tar"))
		local img = assert(strata.open(path))
		local result, message, code = img:repair({ "hardlink-order" })
		refusal.expect(result, message, code)
		assert.equal("EINVAL", code)
		assert.matches("^repair: not mended: error: layer 2/2 .*%(a lower layer has a file of that name, too%)$", message)
		assert.is_false(img.edited)
		assert(img:save(dir:file("same.tar")))
		assert.is_true(shell.same(path, dir:file("same.tar")))
		img:close()
	end)

	it("is left and told with optional, and when all was asked for", function()
		for which, opts in pairs({ [true] = {}, ["hardlink-order"] = { optional = true } }) do
			local img = open({ tar(hardlink("b", "a"), file("a", "x")), tar(hardlink("c", "a"), file("a", "y")) })
			local report = assert(img:repair(which, opts))
			assert.equal(1, #report.mended)
			assert.equal(1, report.mended[1].layer)
			assert.equal(1, #report.left)
			assert.matches("\n  left: error: layer 2/2 ", tostring(report))
			assert.equal(1, count(img, "hardlink-order"))
			img:close()
		end
	end)

	it("is what would change what a container sees", function()
		-- The link sets the mode of its file before its own name is used again.
		local img = open({ tar(file("f", "1"), hardlink("a", "f", 2541), file("a", "2")) })
		local before = shown.list(img)
		local _, message = img:repair("duplicate-path")
		assert.matches("what is shown at 'f' would be another thing", message)
		assert.same(before, shown.list(img))
		img:close()
	end)

	it("is what nobody can look at, unless it has nothing to do with what was asked for", function()
		local bad = header({ name = "a" }) .. header({ name = "b", checksum = "0000001\0" })
		local img = open({ tar(file("a")), tar(bad) }, '"history":[{"created_by":"one"}],')
		local result, message, code = img:repair("duplicate-path")
		refusal.expect(result, message, code)
		assert.equal("EINVAL", code)
		assert.matches("layer 2/2 .* %[unreadable%] %(what it has is not known%)", message)
		assert.equal(1, #assert(img:repair("history")).mended)
		assert.equal(1, #assert(img:repair(true)).left)
		assert.equal(1, #assert(img:repair("duplicate-path", { optional = true })).left)
		img:close()
	end)

	it("is no failure when it is not there: it is told", function()
		local img = open({ tar(file("a")) })
		local report = assert(img:repair({ "history", "duplicate-path" }))
		assert.same({}, report.mended)
		assert.same({ "history", "duplicate-path" }, report.absent)
		assert.equal("0 findings mended\n  not there: history\n  not there: duplicate-path", tostring(report))
		assert.is_false(img.edited)
		img:close()
	end)

	it("throws for what is no finding, and what nobody can mend", function()
		local img = open({ tar(file("a")) })
		for what, expected in pairs({
			["duplicate-paths"] = "repair: there is no finding 'duplicate%-paths'; did you mean 'duplicate%-path'%?",
			["views-differ"] = "repair: 'views%-differ' is not mended: readers show two things",
			[false] = "repair: wants codes of findings",
		}) do
			local ok, message = pcall(function() img:repair(what) end)
			assert.is_false(ok)
			assert.matches("^spec/repair/repair_spec.lua:%d+: " .. expected, message)
		end
		for _, what in ipairs({ {}, { 1 }, { "history", code = "x" }, 7 }) do
			assert.is_false(pcall(function() img:repair(what) end))
		end
		assert.is_false(pcall(function() img:repair() end))
		local ok, message = pcall(function() img:repair("history", { optinal = true }) end)
		assert.is_false(ok)
		assert.matches("repair has no option 'optinal'; did you mean 'optional'%?", message)
		img:close()
	end)
end)

describe("a repair of documents", function()
	local function rows(...)
		return '"history":[' .. table.concat({ ... }, ",") .. "],"
	end

	it("adds empty rows to a history that is too short", function()
		local img = open({ tar(file("a")), tar(file("b")) }, rows('{"created_by":"one"}'))
		local report = assert(img:repair("history"))
		assert.equal(1, #report.mended)
		assert.equal(0, count(img, "history"))
		assert.equal(2, #img:history())
		assert.equal("one", img.layers[1].created_by)
		img:close()
	end)

	it("marks rows of a history that say themselves that they made no layer", function()
		local img = open({ tar(file("a")) }, rows('{"created_by":"/bin/sh -c #(nop) ADD file:x in / "}',
			'{"created_by":"/bin/sh -c #(nop)  CMD [\\"sh\\"]"}',
			'{"created_by":"ENV A=b","comment":"buildkit.dockerfile.v0"}'))
		assert.equal(1, #assert(img:repair("history")).mended)
		assert.equal(0, count(img, "history"))
		assert.matches("ADD", img.layers[1].created_by)
		assert.is_true(img:history()[3].empty_layer)
		img:close()
	end)

	it("guesses no rows", function()
		local img = open({ tar(file("a")) }, rows('{"created_by":"RUN one"}', '{"created_by":"ENV A=b"}'))
		local text = img.config:text()
		local result, message = img:repair("history")
		assert.is_nil(result)
		assert.matches("which rows have no layer is a guess", message)
		assert.equal(text, img.config:text())
		img:close()
	end)

	it("tells the truth about compression and family in the manifest, and keeps the blobs", function()
		local img = layout_of(function(made)
			local lying = made:file_layer("a", { compression = "gzip" })
			local mixed = made:file_layer("b", { compression = "gzip" })
			lying.descriptor.mediaType = oci_layout.types.oci.zstd or "application/vnd.oci.image.layer.v1.tar+zstd"
			mixed.descriptor.mediaType = "application/vnd.docker.image.rootfs.diff.tar.gzip"
			return { lying, mixed }
		end)
		local digests = { img.layers[1].digest, img.layers[2].digest }
		assert.equal(1, count(img, "media-type"))
		assert.equal(1, count(img, "mixed-media-types"))
		assert.equal(2, #assert(img:repair({ "media-type", "mixed-media-types" })).mended)
		assert(img:save(dir:file("layout")))
		local again = assert(strata.open(dir:file("layout")))
		assert(again:verify())
		assert.same({}, assert(again:check()))
		for i = 1, 2 do
			assert.equal("application/vnd.oci.image.layer.v1.tar+gzip", again.layers[i].media_type)
			assert.equal(digests[i], again.layers[i].digest)
		end
		again:close()
		img:close()
	end)

	it("takes the diff_id of a layer whose stored bytes are those of its digest", function()
		for _, compression in ipairs({ "none", "gzip" }) do
			local img = layout_of(function(made)
				local layer = made:file_layer("a", { compression = compression })
				layer.diff_id = "sha256:" .. ("0"):rep(64)
				return { layer, made:file_layer("b") }
			end)
			local digest = img.layers[1].digest
			assert.equal(1, #assert(img:repair("digest")).mended)
			assert(img:save(dir:file("mended" .. compression)))
			local again = assert(strata.open(dir:file("mended" .. compression)))
			assert(again:verify())
			assert.equal(digest, again.layers[1].digest)
			again:close()
			img:close()
			shell.run({ "rm", "-r", dir:file("layout") })
		end
	end)

	it("believes no bytes that only a diff_id speaks of", function()
		local built = archive_of({ tar(file("a", "1")) })
		built.members[1].data = tar(file("a", "2"))
		local img = assert(strata.open(built:write(dir:file("image.tar"))))
		local result, message, code = img:repair("digest")
		refusal.expect(result, message, code)
		assert.matches("nothing but the diff_id says what its bytes should be", message)
		img:close()
	end)

	it("cuts off what is no part of a stream, and keeps the stream", function()
		local plain = tar(file("a", "x"))
		local gzip, zstd = oci_layout.filter(plain, "gzip -nc"), oci_layout.filter(plain, "zstd -qc")
		for code, case in pairs({
			["gzip-padding"] = { gzip .. ("\0"):rep(512), gzip },
			["zstd-skippable"] = { "\80\42\77\24\4\0\0\0skip" .. zstd, zstd },
		}) do
			local built = archive.new()
			built:add("layer", case[1])
			built:add("config", CONFIG:format("", archive.list({ "sha256:" .. archive.sha256(plain) })))
			built:add("manifest.json", '[{"Config":"config","Layers":["layer"]}]')
			local img = assert(strata.open(built:write(dir:file("image.tar"))))
			assert.equal(1, count(img, code))
			assert.equal(1, #assert(img:repair(code)).mended)
			assert.equal("sha256:" .. archive.sha256(case[2]), img.layers[1].digest)
			assert(img:save(dir:file("layout-" .. code), { format = "oci" }))
			local again = assert(strata.open(dir:file("layout-" .. code)))
			assert(again:verify())
			assert.equal("sha256:" .. archive.sha256(case[2]), again.layers[1].digest)
			again:close()
			img:close()
		end
	end)

	it("removes data that are not those of the digest, and tables of contents", function()
		local img = layout_of(function(made)
			local layer = made:file_layer("a", { compression = "gzip" })
			layer.descriptor.data = "AAAA"
			layer.descriptor.annotations = { ["containerd.io/snapshot/stargz/toc.digest"] = "sha256:x", other = "kept" }
			return { layer }
		end)
		assert.equal(2, #assert(img:repair({ "embedded-data", "table-of-contents" })).mended)
		assert(img:save(dir:file("layout")))
		local again = assert(strata.open(dir:file("layout")))
		assert.same({}, assert(again:check()))
		assert.equal("kept", again.layers[1].annotations.other)
		again:close()
		img:close()
	end)
end)

-- Takes seconds: not for make check.
--- img:append: layers of directories, tars, other archives and other layers.

local archive = require "spec.support.archive"
local cjson = require "cjson"
local shell = require "spec.support.shell"
local strata = require "strata"
local tree = require "spec.support.tree"

local specify = archive.specify(it, pending)

local function has(program)
	return shell.which(program) ~= nil
end

describe("img:append", function()
	local bench, dir

	before_each(function()
		bench = archive.bench()
		dir = bench.dir
	end)

	after_each(function()
		bench:close()
	end)

	local function python(script)
		shell.check({ "python3", "-IS", "-c", "import os, tarfile, zipfile, io\n" .. script, cwd = dir.path })
	end

	local function base()
		return bench:open({
			{ entries = { { name = "etc", type = "dir", mode = 448 }, { name = "etc/a", data = "a" } } },
			{ gzip = true, entries = { { name = "etc/b", data = "b" } } },
		})
	end

	local function names(layer)
		local list = {}
		for entry in layer:entries() do
			list[#list + 1] = entry.name
		end
		return list
	end

	-- A tree as dpkg-deb, bsdtar and others can pack it.
	local function make_tree()
		python([[
os.makedirs("src/usr/share/d"); os.chdir("src")
open("usr/share/d/file", "w").write("content"); os.link("usr/share/d/file", "usr/hard")
os.symlink("share/d", "usr/sym"); open("usr/run", "w").write("#!"); os.chmod("usr/run", 0o4755)
open("usr/empty", "w").close(); os.chmod("usr/share", 0o2775)
for top, dirs, files in os.walk("."):
    for one in dirs + files: os.utime(os.path.join(top, one), (1500000000, 1500000000), follow_symlinks=False)
if os.getuid() == 0: os.chown("usr/empty", 1000, 1000)
]])
		return dir:file("src")
	end

	local function extracted(img)
		assert(img:extract(dir:file("out")))
		return tree.read(dir:file("out"))
	end

	local function is_top(path)
		return path == "."
	end

	describe("of a directory", function()
		specify("puts it on top, with a row of the history", function()
			local img = base()
			make_tree()
			local appended, skipped = img:append({ dir = dir:file("src"), created_by = "COPY . /", comment = "c",
				author = "a", created = "2020-01-02T03:04:05Z" })
			assert.equal(img, appended)
			assert.is_nil(skipped)
			local look = bench:save(img)
			assert.equal(3, #look.layers)
			assert.same("content", archive.find(look.layers[3].entries, "usr/hard").data)
			local row = look.history[3]
			assert.same({ "COPY . /", "c", "a", "2020-01-02T03:04:05Z" },
				{ row.created_by, row.comment, row.author, row.created })
		end)

		specify("is the same layer as strata.layer makes", function()
			make_tree()
			local img = strata.new({}):append({ dir = dir:file("src") })
			assert.equal(strata.layer({ dir = dir:file("src") }).diff_id, img.layers[1].diff_id)
		end)

		specify("adds the way to its place, where nothing below has it", function()
			local img = base()
			make_tree()
			assert(img:append({ dir = dir:file("src"), to = "/etc/new/app" }))
			local list = names(img.layers[3])
			assert.same({ "etc/new/", "etc/new/app/", "etc/new/app/usr/" }, { list[1], list[2], list[3] })
			assert.equal(493, img.layers[3]:entry("etc/new").mode)
			local look = bench:save(img)
			assert.equal("content", look.merged["etc/new/app/usr/share/d/file"] and
				archive.find(look.layers[3].entries, "etc/new/app/usr/hard").data)
		end)

		specify("tells what it skips", function()
			python('os.mkdir("s"); import socket; socket.socket(socket.AF_UNIX).bind("s/sock")')
			local img, skipped = strata.new({}):append({ dir = dir:file("s") })
			assert.is_truthy(img)
			assert.is_truthy(skipped[1]:find("sock", 1, true))
		end)

		specify("that cannot be read leaves the image as it was", function()
			local img = base()
			local ok, message, code = img:append({ dir = dir:file("none") })
			assert.is_nil(ok)
			assert.equal("ENOENT", code)
			assert.is_truthy(message:find(dir:file("none"), 1, true), message)
			assert.equal(2, #img.layers)
			assert.is_false(img.edited)
			assert(img:save(dir:file("x.tar")))
		end)
	end)

	describe("of a tar", function()
		local function make_tar(how)
			make_tree()
			local path = dir:file("layer.tar")
			shell.check({ "tar", "--create", "--format=gnu", "--directory=" .. dir:file("src"), "--file=" .. path, "." })
			if how then
				shell.sh('"$1" -c <"$2" >"$2.packed"', how, path)
			end
			return how and path .. ".packed" or path, "sha256:" .. shell.sha256(path), path
		end

		specify("takes its bytes unchanged", function()
			local path, diff_id = make_tar()
			local img = base():append({ tar = path })
			assert.equal(diff_id, img.layers[3].diff_id)
			assert.equal(diff_id, img.layers[3].digest)
			local look = bench:save(img)
			assert.equal(diff_id, look.diff_ids[3])
			assert.same({}, tree.differences(tree.read(dir:file("src")), extracted(strata.new({}):append({ tar = path })),
				is_top))
		end)

		for how, compression in pairs({ gzip = "gzip", zstd = "zstd", xz = "none", bzip2 = "none" }) do
			specify("that is compressed with " .. how .. " has the diff_id of the plain one", function()
				if not has(how) then
					return pending(how .. " is not installed")
				end
				local path, diff_id = make_tar(how)
				local img = base():append({ tar = path })
				assert.same({ diff_id, compression }, { img.layers[3].diff_id, img.layers[3].compression })
				if compression ~= "none" then
					assert.equal("sha256:" .. shell.sha256(path), img.layers[3].digest)
				end
				if how ~= "zstd" then -- which Python does not know
					bench:save(img)
				end
				assert(img:save(dir:file("saved.tar")))
				assert(bench:load(dir:file("saved.tar")):verify())
			end)
		end

		specify("can be compressed otherwise", function()
			local path, diff_id = make_tar("gzip")
			local img = base():append({ tar = path, compression = "none" })
			assert.same({ "none", diff_id, diff_id }, { img.layers[3].compression, img.layers[3].diff_id,
				img.layers[3].digest })
			img = base():append({ tar = path, compression = "zstd" })
			assert.same({ "zstd", diff_id }, { img.layers[3].compression, img.layers[3].diff_id })
		end)

		specify("goes below a place, with other owners, and else keeps its entries", function()
			local path = make_tar()
			local img = base():append({ tar = path, to = "/opt/x", owner = { uid = 7 }, exclude = "usr/share",
				mtime = 99 })
			local layer = img.layers[3]
			for _, one in ipairs({ "opt/x/usr/hard", "opt/x/usr/sym", "opt/x/usr/run", "opt/x/usr/empty" }) do
				local entry = assert(layer:entry(one), one)
				assert.same({ 7, 99 }, { entry.uid, entry.mtime })
			end
			assert.is_nil(layer:entry("opt/x/usr/share/d/file"))
			assert.equal("content", assert(layer:read("opt/x/usr/hard")))
			assert.equal(2541, layer:entry("opt/x/usr/run").mode % 4096)
			local look = bench:save(img)
			assert.is_truthy(look.merged["opt/x/usr/sym"])
		end)

		specify("takes whiteouts along", function()
			archive.build(dir:file("x"), { layers = { { entries = { { name = "etc/.wh.a" }, { name = ".wh.none" } } } } })
			local tar = dir:file("w.tar")
			python([[
t = tarfile.open("w.tar", "w")
for n in "etc/.wh.a", "new": t.addfile(tarfile.TarInfo(n))
t.close()]])
			local img = base():append({ tar = tar })
			local look = bench:save(img)
			assert.is_nil(look.merged["etc/a"])
			assert.is_truthy(look.merged["etc/b"])
			img = strata.new({}):append({ tar = tar, to = "sub", mode = { file = "0777" } })
			assert.same({ "sub/etc/.wh.a", "sub/new" }, names(img.layers[1]))
		end)

		specify("refuses what is none, and what is broken", function()
			local path = make_tar()
			local bytes = shell.read(path)
			for name, bad in pairs({
				text = ("not a tar\n"):rep(200),
				empty = "",
				cut = bytes:sub(1, 700),
				checksum = bytes:sub(1, 100) .. "9" .. bytes:sub(102),
				inner = bytes:sub(1, 1024) .. ("x"):rep(512) .. bytes:sub(1537),
			}) do
				local ok, message, code = strata.new({}):append({ tar = dir:write(name .. ".tar", bad) })
				assert.is_nil(ok, name)
				assert.equal("EFORMAT", code, name)
				assert.is_truthy(message:find(name .. ".tar", 1, true), message)
			end
			shell.sh('gzip -c <"$1" | head -c 200 >"$2"', path, dir:file("cut.gz"))
			assert.equal("EFORMAT", (select(3, strata.new({}):append({ tar = dir:file("cut.gz") }))))
			assert.equal("ENOENT", (select(3, strata.new({}):append({ tar = dir:file("none") }))))
			assert.equal("EISDIR", (select(3, strata.new({}):append({ tar = dir.path }))))
		end)

		specify("keeps to limits", function()
			local path = make_tar("gzip")
			assert.equal("ELIMIT", (select(3, strata.new({}):append({ tar = path, limits = { bytes = 1000 } }))))
			assert.equal("ELIMIT", (select(3, strata.new({}):append({ tar = path, limits = { entries = 3 } }))))
		end)
	end)

	describe("of another archive", function()
		specify("takes the data of a Debian package, as dpkg-deb extracts it", function()
			if not has("dpkg-deb") then
				return pending("dpkg-deb is not installed")
			end
			make_tree()
			python('os.mkdir("src/DEBIAN"); open("src/DEBIAN/control", "w").write("Package: x\\nVersion: 1\\n'
				.. 'Architecture: all\\nMaintainer: x <x@x>\\nDescription: x\\n")')
			for _, how in ipairs({ "xz", "gzip", "none" }) do
				shell.check({ "dpkg-deb", "-Z" .. how, "--build", dir:file("src"), dir:file("x.deb") })
				shell.check({ "rm", "-rf", dir:file("out"), dir:file("want") })
				shell.check({ "dpkg-deb", "-x", dir:file("x.deb"), dir:file("want") })
				local img = strata.new({}):append({ archive = dir:file("x.deb") })
				assert.same({}, tree.differences(tree.read(dir:file("want")), extracted(img), is_top))
			end
		end)

		for _, format in ipairs({ "newc", "odc", "zip", "7zip", "pax", "gnutar", "iso9660", "xar" }) do
			specify("takes what bsdtar extracts of " .. format, function()
				if not has("bsdtar") then
					return pending("bsdtar is not installed")
				end
				make_tree()
				local path = dir:file("x." .. format)
				shell.check({ "bsdtar", "-c", "--format", format, "-f", path, "-C", dir:file("src"), "." })
				shell.check({ "mkdir", dir:file("want") })
				shell.check({ "bsdtar", "-x", "-p", "--same-owner", "--numeric-owner", "-f", path, "-C", dir:file("want") })
				local wide = (format == "7zip" or format == "xar") and { dictionary = math.huge } or nil
				local img = strata.new({}):append({ archive = path, limits = wide })
				local found = extracted(img)
				assert.equal("file", found["usr/hard"].type)
				assert.same({}, tree.differences(tree.read(dir:file("want")), found, is_top))
			end)
		end

		specify("takes an rpm, which is a cpio archive behind headers", function()
			if not has("bsdtar") then
				return pending("bsdtar is not installed")
			end
			make_tree()
			shell.check({ "bsdtar", "-c", "--format", "newc", "--gzip", "-f", dir:file("cpio"), "-C", dir:file("src"), "." })
			python([[
import struct
def header(): return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">6I", 1, 16, 62, 7, 0, 16) + bytes(16)
lead = struct.pack(">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, b"x-1-1", 1, 5, b"")
open("x.rpm", "wb").write(lead + header() + header() + open("cpio", "rb").read())]])
			local img = assert(strata.new({}):append({ archive = dir:file("x.rpm") }))
			assert.same({}, tree.differences(tree.read(dir:file("src")), extracted(img), is_top))
		end)

		specify("has names in UTF-8 whatever the locale is", function()
			python('z = zipfile.ZipFile("u.zip", "w"); z.writestr("na\\u00efve/\\u65e5", "x"); z.close()')
			local img = strata.new({}):append({ archive = dir:file("u.zip") })
			assert.same({ "na\195\175ve/", "na\195\175ve/\230\151\165" }, names(img.layers[1]))
		end)

		specify("cleans names, sorts them, and takes the last of several entries of a name", function()
			python([[
t = tarfile.open("x.tar", "w")
for n, d in ("/abs/z", b"1"), ("./b", b"2"), ("a//c", b"3"), ("b", b"4"):
    i = tarfile.TarInfo(n); i.size = 1; i.mtime = 1.5; i.uname = "u"; t.addfile(i, io.BytesIO(d))
t.close()]])
			local img = base():append({ archive = dir:file("x.tar"), to = "etc", owner = { uid = 9 } })
			assert.same({ "etc/a/", "etc/a/c", "etc/abs/", "etc/abs/z", "etc/b" }, names(img.layers[3]))
			assert.equal("4", assert(img.layers[3]:read("etc/b")))
			local entry = img.layers[3]:entry("etc/b")
			assert.same({ 9, 1, "" }, { entry.uid, entry.mtime, entry.uname })
		end)

		specify("refuses names that lead out, whiteouts, what is below a file, and links to nothing", function()
			for code, script in pairs({
				["leads out"] = 'add("a/../../x")',
				["would be a whiteout"] = 'add("d/.wh.x")',
				["is below"] = 'add("a", tarfile.SYMTYPE, "/etc"); add("a/b")',
				["links to"] = 'add("l", tarfile.LNKTYPE, "none")',
				["links to 'l'"] = 'add("l", tarfile.LNKTYPE, "l")',
				["links to '../x'"] = nil,
			}) do
				python([[
t = tarfile.open("x.tar", "w")
def add(n, k=tarfile.REGTYPE, l=""):
    i = tarfile.TarInfo(n); i.type = k; i.linkname = l; t.addfile(i)
]] .. script .. "\nt.close()")
				local ok, message, why = strata.new({}):append({ archive = dir:file("x.tar") })
				assert.is_nil(ok)
				assert.is_truthy(message:find(code, 1, true), message)
				assert.is_truthy(why == "EINVAL" or why == "EFORMAT", why)
			end
		end)

		specify("refuses what is encrypted", function()
			if not has("zip") then
				return pending("zip is not installed")
			end
			dir:write("f", "secret")
			shell.check({ "zip", "-q", "-P", "password", "x.zip", "f", cwd = dir.path })
			local ok, message, code = strata.new({}):append({ archive = dir:file("x.zip") })
			assert.is_nil(ok)
			assert.equal("EUNSUPPORTED", code)
			assert.is_truthy(message:find("encrypted", 1, true), message)
		end)

		specify("refuses what is cut, empty, or no archive, and keeps to limits", function()
			make_tree()
			python('open("src/big", "wb").write(os.urandom(100000))')
			for _, format in ipairs({ "newc", "zip", "pax" }) do
				local path = dir:file("x." .. format)
				shell.check({ "bsdtar", "-c", "--format", format, "-f", path, "-C", dir:file("src"), "." })
				local bytes = shell.read(path)
				local ok, _, code = strata.new({}):append({ archive = dir:write("cut", bytes:sub(1, math.floor(#bytes / 2))) })
				assert.is_nil(ok, format)
				assert.equal("EFORMAT", code, format)
				local function refused(limits)
					return (select(3, strata.new({}):append({ archive = path, limits = limits })))
				end
				assert.equal("ELIMIT", refused({ bytes = 99999 }))
				assert.equal("ELIMIT", refused({ entries = 3 }))
			end
			assert.equal("EFORMAT", (select(3, strata.new({}):append({ archive = dir:write("e", "") }))))
			assert.equal("EFORMAT", (select(3, strata.new({}):append({ archive = dir:write("t", ("text\n"):rep(999)) }))))
			assert.equal("ENOENT", (select(3, strata.new({}):append({ archive = dir:file("none") }))))
		end)
	end)

	describe("of another layer", function()
		specify("keeps its bytes, digest and compression, and its row of the history", function()
			local history = '{"history":[{"created_by":"one"},{"created_by":"two","comment":"c"}]}'
			local from = bench:open(
				{ { entries = { { name = "x" } } }, { gzip = true, entries = { { name = "y", data = "y" } } } },
				{ config = cjson.decode(history) }
			)
			local layer = from.layers[2]
			local img = base():append({ layer = layer })
			for _, field in ipairs({ "digest", "diff_id", "compression", "size" }) do
				assert.equal(layer[field], img.layers[3][field])
			end
			assert.equal("two", img.layers[3].created_by)
			assert.equal("c", img.layers[3].history.comment)
			assert.equal("mine", base():append({ layer = layer, created_by = "mine" }).layers[3].created_by)
			from:close()
			bench:save(img)
		end)

		specify("takes its edits along, and leaves it alone", function()
			local from, img = base(), base()
			from.layers[1]:entry("etc/a"):replace("new")
			local before = from.layers[1].diff_id
			assert(img:append({ layer = from.layers[1] }))
			img.layers[3]:entry("etc/a"):replace("newer")
			assert.equal("new", from.layers[1]:read("etc/a"))
			assert.equal(before, from.layers[1].diff_id)
			assert.equal(before, assert(base():append({ layer = from.layers[1] })).layers[3].diff_id)
			bench:save(img)
		end)

		specify("may be one of the image itself", function()
			local img = base()
			assert(img:append({ layer = img.layers[1] }))
			assert.equal(img.layers[1].diff_id, img.layers[3].diff_id)
			bench:save(img)
		end)

		specify("keeps the annotations of its descriptor, but those of bytes that do not stay", function()
			local from = base()
			assert(from:save(dir:file("oci"), { format = "oci", compression = "gzip" }))
			local index = cjson.decode(shell.read(dir:file("oci/index.json")))
			local function blob(digest)
				return dir:file("oci/blobs/" .. digest:gsub(":", "/"))
			end
			local manifest = cjson.decode(shell.read(blob(index.manifests[1].digest)))
			manifest.layers[2].annotations =
				{ ["org.example.x"] = "y", ["containerd.io/snapshot/stargz/toc.digest"] = "z" }
			local text = cjson.encode(manifest)
			dir:write("m", text)
			local digest = "sha256:" .. shell.sha256(dir:file("m"))
			shell.write(blob(digest), text)
			index.manifests[1].digest, index.manifests[1].size = digest, #text
			dir:write("oci/index.json", cjson.encode(index))
			local layer = bench:load(dir:file("oci")).layers[2]
			assert.equal("y", layer.annotations["org.example.x"])
			local img = strata.new({}):append({ layer = layer })
			assert(img:save(dir:file("new"), { format = "oci" }))
			local got = bench:load(dir:file("new"))
			assert.same(layer.annotations, got.layers[1].annotations)
			assert.equal(layer.digest, got.layers[1].digest)
			assert.is_truthy(got.layers[1].media_type:find("^application/vnd.oci.image.layer.v1.tar%+gzip$"))
			assert(img:save(dir:file("plain"), { format = "oci", compression = "none" }))
			assert.same({ ["org.example.x"] = "y" }, bench:load(dir:file("plain")).layers[1].annotations)
		end)
	end)

	describe("at a place between the others", function()
		local function stack(history, count)
			local layers = {}
			for i = 1, count or 3 do
				layers[i] = { entries = { { name = "f" .. i, data = "f" .. i }, { name = "same", data = "same" .. i } } }
			end
			return (bench:open(layers, { config = cjson.decode('{"history":' .. (history or "null") .. "}") }))
		end

		local function rows(look)
			local list = {}
			for i, row in ipairs(look.history) do
				list[i] = (row.created_by or "?") .. (row.empty_layer and "-" or "")
			end
			return table.concat(list, " ")
		end

		local FULL = '[{"created_by":"1"},{"created_by":"e","empty_layer":true},{"created_by":"2"},{"created_by":"3"}]'

		for at, wanted in ipairs({ "N 1 e- 2 3", "1 e- N 2 3", "1 e- 2 N 3", "1 e- 2 3 N" }) do
			specify("has its layer and its row there: " .. at, function()
				local img = stack(FULL)
				local before = {}
				for i, layer in ipairs(img.layers) do
					before[i] = layer.diff_id
				end
				assert(img:append({ files = { new = "new", same = "mine" }, at = at, created_by = "N" }))
				table.insert(before, at, img.layers[at].diff_id)
				local look = bench:save(img)
				assert.same(before, look.diff_ids)
				assert.equal(wanted, rows(look))
				assert.equal("N", img.layers[at].created_by)
				for i, layer in ipairs(img.layers) do
					assert.equal(i, layer.position)
				end
				assert.equal(at == 4 and "mine" or "same3", img:rootfs():read("same"))
			end)
		end

		for name, case in pairs({
			none = { nil, 2, "? N" },
			short = { '[{"created_by":"1"}]', 3, "1 ? N" },
			["short, in the middle"] = { '[{"created_by":"1"}]', 1, "N 1" },
			long = { '[{"created_by":"1"},{"created_by":"2"},{"created_by":"3"},{"created_by":"4"}]', 4, "1 2 3 N 4" },
			["long, in the middle"] = { '[{"created_by":"1"},{"created_by":"2"},{"created_by":"3"},{"created_by":"4"}]', 2,
				"1 N 2 3 4" },
		}) do
			specify("copes with a history that is " .. name, function()
				local img = stack(case[1])
				assert(img:append({ files = { n = "" }, at = case[2], created_by = "N" }))
				assert.equal("N", img.layers[case[2]].created_by)
				assert.equal(case[3], rows(bench:save(img)))
			end)
		end

		specify("takes a directory, a tar and a layer as well", function()
			python('os.mkdir("s"); open("s/deep", "w")')
			shell.check({ "tar", "-cf", dir:file("t.tar"), "-C", dir:file("s"), "deep" })
			local img = stack(FULL)
			assert(img:append({ dir = dir:file("s"), to = "/f1/x", at = 1 }))
			assert(img:append({ tar = dir:file("t.tar"), at = 2 }))
			assert(img:append({ layer = strata.layer({ files = { l = "l" } }), at = 3 }))
			local look = bench:save(img)
			assert.equal(6, #look.layers)
			assert.same({ "f1", "f1/x", "f1/x/deep" }, archive.names(look.layers[1].entries))
			assert.same({ "deep" }, archive.names(look.layers[2].entries))
		end)

		specify("refuses what would give a hardlink another file, or none", function()
			local function linked()
				return bench:open({ { entries = { { name = "d", type = "dir" }, { name = "d/f", data = "x" } } },
					{ entries = { { name = "l", type = "hardlink", linkname = "d/f" } } } })
			end
			for _, entries in ipairs({
				{ { name = "d/f", data = "other" } },
				{ { name = "d/.wh.f" } },
				{ { name = ".wh.d" } },
				{ { name = "d/.wh..wh..opq" } },
				{ { name = "d", type = "symlink", linkname = "x" } },
			}) do
				local layer = bench:open({ { entries = entries } }).layers[1]
				local img = linked()
				local ok, message, code = img:append({ layer = layer, at = 2 })
				assert.is_nil(ok)
				assert.equal("EINVAL", code)
				assert.is_truthy(message:find("hardlink", 1, true), message)
				assert.equal(2, #img.layers)
				assert(linked():append({ layer = layer, at = 3 }))
			end
			local other = bench:open({ { entries = { { name = "d/g" }, { name = ".wh.x" } } } }).layers[1]
			assert(linked():append({ layer = other, at = 2 }))
		end)
	end)

	specify("throws what makes no sense, and leaves the image alone", function()
		local img = base()
		local layer = img.layers[1]
		for _, bad in ipairs({
			{}, { dir = dir.path, tar = "x" }, { files = {}, dir = dir.path }, { layer = layer, files = {} }, { layer = 1 },
			{ layer = layer, to = "x" }, { layer = layer, owner = { uid = 0 } }, { layer = layer, compression = "gzip" },
			{ layer = layer, at = 0 }, { layer = layer, at = 4 }, { layer = layer, at = 1.5 }, { from = dir.path },
			{ lower = dir.path, upper = dir.path }, { overlay_upper = dir.path }, { dir = 1 }, { dir = dir.path, nonsense = 1 },
			{ dir = dir.path, created = "yesterday" }, { dir = dir.path, created_by = 1 }, { tar = "x", exact_mtime = true },
		}) do
			assert.error(function() img:append(bad) end)
		end
		assert.error(function() img:append("x") end)
		assert.equal(2, #img.layers)
		assert.is_false(img.edited)
		assert(img:save(dir:file("same.tar")))
	end)

	specify("gives the same image twice", function()
		make_tree()
		shell.check({ "bsdtar", "-c", "--format", "zip", "-f", dir:file("z"), "-C", dir:file("src"), "." })
		local function make()
			local img = strata.new({}):append({ dir = dir:file("src") }):append({ archive = dir:file("z"), at = 1 })
			return img.id
		end
		assert.equal(make(), make())
	end)
end)

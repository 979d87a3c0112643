local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local tarlist = require "spec.support.tarlist"
local unpack = table.unpack or unpack

local LONG = ("directory/"):rep(9) .. "file" -- fits ustar's prefix
local LONGER = ("directory/"):rep(30) .. "file"

-- Every type of entry, in a format that bsdtar and GNU tar can both be asked for.
local MTREE = [[
#mtree
./etc type=dir mode=0755 uid=0 gid=0 uname=root gname=root time=1600000000.0
./etc/passwd type=file mode=4755 uid=1000 gid=70000 uname=app gname=users time=1600000001.0 contents=passwd
./etc/link type=link mode=0777 uid=0 gid=0 time=1600000002.0 link=../passwd
./dev/null type=char mode=0666 uid=0 gid=0 time=1600000003.0 device=native,1,3
./dev/disk type=block mode=0660 uid=0 gid=6 time=1600000004.0 device=native,8,17
./run/pipe type=fifo mode=0600 uid=0 gid=0 time=1600000005.0
]]

local specify = archive.specify(it, pending)

local bench, dir

local function open(layers, request)
	return bench:open(layers, request)
end

local function open_tar(path, gzip)
	return open({ { file = path, gzip = gzip } }).layers[1]
end

local function by_path(layer)
	local map = {}
	for entry in layer:entries() do
		map[entry.path] = entry
	end
	return map
end

local function paths(layer)
	local list = {}
	for entry in layer:entries() do
		list[#list + 1] = entry.path
	end
	return list
end

local function gnutar(name, ...)
	shell.check({ "tar", "-c", "-f", dir:file(name), cwd = dir.path, env = { LC_ALL = "C.UTF-8" }, ... })
	return dir:file(name)
end

local function bsdtar(name, ...)
	shell.check({ "bsdtar", "-c", "-f", dir:file(name), cwd = dir.path, ... })
	return dir:file(name)
end

before_each(function()
	bench = archive.bench()
	dir = bench.dir
end)

after_each(function()
	bench:close()
end)

describe("the entries of a layer", function()
	for _, format in ipairs({ "ustar", "pax", "gnutar" }) do
		specify("have the type and the fields that the tar gives them (" .. format .. ")", function()
			dir:write("passwd", "root:x:0:0\n")
			dir:write("spec.mtree", MTREE)
			local path = bsdtar("a.tar", "--format=" .. format, "@spec.mtree")
			local found = by_path(open_tar(path))
			for _, wanted in ipairs(tarlist.entries(path)) do
				local entry = assert(found[wanted.path], wanted.path)
				for _, field in ipairs({ "name", "type", "mode", "uid", "gid", "size", "mtime", "linkpath", "major", "minor" }) do
					assert.equal(wanted[field], entry[field], wanted.path .. "." .. field)
				end
			end
			assert.equal("app", found["etc/passwd"].uname)
			assert.equal("users", found["etc/passwd"].gname)
			assert.equal("", found["dev/null"].uname)
			assert.equal("0", found["etc/passwd"].typeflag)
			assert.equal("6", found["run/pipe"].typeflag)
			assert.is_nil(found["etc/passwd"].linkpath)
			assert.is_nil(found["etc/passwd"].major)
		end)
	end

	specify("come in the order of the tar, and are numbered from 1", function()
		local layer = open({ { entries = { { name = "b" }, { name = "a" }, { name = "c" } } } }).layers[1]
		assert.same({ "b", "a", "c" }, paths(layer))
		local numbers = {}
		for entry in layer:entries() do
			numbers[#numbers + 1] = entry.position
		end
		assert.same({ 1, 2, 3 }, numbers)
	end)

	specify("keep the name as it is stored, and have a path without its decoration", function()
		local names = { "./", "./a/", "./a//b", "/c", "a/./d", "a/../e", "./a/f/", "../g" }
		local entries = {}
		for i, name in ipairs(names) do
			entries[i] = { name = name, type = name:find("/$") and "dir" or "file" }
		end
		local layer = open({ { format = "gnu", entries = entries } }).layers[1]
		local list, stored = paths(layer), {}
		for entry in layer:entries() do
			stored[#stored + 1] = entry.name
		end
		assert.same({ ".", "a", "a/b", "c", "a/d", "e", "a/f", "g" }, list)
		assert.same(names, stored)
	end)

	for _, format in ipairs({ "gnu", "pax" }) do
		specify("have names and links longer than their fields (" .. format .. ")", function()
			local layer = open({
				{
					format = format,
					entries = {
						{ name = LONG, data = "1" },
						{ name = LONGER, data = "2" },
						{ name = "link", type = "symlink", linkname = LONGER },
						{ name = "hard", type = "hardlink", linkname = LONGER },
					},
				},
			}).layers[1]
			assert.same({ LONG, LONGER, "link", "hard" }, paths(layer))
			assert.equal(LONGER, layer:entry("link").linkpath)
			assert.equal(LONGER, layer:entry("hard").linkpath)
			assert.equal("2", layer:read("hard"))
		end)
	end

	for _, name in ipairs({ "caf\195\169", "caf\233", "line\nbreak", "\230\151\165", "space d", "back\\slash" }) do
		specify(("are named by bytes: %q"):format(name), function()
			dir:write(name, "content")
			for _, format in ipairs({ "gnu", "pax", "ustar" }) do
				local layer = open_tar(gnutar("a.tar", "--format=" .. format, "--", name))
				assert.same({ name }, paths(layer))
				assert.equal("content", layer:read(name))
			end
		end)
	end

	specify("have times with their fraction, and before 1970", function()
		dir:write("new", "")
		dir:write("old", "")
		shell.check({ "touch", "-d", "@1600000000.25", "new", cwd = dir.path })
		shell.check({ "touch", "-d", "@-86400.5", "old", cwd = dir.path })
		local found = by_path(open_tar(gnutar("a.tar", "--format=pax", "new", "old")))
		assert.equal(1600000000.25, found.new.mtime)
		assert.equal(-86400.5, found.old.mtime)
	end)

	specify("have extended attributes by name, with the bytes of the value", function()
		local layer = open({
			{
				entries = {
					{
						name = "file",
						pax = {
							["SCHILY.xattr.user.note"] = "a value",
							["SCHILY.xattr.security.capability"] = "\1\0\0\2\0\4\0\0",
							["SCHILY.xattr.user.eq%3Dand%25"] = "odd",
							["LIBARCHIVE.xattr.user.other"] = "YWI",
							["LIBARCHIVE.xattr.user.note"] = "eA",
							["comment"] = "kept",
						},
					},
					{ name = "plain" },
				},
			},
		}).layers[1]
		assert.same({
			["user.note"] = "a value",
			["security.capability"] = "\1\0\0\2\0\4\0\0",
			["user.eq=and%"] = "odd",
		}, layer:entry("file").xattrs) -- no runtime reads libarchive's own records
		assert.same({}, layer:entry("plain").xattrs)
		assert.same({}, layer:entry("plain").pax)
	end)

	specify("have the PAX records as they stand", function()
		local records = { comment = "with = and\nline", ["VENDOR.key"] = "value", path = LONGER, mtime = "5.125" }
		local pax = { comment = records.comment, ["VENDOR.key"] = "value" }
		local layer = open({ { entries = { { name = LONGER, mtime = 5.125, pax = pax } } } }).layers[1]
		assert.same(records, layer:entry(LONGER).pax)
	end)

	specify("have numbers beyond the octal fields", function()
		for _, format in ipairs({ "gnu", "pax" }) do
			local entries = { { name = "f", uid = 3000000, gid = 4294967294 } }
			local layer = open({ { format = format, entries = entries } }).layers[1]
			assert.equal(3000000, layer:entry("f").uid)
			assert.equal(4294967294, layer:entry("f").gid)
		end
	end)

	specify("that are hardlinks have no payload, whatever size their header states", function()
		dir:write("one", ("x"):rep(1000))
		shell.check({ "ln", "one", "two", cwd = dir.path })
		-- old cpio and pax writers repeat the size on links
		local path = bsdtar("a.tar", "--format=pax", "one", "two")
		local layer = open_tar(path)
		assert.equal("hardlink", layer:entry("two").type)
		assert.equal("one", layer:entry("two").linkpath)
		assert.equal(("x"):rep(1000), layer:read("two"))
		assert.same({ "one", "two" }, paths(layer))
	end)

	specify("say what a whiteout deletes and what an opaque marker makes opaque", function()
		local expected = {
			[".wh.a"] = { whiteout = "a" },
			["d/.wh.b"] = { whiteout = "d/b" },
			["d/.wh..wh.odd"] = { whiteout = "d/.wh.odd" },
			[".wh..wh.odd"] = {},
			["d/.wh..wh..opq"] = { opaque = "d" },
			[".wh..wh..opq"] = { opaque = "." },
			[".wh..wh.plnk"] = {},
			[".wh.dir/file"] = {},
			["wh.x"] = {},
			["x.wh.y"] = {},
			[".wh..hidden"] = { whiteout = ".hidden" },
			[".wh....three"] = { whiteout = "...three" },
		}
		local entries = {}
		for name in pairs(expected) do
			entries[#entries + 1] = { name = name }
		end
		for entry in open({ { entries = entries } }).layers[1]:entries() do
			assert.same(expected[entry.path], { whiteout = entry.whiteout, opaque = entry.opaque }, entry.path)
		end
	end)

	specify("print as one line", function()
		local file = { name = "etc/passwd", uid = 1, gid = 2, mode = 420, data = ("x"):rep(1234) }
		local layer = open({ { entries = { file, { name = "a\nb" } } } }).layers[1]
		assert.equal("strata.Entry(etc/passwd, file, 0644, 1:2, 1.2 kB)", tostring(layer:entry("etc/passwd")))
		assert.equal("strata.Entry(a\\x0ab, file, 0644, 0:0, 0 B)", tostring(layer:entry("a\nb")))
	end)

	specify("refuse fields that do not exist and fields that cannot be assigned", function()
		local img = open({ { entries = { { name = "f" } } } })
		local entry = img.layers[1]:entry("f")
		assert.error_matches(function() return entry.uuid end, "^strata.Entry has no field 'uuid': did you mean 'uid'%?$")
		assert.error_matches(function() entry.colour = "red" end, "no field 'colour'")
		for _, field in ipairs({ "type", "typeflag", "size", "whiteout", "opaque", "position", "pax" }) do
			assert.error(function() entry[field] = entry[field] or 1 end, nil)
		end
		assert.error(function() entry.uid = "0" end)
		assert.error(function() entry.uid = -1 end)
		assert.error(function() entry.uid = 1.5 end)
		assert.error(function() entry.uid = 4294967295 end)
		assert.error(function() entry.mode = 65536 end)
		assert.error_matches(function() entry.mode = "0888" end, 'octal digits such as "0755"')
		assert.error(function() entry.mode = "rwx" end)
		assert.error(function() entry.setuid = 1 end)
		assert.error(function() entry.path = "" end)
		assert.error(function() entry.path = "a\0b" end)
		assert.error(function() entry.linkpath = "x" end)
		assert.error(function() entry.major = 1 end)
		assert.error(function() entry.mtime = 0 / 0 end)
		assert.error(function() entry.mtime = "now" end)
		assert.error(function() entry.xattrs = { [1] = "x" } end)
		assert.error(function() entry.xattrs = { a = 1 } end)
		assert.error(function() entry.xattrs = nil end)
		assert.is_false(img.edited)
	end)
end)

describe("a layer", function()
	specify("has the digests and the size of its bytes, plain or compressed", function()
		local img, made, path = open({
			{ entries = { { name = "a", data = "1" } } },
			{ gzip = true, entries = { { name = "b", data = ("x"):rep(5000) } } },
		})
		local look = archive.look(path)
		for i, layer in img:layers() do
			assert.equal(i, layer.position)
			assert.equal(made.diff_ids[i], layer.diff_id)
			assert.equal(look.layers[i].digest, layer.digest)
			assert.equal(look.layers[i].size, layer.size)
		end
		assert.equal("none", img.layers[1].compression)
		assert.equal("gzip", img.layers[2].compression)
		assert.equal("application/vnd.docker.image.rootfs.diff.tar", img.layers[1].media_type)
		assert.equal("application/vnd.docker.image.rootfs.diff.tar.gzip", img.layers[2].media_type)
	end)

	specify("has the chain ID of the image spec", function()
		local img, made = open({ { entries = { { name = "a" } } }, { entries = { { name = "b" } } }, { entries = {} } })
		local function sha256(text)
			return "sha256:" .. shell.check({ "sha256sum", input = text }):match("%x+")
		end
		assert.equal(made.diff_ids[1], img.layers[1].chain_id)
		local second = sha256(made.diff_ids[1] .. " " .. made.diff_ids[2])
		assert.equal(second, img.layers[2].chain_id)
		assert.equal(sha256(second .. " " .. made.diff_ids[3]), img.layers[3].chain_id)
	end)

	specify("knows the step that made it, past empty rows", function()
		local img = open({ { entries = { { name = "a" } } }, { entries = { { name = "b" } } } }, {
			config = {
				history = {
					{ created_by = "ADD a" },
					{ created_by = "ENV X=1", empty_layer = true },
					{ created_by = "ADD b" },
				},
			},
		})
		assert.equal("ADD a", img.layers[1].created_by)
		assert.equal("ADD b", img.layers[2].created_by)
		assert.equal(3, img.layers[2].history.position)
		assert.equal(2, img.layers[2].history.layer.position)
	end)

	specify("has no step when the history is too short or absent", function()
		local img = open({ { entries = {} }, { entries = {} } }, { config = { history = { { created_by = "x" } } } })
		assert.equal("x", img.layers[1].created_by)
		assert.is_nil(img.layers[2].created_by)
		assert.is_nil(img.layers[2].history)
	end)

	specify("is empty when it has no entries", function()
		local img = open({ { entries = {} }, { entries = { { name = "a" } } }, { raw = ("\0"):rep(1024), gzip = true } })
		assert.is_true(img.layers[1].empty)
		assert.is_false(img.layers[2].empty)
		assert.is_true(img.layers[3].empty)
	end)

	specify("finds the last entry of a path, and none that is not there", function()
		local layer = open({ { entries = { { name = "a" }, { name = "./a" }, { name = "d", type = "dir" } } } }).layers[1]
		assert.equal(2, layer:entry("a").position)
		assert.equal(2, layer:entry("/a").position)
		assert.equal(2, layer:entry("./a").position)
		assert.equal("dir", layer:entry("d/").type)
		assert.is_nil(layer:entry("b"))
		assert.is_nil(layer:entry("a/b"))
	end)

	specify("prints as one line", function()
		local img, made = open({ { gzip = true, entries = { { name = "a" } } } })
		local short = made.diff_ids[1]:sub(1, 19)
		assert.matches("^strata%.Layer%(1, " .. short .. ", [%d.]+ k?B, gzip%)$", tostring(img.layers[1]))
	end)

	specify("draws its own entries as a tree, whiteouts left out", function()
		local layer = open({ { entries = { { name = "etc/passwd", data = "x" }, { name = ".wh.gone" } } } }).layers[1]
		assert.matches("etc/\n", layer:tree(), 1, true)
		assert.matches("passwd", layer:tree(), 1, true)
	end)
end)

describe("layer:read", function()
	for _, gzip in ipairs({ false, true }) do
		local kind = gzip and " of a compressed layer" or " of a plain layer"
		specify("gives the content of a file" .. kind, function()
			local big = {}
			for i = 1, 40000 do
				big[i] = tostring(i)
			end
			big = table.concat(big, "\n")
			local layer = open({
				{
					gzip = gzip,
					entries = {
						{ name = "etc/one", data = "content\0with NUL" },
						{ name = "empty" },
						{ name = "big", data = big },
						{ name = "after", data = "after" },
					},
				},
			}).layers[1]
			assert.equal("content\0with NUL", layer:read("etc/one"))
			assert.equal("content\0with NUL", layer:read("/etc/one"))
			assert.equal("", layer:read("empty"))
			assert.equal(big, layer:read("big"))
			assert.equal("after", layer:read("after"))
			assert.equal("", layer:read("big", 0))
			assert.equal("1\n2\n3", layer:read("big", 5))
			assert.equal(big, layer:read("big", #big))
			assert.equal(big, layer:read("big", #big + 100))
			assert.equal("2\n3", layer:entry("big"):read(3, 2))
			assert.equal("", layer:entry("big"):read(3, #big))
		end)
	end

	specify("follows hardlinks inside the layer: chains, links before their target, odd spellings", function()
		local layer = open({
			{
				entries = {
					{ name = "early", type = "hardlink", linkname = "file" },
					{ name = "file", data = "content" },
					{ name = "one", type = "hardlink", linkname = "./file" },
					{ name = "two", type = "hardlink", linkname = "one" },
					{ name = "three", type = "hardlink", linkname = "/x/../two" },
				},
			},
		}).layers[1]
		for _, name in ipairs({ "early", "file", "one", "two", "three" }) do
			assert.equal("content", layer:read(name), name)
		end
		assert.equal("con", layer:read("three", 3))
	end)

	specify("follows a hardlink to the file that its name meant at that place of the tar", function()
		local layer = open({
			{
				entries = {
					{ name = "file", data = "old" },
					{ name = "link", type = "hardlink", linkname = "file" },
					{ name = "file", data = "newer" },
				},
			},
		}).layers[1]
		assert.equal("old", layer:read("link"))
		assert.equal("newer", layer:read("file"))
	end)

	specify("says what is wrong with a path that holds no content", function()
		local layer = open({
			{
				entries = {
					{ name = "d", type = "dir" },
					{ name = "s", type = "symlink", linkname = "d" },
					{ name = "lost", type = "hardlink", linkname = "of/a/lower/layer" },
					{ name = "self", type = "hardlink", linkname = "self" },
				},
			},
		}).layers[1]
		for path, code in pairs({ d = "EISDIR", s = "EINVAL", lost = "ENOENT" }) do
			local content, message, how = layer:entry(path):read()
			assert.is_nil(content)
			assert.equal(code, how)
			assert.is_truthy(code == "ENOENT" or message:find("'" .. path .. "': is a ", 1, true), message)
		end
		for path, code in pairs({ missing = "ENOENT", d = "EISDIR", s = "EINVAL", lost = "ENOENT", self = "ENOENT" }) do
			local content, message, got = layer:read(path)
			assert.is_nil(content)
			assert.equal(code, got, path)
			assert.matches("^layer 1/1 ", message)
		end
	end)

	specify("does not loop on hardlinks that name each other", function()
		local layer = open({
			{
				entries = {
					{ name = "a", type = "hardlink", linkname = "b" },
					{ name = "b", type = "hardlink", linkname = "a" },
				},
			},
		}).layers[1]
		assert.is_nil((layer:read("a")))
		assert.is_nil((layer:read("b")))
	end)

	for _, options in ipairs({
		{ "--format=gnu" },
		{ "--format=pax", "--sparse-version=1.0" },
		{ "--format=pax", "--sparse-version=0.1" },
		{ "--format=pax", "--sparse-version=0.0" },
	}) do
		specify("reads the holes of a sparse file as zeros: " .. table.concat(options, " "), function()
			shell.sh([[
				cd "$1"
				truncate -s 3000001 holes
				printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
			]], dir.path)
			local layer = open_tar(gnutar("a.tar", "-S", "holes", unpack(options)))
			assert.equal(3000001, layer:entry("holes").size)
			assert.equal(shell.read(dir:file("holes")), layer:read("holes"))
			assert.equal("\0data\0", layer:entry("holes"):read(6, 999999))
		end)
	end

	specify("gives replaced content at once, under every name of the file", function()
		local entries = { { name = "f", data = "old" }, { name = "l", type = "hardlink", linkname = "f" } }
		local layer = open({ { entries = entries } }).layers[1]
		layer:entry("l"):replace("much newer")
		assert.equal("much newer", layer:read("f"))
		assert.equal("newer", layer:entry("l"):read(5, 5))
		assert.equal(10, layer:entry("f").size)
	end)
end)

describe("layer:remove", function()
	specify("drops the entries of a path and of all below it, and tells which", function()
		local img = open({
			{ entries = { { name = "d", type = "dir" }, { name = "d/f" }, { name = "./d/f" }, { name = "d/f2" } } },
			{ entries = { { name = "d/f" } } },
		})
		local layer = img.layers[1]
		local again, removed = layer:remove("/d/f")
		assert.equal(layer, again)
		assert.same({
			{ layer = 1, path = "d/f", type = "file", size = 0 }, { layer = 1, path = "d/f", type = "file", size = 0 },
		}, removed)
		assert.same({ "d", "d/f2" }, paths(layer))
		for _, which in ipairs({ "d/f", "nothing" }) do
			local ok, message, code = layer:remove(which)
			assert.same({ nil, "ENOENT" }, { ok, code })
			assert.matches(("nothing matches '%s'"):format(which), message, 1, true)
			assert.same({}, select(2, assert(layer:remove(which, { optional = true }))))
		end
		assert.is_nil((layer:remove({ "d/f2", "nothing" })))
		assert.same({ "d", "d/f2" }, paths(layer))
		assert.equal(2, #select(2, assert(layer:remove("d/"))))
		assert.same({}, paths(layer))
		assert.same({ "d/f" }, paths(img.layers[2]))
		assert.is_nil(img.layers[1]:entry("d/f"))
		assert.is_true(img.layers[1].edited)
		assert.is_false(img.layers[2].edited)
	end)
end)

describe("the layers of real images", function()
	local corpus = os.getenv("STRATA_CORPUS")
	local images = {
		"aquasecurity-image3_gz_layers",
		"wagoodman-test-docker-image",
		"wagoodman-test-kaniko-image",
		"GoogleContainerTools-busybox-jib",
		"bazelbuild-image_with_symlinked_layer",
		"google-whiteout_dir",
		"google-hello-world-v25",
		"snyk-alpine",
	}

	for _, name in ipairs(images) do
		specify("list as Python lists them: " .. name, function()
			if not corpus then
				return pending("STRATA_CORPUS is not set")
			end
			local path = corpus .. "/images/" .. name .. ".tar"
			local img = bench:load(path)
			for i, wanted in ipairs(archive.look(path, 0).layers) do
				local layer, n = img.layers[i], 0
				assert.equal(wanted.diff_id, layer.diff_id)
				assert.equal(wanted.digest, layer.digest)
				for entry in layer:entries() do
					n = n + 1
					local other = wanted.entries[n]
					for _, field in ipairs({ "type", "mode", "uid", "gid", "uname", "gname", "mtime" }) do
						assert.equal(other[field], entry[field], entry.path .. "." .. field)
					end
					assert.equal(other.name, (entry.name:gsub("/+$", "")))
					assert.equal(other.linkname, entry.linkpath or "")
				end
				assert.equal(#wanted.entries, n)
			end
		end)
	end
end)

describe("a part of a layer", function()
	it("begins behind as many entries as were asked for, dropped ones not counted", function()
		local layer = open({
			{ entries = { { name = "a", data = "1" }, { name = "b", data = "1" }, { name = "c", data = "1" } } },
		}).layers[1]
		local function from(offset)
			local list = {}
			for entry in layer:entries(offset) do
				list[#list + 1] = entry.path
			end
			return table.concat(list, " ")
		end
		assert.same({ "a b c", "b c", "" }, { from(0), from(1), from(3) })
		assert(layer:remove("a"))
		assert.same({ "b c", "c", "", 2 }, { from(0), from(1), from(2), layer.count })
	end)

	it("is what a directory has at this moment", function()
		local layer = open({ { entries = { { name = "d/a", data = "1" }, { name = "d/b", data = "1" } } } }).layers[1]
		local page = assert(layer:list("/d/", 1, 1))
		assert.same({ "b", "d/b", 2, nil }, { page.rows[1].name, page.rows[1].path, page.total, page.rows[2] })
		assert(layer:remove("d/a"))
		page = assert(layer:list("d"))
		assert.same({ "b", 1, false }, { page.rows[1].name, page.total, page.opaque })
		assert.equal("ENOTDIR", select(3, layer:list("d/b")))
		assert.equal("ENOENT", select(3, layer:list("none")))
		assert.error_matches(function() layer:list("d", -1) end, "list: offset should be a whole number")
	end)
end)

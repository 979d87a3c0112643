--- What files of the merged view hold, hashed; and entries as lines of JSON.

local archive = require "spec.support.archive"
local base64 = require "strata.util.base64"
local cjson = require "cjson"
local docker_archive = require "spec.support.docker_archive"
local rawtar = require "spec.support.rawtar"
local shell = require "spec.support.shell"
local strata = require "strata"

local specify = archive.specify(it, pending)

local function file(name, data, more)
	local entry = { name = name, data = data or name }
	for key, value in pairs(more or {}) do
		entry[key] = value
	end
	return entry
end

local LAYERS = {
	{
		file("a", "content"), { name = "b", type = "hardlink", linkname = "a" }, file("d/empty", ""),
		file("d/large", ("0123456789"):rep(50000)), file("gone"), { name = "to", type = "symlink", linkname = "a" },
	},
	{ file("d/new", "new"), file(".wh.gone", ""), file("e\nv\\l", "x") },
}

describe("digests", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(gzip)
		local layers = {}
		for i, entries in ipairs(LAYERS) do
			layers[i] = { entries = entries, gzip = gzip }
		end
		return bench:open(layers)
	end

	local function listed(list)
		local found = {}
		for i, one in ipairs(list) do
			found[i] = one.path
		end
		return table.concat(found, " ")
	end

	specify("are those of all files, by path, of plain and of compressed layers", function()
		for _, gzip in ipairs({ false, true }) do
			local root = assert(open(gzip):rootfs())
			local list = assert(root:digests())
			assert.equal("a b d/empty d/large d/new e\nv\\l", listed(list))
			for _, one in ipairs(list) do
				assert.equal(root:stat(one.path):digest(), one.digest)
				assert.equal(root:stat(one.path).size, one.size)
			end
			assert.equal(list[1].digest, list[2].digest)
		end
	end)

	specify("are those of the files that are chosen", function()
		local root = assert(open():rootfs())
		assert.equal("d/empty d/large d/new", listed(assert(root:digests("d"))))
		assert.equal("a d/large", listed(assert(root:digests({ "a", "d/l*" }))))
		assert.equal("d/new", listed(assert(root:digests(function(entry)
			return entry.type == "file" and entry.layer.position == 2 and entry.size == 3
		end))))
		assert.same({ nil, "digests: nothing matches 'gone'", "ENOENT" }, { root:digests("gone") })
		assert.same({ nil, "digests: nothing that was chosen is a file", "ENOENT" }, { root:digests("to") })
		assert.same({}, root:digests({ "to", "gone" }, { optional = true }))
	end)

	specify("follow edits that wait", function()
		local img = open()
		local root = assert(img:rootfs())
		img.layers[1]:entry("d/empty"):replace("content")
		img.layers[2]:entry("d/new").path = "d/newer"
		local list = assert(root:digests("d"))
		assert.equal("d/empty d/large d/newer", listed(list))
		assert.equal(root:stat("a"):digest(), list[1].digest)
		assert.equal(root:stat("d/newer"):digest(), list[3].digest)
	end)

	it("are those of sparse files with their holes, whichever thread works", function()
		local records = { "GNU.sparse.size", "10", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "2,3" }
		local path = os.tmpname()
		shell.write(path, rawtar.tar(rawtar.pax(records) .. rawtar.entry({ name = "holes" }, "abc")))
		local img = strata.new()
		assert(img:append({ tar = path }))
		os.remove(path)
		local digest = "sha256:" .. docker_archive.sha256("\0\0abc\0\0\0\0\0")
		assert.same({ { path = "holes", size = 10, digest = digest } }, img:rootfs():digests("holes", { threads = 0 }))
		img:close()
	end)

	specify("are in the order and the form that sha256sum reads", function()
		local root = assert(open():rootfs())
		local place = bench.dir:file("files")
		assert(root:extract("**", place))
		bench.dir:write("sums", tostring(root:digests()) .. "\n")
		shell.sh('cd "$1" && sha256sum --strict --quiet -c "$2"', place, bench.dir:file("sums"))
	end)

	specify("are of no layer whose bytes are not its own", function()
		local img = bench:open(
			{ { entries = { file("f") } } },
			{ config = { rootfs = { type = "layers", diff_ids = { "sha256:" .. ("0"):rep(64) } } } }
		)
		local list, _, code = assert(img:rootfs()):digests("f")
		assert.same({ nil, "EDIGEST" }, { list, code })
	end)

	specify("tell their progress, and can be given up", function()
		local root = assert(open():rootfs())
		local done, total, stage
		assert(root:digests(nil, {
			threads = 1,
			progress = function(...)
				done, total, stage = ...
			end,
		}))
		assert.same({ 7 + 500000 + 3 + 1, 7 + 500000 + 3 + 1, "hashing" }, { done, total, stage })
		local ok, message = pcall(root.digests, root, "a", {
			progress = function()
				error("enough", 0)
			end,
		})
		assert.same({ false, "enough" }, { ok, message })
		assert.equal("a", listed(assert(root:digests("a"))))
	end)
end)

describe("an entry as JSON", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	-- The lines of a listing, decoded, by path.
	local function listing(root, opts)
		local rows = {}
		for entry in root:walk() do
			local line = assert(entry:json(opts))
			assert.is_nil(line:find("\n", 1, true))
			local row = cjson.decode(line)
			rows[row.path or base64.decode(row.path_bytes)] = row
		end
		return rows
	end

	specify("has what an entry has, and no field without a value", function()
		local img = bench:open({
			{
				entries = {
					file("a", "content", { mode = 2541, uid = 5, gid = 6, uname = "me", gname = "us", mtime = 1e9 }),
					{ name = "b", type = "hardlink", linkname = "a", mode = 2541, uid = 5, gid = 6, mtime = 1e9 },
					{ name = "d/l", type = "symlink", linkname = "../a<b>&", mtime = 7 },
					{ name = "null", type = "char", major = 1, minor = 3, mtime = 8 },
				},
			},
			{ entries = { file("t", "", { pax = { mtime = "1700000000.123456700" } }) } },
		})
		local root = assert(img:rootfs())
		local rows = listing(root, { digest = true })
		rows.a.inode, rows.b.inode = nil, nil
		local digest = root:stat("a"):digest()
		assert.same(digest, rows.a.digest)
		assert.same({ 2, "4755", 5, 6, 7, 1e9, 1 },
			{ rows.a.links, rows.a.mode, rows.a.uid, rows.a.gid, rows.a.size, rows.a.mtime, rows.a.layer })
		assert.same(digest, rows.b.digest)
		assert.same({ path = "d", type = "dir", mode = "0755", uid = 0, gid = 0, mtime = 0, layer = 1 }, rows.d)
		assert.same("../a<b>&", rows["d/l"].linkpath)
		assert.same({ 1, 3, "char" }, { rows.null.major, rows.null.minor, rows.null.type })
		assert.is_nil(rows["d/l"].size)
		assert.is_nil(rows["d/l"].digest)
		assert.matches('"mtime":1700000000.1234567,"layer":2}$', (root:stat("t"):json()))
		assert.is_nil(listing(root).a.digest)
	end)

	specify("loses no name that is no UTF-8, and no attribute", function()
		local img = bench:open({
			{
				entries = {
					{ name = "name", data = "x", pax = { ["SCHILY.xattr.user.b"] = "\1\255", ["SCHILY.xattr.user.a"] = "A" } },
					file("other"), { name = "link", type = "symlink", linkname = "x" },
				},
			},
		})
		local latin = "caf\233/na\239ve"
		img.layers[1]:entry("name").path = latin
		img.layers[1]:entry("other").path = "caf\195\169"
		img.layers[1]:entry("link").linkpath = "to/\255"
		local rows = listing(assert(img:rootfs()))
		assert.equal(latin, base64.decode(rows[latin].path_bytes))
		assert.is_nil(rows[latin].path)
		assert.same({ ["user.a"] = "QQ==", ["user.b"] = "Af8=" }, rows[latin].xattrs)
		assert.equal("caf\195\169", rows["caf\195\169"].path)
		assert.same({ "to/\255" }, { base64.decode(rows.link.linkpath_bytes), rows.link.linkpath })
	end)

	specify("throws for an option that there is not, and says why a file cannot be hashed", function()
		local img = bench:open(
			{ { entries = { file("f") } } },
			{ config = { rootfs = { type = "layers", diff_ids = { "sha256:" .. ("0"):rep(64) } } } }
		)
		local entry = assert(img:rootfs()):stat("f")
		assert.is_string(entry:json())
		local line, _, code = entry:json({ digest = true })
		assert.same({ nil, "EDIGEST" }, { line, code })
		assert.error_matches(function()
			local _ = entry:json({ digests = true })
		end, "json has no option 'digests'; did you mean 'digest'?", 1, true)
	end)

	it("of a new image without layers is no line", function()
		local img = strata.new()
		assert.same({}, listing(assert(img:rootfs())))
		assert.same({}, img:rootfs():digests())
		img:close()
	end)
end)

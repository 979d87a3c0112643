-- Takes seconds: not for make check.
--- entry:digest() and that of rootfs entries, beside sha256sum.

local archive = require "spec.support.archive"
local docker_archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local rawtar = require "spec.support.rawtar"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local specify = archive.specify(it, pending)
local unpack = table.unpack or unpack -- luacheck: ignore 113

local dir

before_each(function()
	dir = tmp.dir()
end)

after_each(function()
	dir:remove()
end)

local function sha256(bytes)
	return "sha256:" .. docker_archive.sha256(bytes)
end

-- The layer of a tar that is a file.
local function layer_of(path)
	return (assert(strata.layer({ tar = path })))
end

local function gnutar(...)
	shell.check({ "tar", "-c", "-f", "a.tar", cwd = dir.path, env = { LC_ALL = "C.UTF-8" }, ... })
	return dir:file("a.tar")
end

describe("entry:digest", function()
	for _, command in ipairs({ "cat", "gzip -nc", "zstd -qc" }) do
		specify("is what sha256sum says of each file: " .. command, function()
			shell.sh(
				[[
				cd "$1"
				: >empty; printf x >one; head -c 511 /dev/urandom >short; head -c 262144 /dev/urandom >piece
				head -c 262145 /dev/urandom >more; head -c 3000001 /dev/urandom >big; ln big hard
				tar -cf a.tar empty one short piece more big hard; $2 <a.tar >packed]],
				dir.path,
				command
			)
			local layer = layer_of(dir:file("packed"))
			for _, name in ipairs({ "empty", "one", "short", "piece", "more", "big", "hard" }) do
				assert.equal("sha256:" .. shell.sha256(dir:file(name)), layer:entry(name):digest(), name)
			end
			assert.equal("hardlink", layer:entry("hard").type)
		end)
	end

	for _, options in ipairs({
		{ "--format=gnu" },
		{ "--format=pax", "--sparse-version=1.0" },
		{ "--format=pax", "--sparse-version=0.1" },
		{ "--format=pax", "--sparse-version=0.0" },
	}) do
		specify("takes the holes of a sparse file as zeros: " .. table.concat(options, " "), function()
			shell.sh(
				[[
				cd "$1"
				truncate -s 3000001 holes
				for at in 0 1000000 2000000; do printf data | dd of=holes bs=1 seek=$at conv=notrunc status=none; done
				truncate -s 100000 nothing
				cp --sparse=always holes full; printf end >>full]],
				dir.path
			)
			local layer = layer_of(gnutar("-S", "holes", "nothing", "full", unpack(options)))
			for _, name in ipairs({ "holes", "nothing", "full" }) do
				assert.is_true(layer:entry(name).sparse)
				assert.equal("sha256:" .. shell.sha256(dir:file(name)), layer:entry(name):digest(), name)
			end
		end)
	end

	specify("is that of the new content after replace()", function()
		local layer = assert(strata.layer({ files = { f = "old" } }))
		assert.equal(sha256("old"), layer:entry("f"):digest())
		layer:entry("f"):replace("much newer")
		assert.equal(sha256("much newer"), layer:entry("f"):digest())
		layer:entry("f"):replace("")
		assert.equal(sha256(""), layer:entry("f"):digest())
	end)

	specify("is none of what is no file", function()
		local layer = layer_of(dir:write(
			"a.tar",
			docker_archive.tar({
				{ name = "d/", type = "dir" },
				{ name = "link", type = "symlink", linkpath = "d" },
				{ name = "also", type = "hardlink", linkpath = "link" },
				{ name = "fifo", type = "fifo" },
				{ name = "gone", type = "hardlink", linkpath = "nowhere" },
			})
		))
		local codes = { d = "EISDIR", link = "EINVAL", also = "EINVAL", fifo = "EINVAL", gone = "ENOENT" }
		for name, expected in pairs(codes) do
			local digest, message, code = layer:entry(name):digest()
			assert.is_nil(digest)
			assert.equal(expected, code, name)
			assert.is_string(message)
		end
	end)

	describe("of holes", function()
		local function holes(size, limits)
			local record = rawtar.record("GNU.sparse.major", "1")
				.. rawtar.record("GNU.sparse.minor", "0")
				.. rawtar.record("GNU.sparse.name", "holes")
				.. rawtar.record("GNU.sparse.realsize", ("%.0f"):format(size))
			local map = "1\n0\n1\n"
			local data = map .. ("\0"):rep(512 - #map) .. "x"
			local tar = rawtar.pax(record) .. rawtar.entry({ name = "GNUSparseFile.0/holes", size = #data }, data)
			local path = dir:write("holes.tar", rawtar.tar(tar))
			return assert(strata.layer({ tar = path, limits = limits })):entry("holes")
		end

		specify("does not hash them without end", function()
			local entry = holes(2 ^ 43)
			assert.equal(2 ^ 43, entry.size)
			local digest, message, code = entry:digest()
			assert.is_nil(digest)
			assert.equal("ELIMIT", code)
			assert.truthy(message:find("limits.ratio", 1, true), message)
			assert.equal(sha256("x" .. ("\0"):rep(999999)), holes(1000000):digest())
		end)

		specify("hashes as many of them as limits.ratio allows", function()
			local size = 2 ^ 28 + 1
			assert.equal("ELIMIT", select(3, holes(size, { ratio = 1000 }):digest()))
			local said = shell.sh("(printf x; head -c 268435456 /dev/zero) | sha256sum")
			assert.equal("sha256:" .. said:match("^%x+"), holes(size, { ratio = 1000000 }):digest())
		end)
	end)

	specify("is given when the bytes are those of the layer, and not else", function()
		local made = docker_archive.layer({ { name = "f", data = "GOODGOOD" } })
		local path = dialects.of.docker_25(docker_archive.image({ layers = { made } })):write(dir:file("app.tar"))
		assert.equal(sha256("GOODGOOD"), assert(strata.open(path)).layers[1]:entry("f"):digest())
		shell.write(path, (shell.read(path):gsub("GOODGOOD", "EVILEVIL")))
		local img = assert(strata.open(path))
		for _, entry in ipairs({ img.layers[1]:entry("f"), assert(assert(img:rootfs()):stat("f")) }) do
			local digest, _, code = entry:digest()
			assert.is_nil(digest)
			assert.equal("EDIGEST", code)
		end
	end)
end)

describe("the digest of a rootfs entry", function()
	specify("is that of its file, in whichever layer that is", function()
		local lower = docker_archive.layer({ { name = "f", data = "lower" }, { name = "d/", type = "dir" } })
		local upper = docker_archive.layer({
			{ name = "g", data = "upper" },
			{ name = "h", type = "hardlink", linkpath = "f" },
			{ name = "s", type = "symlink", linkpath = "f" },
		})
		local path = dialects.of.docker_25(docker_archive.image({ layers = { lower, upper } })):write(dir:file("app.tar"))
		local root = assert(assert(strata.open(path)):rootfs())
		assert.equal(sha256("lower"), root:stat("f"):digest())
		assert.equal(sha256("upper"), root:stat("g"):digest())
		assert.equal(sha256("lower"), root:stat("h"):digest())
		assert.equal(sha256("lower"), root:stat("s"):digest())
		assert.same({ nil, "EISDIR" }, { root:stat("d"):digest(), select(3, root:stat("d"):digest()) })
		assert.equal("EINVAL", select(3, root:lstat("s"):digest()))
	end)
end)

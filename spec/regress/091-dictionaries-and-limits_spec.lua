-- libarchive allocates what an .xz or .lzma file calls its dictionary, up to 1 GiB: a file of 2.8 MB took 789 MB of
-- memory to open. Other limits were not asked, or could not be given as math.huge.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local jobs = require "strata.jobs"
local python = require "spec.support.python"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local MiB = 1048576

describe("a file that wants a large dictionary", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function image()
		local layers = { archive.layer({ { name = "a", data = ("text\n"):rep(100000) } }) }
		return dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("app.tar"))
	end

	-- Has the last block of an .xz file, or an .lzma file, say that its dictionary is larger. The data stays, and is
	-- right: it refers back less far.
	local function widen(path, bits)
		python.run(
			"widen",
			[[
import struct, sys, zlib
path, bits = sys.argv[1], int(sys.argv[2])
data = bytearray(open(path, "rb").read())
if data[:6] == b"\xfd7zXZ\0":
    at = data.rindex(b"\x21\x01", 0, len(data))
    while True:
        start, size = at - 2, (data[at - 2] + 1) * 4
        end = start + size - 4
        if start % 4 == 0 and zlib.crc32(data[start:end]) == struct.unpack("<I", data[end:end + 4])[0]:
            break
        at = data.rindex(b"\x21\x01", 0, at)
    data[at + 2] = (bits - 12) * 2
    data[end:end + 4] = struct.pack("<I", zlib.crc32(data[start:end]))
else:
    data[1:5] = struct.pack("<I", 1 << bits)
open(path, "wb").write(data)
]],
			{ path, bits }
		)
		return path
	end

	local function xz(path, options, bits)
		shell.sh('xz $2 -kc "$1" >"$1.xz"', path, options)
		return widen(path .. ".xz", bits)
	end

	local function refused(limit, result, message, code)
		assert.is_nil(result)
		assert.equal("ELIMIT", code, message)
		assert.is_truthy(message:find("limits." .. limit, 1, true), message)
	end

	local function appended(path, limits)
		local img, message, code = strata.new():append({ archive = path, limits = limits })
		return img, message, code
	end

	it("is opened with 64 MiB, which xz -9 has, and refused with more", function()
		local path = image()
		assert(strata.open(xz(path, "-9", 26))):close()
		refused("dictionary", strata.open(xz(path, "-9", 27)))
		assert(strata.open(path .. ".xz", { limits = { dictionary = 128 * MiB } })):close()
		refused("dictionary", strata.open(path .. ".xz", { limits = { dictionary = 128 * MiB - 1 } }))
		refused("dictionary", strata.new():append({ tar = path .. ".xz" }))
		refused("dictionary", appended(path .. ".xz"))
	end)

	it("is refused for its last block, and for its last stream", function()
		local path = image()
		refused("dictionary", strata.open(xz(path, "-0 --block-size=100000", 28)))
		refused("dictionary", strata.open(xz(path, "-0 --block-size=100000 --check=sha256", 28)))
		shell.sh('xz -0 -kc "$1" >"$1.1"; head -c 8 /dev/zero >>"$1.1"', path)
		shell.sh('xz -0 -c </dev/null >"$1.2"; xz -0 -c <"$1" >>"$1.2"', path)
		widen(path .. ".2", 28)
		shell.sh('cat "$1.1" "$1.2" >"$1.xz"', path)
		refused("dictionary", strata.open(path .. ".xz"))
		assert(strata.open(path .. ".xz", { limits = { dictionary = 2 ^ 28 } })):close()
	end)

	it("takes no memory before it is refused", function()
		local path = xz(image(), "-0", 30)
		local before = tonumber(shell.read("/proc/self/status"):match("VmPeak:%s*(%d+)"))
		refused("dictionary", strata.open(path))
		local after = tonumber(shell.read("/proc/self/status"):match("VmPeak:%s*(%d+)"))
		assert.is_true(after - before < 100 * 1024, after - before)
	end)

	it("is not opened when its headers cannot be followed", function()
		local path = image()
		local whole = shell.read(xz(path, "-0 --block-size=100000", 18))
		assert(strata.open(path .. ".xz")):close()
		for at = 7, #whole, math.floor(#whole / 50) do
			local cut = dir:write("cut.xz", whole:sub(1, at))
			local img, message, code = strata.open(cut)
			assert.is_nil(img)
			assert.equal("EFORMAT", code, message)
		end
	end)

	it("is refused inside a package, and as .lzma", function()
		shell.sh(
			[[
			cd "$1"
			mkdir root; echo text >root/file
			tar -cf data.tar -C root file
			(cd root && echo file | cpio -oH newc --quiet) >cpio 2>/dev/null || bsdtar -cf cpio --format newc -C root file
			xz -0k data.tar cpio; xz -0k --format=lzma data.tar
			echo 2.0 >debian-binary]],
			dir.path
		)
		local function deb(name)
			shell.sh('cd "$1"; rm -f x.deb; ar -qc x.deb debian-binary "$2" 2>/dev/null', dir.path, name)
			return dir:file("x.deb")
		end
		local function rpm(name)
			python.run(
				"rpm",
				[[
import struct, sys
def header(): return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">6I", 1, 16, 62, 7, 0, 16) + bytes(16)
lead = struct.pack(">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, b"x-1-1", 1, 5, b"")
open(sys.argv[2], "wb").write(lead + header() + header() + open(sys.argv[1], "rb").read())]],
				{ dir:file(name), dir:file("x.rpm") }
			)
			return dir:file("x.rpm")
		end
		for _, made in ipairs({ { deb, "data.tar.xz" }, { deb, "data.tar.lzma" }, { rpm, "cpio.xz" } }) do
			local img = assert(appended(made[1](made[2])))
			assert.equal("text\n", img.layers[1]:read("file"), made[2])
			widen(dir:file(made[2]), 27)
			refused("dictionary", appended(made[1](made[2])))
			assert(appended(dir:file(made[1] == deb and "x.deb" or "x.rpm"), { dictionary = math.huge }))
		end
		refused("dictionary", appended(dir:file("data.tar.lzma")))
	end)

	it("is refused as zstd with a large window, when it is appended as an archive", function()
		local path = image()
		shell.sh('head -c 3M /dev/zero >>"$1"; zstd -qc --long=21 "$1" >"$1.zst"', path)
		refused("zstd_window", appended(path .. ".zst", { zstd_window = MiB }))
		assert(appended(path .. ".zst"))
	end)

	it("is refused as a format that may want any dictionary, unless the limit allows for it", function()
		shell.sh('cd "$1"; echo text >file; for f in 7zip xar; do bsdtar --format $f -cf $f file; done', dir.path)
		python.run("zip", [[
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_LZMA) as z: z.writestr("file", "text\n")]], { dir:file("zip") })
		for name, dictionary in pairs({ ["7zip"] = 2 ^ 32, xar = 2 ^ 30, zip = 2 ^ 32 }) do
			refused("dictionary", appended(dir:file(name)))
			refused("dictionary", appended(dir:file(name), { dictionary = dictionary - 1 }))
			local img = assert(appended(dir:file(name), { dictionary = dictionary }))
			assert.equal("text\n", img.layers[1]:read("file"), name)
		end
		refused("dictionary", appended(dir:write("rar", "Rar!\26\7\0" .. ("\0"):rep(100))))
	end)

	it("is refused as lzip, whose members libarchive does not limit", function()
		shell.sh('cd "$1"; echo text >file; bsdtar --lzip -cf x.tar.lz file', dir.path)
		local img, _, code = appended(dir:file("x.tar.lz"))
		assert.is_nil(img)
		assert.equal("EFORMAT", code)
	end)

	it("can be an archive that is compressed several times", function()
		shell.sh('cd "$1"; echo text >file; tar -c file | xz -0 | lz4 -q >x', dir.path)
		assert.equal("text\n", assert(appended(dir:file("x"))).layers[1]:read("file"))
		shell.sh('cd "$1"; tar -c file | bzip2 | xz -0 | lz4 -q >x', dir.path)
		local img, message, code = appended(dir:file("x"))
		assert.is_nil(img)
		assert.equal("EFORMAT", code)
		assert.is_truthy(message:find("more than 2 times", 1, true), message)
	end)
end)

describe("limits", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function build()
		local layers = { archive.layer({ { name = "a", data = "A" }, { name = "b", data = "B" } }) }
		return dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("app.tar"))
	end

	it("of a job can be math.huge, and empty", function()
		local path = build()
		for _, limits in ipairs({ { bytes = math.huge }, { json = {} }, { json = { max_bytes = math.huge } } }) do
			assert(jobs.run("inspect", { path = path, open = { limits = limits } }))
			assert(jobs.run("read", { path = path, file = "a", open = { limits = limits } }))
		end
		assert.equal("ELIMIT", select(3, jobs.run("inspect", { path = path, open = { limits = { entries = 1 } } })))
		assert(jobs.run("inspect", { path = path, open = { limits = { entries = 2 } } }))
	end)

	it("of all that is opened later bind check_tar, and the archive's part of a check", function()
		local path = build()
		local img = assert(strata.open(path))
		local function limited(fn)
			strata.limits.entries = 1
			local ok, report, message, code = pcall(fn)
			strata.limits.entries = nil
			assert.is_true(ok, report)
			assert.is_truthy(code == "ELIMIT" or tostring(report):find("limits.entries", 1, true), message)
		end
		limited(function()
			return strata.check_tar(path)
		end)
		limited(function()
			return assert(strata.open(path)):check()
		end)
		assert.is_truthy(tostring(strata.check_tar(path, { limits = { entries = 1 } })):find("limits.entries", 1, true))
		assert(img:check())
	end)
end)

--- Makes the first inputs of the fuzz targets: lua5.4 fuzz/seeds.lua DIR
--
-- Archives and layers come from the specs' helpers, Python's tarfile, zstd and this project's own writers;
-- with STRATA_CORPUS set, small files of the corpus are added. One directory per target; the plan in front
-- of an input, or the options behind it, are taken from its number.

package.path = "./?.lua;" .. package.path

local dialects = require "spec.support.docker_dialects"
local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"

local OUT = assert(arg[1], "where to?")
local SMALL = 64000

local counts = {}

local function put(target, bytes)
	if #bytes > SMALL then return end
	counts[target] = (counts[target] or 0) + 1
	shell.write(("%s/%s/%04d"):format(OUT, target, counts[target]), bytes)
end

-- So many bytes that differ from seed to seed.
local function plan(length)
	local bytes, number = {}, 0
	for _, count in pairs(counts) do number = number + count end
	for i = 1, length do bytes[i] = string.char((number * 37 + i * 101 * (number % 7 + 1)) % 256) end
	return table.concat(bytes)
end

local function put_tar(bytes)
	put("tar_parse", plan(16) .. bytes)
	put("tar_patch", plan(8) .. bytes)
	put("plan_write", plan(16) .. bytes)
	put("assembly", plan(8) .. bytes)
	put("draft", plan(8) .. bytes)
end

local function put_layers(bytes)
	put_tar(bytes)
	put("apply_layer", bytes .. plan(1))
end

local function put_archive(bytes)
	put_tar(bytes)
	put("open_image", bytes .. plan(1))
end

local function put_json(text)
	put("json_edit", plan(16) .. text)
end

local function put_stream(bytes)
	put("codecs", "\4" .. plan(7) .. bytes)
	put("codecs", "\2" .. plan(7) .. bytes)
	put("splice", plan(8) .. bytes)
end

local function put_plain(bytes)
	put("codecs", "\0" .. plan(7) .. bytes)
	put("codecs", "\1" .. plan(7) .. bytes)
end

local function slurp(path)
	local file = io.open(path, "rb")
	local bytes = file and file:read("*a")
	if file then file:close() end
	return bytes
end

-- ---- archives ----------------------------------------------------------------------------------------

local function image()
	local base = docker_archive.layer {
		{ name = "etc/", type = "dir" },
		{ name = "etc/passwd", data = "root:x:0:0::/:/bin/sh\n" },
		{ name = "bin", type = "symlink", linkpath = "usr/bin" },
		{ name = "usr/bin/sh", data = ("#!\n"):rep(40), mode = 493 },
		{ name = "usr/bin/ash", type = "hardlink", linkpath = "usr/bin/sh" },
	}
	local top = docker_archive.layer {
		{ name = "etc/.wh.passwd" },
		{ name = "opt/", type = "dir" },
		{ name = "opt/.wh..wh..opq" },
		{ name = "opt/new", data = "new" },
	}
	return docker_archive.image { layers = { base, top }, tags = { "app:1" } }
end

-- In the order of their names, so that every run makes the same seeds.
local function docker_archives()
	local one = image()
	local two = docker_archive.image { layers = docker_archive.layers(3), tags = { "other:2" }, name = "other" }
	local names = {}
	for name in pairs(dialects.of) do names[#names + 1] = name end
	table.sort(names)
	put_json(one.config)
	for _, name in ipairs(names) do
		put_archive(dialects.of[name](one):bytes())
		put_archive(dialects.of[name](one, two):bytes())
	end
end

local function oci_archives()
	local made = oci_layout.new()
	local images = {}
	for i, compression in ipairs { "none", "gzip", "zstd" } do
		local layer = made:layer({ { name = "f" .. i, data = "a file" } }, { compression = compression })
		images[i] = made:image({ layers = { layer }, platform = i == 1 and "linux/amd64" or "linux/arm64/v8" }).descriptor
	end
	made:list(images[1], "app:1"):list(made:index({ images[2], images[3] }), "app:2")
	for _, text in pairs(made.blobs) do
		if text:find("^{") then put_json(text) end
	end
	local path = OUT .. "/made.tar"
	made:archive(path)
	put_archive(slurp(path))
	os.remove(path)
end

-- What this project writes of an archive, in every format.
local function own_archives(path)
	for _, options in ipairs {
		{ format = "docker" }, { format = "docker-legacy" }, { format = "oci-archive" },
		{ format = "oci-archive", compression = "gzip" }, { format = "oci-archive", compression = "zstd" },
		{ format = "docker", compression = "gzip" },
	} do
		local img = strata.open(path)
		local out = OUT .. "/saved.tar"
		if img and img:save(out, options) then put_archive(slurp(out)) end
		if img then img:close() end
		os.remove(out)
	end
end

-- ---- tars --------------------------------------------------------------------------------------------

local PYTHON = [==[
import io, os, sys, tarfile
out = sys.argv[1]
long = "/".join(["long" * 15] * 3)
entries = [
    dict(name="d", type=tarfile.DIRTYPE, mode=0o755), dict(name="d/f", data=b"content"),
    dict(name=long, data=b"x" * 600), dict(name="l", type=tarfile.SYMTYPE, linkname="d/f"),
    dict(name="h", type=tarfile.LNKTYPE, linkname="d/f"), dict(name="ll", type=tarfile.SYMTYPE, linkname=long),
    dict(name="c", type=tarfile.CHRTYPE, devmajor=1, devminor=3), dict(name="p", type=tarfile.FIFOTYPE),
    dict(name="n\u00e4me", data=b"", uname="user", gname="group", uid=3000000, gid=1 << 31, mtime=1.5),
    dict(name="x", data=b"y", pax_headers={"SCHILY.xattr.user.a": "1", "comment": "c", "mtime": "7.25", "atime": "8.5",
                                               "ctime": "-1"}),
    dict(name="d/.wh.f", data=b""), dict(name="e/.wh..wh..opq", data=b""), dict(name="./", type=tarfile.DIRTYPE),
]
for number, form in enumerate([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT] * 2):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for entry in entries:
            fields = dict(entry)
            data = fields.pop("data", b"")
            info = tarfile.TarInfo(fields.pop("name"))
            for key, value in fields.items():
                setattr(info, key, value)
            info.size = len(data)
            try:
                tar.addfile(info, io.BytesIO(data) if data else None)
            except ValueError:
                pass
    with open("%s/python-%d.tar" % (out, number), "wb") as file:
        file.write(buffer.getvalue()[:None if number < 3 else -9000])
]==]

local function python_tars()
	local script = OUT .. "/tars.py"
	shell.write(script, PYTHON)
	shell.check { "python3", "-I", script, OUT }
	for number = 0, 5 do
		local path = ("%s/python-%d.tar"):format(OUT, number)
		put_layers(slurp(path))
		os.remove(path)
	end
	os.remove(script)
end

-- GNU tar's own: sparse files in each of its forms.
local function sparse_tars()
	local file = OUT .. "/sparse"
	local script = 'truncate -s 300000 "$0" && printf data | dd of="$0" bs=1 seek=100000 conv=notrunc status=none'
	shell.check { "sh", "-c", script, file }
	for _, form in ipairs { "gnu", "pax0.0", "pax0.1", "pax1.0" } do
		local options = form:gsub("^pax(.*)", "pax --sparse-version=%1")
		put_layers(shell.check { "sh", "-c", ('tar -C "$0" --format=%s -Scf - sparse'):format(options), OUT })
	end
	os.remove(file)
end

local function file(name, data)
	return { name = name, data = data or "new\n" }
end

local function dir(name)
	return { name = name .. "/", type = "dir" }
end

local function link(kind, name, target)
	return { name = name, type = kind, linkpath = target }
end

-- Layers of layers that try to get out: apply_layer keeps a directory called canary beside its target.
local ATTACKS = {
	{ { file "../canary/a" }, { file "/dev/shm/canary/a" }, { file "a/../../canary/b" } },
	{ { link("symlink", "l", "../canary"), file "l/a", dir "l/dir" } },
	{ { link("symlink", "l", "/dev/shm/canary") }, { file "l/a", file "l/.wh.b", file "l/.wh..wh..opq" } },
	{ { link("symlink", "l", "../canary/a"), file("l", "over it") }, { link("symlink", "l", "../canary") }, { dir "l" } },
	{ { link("hardlink", "h", "../canary/a"), file "h" }, { link("hardlink", "h", "/dev/shm/canary/b") } },
	{ { link("symlink", "s", "../canary/a"), link("hardlink", "h", "s"), file("h", "written") } },
	{ { dir "d", link("symlink", "d", "../canary"), file "d/a" }, { dir "d", file "d/new" } },
	{ { link("symlink", ".", "../canary"), file "a" }, { link("symlink", "./", "/") } },
	{ { file ".wh.." }, { file ".wh..." }, { file "d/.wh..." }, { file ".wh." } },
	{ { file "../canary/.wh.a", file "../canary/.wh..wh..opq" } },
	{ { link("symlink", "a", "b"), link("symlink", "b", "a"), file "a/x", file "a/.wh.x" } },
	{ { dir "d", file "d/a", dir "d/e", file "d/e/f" }, { file "d/.wh.a", file "d/e/.wh..wh..opq" }, { file ".wh.d" } },
	{ { file "f", link("hardlink", "g", "f") }, { file("f", "other"), link("hardlink", "i", "g") }, { file "g/below" } },
	{ { link("hardlink", "early", "late"), file "late", link("hardlink", "self", "self") } },
	{ { { name = "dev/null", type = "3" }, { name = "dev/sda", type = "4" }, { name = "p", type = "fifo" }, file "p" } },
	{ { dir "var", dir "run", link("symlink", "var/run", "/run") }, { file "var/run/pid", dir "var/run/x" } },
	{ { file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs"), link("hardlink", "x", ".wh..wh.plnk/1.2") } },
	{ { link("symlink", "fd", "/proc/self/fd/0"), file "fd/x", link("symlink", "cwd", "/proc/self/cwd"), file "cwd/a" } },
	{ { dir(("x/"):rep(40) .. "y"), file(("x/"):rep(45) .. "f") }, { file ".wh.x", dir "x" } },
}

local function attack_layers()
	for _, layers in ipairs(ATTACKS) do
		local tars = {}
		for i, members in ipairs(layers) do tars[i] = docker_archive.tar(members) end
		put_layers(table.concat(tars))
	end
end

-- ---- JSON and streams --------------------------------------------------------------------------------

local TEXTS = {
	"null", "[]", "{}", " [ 1 , -2.5e+10 ,\n0 ] ", '{"a":{"b":[true,false,null]},"\\u00e9":"\\ud83d\\ude00"}',
	'{\n  "config": {\n    "Env": [\n      "A=1",\n      "B=2"\n    ],\n    "Labels": {}\n  }\n}\n',
	'{"a":1,"a":2}', '"\\ud800"', "[01]", "[1e400,123456789012345678901234567890]", '{"~/":{"/":{"":[[[]]]}}}',
	('[{"x":'):rep(30) .. "1" .. ("}]"):rep(30), ("["):rep(70) .. ("]"):rep(70), '"\127\194\128\240\159\152\128"',
}

local function streams()
	for i, bytes in ipairs { "", "a", ("usr/share/doc\0"):rep(500), ("\0"):rep(20000), plan(3000) } do
		local path = OUT .. "/plain"
		shell.write(path, bytes)
		for _, command in ipairs {
			"gzip -nc1", "gzip -c9", "zstd -qc1", "zstd -qc19", "zstd -qc --no-check",
			"gzip -nc5 | cat - /dev/zero | head -c 600",
		} do
			local script = command:gsub("^%S+ %S+", '%0 <"$0"', 1)
			put_stream(shell.check { "sh", "-c", script, path })
		end
		put_stream(shell.check { "sh", "-c", 'gzip -c "$0"; gzip -c "$0"', path })
		put_stream(shell.check { "sh", "-c", 'zstd -qc "$0"; zstd -qc3 "$0"', path })
		if i > 1 then put_plain(bytes) end
		os.remove(path)
	end
end

-- ---- the corpus --------------------------------------------------------------------------------------

local function corpus_file(bytes)
	if bytes:sub(258, 262) == "ustar" or bytes:sub(-1024) == ("\0"):rep(1024) then
		put_archive(bytes)
		put("apply_layer", bytes .. plan(1))
	elseif bytes:find("^%s*[%[{]") then
		put_json(bytes)
	elseif bytes:find("^\31\139") or bytes:find("^\40\181\47\253") then
		put_stream(bytes)
		put("plan_write", plan(16) .. bytes)
	else
		put_tar(bytes)
	end
end

local function corpus(directory)
	local list = shell.check { "sh", "-c", 'find "$0" -type f -size -64k | LC_ALL=C sort', directory }
	for path in list:gmatch("[^\n]+") do
		local bytes = slurp(path)
		if bytes and #bytes > 0 and not path:find("%.tsv$") then corpus_file(bytes) end
	end
end

local targets = shell.check { "sh", "-c", "ls fuzz/*.c" }
for target in targets:gmatch("([%w_]+)%.c") do
	shell.check { "mkdir", "-p", OUT .. "/" .. target }
	put(target, "")
end
docker_archives()
oci_archives()
for number = 1, counts.open_image do
	local path = ("%s/open_image/%04d"):format(OUT, number)
	if number > 1 and number < 20 then own_archives(path) end
end
python_tars()
sparse_tars()
attack_layers()
for _, text in ipairs(TEXTS) do put_json(text) end
streams()
if os.getenv("STRATA_CORPUS") then corpus(os.getenv("STRATA_CORPUS")) end

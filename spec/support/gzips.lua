--- Gzip streams of many encoders, as commands; and layers that are edited at random.

local shell = require "spec.support.shell"

local gzips = {}

--- Encoders: a name, and a script that makes $2 of the tar $1. Those whose programs are missing are left out.
---@return { name: string, script: string }[]
function gzips.encoders()
	local all = {
		{ "gzip -1", "gzip", 'gzip -1 -n <"$1" >"$2"' },
		{ "gzip -6", "gzip", 'gzip -6 <"$1" >"$2"' },
		{ "gzip -9 --rsyncable", "gzip", 'gzip -9 -n --rsyncable <"$1" >"$2"' },
		{ "pigz", "pigz", 'pigz -6 -b 128 <"$1" >"$2"' },
		{ "pigz -i", "pigz", 'pigz -6 -i <"$1" >"$2"' },
		{ "pigz -0", "pigz", 'pigz -0 <"$1" >"$2"' },
		{ "pigz -U", "pigz", 'pigz -U <"$1" >"$2"' },
		{ "libdeflate-gzip -1", "libdeflate-gzip", 'libdeflate-gzip -1 -c "$1" >"$2"' },
		{ "libdeflate-gzip -9", "libdeflate-gzip", 'libdeflate-gzip -9 -c "$1" >"$2"' },
		{ "igzip", "igzip", 'igzip -c "$1" >"$2"' },
		{ "bsdtar", "bsdtar", 'bsdtar -czf "$2" "@$1"' },
		{ "busybox", "busybox", 'busybox gzip -c "$1" >"$2"' },
		{ "members", "gzip", 'split -b 300000 --filter="gzip -6 -n" "$1" >"$2"' },
		{ "small members", "gzip", 'split -b 20000 --filter="gzip -9 -n" "$1" >"$2"' },
		{ "padding", "gzip", '{ gzip -6 -n <"$1"; head -c 512 /dev/zero; } >"$2"' },
		{ "zlib without a window", "python3", [[python3 -c '
import sys, zlib
z = zlib.compressobj(9, zlib.DEFLATED, 16 + 9, 1)
data = open(sys.argv[1], "rb").read()
out = b"".join(z.compress(data[i:i + 70000]) + z.flush(zlib.Z_SYNC_FLUSH) for i in range(0, len(data), 70000))
open(sys.argv[2], "wb").write(out + z.flush())' "$1" "$2"]] },
		{ "zlib, fixed and full flushes", "python3", [[python3 -c '
import sys, zlib
z = zlib.compressobj(6, zlib.DEFLATED, 31, 8, zlib.Z_FIXED)
data = open(sys.argv[1], "rb").read()
out = b"".join(z.compress(data[i:i + 50000]) + z.flush(zlib.Z_FULL_FLUSH) for i in range(0, len(data), 50000))
open(sys.argv[2], "wb").write(out + z.flush())' "$1" "$2"]] },
	}
	local there = {}
	for _, one in ipairs(all) do
		if shell.which(one[2]) then
			there[#there + 1] = { name = one[1], script = one[3] }
		end
	end
	return there
end

--- Edits some entries of an image's layers that hardlinks do not hold together.
---@param img strata.Image
---@param number fun(n: integer): integer
function gzips.edit(img, number)
	for _, layer in ipairs(img.layers) do
		local linked = {}
		for entry in layer:entries() do
			if entry.type == "hardlink" then
				linked[entry.linkname:gsub("^[./]+", "")], linked[entry.path] = true, true
			end
		end
		local share = number(60)
		layer:filter(function(entry)
			return entry.type ~= "file" or linked[entry.path] or number(share + 1) > 1
		end)
		layer:rewrite(function(entry)
			local what = number(4 * share)
			if what == 1 then
				entry.uid = 1000 + number(9)
			elseif what == 2 then
				entry.mode = 448
			end
		end)
	end
end

return gzips

--- zstd streams of many encoders, as commands.

local shell = require "spec.support.shell"

local zstds = {}

-- zstd:chunked as containers/storage writes it: a frame for each header, frames for pieces of each file, and two
-- skippable ones at the end, for the table of contents and its place. %s: more options of zstd.
local CHUNKED = [[python3 -c '
import subprocess, struct, sys, tarfile
data, out, at = open(sys.argv[1], "rb").read(), open(sys.argv[2], "wb"), 0
def put(upto):
    global at
    while at < upto:
        piece = data[at:min(upto, at + 70000)]
        out.write(subprocess.run(["zstd", "-qc"%s], input=piece, stdout=subprocess.PIPE, check=True).stdout)
        at += len(piece)
for member in tarfile.open(sys.argv[1]):
    put(member.offset_data)
    put(member.offset_data + member.size)
put(len(data))
for text in (b"contents" * 500, b"GNUlInUx" * 5):
    out.write(struct.pack("<II", 0x184D2A50, len(text)) + text)
' "$1" "$2"]]

--- Encoders: a name, a script that makes $2 of the tar $1, and whether it makes one frame, of which nothing can stay.
--- Those whose programs are missing are left out.
---@return { name: string, script: string, single: boolean }[]
function zstds.encoders()
	local all = {
		{ "zstd", "zstd", 'zstd -q <"$1" >"$2"', true },
		{ "zstd -T2 --long", "zstd", 'zstd -q -T2 -B131072 --long=27 -5 <"$1" >"$2"', true },
		{ "zstd -19 of a file", "zstd", 'zstd -q -19 --no-check -c "$1" >"$2"', true },
		{ "pzstd", "pzstd", 'pzstd -q -1 -p 2 -c "$1" >"$2"', false },
		{ "frames", "zstd", 'split -b 300000 --filter="zstd -q" "$1" >"$2"', false },
		{ "frames with empty ones", "zstd", [[split -b 40000 --filter='zstd -q </dev/null; zstd -q --no-check' "$1" >"$2"]],
			false },
		{ "frames with skippable ones", "zstd",
			[[split -b 90000 --filter='printf "\123\052\115\030\003\0\0\0abc"; zstd -q -9' "$1" >"$2"]], false },
		{ "zstd:chunked", "python3", CHUNKED:format(""), false },
		{ "zstd:chunked without checksums", "python3", CHUNKED:format(', "--no-check", "-9"'), false },
	}
	local there = {}
	for _, one in ipairs(all) do
		if shell.which(one[2]) and shell.which("zstd") then
			there[#there + 1] = { name = one[1], script = one[3], single = one[4] }
		end
	end
	return there
end

return zstds

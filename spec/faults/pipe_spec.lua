-- Who reads a saved image stops reading.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local SCRIPT = [[
local strata = require "strata"
local img = assert(strata.open(os.getenv("INPUT")))
if os.getenv("FORMAT") ~= "" then img.config:set_env("A", "B") end
local saved, message, code = img:save("-", { format = os.getenv("FORMAT") ~= "" and os.getenv("FORMAT") or nil })
local status = io.open("/proc/self/status"):read("*a")
io.stderr:write(tostring(saved), " ", tostring(message), " ", tostring(code), "\n")
for _, name in ipairs { "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd" } do
	io.stderr:write(status:match(name .. ":%s*(%x+)"), "\n")
end
]]

describe("save to a pipe that its reader closes", function()
	local dir, input

	setup(function()
		dir = tmp.dir()
		local layers = archive.layers(1)
		layers[2] = archive.layer({ { name = "big", data = ("0123456789"):rep(100000) } })
		input = dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("in.tar"))
	end)

	teardown(function()
		dir:remove()
	end)

	-- What the script says, and how it ended.
	local function run(format, before)
		local script = 'export INPUT="$1" FORMAT="$2"; { { %s %s; } 2>"$3"; echo "status $?" >>"$3"; } | head -c 1000 >"$4"'
		shell.sh(script:format(before or "", process.lua(SCRIPT)), input, format, dir:file("said"), dir:file("out"))
		assert.equal(1000, #shell.read(dir:file("out")), shell.read(dir:file("said")))
		return shell.read(dir:file("said"))
	end

	for _, format in ipairs({ "", "docker", "docker-legacy", "oci-archive" }) do
		it(("is EPIPE, and no signal%s"):format(format == "" and "" or ": " .. format), function()
			local zero = ("0"):rep(16)
			local said = run(format)
			assert.matches("^nil standard output: write: Broken pipe EPIPE\n", said)
			local rows = {}
			for row in said:gmatch("[^\n]+") do
				rows[#rows + 1] = row
			end
			-- Nothing is blocked, ignored or pending that was not before.
			assert.equal(zero, rows[2])
			assert.equal(zero, rows[5])
			assert.equal(zero, rows[6])
			assert.equal("status 0", rows[7])
		end)
	end

	it("is the same in a process that ignores SIGPIPE", function()
		local said = run("docker", "trap '' PIPE;")
		assert.matches("EPIPE\n", said)
		assert.matches("status 0\n$", said)
	end)
end)

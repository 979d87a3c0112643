--- The benchmark beside its peers, on an image so small that only the work is tested, not the times.

local core = require "strata.core"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

describe("make bench", function()
	it("measures strata and its peers in every row", function()
		peers.need("skopeo", "umoci")
		-- Others make directories at the same time: those are counted that this run makes.
		local dir = tmp.dir()
		shell.sh([[mkdir "$1/bin"; mktemp=$1/bin/mktemp
			printf '#!/bin/sh\n%s "$@" | tee -a "%s"\n' "$(command -v mktemp)" "$1/made" >"$mktemp"
			chmod +x "$mktemp"]], dir.path)
		local output = shell.check({ "make", "-s", "bench", "QUIET=1", "SIZE=2", "RUNS=1",
			env = { PATH = dir:file("bin") .. ":" .. os.getenv("PATH") } })
		local rows, contestants = 0, 0
		for line in output:gmatch("[^\n]+") do
			if line:find("^  %S") and not line:find("^  libraries, MB/s") then
				contestants = contestants + 1
				assert.is_truthy(line:find("^  .- +[%d.]+ m?s +[%d.]+ m?s "), line)
			elseif line:find("^%l") -- a title
				and not line:find("^strata's peak") and not line:find("^%l+  ")
				and not line:find(": %d+ in ")
			then
				rows = rows + 1
			end
		end
		assert.equal(23, rows, output)
		assert.is_true(contestants > 2 * rows)
		local made = shell.read(dir:file("made"))
		assert.matches("/strata%-bench%.", made)
		for path in made:gmatch("[^\n]+") do
			assert.is_nil(core.identity(path), path)
		end
		dir:remove()
	end)
end)

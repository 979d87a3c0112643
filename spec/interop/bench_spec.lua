--- The benchmark beside its peers, on an image so small that only the work is tested, not the times.

local peers = require "spec.support.peers"
local shell = require "spec.support.shell"

describe("make bench", function()
	it("measures strata and its peers in every row", function()
		peers.need("skopeo", "umoci")
		local before = shell.check({ "sh", "-c", "ls /dev/shm /tmp | grep -c strata-bench || true" })
		local output = shell.check({ "make", "-s", "bench", "QUIET=1", "SIZE=2", "RUNS=1" })
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
		assert.equal(before, shell.check({ "sh", "-c", "ls /dev/shm /tmp | grep -c strata-bench || true" }))
	end)
end)

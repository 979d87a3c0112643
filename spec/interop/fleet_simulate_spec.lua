-- The simulation of examples/fleet, in small: what it counts, and never how long it takes.

local python = require "spec.support.python"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local TREE = shell.check({ "pwd" }):match("[^\n]+")

describe("the simulation", function()
	it("loses nothing, whatever the registry does, and draws what it has found", function()
		python.need()
		local dir = tmp.dir()
		local done = shell.run({ TREE .. "/examples/fleet/simulate", "--workers", "1,3", "--latency", "1,5", "--rate", "30",
			"--jobs", "3", "--out", dir.path, cwd = TREE, env = {
				LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(TREE, TREE),
				LUA_CPATH = ("%s/%s/lua5.4/?.so;;"):format(TREE, os.getenv("STRATA_BUILD") or "build"),
			} })
		assert.equal(0, done.status, done.stderr)
		local rows = {}
		for line in shell.read(dir:file("simulation.tsv")):gmatch("[^\n]+") do
			local row = {}
			for field in line:gmatch("[^\t]+") do
				row[#row + 1] = tonumber(field) or field
			end
			rows[#rows + 1] = row
		end
		assert.equal("series", table.remove(rows, 1)[1])
		assert.equal(6, #rows)
		for i, row in ipairs(rows) do
			local name, workers, jobs, right, _, _, requests, refused = (table.unpack or unpack)(row)
			assert.equal(i % 2 == 1 and 1 or 3, workers)
			assert.same({ workers * 3, workers * 3 }, { jobs, right }, name)
			assert.is_true(requests - refused >= 8 * jobs, name)
			assert.is_true(i > 4 or requests == 8 * jobs and refused == 0, name)
		end
		local count = shell.check({ python.PATH, "-c", "import sys, xml.etree.ElementTree as tree\n"
			.. "print(len(tree.parse(sys.argv[1]).findall('.//{*}circle')))", dir:file("simulation.svg") })
		assert.equal("6", count:match("%d+"))
		dir:remove()
	end)
end)

-- Takes seconds: not for make check.
-- The collector runs all the time: what Lua alone keeps alive is kept alive.

local scenarios = require "spec.support.scenarios"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

-- Instructions between two full collections.
local INSTRUCTIONS = 997

local files = {
	remove = function(path)
		shell.check({ "rm", "-rf", path })
	end,
	make = function(path)
		shell.check({ "mkdir", "-p", path })
	end,
}

describe("with the collector running every few instructions", function()
	local dir, env

	setup(function()
		dir = tmp.dir(tmp.for_peers())
		env = scenarios.prepare(dir.path)
	end)

	teardown(function()
		dir:remove()
	end)

	local function collecting(fn)
		local hook, mask, count = debug.gethook()
		if rawget(_G, "jit") then
			require("jit").off()
		end
		debug.sethook(function()
			collectgarbage()
		end, "", INSTRUCTIONS)
		local ok, result = pcall(fn, env)
		debug.sethook(hook, mask, count)
		if rawget(_G, "jit") then
			require("jit").on()
		end
		return ok, type(result) == "table" and result[1] or result
	end

	for _, scenario in ipairs(scenarios.list) do
		it(("this does what it always does: %s"):format(scenario.name), function()
			scenarios.reset(files, env)
			local usual = scenario.run(env)
			scenarios.reset(files, env)
			local ok, result = collecting(scenario.run)
			assert.is_true(ok, result)
			assert.equal(usual, result)
		end)
	end

	if _VERSION == "Lua 5.4" then
		it("it is the same by generations, however small", function()
			collectgarbage("generational", 1, 1)
			local results = {}
			for i, scenario in ipairs(scenarios.list) do
				scenarios.reset(files, env)
				results[i] = scenario.run(env)
			end
			collectgarbage("incremental")
			for i, scenario in ipairs(scenarios.list) do
				scenarios.reset(files, env)
				assert.equal(scenario.run(env), results[i])
			end
		end)
	end
end)

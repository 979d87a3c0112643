--- Saves, extracts and exports to file systems that are too small for it, one page larger each time until it fits.
--
--   lua5.4 spec/support/space.lua MODULE DIRECTORY SEED STRIDE
--
-- preloaded with MODULE, in a private mount name space. Each failure must be ENOSPC and leave what was there. What is
-- written again elsewhere when it cannot be written to $TMPDIR must not fail at all, nor leave anything there.

local module, dir, seed, stride = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local faults = assert(package.loadlib(module, "luaopen_faults"))()
local scenarios = require "spec.support.scenarios"

local PAGE = 4096

math.randomseed(seed)

local env = scenarios.prepare(dir)
local problems, runs, scenario_count = 0, 0, 0

local function collect()
	collectgarbage()
	collectgarbage()
end

local function expect(scenario, size, right, ...)
	if not right then
		problems = problems + 1
		print(("%s, %d bytes: %s"):format(scenario.name, size, (...):format(select(2, ...))))
	end
end

-- With as many bytes more than what stands there already; true when it was enough.
local function try(scenario, size, usual)
	faults.mount(env.out, size)
	assert(pcall(scenarios.reset, faults, env))
	local before, free = scenarios.snapshot(faults, env.out), faults.free_space(env.out)
	local ok, result = pcall(scenario.run, env)
	collect()
	local now = scenarios.snapshot(faults, env.out)
	runs = runs + 1
	if ok then
		expect(scenario, size, now == usual, "left something else:\n%s", now)
	else
		local code = type(result) == "table" and result[2] or nil
		expect(scenario, size, code == "ENOSPC", "failed with %s", tostring(code and result[1] or result))
		expect(scenario, size, scenarios.is_kept(before, now, usual), "left other files:\n%s", now)
		expect(scenario, size, now ~= before or faults.free_space(env.out) == free, "has less space than before")
	end
	faults.unmount(env.out)
	return ok
end

-- The same of the directory for temporary files.
local function try_temporary(scenario, size, usual)
	local path = os.getenv("TMPDIR")
	faults.mount(path, size)
	scenarios.reset(faults, env)
	local free = faults.free_space(path)
	local ok, result = pcall(scenario.run, env)
	collect()
	local now = scenarios.snapshot(faults, env.out)
	runs = runs + 1
	expect(scenario, size, ok, "failed with %s", tostring(not ok and type(result) == "table" and result[1] or result))
	expect(scenario, size, now == usual, "left something else:\n%s", now)
	expect(scenario, size, faults.free_space(path) == free, "has less space than before")
	faults.unmount(path)
end

faults.make(env.out)

-- What stands there already needs this much.
faults.mount(env.out, 64 * 1024 * 1024)
local room = faults.free_space(env.out)
scenarios.reset(faults, env)
local occupied = room - faults.free_space(env.out)
collect()
faults.unmount(env.out)

for _, scenario in ipairs(scenarios.list) do
	local name = scenario.name
	local writes = name:find("^save") or name:find("^extract") or name == "export" or name == "apply" or name == "flatten"
	if writes and not scenario.merges then
		scenario_count = scenario_count + 1
		faults.mount(env.out, 64 * 1024 * 1024)
		scenarios.reset(faults, env)
		assert(pcall(scenario.run, env))
		local usual = scenarios.snapshot(faults, env.out)
		collect()
		faults.unmount(env.out)
		local size = occupied + PAGE * math.random(stride)
		while not try(scenario, size, usual) and problems < 20 do
			size = size + PAGE * stride
		end
	end
	if scenario.again then
		scenarios.reset(faults, env)
		assert(pcall(scenario.run, env))
		local usual = scenarios.snapshot(faults, env.out)
		for pages = 1, 12 do
			try_temporary(scenario, PAGE * pages, usual)
		end
	end
end
print(("%d runs of %d scenarios, %d problems, seed %d"):format(runs, scenario_count, problems, seed))
os.exit(problems == 0 and runs > scenario_count)

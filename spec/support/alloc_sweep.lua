--- What spec/c/lua/alloc_lua_test.c runs: every scenario, with an allocator that fails at one request after the other.

local scenarios = require "spec.support.scenarios"

-- So many requests for memory of a scenario are made to fail, of those that there are, when it has to be quick.
local SOME = 4

local function collect()
	collectgarbage()
	collectgarbage()
end

local function describe(thrown)
	if type(thrown) ~= "table" then
		return tostring(thrown)
	end
	return ("%s (%s)"):format(tostring(thrown[1]), tostring(thrown[2]))
end

local function is_error(thrown)
	if type(thrown) == "table" then
		return thrown[2] == "ENOMEM"
	end
	return tostring(thrown):find("not enough memory", 1, true) ~= nil
end

---@param faults table arm, disarm and what place.h has
---@param dir string
---@param full boolean every request
---@param seed integer
---@return integer problems
return function(faults, dir, full, seed)
	math.randomseed(seed)
	local env = scenarios.prepare(dir)
	local problems, runs, thrown = 0, 0, 0

	local function measure()
		collect()
		return faults.descriptors(), #faults.names(os.getenv("TMPDIR"))
	end

	local function sweep(scenario, tries)
		scenarios.reset(faults, env)
		local before = scenarios.snapshot(faults, env.out)
		local ok, usual = pcall(scenario.run, env)
		assert(ok, describe(usual))
		local after = scenarios.snapshot(faults, env.out)
		scenarios.reset(faults, env)
		collect()
		faults.arm(0, tries)
		scenario.run(env)
		local requests = faults.disarm()
		scenarios.reset(faults, env)
		local descriptors, temporary = measure()
		local stride = full and 1 or math.max(1, math.floor(requests / SOME))
		for at = math.random(stride), requests, stride do
			faults.arm(at, tries)
			local result
			ok, result = pcall(scenario.run, env)
			faults.disarm()
			runs, thrown = runs + 1, thrown + (ok and 0 or 1)
			local now_descriptors, now_temporary = measure() -- the collector clears up
			local now = scenarios.snapshot(faults, env.out)
			local wrong
			if ok then
				wrong = result ~= usual and "gave another result" or now ~= after and "left something else:\n" .. now
			else
				-- Lua does not try again everywhere; and memory may be wanting for the result, when all is done.
				wrong = not is_error(result) and "failed"
					or not scenarios.is_kept(before, now, after) and now ~= after and not scenario.merges
						and "left other files:\n" .. now
			end
			wrong = wrong or now_descriptors ~= descriptors and "left descriptors"
				or now_temporary ~= temporary and "left temporary files"
			if wrong then
				problems = problems + 1
				print(("  %s, request %d of %d, %s: %s\n    after %s"):format(scenario.name, at, requests,
					tries == 1 and "collected" or "refused", wrong, ok and "success" or describe(result)))
				descriptors, temporary = now_descriptors, now_temporary
			end
			if now ~= before then
				scenarios.reset(faults, env)
			end
			if problems > 30 then
				return
			end
		end
	end

	for _, scenario in ipairs(scenarios.list) do
		if not os.getenv("ONLY") or os.getenv("ONLY") == scenario.name then
			sweep(scenario, 2)
			if not _VERSION:find("5.1", 1, true) then -- which does not try again
				sweep(scenario, 1)
			end
		end
	end
	print(("%d runs, %d of them refused, %d problems, seed %d"):format(runs, thrown, problems, seed))
	return thrown > 0 and problems or -1
end

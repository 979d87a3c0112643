--- Runs every scenario again and again, and each time another call of one kind fails: the k-th, for every k until
-- the scenario gets by with fewer. After each it must have given its usual result, or an error that says what
-- failed; and then everything is as it was: files, descriptors, memory.
--
--   lua5.4 spec/support/sweep.lua MODULE DIRECTORY SEED STRIDE KIND ...
--
-- preloaded with MODULE, and TMPDIR an empty directory. With a stride above 1 only every stride-th call fails,
-- counted from a random one. With a stride below 0 it is not each call but each way to one, through the functions of
-- the core, and only in the first scenario that goes it. With -1 each kind is tried with each scenario, with -6 with
-- every sixth of them, others for each kind, and one way in four. SEED chooses the first. Prints what is wrong, and a
-- sum.

local module, dir, seed, stride = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local share = math.max(-stride, 1) -- of the scenarios
local ways = stride > 0 and 0 or share > 1 and 4 or 1 -- one way in so many; 0: calls are counted
local faults = assert(package.loadlib(module, "luaopen_faults"))()
local scenarios = require "spec.support.scenarios"

local EPERM, EINTR, EIO, EAGAIN, ENOMEM, EXDEV, ENOSYS, EMFILE = 1, 4, 5, 11, 12, 18, 38, 24
local EOPNOTSUPP = 95
local ALL = 1e9

---@class Kind
---@field class string of calls
---@field errno integer 0: fewer bytes than asked for
---@field code string|nil of the error; nil: it must succeed
---@field watch? string[] whose calls they are; default: the core's
---@field limit? boolean so many descriptors may be opened, instead of calls that fail
---@field times? integer calls in a row that fail; default 1
---@field once? boolean from the first call on only, instead of a sweep
---@field optional? boolean it may also succeed
---@field any? boolean it may give any result or error, and leave anything
---@field litters? boolean what has been made cannot be removed
local KINDS = {
	memory = { class = "malloc", errno = ENOMEM, code = "ENOMEM", optional = true },
	["no more memory"] = { class = "malloc", errno = ENOMEM, code = "ENOMEM", optional = true, times = ALL },
	["library memory"] = { class = "malloc", errno = ENOMEM, code = "ENOMEM", optional = true,
		watch = { "/libcrypto.so", "/libz.so", "/libzstd.so", "/libisal.so", "/libdeflate.so" } },
	threads = { class = "thread", errno = EAGAIN, code = "EAGAIN", optional = true },
	["no threads"] = { class = "thread", errno = EAGAIN, code = "EAGAIN", optional = true, times = ALL, once = true },
	read = { class = "read", errno = EIO, code = "EIO", optional = true },
	write = { class = "write", errno = EIO, code = "EIO" },
	copy = { class = "copy", errno = EIO, optional = true },
	sync = { class = "sync", errno = EIO, code = "EIO", optional = true },
	name = { class = "name", errno = EIO, code = "EIO", optional = true },
	open = { class = "open", errno = EIO, code = "EIO", optional = true },
	meta = { class = "meta", errno = EIO, code = "EIO", optional = true },
	look = { class = "look", errno = EIO, code = "EIO", optional = true },
	unlink = { class = "unlink", errno = EIO, code = "EIO", optional = true, litters = true },
	random = { class = "random", errno = ENOSYS },
	["no unnamed files"] = { class = "tmpfile", errno = EOPNOTSUPP, times = ALL, once = true },
	["no openat2"] = { class = "openat2", errno = ENOSYS, times = ALL, once = true },
	["openat2 refused"] = { class = "openat2", errno = EPERM, times = ALL, once = true },
	["always raced"] = { class = "openat2", errno = EAGAIN, times = ALL, once = true },
	["few descriptors"] = { limit = true, code = "EMFILE" },
	descriptors = { class = "open", errno = EMFILE, code = "EMFILE", optional = true },
	interrupted = { class = "data", errno = EINTR },
	["always interrupted"] = { class = "data", errno = EINTR, times = 50, once = true },
	short = { class = "data", errno = 0 },
	["always short"] = { class = "data", errno = 0, times = ALL, once = true },
	["no copying"] = { class = "copy", errno = ENOSYS, times = ALL, once = true },
	["no copying across"] = { class = "copy", errno = EXDEV, times = ALL, once = true },
	["copying refused"] = { class = "copy", errno = EPERM, times = ALL, once = true },
}

-- "open 13": calls of a class fail with that errno, which may mean something else to whoever gets it than that
-- the world is broken; "open 13 on": from that call on all of them. Whatever comes of it, nothing may be lost track of.
setmetatable(KINDS, {
	__index = function(_, name)
		local class, errno, on = name:match("^(%l+) (%d+)( ?o?n?)$")
		return class and { class = class, errno = tonumber(errno), optional = true, any = true,
			times = on == " on" and ALL or nil }
	end,
})

math.randomseed(seed)

local problems, runs = 0, 0

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

-- Errors that are thrown have no code.
local WORDS = { ENOMEM = { "not enough memory", "out of memory", "Cannot allocate memory" },
	EAGAIN = { "Resource temporarily unavailable" }, EIO = { "Input/output error" }, EMFILE = { "Too many open files" } }

local function is_error(thrown, code)
	if type(thrown) == "table" then
		return thrown[2] == code
	end
	for _, words in ipairs(WORDS[code] or {}) do
		if thrown:find(words, 1, true) then
			return true
		end
	end
	return false
end

local prepared, env = pcall(scenarios.prepare, dir)
assert(prepared, type(env) == "table" and env[1] or env)
-- What there is besides the Lua state, after everything has been collected.
local function measure()
	collect()
	return { descriptors = faults.descriptors(), memory = faults.live(),
		temporary = #faults.names(os.getenv("TMPDIR")) }
end

local function run(scenario, kind, at)
	collect()
	if kind.limit then
		faults.descriptor_limit(faults.descriptors() + at - 1)
		local ok, result = pcall(scenario.run, env)
		faults.descriptor_limit()
		return ok, result, ok and 0 or 1
	end
	collectgarbage("stop")
	faults.arm({ class = kind.class, at = at, stacks = kind.once and 0 or ways, errno = kind.errno,
		times = kind.times, seed = seed + at })
	local ok, result = pcall(scenario.run, env)
	local _, hits, first = faults.disarm()
	collectgarbage("restart")
	return ok, result, hits, first
end

-- The scenario as it should be: what it says and what it leaves.
local function reference(scenario)
	scenarios.reset(faults, env)
	if scenario.usual then
		scenario.usual.measured = measure()
		return scenario.usual
	end
	local before = scenarios.snapshot(faults, env.out)
	local ok, result = pcall(scenario.run, env) -- what is cached for ever comes now
	assert(ok, scenario.name .. ": " .. describe(result))
	local after = scenarios.snapshot(faults, env.out)
	scenarios.reset(faults, env)
	scenario.usual = { result = result, before = before, after = after, measured = measure() }
	return scenario.usual
end

-- The lines that are in one text only.
local function difference(usual, now)
	local function without(text, other)
		local there, lines = {}, {}
		for line in other:gmatch("[^\n]+") do
			there[line] = true
		end
		for line in text:gmatch("[^\n]+") do
			lines[#lines + 1] = not there[line] and line or nil
		end
		return table.concat(lines, "\n")
	end
	return ("- %s\n+ %s"):format(without(usual, now), without(now, usual))
end

local function check(scenario, kind, usual, ok, result)
	local wrong = {}
	local function expect(right, ...)
		if not right then
			wrong[#wrong + 1] = (...):format(select(2, ...))
		end
	end
	local now = measure()
	for what, count in pairs(usual.measured) do
		-- A library may keep what it has for its errors.
		local free = (kind.watch and what == "memory") or (kind.any and what == "temporary")
		expect(free or now[what] == count, "%s: %d instead of %d", what, now[what], count)
	end
	local left = scenarios.snapshot(faults, env.out)
	if kind.any then
		return wrong, true
	elseif ok then
		expect(kind.optional or scenario.again or not kind.code, "did not notice")
		expect(result == usual.result, "gave another result")
		expect(left == usual.after or kind.litters or scenario.litters, "left other files:\n%s",
			difference(usual.after, left))
	else
		expect(kind.code and is_error(result, kind.code), "failed with %s", describe(result))
		local stays = scenario.merges or kind.litters or scenario.whole and (kind.times == ALL or kind.limit)
		-- The file has its name before the directory is synchronised.
		stays = stays or kind.class == "sync" and left == usual.after
		expect(stays or scenarios.is_kept(usual.before, left, usual.after), "left other files:\n%s",
			difference(usual.before, left))
	end
	return wrong, left ~= usual.before
end

local function sweep(scenario, name, kind)
	local usual = reference(scenario)
	local step = math.max(stride, 1)
	local at = (kind.once or kind.limit) and 1 or math.random(step)
	repeat
		local ok, result, hits, first = run(scenario, kind, at)
		local wrong, dirty = {}, true
		if hits > 0 then
			runs = runs + 1
			wrong, dirty = check(scenario, kind, usual, ok, result)
		end
		for _, text in ipairs(wrong) do
			problems = problems + 1
			print(("%s, %s, call %d: %s\n   after %s"):format(scenario.name, name, at, text,
				ok and "success" or describe(result)))
			usual.measured = measure()
		end
		result = nil -- luacheck: ignore
		if dirty then
			scenarios.reset(faults, env)
		end
		-- Up to the call that failed the next run goes the same ways.
		at = ways > 0 and not kind.limit and first + 1 or at + (kind.limit and 1 or step)
	until hits == 0 or kind.once or problems > 40
end

for i = 5, #arg do
	local kind = assert(KINDS[arg[i]], arg[i])
	local watched = kind.watch or { "/strata/core.so" }
	assert(faults.watch((unpack or table.unpack)(watched)) >= #watched, "not all of it is there to be watched")
	for number, scenario in ipairs(scenarios.list) do
		local only = os.getenv("ONLY")
		if only and only == scenario.name or not only and (number + i + seed) % share == 0 then
			io.stderr:write(arg[i], ": ", scenario.name, "\n")
			sweep(scenario, arg[i], kind)
		end
	end
end
print(("%d runs, %d problems, seed %d"):format(runs, problems, seed))
os.exit(problems == 0 and runs > 0)

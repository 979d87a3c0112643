--- Kills processes at random moments while they save, and looks at what they leave.
--
--   lua5.4 spec/support/kills.lua MODULE DIRECTORY SEED KILLS
--
-- preloaded with MODULE. The target must be what it was or the whole new one, and the next save must leave nothing
-- but its target.

local module, dir, seed, kills = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local faults = assert(package.loadlib(module, "luaopen_faults"))()
local scenarios = require "spec.support.scenarios"
local strata = require "strata"

math.randomseed(seed)

local env = scenarios.prepare(dir)
local out = env.out

-- What is opened, where it goes to, and how.
local WAYS = {
	{ "as it came", from = env.docker, to = "/target" },
	{ "docker", from = env.gzip, to = "/target", format = "docker", compression = "gzip" },
	{ "docker-legacy", from = env.docker, to = "/target", format = "docker-legacy" },
	{ "oci-archive", from = env.docker, to = "/target", format = "oci-archive", compression = "zstd" },
	{ "oci", from = env.docker, to = "/new", format = "oci", compression = "gzip" },
	{ "into a layout", from = env.docker, to = "/layout", format = "oci" },
	{ "over the source", from = out .. "/source.tar", to = "/source.tar" },
	{ "over the layout that it came from", from = out .. "/layout", to = "/layout" },
	{ "a file that is not there yet", from = env.docker, to = "/new.tar" },
}

local function save(way)
	local img = assert(strata.open(way.from))
	img.config:set_env("KILLED", "no")
	assert(img:filter(function(entry)
		return entry.path ~= "var/new"
	end))
	assert(img:save(out .. way.to, { format = way.format, compression = way.compression }))
	img:close()
end

-- The IDs of what is there, every byte of it verified; "nothing" when nothing is.
local function ids(path)
	if not faults.look(path) then
		return "nothing"
	end
	local index = faults.look(path .. "/index.json")
	if faults.look(path .. "/.") and not index then
		return "nothing" -- a layout appears with its index
	end
	local found = {}
	for img in assert(strata.images(path)) do
		assert(img:verify())
		found[#found + 1] = img.id
		img:close()
	end
	table.sort(found)
	return table.concat(found, " ")
end

local function hidden(path)
	local found = {}
	for _, name in ipairs(faults.names(path)) do
		if name:find("^%.strata") then
			found[#found + 1] = name
		end
		local _, is_dir = faults.look(path .. "/" .. name)
		if is_dir then
			for _, below in ipairs(hidden(path .. "/" .. name)) do
				found[#found + 1] = below
			end
		end
	end
	return found
end

local problems, killed, before_count, after_count, stale = 0, 0, 0, 0, 0

local function expect(right, ...)
	if not right then
		problems = problems + 1
		print((...):format(select(2, ...)))
	end
end

-- Kills one save, and looks at what is there.
local function kill(way, path, before, after, killed_one)
	scenarios.reset(faults, env)
	killed = killed + (killed_one() and 1 or 0)
	local ok, now = pcall(ids, path)
	expect(ok and (now == before or now == after), "%s: left %s", way[1], tostring(now))
	before_count = before_count + (now == before and 1 or 0)
	after_count = after_count + (now == after and 1 or 0)
	stale = stale + #hidden(out)
	ok, now = pcall(save, way)
	expect(ok, "%s: the next save failed: %s", way[1], tostring(now))
	expect(not ok or ids(path) == after, "%s: the next save left something else", way[1])
	local left = hidden(out)
	expect(#left == 0, "%s: %s stayed", way[1], table.concat(left, ", "))
end

-- At a random moment.
local function at_random(way, takes)
	return function()
		return (faults.killed_after(math.random(0, math.ceil(takes * 1.1)), function()
			save(way)
		end))
	end
end

-- As it asks the system for something for the n-th time.
local function at_call(way, n)
	return function()
		return (faults.killed_after(-1, function()
			faults.arm({ class = "traces", at = n, errno = -1 })
			save(way)
		end))
	end
end

assert(faults.watch("/strata/core.so") > 0)

for _, way in ipairs(WAYS) do
	scenarios.reset(faults, env)
	local path = out .. way.to
	local before = ids(path)
	local takes = 0
	for _ = 1, 3 do
		scenarios.reset(faults, env)
		local _, us = faults.killed_after(-1, function()
			save(way)
		end)
		takes = math.max(takes, us)
	end
	local after = ids(path)
	assert(before ~= after, way[1])
	for _ = 1, math.ceil(kills / #WAYS) do
		kill(way, path, before, after, at_random(way, takes))
	end
	scenarios.reset(faults, env)
	faults.arm({ class = "traces" })
	save(way)
	local calls = faults.disarm()
	-- The last ones are those that publish.
	local step = math.max(1, math.floor(9 * calls / kills))
	for n = calls, 1, -1 do
		if calls - n < 12 or n % step == 0 then
			kill(way, path, before, after, at_call(way, n))
		end
	end
end
print(("%d killed: %d before, %d after; %d names had to be cleared away; %d problems, seed %d"):format(killed,
	before_count, after_count, stale, problems, seed))
os.exit(problems == 0 and killed > 0)

--- What spec/c/lua/states_lua_test.c has its Lua states do, one step after the other.
--
-- What each step saw is the same in every state, whatever other states do meanwhile, and with any number of threads.

local archive = require "spec.support.docker_archive"
local core = require "strata.core"
local dialects = require "spec.support.docker_dialects"
local push = require "spec.support.push"
local scenarios = require "spec.support.scenarios"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"
local set_threads = require("strata.util.job").set_threads

require "strata.archive"

local states = {}

-- ---- the images -------------------------------------------------------------------

-- Bytes that hardly compress, differing from one seed to another.
local function noise(size, seed)
	local random = push.generator(seed)
	local parts = {}
	for i = 1, size do
		parts[i] = string.char(random(256) - 1)
	end
	return table.concat(parts)
end

-- Layers of several pieces of work for threads to share.
local function large_image()
	local block = noise(100000, 3)
	local layers = {}
	for i = 1, 3 do
		local entries = { { name = "data/", type = "dir" } }
		for k = 1, 4 do
			local text = ("layer %d, file %d\n"):format(i, k)
			entries[#entries + 1] = { name = "data/noise" .. k, data = text .. block .. block:reverse() }
			entries[#entries + 1] = { name = ("data/text%d.%d"):format(i, k), data = text:rep(20000) }
		end
		entries[#entries + 1] = { name = "data/.wh.text" .. (i - 1) .. ".1" }
		layers[i] = archive.layer(entries)
	end
	return archive.image({ tags = { "large:1" }, layers = layers })
end

local function quoted(value)
	if type(value) ~= "table" then
		return ("%q"):format(value)
	end
	local parts = {}
	for key, one in pairs(value) do
		parts[#parts + 1] = ("[%s] = %s"):format(quoted(key), quoted(one))
	end
	return "{" .. table.concat(parts, ", ") .. "}"
end

--- Makes the images, and `env.lua`, which says where they are. Starts programs; the steps do not.
---@param dir string
function states.prepare(dir)
	local env = scenarios.prepare(dir)
	local large = large_image()
	env.large = dialects.of.docker_25(large):write(dir .. "/large.tar")
	env.large_gzip = dialects.of.kaniko(large):write(dir .. "/large-gzip.tar")
	shell.write(dir .. "/env.lua", "return " .. quoted(env))
end

-- ---- the steps --------------------------------------------------------------------

local list = {}

local function add(name, run)
	list[#list + 1] = { name = name, run = run }
end

local function nobody_listens() end

for _, scenario in ipairs(scenarios.list) do
	add(scenario.name, scenario.run)
end

add("check", function(env)
	local img = assert(strata.open(env.gzip))
	local findings = tostring(assert(img:check({ severity = "note" })))
	img:close()
	return findings
end)

add("append an archive of another kind", function(env)
	local img = strata.new({ platform = "linux/amd64" })
	assert(img:append({ archive = env.whole, to = "/opt" }))
	local saved = assert(img:save(env.out .. "/target", { format = "docker" }))
	img:close()
	return saved.id
end)

-- From here on a step uses what the steps before it left in `env`.

add("open and verify", function(env)
	env.img = assert(strata.open(env.large_gzip))
	assert(env.img:verify())
	return env.img.id
end)

add("filter", function(env)
	env.img:filter(function(entry)
		return not entry.path:find("noise2", 1, true)
	end)
	return tostring(env.img.layers[2])
end)

add("rewrite", function(env)
	env.img:rewrite(function(entry)
		entry.uid = entry.uid + 1000
	end)
	env.img.config:set_env("A", "B")
	return env.img.config:text()
end)

for _, options in ipairs({
	{ format = "docker" },
	{ format = "oci", compression = "gzip" },
	{ format = "oci", compression = "gzip", level = 6, reproducible = true },
	{ format = "oci-archive", compression = "zstd" },
	{ format = "docker-legacy", progress = nobody_listens },
}) do
	add("save as " .. options.format, function(env)
		local saved = assert(env.img:save(env.out .. "/saved", options))
		local again = assert(strata.open(env.out .. "/saved"))
		assert(again:verify())
		again:close()
		return saved.id
	end)
end

add("squash and extract", function(env)
	assert(env.img:squash(1, 2))
	return tostring(assert(env.img:extract(env.out .. "/root")).entries)
end)

add("extract for overlayfs", function(env)
	return tostring(assert(env.img:extract(env.out .. "/root", { mode = "overlay", xattrs = rights.xattrs })).entries)
end)

add("begin a stream", function(env)
	local file = assert(io.open(env.large, "rb"))
	env.pieces = push.pieces(file:read("*a"), 200000)
	file:close()
	env.stream = assert(strata.stream.image({
		filter = function(entry)
			return not entry.path:find("noise3", 1, true)
		end,
		compression = "gzip",
	}))
	env.streamed = assert(core.push_digest())
	return ""
end)

-- Some pieces, all that follows when it is not said how many.
local function feed(env, count)
	repeat
		local piece = env.pieces()
		local out, more = assert(env.stream(piece))
		env.streamed:update(out)
		while more do
			out, more = assert(env.stream(""))
			env.streamed:update(out)
		end
		count = count and count - 1
	until not piece or count == 0
end

add("go on with it", function(env)
	feed(env, 6)
	return ""
end)

add("end it", function(env)
	feed(env)
	return env.streamed:final()
end)

add("leave another one", function(env)
	local t = assert(strata.stream.image({ compression = "zstd" }))
	local file = assert(io.open(env.large, "rb"))
	assert(t(file:read(500000)))
	file:close()
	return ""
end)

add("start jobs", function(env)
	env.jobs = {}
	for i, as in ipairs({ "gzip", "zstd", "gzip", "zstd" }) do
		local job = core.job()
		local file = assert(core.open_file(env.large))
		for _ = 1, 2 do
			assert(job:recode({ file = file, size = file:size(), to = assert(core.temp_file()), as = as }))
		end
		assert(job:start(3))
		env.jobs[i] = job
	end
	return ""
end)

-- Whether a task was canceled in time is a matter of time.
add("cancel some and leave one", function(env)
	for i = 1, 2 do
		local job = env.jobs[i]
		job:cancel()
		while not job:wait(1) do
		end
		local ok, _, code = job:result()
		assert(ok or code == "ECANCELED", code)
		job:close()
	end
	env.jobs[3] = nil
	return ""
end)

add("wait for another", function(env)
	local job = env.jobs[4]
	while not job:wait(0.01) do
	end
	assert(job:result())
	return job:task(1).digest .. job:task(2).digest
end)

add("cancel a save", function(env)
	env.img:rewrite(function(entry)
		entry.gid = 7
	end)
	local ok, thrown = pcall(env.img.save, env.img, env.out .. "/saved", {
		compression = "gzip",
		progress = function()
			error("no more", 0)
		end,
	})
	assert(not ok and thrown == "no more", thrown)
	return ""
end)

add("leave all to the collector", function(env)
	env.img, env.jobs, env.stream, env.streamed = nil, nil, nil, nil
	return ""
end)

--- A function that does the next step and says what came of it; nil when there is none left.
---@param faults table what place.h has
---@param dir string of the images
---@param out string a directory of its own
---@param threads integer
---@return fun(): string|nil
function states.steps(faults, dir, out, threads)
	local env = dofile(dir .. "/env.lua")
	env.out = out
	local own = setmetatable({ dir = out }, { __index = env }) -- where one scenario writes to, too
	set_threads(threads)
	collectgarbage("setpause", 110) -- up to 100 it never pauses, which takes ten times as long
	collectgarbage("setstepmul", 400)
	local at = 0
	return function()
		at = at + 1
		local step = list[at]
		if not step then
			return nil
		end
		scenarios.reset(faults, env)
		local ok, seen = pcall(step.run, own)
		if not ok then
			error(step.name .. ": " .. tostring(type(seen) == "table" and seen[1] or seen), 0)
		end
		collectgarbage()
		local all = table.concat({ step.name, seen, scenarios.snapshot(faults, out) }, "\n") .. "\n"
		return (all:gsub(out:gsub("%p", "%%%0"), "OUT"))
	end
end

return states

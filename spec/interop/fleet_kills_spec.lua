-- examples/fleet: workers, Redis and people who do what they like, and no job that is lost or done wrong.

local docker_registry = require "spec.support.docker_registry"
local fleet = require "spec.support.fleet"
local random = require "spec.support.random"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local strata = require "strata"
local waiting = require "spec.support.waiting"

local JOBS = 60

describe("a fleet whose parts die:", function()
	local server, hub, here, first

	setup(function()
		local reason = docker_registry.missing() or fleet.missing()
		if reason then
			skip(reason)
		end
		server, hub = docker_registry.start(), remote.client()
		first = strata.new()
		assert(first:append({ files = { ["usr/share/doc/a"] = remote.noise(20000), ["etc/b"] = "b" } }))
		for i = 1, JOBS do
			first.config:set_label("number", tostring(i))
			assert(first:save(("docker://%s/app:%d"):format(server.host, i), { registry = hub }))
		end
	end)

	teardown(function()
		if server then
			hub:close()
			server:stop()
		end
	end)

	before_each(function()
		here = fleet.start()
	end)

	after_each(function()
		here:stop()
	end)

	local function ref(repository, tag)
		return ("docker://%s/%s:%s"):format(server.host, repository, tag)
	end

	local function refs(count)
		local list = {}
		for i = 1, count or JOBS do
			list[i] = ref("app", i)
		end
		return list
	end

	-- Labels, and takes some time for it.
	local NAP = [[
		return function(img, _, options)
			local till = os.clock() + math.random(10, 40) / 1000
			repeat until os.clock() > till
			img.config:set_label("fleet", options.fleet)
		end
	]]

	-- The digest that a job has to make of an image.
	local function expected(from, value)
		local img = assert(strata.open(from, { registry = hub }))
		img.config:set_label("fleet", value)
		local digest = img.digest
		img:close()
		return digest
	end

	-- All targets have what they have to have.
	local function check_targets(repository, value)
		local right = 0
		for i = 1, JOBS do
			if hub:digest(ref(repository, i)) == expected(ref("app", i), value) then
				right = right + 1
			end
		end
		assert.equal(JOBS, right)
		assert.equal(0, math.floor(tonumber(here.redis:call("XLEN", "fleet:dead"))))
	end

	it("workers are killed at random moments, and every image is right", function()
		local seed = random.first_seed()
		local number = random.generator(seed)
		here:script("nap", NAP)
		here:enqueue(refs(), "--to", ref("killed", "{tag}"), "nap", "fleet=killed")
		local workers, kills = {}, 0
		for i = 1, 3 do
			workers[i] = here:worker("--lease", "1", "--crashes", "1000")
		end
		while here:length() > 0 and kills < 300 do
			shell.check({ "sleep", ("0.%03d"):format(50 + number(250)) })
			local i = number(3)
			workers[i]:signal("KILL")
			workers[i]:stop()
			workers[i], kills = here:worker("--lease", "1", "--crashes", "1000"), kills + 1
		end
		here:finish()
		check_targets("killed", "killed")
		assert.is_true(kills >= 3, "kills: " .. kills)
		assert.is_true(here:count("done") >= JOBS)
		print(("fleet: %d kills, %d jobs taken from the dead, %d of %d right, seed %d"):format(kills,
			here:count("reclaimed"), JOBS, JOBS, seed))
	end)

	it("Redis is killed, and has what it had", function()
		here:script("nap", NAP)
		here:enqueue(refs(), "--to", ref("redis", "{tag}"), "nap", "fleet=redis")
		local workers = { here:worker("--lease", "2", "--crashes", "1000"), here:worker("--lease", "2", "--crashes", "1000") }
		for i = 1, 2 do
			local before = here:length()
			waiting.till("some more are done", function()
				return here:length() <= before - 10
			end)
			here.redis:kill()
			shell.check({ "sleep", "0.5" })
			here.redis:start()
			assert.is_true(here:length() > 0, "after kill " .. i)
		end
		here:finish()
		-- What was added or done in the last second before a kill may be unknown to Redis: it is asked for again.
		here:enqueue(refs(), "--to", ref("redis", "{tag}"), "nap", "fleet=redis")
		here:finish()
		check_targets("redis", "redis")
		for _, worker in ipairs(workers) do
			assert.is_nil(worker:status())
			assert.is_truthy(worker:log():find("Redis at", 1, true))
		end
	end)

	-- Waits in Lua until a file is there.
	local function gated(path)
		here:script("gate", ([[
			return function(img, _, options)
				repeat
					local gate = io.open(%q)
				until gate
				img.config:set_label("fleet", options.fleet)
			end
		]]):format(path))
	end

	it("a worker gives up its job when Redis is gone for longer than the lease, and takes it again", function()
		local gate = here.scripts:file("go")
		gated(gate)
		here:enqueue({ ref("app", 1) }, "--to", ref("gone", "1"), "gate", "fleet=gone")
		local worker = here:worker("--lease", "1", "--crashes", "1000")
		waiting.till("the job is taken", function()
			return here.redis:call("XPENDING", "fleet:jobs", "workers"):match("^1\n")
		end)
		here.redis:kill()
		worker:says(" lost ")
		shell.write(gate, "")
		here.redis:start()
		here:finish()
		assert.equal(expected(ref("app", 1), "gone"), hub:digest(ref("gone", "1")))
		assert.equal(1, here:count("done"))
	end)

	it("a worker that slept for longer than its lease leaves the job to another, and a tag to a person", function()
		local gate = here.scripts:file("go")
		gated(gate)
		here:enqueue({ ref("app", 1) }, "--to", ref("slept", "1"), "gate", "fleet=slept")
		local sleeper = here:worker("--lease", "2")
		waiting.till("the job is taken", function()
			return here.redis:call("XPENDING", "fleet:jobs", "workers"):match("^1\n")
		end)
		sleeper:signal("STOP")
		shell.write(gate, "")
		local other = here:worker("--lease", "2", "--until-empty")
		assert.equal(0, other:ended())
		assert.is_truthy(other:log():find(" done "))
		local other_digest = expected(ref("app", 1), "slept")
		assert.equal(other_digest, hub:digest(ref("slept", "1")))
		assert(strata.copy(ref("app", 2), ref("slept", "1"), { registry = hub }))
		os.remove(gate)
		sleeper:signal("CONT")
		sleeper:says(" lost ")
		assert.equal(hub:digest(ref("app", 2)), hub:digest(ref("slept", "1")))
		assert.equal(1, here:count("done"))
		assert.equal("0", here.redis:call("XLEN", "fleet:dead"))
		assert.equal(0, here:length())
	end)

	it("a worker that is told to stop gives its job back at once, and ends well", function()
		local gate = here.scripts:file("go")
		gated(gate)
		here:enqueue({ ref("app", 1) }, "--to", ref("stopped", "1"), "gate", "fleet=stopped")
		for i, how in ipairs({ "TERM", "HUP", "KILL" }) do -- the last one kills the shell that has started it
			local worker = here:worker("--lease", "600")
			waiting.till("the job is taken", function()
				return here.redis:call("XPENDING", "fleet:jobs", "workers"):match("^1\n")
			end)
			worker:signal(how, true)
			worker:says(" back ")
			assert.equal(how == "KILL" and 137 or 0, worker:ended())
			assert.equal("0", here.redis:call("XPENDING", "fleet:jobs", "workers"):match("^%d+"))
			assert.equal(i, here:count("given_back"))
		end
		shell.write(gate, "")
		assert.equal(0, here:worker("--lease", "600", "--until-empty"):ended())
		assert.equal(expected(ref("app", 1), "stopped"), hub:digest(ref("stopped", "1")))
	end)

	it("two workers that do the same job at once make the same image", function()
		local gate = here.scripts:file("go")
		here:script("gate", ([[
			return function(img)
				repeat
					local gate = io.open(%q)
				until gate
				return img:remove "usr/share/doc"
			end
		]]):format(gate))
		local workers = {}
		for i = 1, 2 do
			local words = { "--queue", "twice" .. i, "--to", ref("twice", "1"), "gate" }
			here:enqueue({ ref("app", 1) }, (table.unpack or unpack)(words))
			workers[i] = here:worker("--queue", "twice" .. i, "--until-empty")
		end
		for i = 1, 2 do
			waiting.till("both have it", function()
				return here.redis:call("XPENDING", ("twice%d:jobs"):format(i), "workers"):match("^1\n")
			end)
		end
		shell.write(gate, "")
		for i = 1, 2 do
			assert.equal(0, workers[i]:ended())
			assert.equal(hub:digest(ref("twice", "1")), workers[i]:log():match(" done .- (sha256:%x+)\n"), workers[i]:log())
			assert.equal("0", here.redis:call("XLEN", ("twice%d:dead"):format(i)))
		end
		assert(assert(strata.open(ref("twice", "1"), { registry = hub })):verify())
	end)
end)

-- Tasks of a flow, without a network.

local flow = require "strata.registry.flow"
local job = require "strata.util.job"

-- A transport with a clock of its own. Exchanges end when the clock has reached their time.
local function transport()
	local net = { clock = 0, closed = 0 }
	function net.now()
		return net.clock
	end
	function net.wait(_, seconds)
		assert(seconds > 0, "it would spin")
		local next_end = math.huge
		for _, one in ipairs(net) do
			if one.at > net.clock and one.at < next_end then
				next_end = one.at
			end
		end
		net.clock = math.min(net.clock + seconds, next_end)
	end
	function net.start(_, at)
		local one = { at = at }
		function one.done()
			return net.clock >= at
		end
		function one.close()
			net.closed = net.closed + 1
		end
		net[#net + 1] = one
		return one
	end
	return net
end

describe("a flow", function()
	local net, order

	before_each(function()
		net, order = transport(), {}
	end)

	local function note(word)
		order[#order + 1] = ("%s@%g"):format(word, net.clock)
	end

	local function run(tasks, options)
		return job.run(tasks, options)
	end

	it("runs tasks while others wait for exchanges", function()
		local tasks = flow.new(net)
		for _, name in ipairs({ "a", "b" }) do
			tasks:add(function(_, given)
				flow.await({ net:start(name == "a" and 3 or 1) })
				note(given)
				flow.await({ net:start(net.clock + 1) })
				note(given)
				return true, given
			end, name)
		end
		assert.is_true(run(tasks))
		assert.same({ "b@1", "b@2", "a@3", "a@4" }, order)
		assert.equal("b", tasks.tasks[2].values[2])
	end)

	it("runs at most as many tasks at once as it was told to, in their order", function()
		local tasks = flow.new(net, 2)
		for number = 1, 5 do
			tasks:add(function()
				note("start " .. number)
				flow.await({ net:start(net.clock + 2) })
				return true
			end)
		end
		assert.is_true(run(tasks))
		assert.same({ "start 1@0", "start 2@0", "start 3@2", "start 4@2", "start 5@4" }, order)
	end)

	it("waits for several exchanges, for a time, and for what another task does", function()
		local tasks, there = flow.new(net), false
		tasks:add(function()
			flow.await({ net:start(1), net:start(4) })
			note("both")
			flow.await({ till = 6.5 })
			note("time")
			there = true
			return true
		end)
		tasks:add(function()
			flow.await({ ready = function() return there end })
			note("told")
			return true
		end)
		assert.is_true(run(tasks))
		assert.same({ "both@4", "time@6.5", "told@6.5" }, order)
	end)

	it("ends with the first failure, and closes what others wait for", function()
		local tasks = flow.new(net)
		tasks:add(function()
			flow.await({ net:start(9) })
			note("never")
			return true
		end)
		tasks:add(function()
			flow.await({ net:start(1) })
			return nil, "it broke", "ENETWORK"
		end)
		assert.same({ nil, "it broke", "ENETWORK" }, { run(tasks) })
		tasks:close()
		assert.equal(1, net.closed)
		assert.same({}, order)
	end)

	it("throws what a task throws, once all is closed", function()
		local tasks = flow.new(net)
		tasks:add(function()
			flow.await({ net:start(9) })
		end)
		tasks:add(function()
			error({ a = 1 })
		end)
		local ok, thrown = pcall(run, tasks)
		assert.is_false(ok)
		assert.same({ a = 1 }, thrown)
		assert.equal(1, net.closed)
	end)

	it("does not go on for longer than it may, and tells of its progress", function()
		local tasks = flow.new(net)
		tasks:add(function(self)
			self:expect(100)
			flow.await({ net:start(10) })
			self:moved(100)
			return true
		end)
		assert.is_false(tasks:wait(3))
		assert.same({ 0, 100 }, { tasks:progress() })
		assert.equal(3, net.clock)
		assert.is_false(tasks:wait(0))
		assert.is_true(tasks:wait(100))
		assert.equal(10, net.clock)
		assert.same({ 100, 100 }, { tasks:progress() })
	end)

	it("is cancelled by a progress function that throws", function()
		local tasks = flow.new(net)
		tasks:add(function(self)
			self:expect(1)
			flow.await({ net:start(10) })
			return true
		end)
		assert.has_error(function()
			run(tasks, { progress = function() error("stop", 0) end })
		end, "stop")
		assert.equal(1, net.closed)
	end)

	it("ends at once when it has no tasks", function()
		assert.is_true(run(flow.new(net)))
	end)
end)

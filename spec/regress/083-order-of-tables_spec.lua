-- Takes seconds: not for make check.
-- What pairs() goes through first is another thing in every run. The order of its keys reached messages, the variables
-- and labels of a job's edit in the config, and the index that an image is found in.

local jobs = require "strata.jobs"
local json = require "strata.util.json"
local oci_layout = require "spec.support.oci_layout"
local push = require "spec.support.push"
local scenarios = require "spec.support.scenarios"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local globals = package.loaded._G

local files = {
	remove = function(path)
		shell.sh('rm -rf -- "$1" 2>/dev/null || { chmod -R u+rwX -- "$1" && rm -rf -- "$1"; }', path)
	end,
	make = function(path)
		shell.check({ "mkdir", "-p", path })
	end,
}

local ORDERS = {
	ascending = function(a, b)
		return tostring(a) < tostring(b)
	end,
	descending = function(a, b)
		return tostring(a) > tostring(b)
	end,
}

-- Calls fn while pairs() goes through the keys of tables in an order.
local function with_pairs(order, fn, ...)
	local usual = globals.pairs
	globals.pairs = function(t)
		local keys, values, i = {}, {}, 0
		for key, value in usual(t) do
			keys[#keys + 1] = key
			values[key] = value
		end
		table.sort(keys, ORDERS[order])
		return function()
			i = i + 1
			return keys[i], values[keys[i]]
		end
	end
	local result = { pcall(fn, ...) }
	globals.pairs = usual
	return result
end

-- What a function gives, or throws, must be the same.
local function same(fn)
	local up, down = with_pairs("ascending", fn), with_pairs("descending", fn)
	assert.same(up, down)
	return up
end

describe("whatever the order of a table's keys", function()
	local dir, env

	setup(function()
		dir = tmp.dir(tmp.for_peers())
		env = scenarios.prepare(dir.path)
	end)

	teardown(function()
		dir:remove()
	end)

	for _, scenario in ipairs(scenarios.list) do
		it("this gives the same: " .. scenario.name, function()
			local seen, left = {}, {}
			for _, order in ipairs({ "ascending", "descending" }) do
				scenarios.reset(files, env)
				seen[order] = with_pairs(order, scenario.run, env)
				left[order] = shell.sh('cd "$1" && find . -type f -exec sha256sum {} + | sort', env.out)
			end
			assert.is_true(seen.ascending[1], type(seen.ascending[2]) == "table" and seen.ascending[2][1] or seen.ascending[2])
			assert.same(seen.ascending, seen.descending)
			assert.equal(left.ascending, left.descending)
		end)
	end

	it("the same slip of several is told", function()
		for _, opts in ipairs({
			{ limits = { bytes = 0, entries = 0, json = { max_bytes = 0, max_depth = 0 }, zzz = 1 } },
			{ limits = { json = { zzz = 1, aaa = 1 } } },
			{ zzz = 1, aaa = 1, mmm = 1 },
		}) do
			assert.is_false(same(function()
				strata.open(env.docker, opts)
			end)[1])
		end
		for _, given in ipairs({
			{ a = { type = "hardlink", linkpath = "x" }, b = { type = "hardlink", linkpath = "y" } },
			{ a = { type = "symlink" }, b = { type = "symlink" } },
			{ a = "", ["/a"] = "", b = "", ["/b"] = "" },
		}) do
			assert.is_false(same(function()
				strata.layer({ files = given })
			end)[1])
		end
		same(function()
			strata.new().config.Labels = { b = 1, a = 2, c = true }
		end)
		assert.equal("A", json.case_clash({ a = 1, A = 2, b = 3, B = 4, aB = 5, Ab = 6 }))
	end)

	it("limits are gone through in the order of their names", function()
		local names = {}
		for name in pairs(strata.limits) do
			names[#names + 1] = name
		end
		if #names > 0 then -- Lua 5.1 has no __pairs
			assert.same(json.keys(strata.limits), names)
			assert.equal("archive_members", names[1])
		end
	end)

	it("a job's edit gives the same config", function()
		local edit = { env = {}, labels = {}, config = { User = "1", WorkingDir = "/", StopSignal = "9" } }
		for _, name in ipairs({ "c", "a", "d", "b" }) do
			edit.env[name], edit.labels[name] = name, name
		end
		local told = same(function()
			local to = dir:file("edited.tar")
			assert(jobs.edit({ path = env.docker, edit = edit, to = to }))
			return strata.open(to).config:text()
		end)
		assert.is_true(told[1], told[2])
		assert.is_truthy(told[2]:find('"a=a","b=b","c=c","d=d"', 1, true))
	end)

	it("an image that two indexes have is in the same one", function()
		local layout = oci_layout.new()
		local image = layout:image({ layers = { layout:layer({ { name = "a", data = "a" } }) } })
		for i = 1, 4 do
			layout:list(layout:index({ image.descriptor }, { index = { annotations = { n = tostring(i) } } }), "n" .. i)
		end
		local path = layout:archive(dir:file("nested.tar"))
		assert.is_true(same(function()
			return strata.open(path, { digest = image.descriptor.digest }).index.digest
		end)[1])
	end)

	it("a stream that cannot be written in one pass tells the same name", function()
		local path = dir:file("renamed.tar")
		shell.write(path, shell.read(env.docker))
		same(function()
			return push.edited(shell.read(path), { rewrite = function(entry) entry.mtime = 1 end, config = function() end })
		end)
	end)
end)

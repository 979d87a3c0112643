-- What whoever builds and tests strata sees when something is missing.

local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local TREE = shell.check({ "pwd" }):match("^[^\n]+")

describe("a run of specs", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- Runs busted as spec/run does on a file of specs: its end, and the report.
	local function busted(script)
		local path, report = dir:write("a_spec.lua", script), dir:file("report")
		local done = shell.run({
			"lua5.4",
			shell.which("busted"),
			"-o",
			"spec/support/report.lua",
			"-Xoutput",
			report,
			path,
			env = { LUA_PATH = TREE .. "/lua/?.lua;./?.lua;;" },
		})
		return done, shell.read(report)
	end

	it("counts what is skipped in front of specs, too, and forgives what clears away after it", function()
		local done, report = busted([[
			local skip = require "spec.support.skip"
			describe("each", function()
				local made
				before_each(function() skip("a is not installed") end)
				after_each(function() made:remove() end)
				it("one", function() end)
				it("two", function() end)
			end)
			describe("all", function()
				local made
				setup(function() skip("b is not installed") end)
				teardown(function() made:remove() end)
				it("one", function() end)
			end)
			describe("this", function()
				it("one", function() skip("c is not installed") end)
				it("two", function() end)
				it("three", function() require("spec.support.shell").check({ "sh", "-c", "d --version" }) end)
			end)
			describe("none", function() skip("e is not installed") end)
		]])
		assert.equal(0, done.status, done.stdout)
		local why = {}
		for reason in report:gmatch("skipped: [^\n]*\t([^\n]*)\n") do
			why[#why + 1] = reason:match("^%w")
		end
		table.sort(why)
		assert.equal("aabcde", table.concat(why))
		assert.equal("1 0", report:match("^[^\n]*"))
	end)

	it("tells what failed, with its message, and what failed in front of specs or behind", function()
		local done, report = busted([[
			describe("this", function() it("is wrong", function() assert.equal(1, 2) end) end)
			describe("that", function()
				after_each(function() error("cannot clear away") end)
				it("is right", function() end)
			end)
		]])
		assert.not_equal(0, done.status)
		assert.equal("1 2", report:match("^[^\n]*"))
		assert.truthy(report:find("\nfailed: this is wrong: [^\n]*Expected objects to be equal"), report)
		assert.truthy(report:find("\nfailed: that after_each: [^\n]*cannot clear away"), report)
		assert.truthy(done.stdout:find("Failure %-> .*this is wrong"))
	end)

	it("is one for a file whose specs there are none of", function()
		local done = shell.run({ "spec/run", "c", env = { STRATA_ONLY = "nosuch_test" } })
		assert.equal(1, done.status)
		assert.equal("spec/run: there is no test nosuch_test\n", done.stderr)
	end)
end)

describe("a build where something is missing", function()
	it("says what, and what to do", function()
		local dir = tmp.dir()
		local done = shell.run({ "make", "build", "PKG_CONFIG=nosuch-config", "BUILD=" .. dir.path .. "/build" })
		dir:remove()
		assert.not_equal(0, done.status)
		local lua = "the headers of a Lua from 5%.1 to 5%.4"
		for _, line in ipairs({ "nosuch%-config", "libcrypto%.pc", "libarchive%.pc", lua }) do
			assert.truthy(done.stderr:find("missing: " .. line .. "\n"), done.stderr)
		end
		assert.truthy(done.stderr:find("make deps"))
	end)

	it("lists the packages of other distributions, where it is not Debian", function()
		local dir = tmp.dir()
		for _, program in ipairs({ "sh", "cat" }) do
			shell.check({ "ln", "-s", shell.which(program), dir:file(program) })
		end
		local done = shell.run({ "sh", ".ci/deps", env = { PATH = dir.path } })
		dir:remove()
		assert.equal(1, done.status)
		for _, distribution in ipairs({ "Alpine  apk add", "Fedora  dnf install", "Arch    pacman" }) do
			assert.truthy(done.stderr:find(distribution, 1, true), done.stderr)
		end
		assert.truthy(done.stderr:find("libzstd-dev", 1, true))
	end)
end)

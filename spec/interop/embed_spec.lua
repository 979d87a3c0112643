--- The example of a C program that runs scripts with strata, within a limit of memory.

local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local TREE = shell.check({ "pwd" }):match("[^\n]+")
local BUILD = os.getenv("STRATA_BUILD") or "build"

describe("a C program that embeds Lua", function()
	local dir, env

	setup(function()
		dir = tmp.dir()
		env = {
			LUA_PATH = TREE .. "/lua/?.lua;" .. TREE .. "/lua/?/init.lua;;",
			LUA_CPATH = TREE .. "/" .. BUILD .. "/lua5.4/?.so;;",
			LUA_INIT = "",
		}
		-- As README says, in a directory that has the examples.
		shell.check({ "ln", "-s", TREE .. "/examples", dir:file("examples") })
		local command = shell.read("README.md"):match("\n(cc examples/embed/embed%.c [^\n]+)\n")
		shell.check({ "sh", "-euc", command, cwd = dir.path })
		shell.check({ "make", "demo" })
	end)

	teardown(function()
		dir:remove()
	end)

	local function embed(...)
		local command = { dir:file("embed"), ... }
		command.env, command.cwd = env, TREE
		return shell.run(command)
	end

	it("runs a script with strata", function()
		local result = embed("16", "examples/embed/largest.lua", "build/demo/before.tar", "3")
		assert.equal(0, result.status, result.stderr)
		assert.is_truthy(result.stdout:find("^ +%d+  layer 1  bin/busybox\n"))
		assert.equal(3, select(2, result.stdout:gsub("\n", "")))
	end)

	it("ends a script that wants more memory than it may have, and says so", function()
		local script = dir:write("greedy.lua", [[
			local strata = require "strata"
			local img = assert(strata.open(...))
			local kept = {}
			while true do kept[#kept + 1] = img.layers[1]:read("bin/busybox") .. #kept end
		]])
		local result = embed("8", script, "build/demo/before.tar")
		assert.equal(1, result.status)
		assert.is_truthy(result.stderr:find("not enough memory", 1, true), result.stderr)
		result = embed("0", script, "build/demo/before.tar")
		assert.equal(1, result.status)
		assert.is_truthy(result.stderr:find("memory", 1, true), result.stderr)
	end)

	it("gives the script's errors", function()
		local result = embed("16", "examples/embed/largest.lua", "/nowhere")
		assert.equal(1, result.status)
		assert.is_truthy(result.stderr:find("/nowhere: No such file or directory", 1, true))
	end)
end)

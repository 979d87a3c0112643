-- The addon for lua-language-server: what it consists of, and what the server says of the examples with it.

local cjson = require "cjson"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local ADDON = shell.check({ "pwd" }):match("[^\n]+") .. "/doc/addon/strata"

local function lines(text)
	local list = {}
	for line in text:gmatch("[^\n]+") do
		list[#list + 1] = line
	end
	return list
end

describe("the addon", function()
	it("is offered for files that require strata, and for no others", function()
		local words = cjson.decode(shell.read(ADDON .. "/config.json")).words
		local function is_offered(text)
			for _, word in ipairs(words) do
				if text:find(word) then
					return true
				end
			end
			return false
		end
		for _, text in ipairs({
			"require 'strata'",
			'require "strata.jobs"',
			"require('strata')",
			'require ( "strata.assert" )',
			"require [[strata]]",
		}) do
			assert.is_true(is_offered(text), text)
		end
		for _, text in ipairs({ 'require "stratagem"', 'require "my.strata"', "-- strata", 'print "strata"' }) do
			assert.is_false(is_offered(text), text)
		end
	end)

	it("has the types of the module as its library", function()
		local files = lines(shell.check({ "find", ADDON .. "/library/", "-name", "*.lua" }))
		assert.is_true(#files > 20)
		for _, file in ipairs(files) do
			assert.is_truthy(shell.read(file):find("^%-%-%-@meta [%w_.]+\n"), file)
		end
	end)

	-- Debian has no package of the server, so CI, where a skip counts as a failure, cannot have it.
	local server_test = (os.getenv("CI") ~= "true" or shell.which("lua-language-server")) and it or function() end

	server_test("lets the server find no fault with the examples", function()
		if not shell.which("lua-language-server") then
			pending("lua-language-server is not installed: its releases are on GitHub")
		end
		local dir = tmp.dir()
		shell.check({ "mkdir", dir:file("examples") })
		for _, file in ipairs(lines(shell.check({ "find", "examples", "-maxdepth", "1", "-name", "*.lua" }))) do
			shell.check({ "cp", file, dir:file("examples") })
		end
		local config = dir:write(
			"config.json",
			cjson.encode({ ["runtime.version"] = "Lua 5.4", ["workspace.library"] = { ADDON .. "/library" } })
		)
		local done = shell.run({
			"lua-language-server",
			"--check=" .. dir:file("examples"),
			"--checklevel=Warning",
			"--configpath=" .. config,
			"--logpath=" .. dir:file("log"),
		})
		assert.is_truthy(done.stdout:find("no problems found", 1, true), done.stdout .. done.stderr)
		dir:remove()
	end)
end)

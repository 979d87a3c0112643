-- A script of `strata run` that ended with the results of a call, such as `return img:save "app.tar"`, had status 0
-- when the call had failed, and nothing was said.

local command = require "spec.support.command"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

describe("strata run", function()
	it("fails when the script returns nil and a message", function()
		local dir = tmp.dir()
		finally(function()
			dir:remove()
		end)
		local script = dir:file("script.lua")
		shell.write(script, 'return require("strata").open("/no/such/file")\n')
		local result = command.run({ "run", script })
		assert.same({ "", "strata: /no/such/file: No such file or directory\n", 2 },
			{ result.stdout, result.stderr, result.status })
		shell.write(script, "return nil\n")
		assert.equal(0, command.run({ "run", script }).status)
		shell.write(script, "return 7\n")
		assert.equal(7, command.run({ "run", script }).status)
	end)
end)

-- Where a shell has closed standard input, output or error, a file of an image was opened in its place, and what the
-- command printed then could go into it. And help that could not be written was a success.

local command = require "spec.support.command"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

describe("the command with standard input, output and error closed", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	it("opens no file in their place", function()
		local script = dir:write("fds.lua", [[
			local img = require("strata").new()
			for i = 1, 3 do assert(img:append { files = { ["file" .. i] = ("x"):rep(1e5) } }) end
			local pipe = io.popen "for fd in 0 1 2; do readlink /proc/$PPID/fd/$fd; done"
			local file = assert(io.open(arg[1], "w"))
			file:write(pipe:read "*a")
			file:close()
		]])
		local words = command.words({ "run", script, dir:file("fds") })
		shell.run({ "sh", "-c", shell.join(words) .. " <&- >&- 2>&-" })
		assert.equal(("/dev/null\n"):rep(3), shell.read(dir:file("fds")))
	end)

	it("fails where help or the version cannot be written", function()
		for _, word in ipairs({ "--help", "--version", "help" }) do
			local done = shell.run({ "sh", "-c", shell.join(command.words({ word })) .. " >&-" })
			assert.same({ 2, "strata: standard output: Bad file descriptor\n" }, { done.status, done.stderr })
		end
	end)
end)

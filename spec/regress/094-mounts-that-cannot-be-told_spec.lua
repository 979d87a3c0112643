-- Where the kernel does not tell what is the root of a mount (Linux before 5.8, sandboxes without statx), another file
-- system in the tree was emptied along with what a layer removes.

local archive = require "spec.support.docker_archive"
local child = require "spec.support.child"
local dialects = require "spec.support.docker_dialects"
local faulty = require "spec.support.faulty"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

if not faulty.is_here() then
	return
end

local BUILD = os.getenv("STRATA_BUILD") or "build"

local SCRIPT = [[
	local faults = assert(package.loadlib(arg[1], "luaopen_faults"))()
	local img = assert(require("strata").open(arg[2]))
	faults.watch("/strata/core.so")
	faults.arm { class = "statx", at = 1, times = 1000000, errno = tonumber(arg[4]) }
	local result, message, code = img:extract(arg[3], { merge = true })
	local _, hits = faults.disarm()
	print(result and "done" or code, hits > 0)]]

describe("another file system in a tree that a layer removes", function()
	for _, case in ipairs({ { "ENOSYS", 38 }, { "EPERM", 1 } }) do
		local name, errno = case[1], case[2]
		it("is not emptied where statx gives " .. name, function()
			local dir = tmp.dir()
			local target, module = dir:file("rootfs"), shell.check({ "readlink", "-f", BUILD .. "/faults.so" }):match("^[^\n]+")
			shell.check({ "mkdir", "-p", target .. "/d/m" })
			if shell.run({ "mount", "-t", "tmpfs", "tmpfs", target .. "/d/m" }).status ~= 0 then
				dir:remove()
				return pending("nothing can be mounted here")
			end
			shell.write(target .. "/d/m/file", "text")
			local layers = { archive.layer({ { name = ".wh.d" } }) }
			local path = dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("app.tar"))
			local done = child.run({
				script = SCRIPT,
				arguments = { module, path, target, errno },
				env = { LD_PRELOAD = module },
			})
			local left = shell.run({ "cat", target .. "/d/m/file" }).stdout
			shell.check({ "umount", target .. "/d/m" })
			dir:remove()
			assert.equal("EBUSY\ttrue\n", done.stdout, done.stderr)
			assert.equal("text", left)
		end)
	end
end)

-- A layer that links its directories to each other makes trees that are deeper than any path. When it was refused at
-- its end, its tree stayed: to remove it took a descriptor for each level.

local child = require "spec.support.child"
local python = require "spec.support.python"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local MAKE = [[
import sys, tarfile
run = "/".join(["a"] * 250)
with tarfile.open(sys.argv[1], "w") as t:
    for k in range(int(sys.argv[2])):
        i = tarfile.TarInfo("r%d/%s" % (k, run)); i.type = tarfile.DIRTYPE; i.mode = 0o755; t.addfile(i)
        i = tarfile.TarInfo("r%d" % (k + 1)); i.type = tarfile.SYMTYPE; i.linkname = "r%d/%s" % (k, run); t.addfile(i)
    for name in ".strata-0/x", ".strata-1/x":
        t.addfile(tarfile.TarInfo(name))]]

local SCRIPT = [[
	local core = require "strata.core"
	local file, target = assert(core.open_file(arg[1])), assert(core.apply(arg[2], { unprivileged = true }))
	assert(target:add { label = "layer", file = file, offset = 0, size = file:size(), compression = "none",
		diff_id = "sha256:" .. ("0"):rep(64) })
	local job = core.job()
	job:apply { apply = target }
	assert(job:start())
	repeat until job:wait(1)
	print(select(3, job:result()))]]

describe("a refused layer", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	for _, exists in ipairs({ false, true }) do
		it("leaves nothing of a tree of 2,500 levels" .. (exists and " in a directory that was there" or ""), function()
			local path, target = dir:file("deep.tar"), dir:file("rootfs")
			python.run("deep", MAKE, { path, 10 })
			if exists then
				shell.check({ "mkdir", target })
			end
			local done = child.run({
				script = SCRIPT,
				arguments = { path, target },
				wrapper = { "sh", "-c", 'ulimit -n 200; exec "$@"', "sh" },
			})
			assert.equal("EDIGEST\n", done.stdout, done.stderr)
			assert.same(exists and { "deep.tar", "rootfs" } or { "deep.tar" }, dir:names())
			assert.equal("", exists and shell.check({ "ls", "-A", target }) or "")
		end)
	end
end)

-- Killed between giving its output a name and renaming it, a save left that name for ever.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local STALE = ".strata-0123456789abcdef"

describe("a name that a process which died left", function()
	local dir, img

	before_each(function()
		dir = tmp.dir()
		local made = archive.image({ layers = archive.layers(1) })
		img = assert(strata.open(dialects.of.docker_25(made):write(dir:file("in.tar"))))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	it("goes with the next save, from a layout's directories too", function()
		dir:write(STALE, "x")
		assert(img:save(dir:file("out.tar")))
		assert.same({ "in.tar", "out.tar" }, dir:names())
		shell.check({ "mkdir", "-p", dir:file("layout/blobs/sha256") })
		dir:write("layout/" .. STALE, "x")
		dir:write("layout/blobs/sha256/" .. STALE, "x")
		assert(img:save(dir:file("layout"), { format = "oci" }))
		assert.equal("", shell.check({ "find", dir:file("layout"), "-name", ".strata*" }))
	end)

	it("stays as long as somebody holds it, and when it is no such name", function()
		local others = { ".strata-0123456789abcde", ".strata-0123456789abcdeg", "strata-0123456789abcdef", ".strata" }
		for _, name in ipairs(others) do
			dir:write(name, "x")
		end
		dir:write(STALE, "x")
		local held = io.popen(("flock -s %s sh -c 'echo; cat >/dev/null'"):format(shell.quote(dir:file(STALE))), "w")
		shell.sh('until ! flock -n "$1" true; do :; done', dir:file(STALE))
		assert(img:save(dir:file("out.tar")))
		assert.equal("x", shell.read(dir:file(STALE)))
		held:close()
		assert(img:save(dir:file("out.tar")))
		assert.is_nil((io.open(dir:file(STALE))))
		for _, name in ipairs(others) do
			assert.equal("x", shell.read(dir:file(name)))
		end
	end)

	it("is not followed when it is a link", function()
		dir:write("precious", "x")
		shell.check({ "ln", "-s", "precious", dir:file(STALE) })
		assert(img:save(dir:file("out.tar")))
		assert.equal("x", shell.read(dir:file("precious")))
	end)
end)

-- Killed between giving its output a name and renaming it, a save left that name for ever.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

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

	it("goes with the next save of the same file, be that there or not", function()
		dir:write(".out.tar.strata", "x")
		assert(img:save(dir:file("out.tar")))
		assert.same({ "in.tar", "out.tar" }, dir:names())
		dir:write(".out.tar.strata", "x")
		assert(img:save(dir:file("out.tar")))
		assert.same({ "in.tar", "out.tar" }, dir:names())
	end)

	it("goes with the next save into the same layout", function()
		assert(img:save(dir:file("layout"), { format = "oci" }))
		dir:write("layout/.index.json.strata", "x")
		assert(img:save(dir:file("layout"), { format = "oci" }))
		assert.equal("", shell.check({ "find", dir:file("layout"), "-name", ".*strata*" }))
	end)

	it("stays as long as somebody holds it, and when it is another file's", function()
		local others = { ".other.tar.strata", "out.tar.strata", ".out.tar", ".strata-0123456789abcdef", ".strata" }
		for _, name in ipairs(others) do
			dir:write(name, "x")
		end
		local name = dir:write(".out.tar.strata", "x")
		local held = io.popen(("flock -s %s sh -c 'echo; cat >/dev/null'"):format(shell.quote(name)), "w")
		shell.sh('until ! flock -n "$1" true; do :; done', name)
		for _ = 1, 2 do
			assert(img:save(dir:file("out.tar")))
			assert.equal("x", shell.read(name))
		end
		held:close()
		assert(img:save(dir:file("out.tar")))
		assert.is_nil((io.open(name)))
		for _, other in ipairs(others) do
			assert.equal("x", shell.read(dir:file(other)))
		end
		assert.equal(#others + 2, #dir:names())
	end)

	it("is not followed when it is a link", function()
		dir:write("precious", "x")
		shell.check({ "ln", "-s", "precious", dir:file(".out.tar.strata") })
		for _ = 1, 2 do
			assert(img:save(dir:file("out.tar")))
		end
		assert.equal("x", shell.read(dir:file("precious")))
	end)
end)

-- strata.copy of one index of a layout into that very layout, or archive, left nothing else in it: the other indexes
-- were gone, and it answered as if it had copied.

local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a copy of one index of several", function()
	local dir

	before_each(function()
		dir = tmp.dir()
		for i, name in ipairs({ "team/app:v1", "team/app:v2" }) do
			local images = {}
			for k, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
				images[k] = strata.new({ platform = platform })
				assert(images[k]:append({ files = { ["file" .. i] = platform } }))
			end
			assert(strata.save(images, dir:file("layout"), { index = name, format = "oci" }))
		end
		assert(strata.copy(dir:file("layout"), dir:file("a.tar"), { format = "oci-archive" }))
		shell.sh('ln -s layout "$1/link"; ln "$1/a.tar" "$1/hard.tar"; mkdir "$1/sub"', dir.path)
	end)

	after_each(function()
		dir:remove()
	end)

	local function count(name)
		local index = assert(strata.open_index(dir:file(name)))
		local found = #index.manifests
		index:close()
		return found
	end

	for _, row in ipairs({ { "layout", "layout" }, { "layout", "link" }, { "layout", "sub/../layout" },
		{ "a.tar", "a.tar" }, { "a.tar", "hard.tar" } }) do
		it(("refuses to leave nothing else in %s, as %s"):format(row[1], row[2]), function()
			for _, opts in ipairs({ {}, { format = row[1] == "layout" and "oci" or "oci-archive" } }) do
				opts.ref = "team/app:v1"
				local done, message, code = strata.copy(dir:file(row[1]), dir:file(row[2]), opts)
				assert.same({ nil, "EINVAL" }, { done, code })
				assert.matches("where the index already is", message, 1, true)
				assert.equal(4, count(row[1]))
			end
		end)
	end

	it("goes into another layout beside what that has", function()
		assert(strata.save({ assert(strata.open(dir:file("layout"), { ref = "team/app:v2", platform = "linux/arm64" })) },
			dir:file("other"), { format = "oci" }))
		assert(strata.copy(dir:file("layout"), dir:file("other"), { ref = "team/app:v1", format = "oci" }))
		assert.equal(3, count("other"))
		assert.equal(4, count("layout"))
	end)
end)

-- Functions that give nil, message, code when they fail gave two nils behind their result when they did not:
-- print(strata.gc "layout") ended with "nil nil".

local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("what has not failed", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	-- How many results there are.
	local function count(...)
		assert(...)
		return select("#", ...)
	end

	it("has one result where no second one is documented", function()
		local layout = dir:file("layout")
		local img = strata.new()
		assert(img:append({ files = { a = "a", b = "b" } }))
		assert(img:append({ files = { c = "c" } }))
		assert(img:save(layout, { format = "oci" }))
		local spec = { type = "a/b", files = { f = "x" }, subject = assert(strata.open(layout)) }
		local artifact = assert(strata.artifact(spec))
		assert.equal(1, count(artifact:save(layout)))
		local found = assert(strata.open_artifact(layout))
		local all = function() return true end
		for name, results in pairs({
			gc = count(strata.gc(layout)), registry = count(strata.registry()), artifact = count(strata.artifact(spec)),
			open_artifact = count(strata.open_artifact(layout)), read = count(found:read("f")),
			made_read = count(artifact:read("f")), read_config = count(found:read_config()), rootfs = count(img:rootfs()),
			filter = count(img:filter(all)), rewrite = count(img:rewrite(function() end)),
			layer_filter = count(img.layers[1]:filter(all)), layer_rewrite = count(img.layers[1]:rewrite(function() end)),
			prune = count(img:prune()), move_layer = count(img:move_layer(1, 2)), squash = count(img:squash(1, 2)),
			flatten = count(img:flatten()), remove_layer = count(img:remove_layer(1)),
		}) do
			assert.equal(1, results, name)
		end
	end)

	it("has two where the second one may be nil", function()
		local img = strata.new()
		for name, results in pairs({
			append = count(img:append({ files = { a = "a" } })), layer = count(strata.layer({ files = { a = "a" } })),
			save = count(img:save(dir:file("a"))), copy = count(strata.copy(dir:file("a"), dir:file("b"))),
		}) do
			assert.equal(2, results, name)
		end
	end)
end)

-- A save into a layout directory that was given up removed blobs that another image there needed by then.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- More blobs than are written at a time, so that some are in place while others are still to be written.
local MANY = 70

describe("a save into a layout directory that is given up", function()
	local dir, base, target

	setup(function()
		dir = tmp.dir(tmp.for_peers())
		base = archive.layers(2)
		target = dir:file("target")
	end)

	teardown(function()
		dir:remove()
	end)

	local function image(name, layers)
		local made = blobs.new()
		made:set_root({ blobs.descriptor(made:image({ layers = layers, name = name }), blobs.named(name)) })
		return assert(strata.open(made:write_dir(dir:file(name))))
	end

	local function has_blob(layer)
		return shell.run({ "test", "-e", target .. "/blobs/sha256/" .. layer.gz_id }).status == 0
	end

	it("leaves the blobs that another save has named meanwhile", function()
		local many = { base[1], base[2] }
		for i = 3, MANY do
			many[i] = archive.layer({ { name = "layer" .. i, data = ("%d\n"):format(i) } })
		end
		local given_up, other = image("given-up", many), image("other", { base[1] })
		local saved
		local ok, thrown = pcall(given_up.save, given_up, target, {
			format = "oci",
			progress = function(_, _, what)
				if what == "writing" and has_blob(base[1]) then
					saved = assert(other:save(target, { format = "oci" }))
					error("given up", 0)
				end
			end,
		})
		assert.is_false(ok)
		assert.equal("given up", thrown)
		assert.is_table(saved)
		local found = blobs.look(target)
		assert.same({}, found.problems)
		assert.equal(1, #found.index.manifests)
		assert.equal(saved.digest, found.by_name.other.digest)
		local again = assert(strata.open(target))
		assert.equal(other.id, again.id)
		assert.is_true(again:verify())
		again:close()
	end)
end)

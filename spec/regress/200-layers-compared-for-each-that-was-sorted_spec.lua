-- img:normalize{sort = true} compared what containers see of all layers for each layer whose entries had another order:
-- 200 of them took 14 seconds. All are compared at once.

local archive = require "spec.support.archive"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local steps = require "spec.support.steps"
local tmp = require "spec.support.tmp"

describe("sorting the entries of many layers", function()
	local bench

	setup(function()
		bench = archive.bench()
	end)

	teardown(function()
		bench:close()
	end)

	local function file(name)
		return { name = name, data = "x", mtime = 1 }
	end

	-- An image whose layers are in disorder. In those that `bad` names runtimes would see another file afterwards.
	local function image(count, bad)
		local layers = {}
		for i = 1, count do
			layers[i] = { entries = { file("z" .. i), file("a" .. i) } }
			if bad[i] then
				layers[i].entries = {
					{ name = "f", data = "x", mode = 420, mtime = 1 }, { name = "z", type = "hardlink", linkname = "f" },
					{ name = "a" .. i, type = "hardlink", linkname = "f", mode = 493, mtime = 1 },
				}
			end
		end
		return bench:open(layers)
	end

	it("takes steps as there are layers", function()
		steps.are_linear(10, 100, function(count)
			local img = image(count, {})
			return function()
				assert.equal(count, #assert(img:normalize({ epoch = 1, sort = true })).layers)
			end
		end)
	end)

	it("holds one file for each compressed layer, not what it inflates to as well", function()
		local dir = tmp.dir()
		local path = dir:file("gzip.tar")
		assert(image(40, {}):save(path, { format = "oci-archive", compression = "gzip" }))
		local done = shell.run({ "sh", "-c", "ulimit -n 80 && exec " .. process.lua(([[
			local img = assert(require("strata").open(%q))
			assert(img:normalize({ epoch = 1, sort = true }))
			io.write("sorted")]]):format(path)) })
		dir:remove()
		assert.equal("sorted", done.stdout, done.stderr)
	end)

	it("names the first layer that cannot be sorted", function()
		for number = 1, 7 do
			local img = image(7, { [number] = true, [7] = true })
			local id = img.id
			local ok, message, code = img:normalize({ epoch = 1, sort = true })
			assert.same({ nil, "EINVAL" }, { ok, code })
			assert.equal(("layer %d/7"):format(number), message:match("layer %d+/%d+"), message)
			assert.matches(("a container would see another 'a%d' then"):format(number), message, 1, true)
			assert.equal(id, img.id)
		end
	end)
end)

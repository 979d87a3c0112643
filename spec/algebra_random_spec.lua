--- Random stacks of layers: whatever is done to them, a container sees what a slow model of its own says.

local archive = require "spec.support.archive"
local model = require "spec.support.model"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"

local specify = archive.specify(it, pending)

local RUNS = tonumber(os.getenv("STRATA_STACKS") or 24)

-- What archive.look() told of a saved image, merged by the model.
local function merge(look)
	local layers = {}
	for i, layer in ipairs(look.layers) do
		layers[i] = layer.entries
	end
	return model.merge(layers)
end

describe("a random stack of layers", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	for seed = 1, RUNS do
		specify("is merged, squashed, flattened and exported right, number " .. seed, function()
			local img, _, path = bench:open(stacks.layers(seed))
			local before = archive.look(path)
			local expected = merge(before)
			assert.same(expected, model.of(assert(img:rootfs())))
			for n = 1, #img.layers - 1 do
				local lower = {}
				for i = 1, n do
					lower[i] = before.layers[i].entries
				end
				assert.same(model.merge(lower), model.of(assert(img:rootfs({ upto = n }))))
			end

			local tar = bench.dir:file("export.tar")
			local result = assert(img:export(tar))
			assert.equal("sha256:" .. shell.sha256(tar), result.diff_id)
			assert.same(expected, model.merge({ archive.list(tar) }))

			local random = stacks.generator(seed)
			local first = random(#img.layers)
			local last = first + random(#img.layers - first + 1) - 1
			local kept = {}
			for i, layer in ipairs(img.layers) do
				if i < first or i > last then
					kept[#kept + 1] = layer.digest
				end
			end
			assert(img:squash(first, last))
			local squashed = bench:save(img)
			assert.same(expected, merge(squashed))
			for i, layer in ipairs(squashed.layers) do
				if i ~= first then
					assert.equal(table.remove(kept, 1), layer.digest)
				end
			end

			assert(img:flatten())
			local flat = bench:save(img)
			assert.equal(1, #flat.layers)
			assert.same(expected, merge(flat))
			for _, entry in ipairs(flat.layers[1].entries) do
				assert.is_nil(entry.name:find(".wh.", 1, true))
			end
		end)
	end
end)

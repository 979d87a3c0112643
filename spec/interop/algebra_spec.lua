-- What umoci unpacks is what layers do to each other by spec.support.cases, and what strata extracts of random ones.

local archive = require "spec.support.archive"
local cases = require "spec.support.cases"
local pack = require "spec.support.pack"
local peers = require "spec.support.peers"
local skopeo = require "spec.support.skopeo"
local stacks = require "spec.support.stacks"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

local RUNS = 12

local function need()
	return peers.need("umoci", "skopeo")
end

-- umoci gives directories that no entry tells of the time of the unpacking.
local function is_new(_, field, row)
	return field == "mtime" and row.type == "dir" and tonumber(row.mtime) > os.time() - 3600
end

describe("umoci unpacks as strata extracts", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	-- What strata makes of an image, beside what umoci makes of it.
	local function compare(img, path)
		assert(img:extract(dir:file("flat"), { view = "spec" }))
		local expected = tree.read(skopeo.unpack(path, dir))
		assert.same({}, tree.differences(expected, tree.read(dir:file("flat")), is_new))
	end

	for _, case in ipairs(cases.list) do
		if case.umoci then
			it(case.name, function()
				if need() then
					local path = dir:file("image.tar")
					pack.image(path, case.layers)
					local img = assert(strata.open(path))
					compare(img, path)
					img:close()
				end
			end)
		end
	end

	-- umoci passes over the headers of hardlinks, unlike runtimes: these get the attributes of their files.
	local function with_equal_headers(layers)
		for _, layer in ipairs(layers) do
			local files = {}
			for _, entry in ipairs(layer.entries) do
				local file = entry.type == "hardlink" and files[entry.linkname] or entry
				entry.mode, entry.uid, entry.gid, entry.mtime = file.mode, file.uid, file.gid, file.mtime
				files[entry.name] = file
			end
		end
		return layers
	end

	for seed = 3001, 3000 + RUNS do
		it("a random image, number " .. seed, function()
			if need() then
				local bench = archive.bench()
				local img, _, path = bench:open(with_equal_headers(stacks.layers(seed, true)))
				compare(img, path)
				bench:close()
			end
		end)
	end
end)

-- Takes seconds: not for make check.
-- The digest, the chain_id and the size of a layer asked all layers for edits that wait, inspect() did so for each
-- layer, and an edit of one layer looked at the entries of all. limits.layers allows for 4,096 layers, which took
-- minutes.
--
-- Steps of Lua are counted, not seconds. What runs ten times as long for ten times as many layers is linear; what grew
-- with their square ran a hundred times as long.

local core = require "strata.core"
local pack = require "spec.support.pack"
local steps = require "spec.support.steps"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local FEW, MANY = 100, 1000

-- Each layer has two files and, above the base, a whiteout.
local function layers(count)
	local list = {}
	for i = 1, count do
		list[i] = { { name = "d" .. i .. "/f", data = "x" .. i }, { name = "e/g" .. i, data = "y" } }
		if i > 1 then
			list[i][3] = { name = "e/.wh.h" .. i }
		end
	end
	return list
end

describe("for ten times as many layers ten times as much is done by", function()
	local dir

	setup(function()
		dir = tmp.dir()
		for _, count in ipairs({ FEW, MANY }) do
			pack.image(dir:file(count .. ".tar"), layers(count))
		end
	end)

	teardown(function()
		dir:remove()
	end)

	local function factor(work)
		local taken = {}
		for i, count in ipairs({ FEW, MANY }) do
			local img = assert(strata.open(dir:file(count .. ".tar")))
			for _, layer in ipairs(img.layers) do
				assert(layer.count) -- it is scanned
			end
			work(img) -- what is loaded with the first call is there
			assert(img:revert())
			for _, layer in ipairs(img.layers) do
				assert(layer.count)
			end
			taken[i] = steps.of(function()
				work(img)
			end)
			img:close()
		end
		return taken[2] / taken[1]
	end

	local function each(fn)
		return function(img)
			for i, layer in ipairs(img.layers) do
				assert(fn(layer, i) ~= nil)
			end
		end
	end

	local WORK = {
		["img:inspect"] = function(img)
			assert(img:inspect())
		end,
		["the chain_id of every layer"] = each(function(layer)
			return layer.chain_id
		end),
		["the digest of every layer"] = each(function(layer)
			return layer.digest
		end),
		["layer:remove in every layer"] = each(function(layer, i)
			return layer:remove("d" .. i .. "/f")
		end),
		["layer:rewrite in every layer"] = each(function(layer)
			return layer:rewrite(function(entry)
				entry.uid = 7
			end)
		end),
		["fields of the entries of every layer, and the id"] = function(img)
			for _, layer in ipairs(img.layers) do
				for entry in layer:entries() do
					entry.uid = 7
				end
			end
			assert(img.id)
		end,
		["img:flatten"] = function(img)
			assert(img:flatten())
		end,
		["img:prune of all layers but one"] = function(img)
			assert(img:filter(function(entry)
				return entry.path == "d1/f"
			end))
			assert(img:prune())
		end,
		["a save for docker load"] = function(img)
			assert(img:save(dir:file("out.tar"), { format = "docker" }))
		end,
		["a save as an OCI archive"] = function(img)
			assert(img:save(dir:file("out.tar"), { format = "oci-archive" }))
		end,
		["an annotation for every layer"] = function(img)
			for i, layer in ipairs(img.layers) do
				assert(layer:set_annotation("place", tostring(i)))
			end
		end,
		["a comment in every row of the history"] = function(img)
			for i, row in ipairs(img:history()) do
				row.comment = "comment " .. i
			end
		end,
	}

	local names = {}
	for name in pairs(WORK) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		it(name, function()
			local found = factor(WORK[name])
			assert.is_true(found <= 12, ("%s: %.1f times as many steps"):format(name, found))
		end)
	end
end)

it("ten times as many labels, variables, annotations and tags take ten times as much", function()
	local taken = {}
	for i, count in ipairs({ FEW, MANY }) do
		local img = strata.new()
		img:set_annotation("first", "x") -- its module is loaded
		taken[i] = steps.of(function()
			for k = 1, count do
				img.config:set_label("label" .. k, "x"):set_env("NAME" .. k, "x")
				assert(img:set_annotation("annotation" .. k, "x"))
				img:tag("app:" .. k)
			end
		end)
	end
	assert.is_true(taken[2] / taken[1] <= 12, taken[2] / taken[1])
end)

describe("what is kept of layers is forgotten", function()
	local dir, img

	before_each(function()
		dir = tmp.dir()
		pack.image(dir:file("a.tar"), {
			{ { name = "a", data = "1" }, { name = "b", data = "1" } },
			{ { name = ".wh.a" }, { name = "c", data = "1" } },
			{ { name = "d", data = "1" } },
		})
		img = assert(strata.open(dir:file("a.tar")))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	-- The chain_ids that follow from the diff_ids, as the specification has them.
	local function chains()
		local list, chain = {}, nil
		for i, diff_id in ipairs(img.config:get("/rootfs/diff_ids")) do
			chain = chain and core.sha256(chain .. " " .. diff_id) or diff_id
			list[i] = chain
			assert.equal(diff_id, img.layers[i].diff_id)
		end
		return list
	end

	local function told()
		local list = {}
		for i, layer in ipairs(img.layers) do
			list[i] = layer.chain_id
		end
		return list
	end

	it("when an entry is edited, and when that is taken back", function()
		local before = told()
		assert.same(chains(), before)
		img.layers[2]:entry("c").uid = 5
		local after = told()
		assert.same(chains(), after)
		assert.equal(before[1], after[1])
		assert.are_not.equal(before[2], after[2])
		assert.are_not.equal(before[3], after[3])
		assert(img:revert())
		assert.same(before, told())
	end)

	it("when layers are moved, removed, added or made one", function()
		told()
		assert(img:move_layer(1, 3))
		assert.same(chains(), told())
		assert(img:remove_layer(2))
		assert.same(chains(), told())
		assert(img:append({ files = { e = "1" } }))
		assert.same(chains(), told())
		assert(img:squash(1, 2))
		assert.same(chains(), told())
	end)

	it("when an edit fails after it has carried out others", function()
		img.layers[1]:entry("b").uid = 5
		local before = told()
		assert.is_nil((img:remove_layer({ created_by = "nothing of the kind" })))
		assert.has_error(function()
			img:filter(function(entry)
				assert(entry.path ~= "d", "no more")
				return false
			end)
		end)
		assert.same(before, told())
		assert.same(chains(), told())
	end)

	it("when entries are dropped that a whiteout hides, one after the other", function()
		assert(img.layers[1]:remove("b"))
		assert.is_not_nil(img.layers[2]:entry(".wh.a"))
		assert(img.layers[1]:remove("a"))
		assert.is_nil(img.layers[2]:entry(".wh.a"))
	end)

	it("when an entry becomes a whiteout, or one becomes another one", function()
		assert(img.layers[1]:remove("b"))
		img.layers[2]:entry("c").path = ".wh.b"
		img.layers[2]:entry(".wh.a").path = ".wh.x"
		assert(img.layers[1]:remove("a"))
		assert.is_not_nil(img.layers[2]:entry(".wh.x"))
	end)
end)

-- Takes seconds: not for make check.
-- An edited layer keeps the deflate blocks, or the zstd frames, that hold nothing but what stays.

local corpus = require "spec.support.corpus"
local gzips = require "spec.support.gzips"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local splicing = require "spec.support.splicing"
local strata = require "strata"
local zstds = require "spec.support.zstds"

local made = splicing.new()

-- STRATA_SPLICES=n: so many random edits of each layer.
local ROUNDS = tonumber(os.getenv("STRATA_SPLICES")) or 1

-- Files of text, and some of noise.
local function tree(number)
	local entries = {}
	for i = 1, 60 do
		local count = i % 7 == 0 and 9000 or 4 * number(700)
		entries[i] = { name = "d/f" .. i, data = splicing.text(number, count, i % 11 == 0) }
	end
	return entries
end

local TAR = pack.tar(tree(random.generator(7)))

-- An image in a layout whose one layer is the tar, compressed by a script.
local function image(script)
	local path, packed = made:image("source", { TAR }, { script })
	return path, packed[1]
end

local function drop_one(path)
	local img = assert(strata.open(path))
	assert(img.layers[1]:remove("d/f30"))
	return img
end

describe("an edited gzip layer", function()
	it("keeps its compressed bytes but for those around the edit", function()
		local path, gz = image(splicing.GZIP)
		local size = #shell.read(gz)
		local img = drop_one(path)
		local plan = img:plan({ format = "oci" })
		local result = made:saved(img, "out")
		local layer = result.layers[1]
		assert.equal("rewritten", layer.action)
		assert.is_true(layer.kept > size * 0.7, layer.kept .. " of " .. size)
		assert.equal(layer.kept, result.kept)
		assert.equal(layer.kept, plan.layers[1].kept)
		assert.equal(layer.digest, plan.layers[1].digest)
		assert.matches("of it as before", tostring(result), 1, true)
		assert.is_true(layer.size < size * 1.04, layer.size .. " of " .. size)
		made:expect_readable("out", result)
		assert.is_true(assert(strata.open(made.dir:file("out"))):verify())
		-- The middle of the old blob is in the new one.
		local old, new = shell.read(gz), shell.read(made:blob("out", layer))
		assert.is_truthy(new:find(old:sub(100, size * 0.2 - size * 0.2 % 1), 1, true))
	end)

	it("has the tar that it would have compressed anew", function()
		local path = image(splicing.GZIP)
		local spliced = made:saved(drop_one(path), "out").layers[1]
		local settings = { { level = 1 }, { reproducible = true }, { compression = "gzip" }, { compression = "zstd" } }
		for _, opts in ipairs(settings) do
			local anew = made:saved(drop_one(path), "anew", opts).layers[1]
			assert.is_nil(anew.kept)
			assert.equal(spliced.diff_id, anew.diff_id)
			assert.are_not.equal(spliced.digest, anew.digest)
		end
		assert.equal(spliced.digest, made:saved(drop_one(path), "anew", { compression = "keep" }).layers[1].digest)
	end)

	it("is a matter of the old blob and the edits, not of threads, nor of what was read before", function()
		local path = image(splicing.GZIP)
		local first = made:saved(drop_one(path), "out").layers[1]
		for threads = 1, 4 do
			assert.equal(first.digest, made:saved(drop_one(path), "out", { threads = threads }).layers[1].digest)
		end
		local img = drop_one(path)
		assert.is_string(img.layers[1]:read("d/f3"))
		assert.equal(first.digest, made:saved(img, "out").layers[1].digest)
		img = drop_one(path)
		assert.is_string(img.id) -- which carries the edits out
		assert.equal(first.digest, made:saved(img, "out").layers[1].digest)
		-- Settings of a save decide, not those that the edits were carried out with.
		assert.is_nil(made:saved(img, "out", { compression = "gzip" }).layers[1].kept)
		assert.equal(first.digest, made:saved(img, "out").layers[1].digest)
	end)

	it("does not grow edit by edit", function()
		local path = image(splicing.GZIP)
		local img = drop_one(path)
		local size = made:saved(img, "round0").layers[1].size
		for i = 1, 8 do
			img = assert(strata.open(made.dir:file("round" .. i - 1)))
			assert(img.layers[1]:remove("d/f" .. 31 + i))
			local layer = made:saved(img, "round" .. i).layers[1]
			assert.is_true(layer.size < size, layer.size .. " after " .. size)
			size = layer.size
			made:expect_readable("round" .. i, { layers = { layer } })
		end
	end)

	for _, encoder in ipairs(gzips.encoders()) do
		it("of " .. encoder.name .. " is read by others after any edits", function()
			local path = image(encoder.script)
			local number = random.generator(random.first_seed())
			for _ = 1, 2 * ROUNDS do
				local img = assert(strata.open(path))
				gzips.edit(img, number)
				local result = made:saved(img, "out")
				made:expect_readable("out", result)
				assert.equal(result.layers[1].diff_id, made:saved(img, "anew", { compression = "none" }).layers[1].diff_id)
			end
		end)
	end

	it("is copied by skopeo", function()
		if not shell.which("skopeo") then
			return pending("skopeo is not installed")
		end
		made:saved(drop_one((image(splicing.GZIP))), "out")
		skopeo.copy("oci:" .. made.dir:file("out"), "docker-archive:" .. made.dir:file("copy.tar") .. ":a:1")
	end)
end)

describe("an edited zstd layer", function()
	for _, encoder in ipairs(zstds.encoders()) do
		it("of " .. encoder.name .. (encoder.single and " is compressed anew" or " keeps its other frames"), function()
			local path, zst = image(encoder.script)
			local size = #shell.read(zst)
			local img = drop_one(path)
			local plan = img:plan({ format = "oci" })
			local result = made:saved(img, "out")
			local layer = result.layers[1]
			assert.equal("zstd", layer.compression)
			assert.equal(plan.layers[1].kept, layer.kept)
			assert.equal(plan.layers[1].digest, layer.digest)
			made:expect_readable("out", result)
			local anew = made:saved(drop_one(path), "anew", { level = 3 }).layers[1]
			assert.is_nil(anew.kept)
			assert.equal(anew.diff_id, layer.diff_id)
			if encoder.single then
				assert.is_nil(layer.kept)
				assert.equal(anew.digest, layer.digest)
			elseif encoder.name ~= "pzstd" then -- whose frames are as large as this layer
				assert.is_true(layer.kept > size * 0.7, layer.kept .. " of " .. size)
			end
			assert.is_nil(shell.read(made:blob("out", layer)):find("[P-_]\42M\24..%z%z"))
			local number = random.generator(random.first_seed())
			for _ = 1, ROUNDS do
				img = assert(strata.open(path))
				gzips.edit(img, number)
				result = made:saved(img, "out")
				made:expect_readable("out", result)
				assert.equal(result.layers[1].diff_id, made:saved(img, "anew", { compression = "none" }).layers[1].diff_id)
			end
		end)
	end

	it("of this library is the same whatever the threads, and does not grow edit by edit", function()
		local path = image('cp -- "$1" "$2"')
		made:saved(assert(strata.open(path)), "round0", { compression = "zstd", level = 1 })
		local size = 1 / 0
		for i = 1, 4 do
			local digest
			for threads = 1, 3 do
				local img = assert(strata.open(made.dir:file("round" .. i - 1)))
				assert(img.layers[1]:remove("d/f" .. 31 + i))
				local layer = made:saved(img, "round" .. i, { threads = threads }).layers[1]
				digest = digest or layer.digest
				assert.equal(digest, layer.digest)
				assert.is_true(layer.size < size, layer.size .. " after " .. size)
				if threads == 3 then size = layer.size end
			end
		end
	end)

	it("is read by skopeo", function()
		if not shell.which("skopeo") then
			return pending("skopeo is not installed")
		end
		local encoders = zstds.encoders()
		local result = made:saved(drop_one((image(encoders[#encoders].script))), "out")
		skopeo.copy("oci:" .. made.dir:file("out"), "dir:" .. made:fresh("inflated"), "--dest-decompress")
		local name = made.dir:file("inflated") .. "/" .. result.layers[1].diff_id:match("%x+$")
		assert.equal(result.layers[1].diff_id, "sha256:" .. shell.check({ "sha256sum", name }):match("^%x+"))
	end)
end)

if not corpus.path then
	return
end

describe("every gzip layer of the corpus", function()
	it("is edited, and read by gzip and skopeo", function()
		local count = 0
		local function splice(img, place, number)
			local gzip = false
			for _, layer in ipairs(img.layers) do
				gzip = gzip or layer.compression == "gzip"
			end
			local result = gzip and pcall(gzips.edit, img, number) and img:save(made:fresh("out"), { format = "oci" })
			if not result then
				return
			end
			count = count + 1
			made:expect_readable("out", result)
			local anew = made:saved(img, "anew", { level = 1 })
			for i, layer in ipairs(result.layers) do
				assert.equal(anew.layers[i].diff_id, layer.diff_id)
			end
			if place == 1 and shell.which("skopeo") then
				skopeo.copy("oci:" .. made.dir:file("out"), "oci:" .. made:fresh("copy"))
			end
		end
		for round = 1, ROUNDS do
			local number = random.generator(random.first_seed() + round)
			made:each_of_corpus(function(img, place)
				splice(img, place, number)
			end)
		end
		assert.is_true(count > 5, count)
	end)
end)

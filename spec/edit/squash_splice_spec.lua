-- Takes seconds: not for make check.
-- A layer that is made of compressed ones keeps the deflate blocks of what it takes from them in one piece.

local corpus = require "spec.support.corpus"
local gzips = require "spec.support.gzips"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local splicing = require "spec.support.splicing"
local strata = require "strata"

local made = splicing.new()

-- STRATA_SPLICES=n: so many random stacks.
local ROUNDS = tonumber(os.getenv("STRATA_SPLICES")) or 8

local function text(number, most)
	local noise = number(6) == 1
	return splicing.text(number, number(most), noise)
end

-- An image in a layout, of layers as lists of entries; and how large they are when packed.
local function image(name, layers, scripts)
	local tars, sizes = {}, {}
	for i, entries in ipairs(layers) do
		tars[i] = pack.tar(entries)
	end
	local path, packed = made:image(name, tars, scripts)
	for i, file in ipairs(packed) do
		sizes[i] = #shell.read(file)
	end
	return path, sizes
end

local function files(number, count, prefix)
	local entries = {}
	for i = 1, count do
		entries[i] = { name = ("%s%02d"):format(prefix, i), data = text(number, i % 4 == 0 and 25000 or 2000) }
	end
	return entries
end

local GZIP = splicing.GZIP
local number = random.generator(7)
local BIG, SMALL = files(number, 60, "d/f"), files(number, 3, "d/f3")

local function flat(path)
	local img = assert(strata.open(path))
	assert(img:flatten())
	return img
end

describe("a layer made of gzip ones", function()
	it("keeps the compressed bytes of what stays together", function()
		local path, sizes = image("source", { BIG, SMALL }, { GZIP, GZIP })
		local img = flat(path)
		local plan = img:plan({ format = "oci" })
		local result = made:saved(img, "out")
		local layer = result.layers[1]
		assert.is_true(layer.kept > sizes[1] * 0.6, layer.kept .. " of " .. sizes[1])
		assert.equal(layer.kept, result.kept)
		assert.equal(layer.kept, plan.layers[1].kept)
		assert.equal(layer.digest, plan.layers[1].digest)
		made:expect_readable("out", result)
		-- The beginning of the old blob, behind its header, is in the new one.
		local old = assert(strata.open(path)).layers[1]
		local piece = shell.read(made:blob("source", old)):sub(12, sizes[1] * 0.3 - sizes[1] * 0.3 % 1)
		assert.is_truthy(shell.read(made:blob("out", layer)):find(piece, 1, true))
		assert.is_true(assert(strata.open(made.dir:file("out"))):verify())
	end)

	it("has the tar that it would have compressed anew", function()
		local path = image("source", { BIG, SMALL }, { GZIP, GZIP })
		local kept = made:saved(flat(path), "out").layers[1]
		local settings = { { level = 1 }, { reproducible = true }, { compression = "gzip" }, { compression = "zstd" } }
		for _, opts in ipairs(settings) do
			local anew = made:saved(flat(path), "anew", opts).layers[1]
			assert.is_nil(anew.kept)
			assert.equal(kept.diff_id, anew.diff_id)
			assert.are_not.equal(kept.digest, anew.digest)
		end
		assert.equal(kept.digest, made:saved(flat(path), "anew", { compression = "keep" }).layers[1].digest)
	end)

	it("is a matter of the old blobs, not of threads, nor of what was read before", function()
		local path = image("source", { BIG, SMALL }, { GZIP, GZIP })
		local first = made:saved(flat(path), "out").layers[1].digest
		for threads = 1, 4 do
			local img = assert(strata.open(path))
			assert(img:flatten({ threads = threads }))
			assert.equal(first, made:saved(img, "out").layers[1].digest)
		end
		local img = assert(strata.open(path))
		assert.is_string(img.layers[1]:read("d/f05"))
		assert(img.layers[2]:entries())
		assert(img:squash(1, 2))
		assert.equal(first, made:saved(img, "out").layers[1].digest)
	end)

	it("is made of edited ones, and edited", function()
		local path, sizes = image("source", { BIG, SMALL }, { GZIP, GZIP })
		local img = assert(strata.open(path))
		assert(img.layers[1]:remove("d/f20"))
		assert(img:flatten())
		local once = made:saved(img, "out").layers[1]
		assert.is_true(once.kept > sizes[1] / 2)
		assert(img.layers[1]:remove("d/f40"))
		local result = made:saved(img, "out")
		made:expect_readable("out", result)
		assert.is_true(result.layers[1].kept > sizes[1] / 3)
		-- What the first of the two has compressed anew is none of the old bytes.
		assert.is_true(result.layers[1].kept <= once.kept)
		assert.equal(result.layers[1].diff_id, made:saved(img, "anew", { compression = "none" }).layers[1].diff_id)
	end)

	it("keeps what is compressed as the result is, of others nothing", function()
		local path, sizes = image("source", { SMALL, BIG }, { "", GZIP })
		local layer = made:saved(flat(path), "out").layers[1]
		assert.equal("gzip", layer.compression)
		assert.is_true(layer.kept > sizes[2] / 2, layer.kept .. " of " .. sizes[2])
		path = image("source", { BIG, SMALL }, { GZIP, "" })
		assert.is_nil(made:saved(flat(path), "out").layers[1].kept)
		if not shell.which("zstd") then
			return pending("zstd is not installed")
		end
		local ZSTD = 'zstd -q -c <"$1" >"$2"'
		path = image("source", { BIG, SMALL }, { ZSTD, GZIP })
		local result = made:saved(flat(path), "out")
		made:expect_readable("out", result)
		assert.equal(result.layers[1].diff_id, made:saved(flat(path), "anew", { compression = "none" }).layers[1].diff_id)
		path = image("source", { SMALL, BIG }, { GZIP, ZSTD })
		result = made:saved(flat(path), "out")
		made:expect_readable("out", result)
		assert.equal(result.layers[1].diff_id, made:saved(flat(path), "anew", { compression = "none" }).layers[1].diff_id)
	end)

	it("is not made of blobs that are written to meanwhile", function()
		local path = image("source", { BIG, SMALL }, { GZIP, GZIP })
		local img = assert(strata.open(path))
		assert.is_string(img.layers[1]:read("d/f05"))
		shell.check({ "touch", "-d", "2001-01-01", made:blob("source", img.layers[1]) })
		local ok, message, code = img:flatten()
		assert.is_nil(ok)
		assert.equal("ESTALE", code)
		assert.matches("layers 1 to 2", message, 1, true)
		img:close()
	end)

	it("is copied by skopeo", function()
		if not shell.which("skopeo") then
			return pending("skopeo is not installed")
		end
		made:saved(flat((image("source", { BIG, SMALL }, { GZIP, GZIP }))), "out")
		skopeo.copy("oci:" .. made.dir:file("out"), "docker-archive:" .. made.dir:file("copy.tar") .. ":a:1")
	end)
end)

-- Entries in no order, some of which hide those of layers below.
local function any_layer(pick)
	local entries, seen = {}, {}
	for _ = 1, 2 + pick(25) do
		local name = ("%s/%s"):format(({ "a", "b", "c/d" })[pick(3)], pick(60))
		if not seen[name] then
			seen[name] = true
			if pick(12) == 1 then
				name = name:gsub("[^/]+$", ".wh.%0")
			end
			local data = not name:find(".wh.", 1, true) and text(pick, pick(4) == 1 and 25000 or 1500) or ""
			entries[#entries + 1] = { name = name, data = data }
		end
	end
	return entries
end

describe("layers of any encoders", function()
	it("are made one, and read by others", function()
		local encoders = gzips.encoders()
		for round = 1, ROUNDS do
			local seed = random.first_seed() + round
			local pick = random.generator(seed)
			local tars, scripts = {}, {}
			for i = 1, 1 + pick(4) do
				tars[i], scripts[i] = any_layer(pick), pick(10) == 1 and "" or encoders[pick(#encoders)].script
			end
			scripts[#scripts] = GZIP
			local path = image("source", tars, scripts)
			local first = pick(#tars)
			local function squashed()
				local img = assert(strata.open(path))
				assert(img:squash(first, #tars))
				return img
			end
			local result = made:saved(squashed(), "out")
			made:expect_readable("out", result)
			local anew = made:saved(squashed(), "anew", { compression = "none" })
			for i, layer in ipairs(result.layers) do
				assert.equal(anew.layers[i].diff_id, layer.diff_id, "seed " .. seed)
			end
		end
	end)
end)

if not corpus.path then
	return
end

describe("every image of the corpus", function()
	it("is flattened, and read by gzip", function()
		local count, kept = 0, 0
		made:each_of_corpus(function(img)
			local result = #img.layers > 0 and img:flatten() and img:save(made:fresh("out"), { format = "oci" })
			if result then
				count, kept = count + 1, kept + (result.kept or 0)
				made:expect_readable("out", result)
				local anew = made:saved(img, "anew", { level = 1 })
				assert.equal(anew.layers[1].diff_id, result.layers[1].diff_id)
			end
		end)
		assert.is_true(count > 5 and kept > 1000000, count .. " images, " .. kept .. " bytes")
	end)
end)

-- Takes seconds: not for make check.
-- img:remove with paths and globs scanned a gzip layer, and the save read, inflated and hashed it once more to write
-- it. The scan drops the entries now, and the save takes what it has written when the plan of edits has come to the
-- same.

local archive = require "spec.support.archive"
local core = require "strata.core"
local gzips = require "spec.support.gzips"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local shell = require "spec.support.shell"
local splicing = require "spec.support.splicing"
local stacks = require "spec.support.stacks"
local strata = require "strata"
local tasks = require "spec.support.tasks"

-- STRATA_DRAFTS=n: so many rounds instead.
local ROUNDS = tonumber(os.getenv("STRATA_DRAFTS"))

local made = splicing.new()
local dir = made.dir

-- How many layers a function has carried edits out of by reading them once more.
local function read_again(fn)
	return #tasks.only(tasks.of(fn), "write")
end

local function shown(removed)
	local lines = {}
	for i, one in ipairs(removed) do
		lines[i] = ("%d %s %s %d"):format(one.layer, one.path, one.type, one.size)
	end
	return table.concat(lines, "\n")
end

-- What removing some paths gives: what was removed, the saved file, and how many layers were read again.
local function outcome(path, scanned, act)
	local img = assert(strata.open(path))
	if scanned then
		for _, layer in img:layers() do
			assert.is_number(layer.count)
		end
	end
	local result = { pcall(act, img) }
	local target = dir:file("out.tar")
	os.remove(target)
	local again = read_again(function()
		local saved, message = img:save(target)
		result.saved = saved and tostring(saved) or message
		result.digests = {}
		for i, layer in ipairs(saved and saved.layers or {}) do
			result.digests[i] = ("%s %s %s"):format(layer.digest, layer.diff_id, tostring(layer.kept))
		end
	end)
	img:close()
	local file = io.open(target, "rb")
	result.bytes = file and core.sha256(file:read("*a"))
	if file then
		file:close()
	end
	return result, again
end

-- Compares one pass with two. Returns how many layers each of them has read again.
local function compare(path, act)
	local one, again = outcome(path, false, act)
	local two, usual = outcome(path, true, act)
	assert.same(two, one)
	return again, usual
end

local function remove(which)
	return function(img)
		local done, removed, code = img:remove(which, { optional = true })
		return done and shown(removed) or removed, code
	end
end

-- A tar of many chunks, with headers that lie across their ends, and hardlinks.
local function large(number)
	local entries = {}
	for i = 1, 90 do
		local entry = { name = ("%s/%s%d"):format(("a"):rep(number(3)), ("n"):rep(number(2)), i) }
		local size = number(5)
		if i > 3 and number(12) == 1 then
			entry.name = "a/h" .. i
			entry.type, entry.linkname = "hardlink", entries[number(i - 1)].name
		else
			local parts = {}
			for k = 1, size == 1 and 9000 or number(1500) do
				parts[k] = ("%d %s"):format(number(1000), number(3))
			end
			entry.data = table.concat(parts)
		end
		if size > 3 then
			entry.pax = { "comment", ("c"):rep(number(20000)) }
		end
		entries[i] = entry
	end
	return pack.tar(entries)
end

local function image_of(tar, script)
	return (made:image("image.tar", { tar }, { script }, {}))
end

local PATTERNS = {
	"a", "aa", "**/n?", "**/*[13579]", "aaa/n*[0-4]", "a/h*", "**/n9*", "aa/*7*", "**/*n", "a/n1", "**", "aa/nn*",
	"aaa/**/*2",
}

describe("a gzip layer of which paths are removed", function()
	it("is read once, whatever encoder made it", function()
		local number = random.generator(random.first_seed())
		local tar = large(number)
		for _, encoder in ipairs(gzips.encoders()) do
			local path = image_of(tar, encoder.script)
			for _ = 1, ROUNDS or 1 do
				local which = { PATTERNS[number(#PATTERNS)], PATTERNS[number(#PATTERNS)] }
				local again, usual = compare(path, remove(which))
				assert.is_true(again <= usual)
			end
			local again, usual = compare(path, remove({ "**/n?[13]", "a/h*" }))
			assert.equal("1 0", usual .. " " .. again, encoder.name)
		end
	end)

	it("gives what it gives when it is read twice", function()
		local once, twice = 0, 0
		random.each(ROUNDS or 3, function(number)
			local path = image_of(large(number), splicing.GZIP)
			for _ = 1, 4 do
				local which = {}
				for i = 1, number(3) do
					which[i] = PATTERNS[number(#PATTERNS)]
				end
				local again, usual = compare(path, remove(which))
				once, twice = once + usual - again, twice + again
			end
		end)
		assert.is_true(once > 3, once)
		assert.is_true(twice > 0, "hardlinks to what is dropped need the plan")
	end)

	it("is read twice when a header is longer than what is read at a time", function()
		local entries = {}
		for i = 1, 6 do
			entries[i] = { name = "d/f" .. i, data = ("%d "):format(i):rep(30000 * i) }
		end
		entries[4].pax = { "comment", ("c"):rep(700000) }
		local path = image_of(pack.tar(entries), splicing.GZIP)
		for _, which in ipairs({ "d/f2", "d/f3", "d/f[34]" }) do
			assert.equal(1, (compare(path, remove(which))), which)
		end
		-- It goes, or lies before what goes.
		for _, which in ipairs({ "d/f4", "d/f[45]", "d/f6" }) do
			assert.equal(0, (compare(path, remove(which))), which)
		end
	end)

	it("is read once when it is zstd, in one frame or in many", function()
		local number = random.generator(random.first_seed())
		local gzip, path = image_of(large(number), splicing.GZIP), dir:file("zstd.tar")
		local img = assert(strata.open(gzip))
		os.remove(path)
		assert(img:save(path, { format = "oci-archive", compression = "zstd" }))
		img:close()
		local paths = { path }
		if shell.which("zstd") then
			paths[2] = image_of(large(number), 'zstd -q -c <"$1" >"$2"')
		end
		for _, one in ipairs(paths) do
			for _, which in ipairs({ "a/h*", "**/n?", { "**/n?[13]", "a/h*" } }) do
				local again, usual = compare(one, remove(which))
				assert.equal(1, usual)
				assert.is_true(again == 0 or which == "**/n?")
			end
		end
	end)

	it("is read once for layer:remove, which keeps whiteouts", function()
		local bench = archive.bench()
		local path = bench.dir:file("image.tar")
		archive.build(path, { layers = {
			{ gzip = true, entries = { { name = "d/a", data = "1" }, { name = "d/b", data = "2" } } },
			{ gzip = true, entries = { { name = "d/.wh.a", data = "" }, { name = "d/c", data = "3" } } },
		} })
		for _, which in ipairs({ "d/c", "d", "d/a" }) do
			compare(path, function(img)
				local done, removed, code = img.layers[2]:remove(which, { optional = true })
				return done and shown(removed) or removed, code
			end)
			local again, usual = compare(path, remove(which))
			assert.equal(0, again)
			assert.is_true(usual > 0)
		end
		bench:close()
	end)

	it("gives the same for any stack of layers", function()
		local once, bench = 0, archive.bench()
		for seed = random.first_seed(), random.first_seed() + (ROUNDS and 10 * ROUNDS or 25) - 1 do
			local layers, number = stacks.layers(seed), random.generator(seed)
			for _, layer in ipairs(layers) do
				layer.gzip = true
			end
			local path = bench.dir:file("image.tar")
			archive.build(path, { layers = layers })
			local choices = { "d", "x/y", "**/f1", "**/f[12]", "d/**/m", "m", "*/e", "**/?2", "d/e", "**" }
			local which = { choices[number(#choices)], choices[number(#choices)] }
			local again, usual = compare(path, remove(which))
			once = once + usual - again
		end
		assert.is_true(once > 5, once)
		bench:close()
	end)

	it("is written as the save wants it", function()
		local path = image_of(large(random.generator(3)), splicing.GZIP)
		for _, opts in ipairs({ { level = 1 }, { reproducible = true }, { compression = "none" } }) do
			local function digest(scanned)
				local img = assert(strata.open(path))
				assert.is_true(not scanned or img.layers[1].count > 0)
				assert(img:remove("**/n1*"))
				local layer
				local again = read_again(function()
					layer = assert(img:save(dir:file("out.tar"), opts)).layers[1]
				end)
				img:close()
				assert.equal(1, again)
				return layer.digest
			end
			assert.equal(digest(true), digest(false))
		end
	end)

	it("is written anew when more is edited", function()
		local path = image_of(large(random.generator(4)), splicing.GZIP)
		for i, more in ipairs({
			function(img)
				assert(img:remove("**/*7"))
			end,
			function(img)
				assert(img:rewrite(function(entry)
					entry.uid = 7
				end))
			end,
		}) do
			local again = compare(path, function(img)
				assert(img:remove("**/n1*"))
				more(img)
			end)
			assert.equal(1, again, i)
		end
	end)
end)

describe("the scan of a gzip layer", function()
	local files = {}
	for i = 1, 40 do
		files[i] = { name = ("d/n%d"):format(i), data = ("%d "):format(i):rep(i * 1000) }
	end

	it("is told what is going to be removed, when that is paths and globs", function()
		local path = image_of(pack.tar(files), splicing.GZIP)
		local function told(which)
			local img = assert(strata.open(path))
			local list = tasks.of(function()
				assert(img:remove(which, { optional = true }))
			end)
			img:close()
			return tasks.only(list, "scan")[1].drop ~= nil
		end
		assert.is_true(told("**/n1*"))
		assert.is_true(told({ "**/n2*", "a/n1" }))
		assert.is_false(told({ pattern = "n1" }))
		assert.is_false(told({ "**/n2*", { pattern = "n1" } }))
		assert.is_false(told(function()
			return false
		end))
	end)

	-- Scans the layer, drops what is chosen, and takes the draft.
	local function draft(pattern, chosen, temp_dir)
		local gz = dir:file("scanned.tar.gz")
		shell.sh(splicing.GZIP, dir:write("scanned.tar", pack.tar(files)), gz)
		local index = core.entry_index(assert(core.open_file(gz)), 0, #shell.read(gz), "gzip")
		local job = core.job()
		job:scan({ label = "layer", index = index, drop = core.globs({ pattern }), temp_dir = temp_dir })
		job:start(1)
		while not job:wait(1) do
		end
		assert(job:result())
		for entry in index:entries() do
			if core.globs({ chosen }):match(entry.path) then
				entry:mark()
			end
		end
		index:drop_marked()
		local file, size = index:take_draft()
		assert.is_nil((index:take_draft()), "it is there once")
		index:close()
		return file and size
	end

	it("writes a draft from the first dropped entry on, which is taken when it is right", function()
		assert.is_number(draft("**/*9", "**/*9"))
		assert.is_nil(draft("**/*9", "**/*8"))
		assert.is_nil(draft("nothing", "nothing"))
	end)

	it("does without a draft where none can be written", function()
		assert.is_nil(draft("**/*9", "**/*9", dir:file("missing")))
	end)
end)

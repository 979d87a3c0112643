--- Dropping files that no container sees: img:drop_waste.

local archive = require "spec.support.archive"
local random = require "spec.support.random"
local stacks = require "spec.support.stacks"

local specify = archive.specify(it, pending)

local FIRST = random.first_seed()
local RUNS = tonumber(os.getenv("STRATA_STACKS") or 24)

-- What a container sees, a line for each path.
local function view(img, name)
	local root, message, code = img:rootfs({ view = name })
	if not root then
		return name == "spec" and code or error(message)
	end
	local lines = {}
	for entry in root:walk() do
		local content = entry.type == "file" and assert(entry:digest()) or entry.linkpath or ""
		lines[#lines + 1] = ("%s %s %o %d:%d %s %d %s"):format(entry.path, entry.type, entry.mode, entry.uid, entry.gid,
			entry.mtime, entry.links, content)
	end
	root:close()
	return lines
end

describe("img:drop_waste", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open()
		return bench:open({
			{
				entries = {
					{ name = "kept", data = "k" },
					{ name = "replaced", data = ("r"):rep(10) },
					{ name = "deleted", data = ("d"):rep(100) },
					{ name = "link", type = "hardlink", linkname = "deleted" },
					{ name = "dir/", type = "dir" },
					{ name = "dir/hidden", data = ("h"):rep(1000) },
				},
			},
			{
				entries = {
					{ name = "replaced", data = ("R"):rep(20) },
					{ name = ".wh.deleted" },
					{ name = ".wh.link" },
					{ name = "dir/", type = "dir" },
					{ name = "dir/.wh..wh..opq" },
					{ name = "twice", data = "first" },
					{ name = "twice", data = "second" },
				},
			},
		})
	end

	specify("drops them with their names, and leaves what is seen and whiteouts", function()
		local img = open()
		local before = view(img)
		local bytes, removed = assert(img:drop_waste())
		assert.equal(1115, bytes)
		assert.same({ "1 replaced", "1 deleted", "1 dir/hidden", "2 twice" }, {
			removed[1].layer .. " " .. removed[1].path, removed[2].layer .. " " .. removed[2].path,
			removed[3].layer .. " " .. removed[3].path, removed[4].layer .. " " .. removed[4].path,
		})
		assert.equal("layer 1: file 'replaced'", tostring(removed[1]))
		assert.same(before, view(img))
		assert.equal(0, assert(img:waste()).total)
		local path = bench.dir:file("lean.tar")
		assert(img:save(path))
		local look = archive.look(path)
		assert.same({ "kept", "dir" }, archive.names(look.layers[1].entries))
		assert.equal("second", archive.find(look.layers[2].entries, "twice").data)
		assert.is_not_nil(archive.find(look.layers[2].entries, ".wh.deleted"))
		assert.same({ 0, "none" }, { img:drop_waste(), tostring(select(2, img:drop_waste())) })
	end)

	specify("takes what is named, by path, glob or function, and nothing else", function()
		local img = open()
		assert.equal(1000, assert(img:drop_waste("dir")))
		assert.equal(10, assert(img:drop_waste(function(entry, layer)
			return entry.path == "replaced" and layer.position == 1
		end)))
		assert.equal(105, assert(img:waste()).total)
		assert.is_nil(img.layers[1]:entry("replaced"))
		assert.is_not_nil(img.layers[2]:entry("replaced"))
		for _, which in ipairs({ "kept", "none/**", function() return false end }) do
			local _, message, code = img:drop_waste(which)
			assert.same({ "ENOENT", true }, { code, message:find("no container sees", 1, true) ~= nil })
			assert.equal(0, assert(img:drop_waste(which, { optional = true })))
		end
		assert.has_error(function()
			img:drop_waste(function() end)
		end)
	end)

	specify("leaves a file that hides something, and says so of one that was named", function()
		local img = bench:open({
			{ entries = { { name = "m/old", data = "12345" }, { name = "x", data = "1" } } },
			{ entries = { { name = "m", data = "hides" }, { name = "x", data = "2" } } },
			{ entries = { { name = "m/new", data = "1" } } },
		})
		local before = view(img)
		local function of_second(_, layer)
			return layer.position == 2
		end
		assert.same({ nil, "drop_waste: without 'm' of layer 2, 'm/old' would not be what it is", "EUNSUPPORTED" },
			{ img:drop_waste(of_second) })
		local bytes, removed = assert(img:drop_waste(of_second, { optional = true }))
		assert.same({ 0, "none" }, { bytes, tostring(removed) })
		assert.is_not_nil(img.layers[2]:entry("m"))
		assert.equal(6, assert(img:drop_waste("m/old")) + assert(img:drop_waste("x")))
		assert.equal(5, assert(img:drop_waste()))
		assert.same(before, view(img))
	end)

	specify("leaves the layers alone that lose no file", function()
		local img = bench:open({
			{ entries = { { name = "opt/", type = "dir" }, { name = "opt/old", data = "12345" } } },
			{ entries = { { name = "opt/.wh.old" } } },
		})
		local before, digest = view(img), img.layers[2].diff_id
		assert.equal(5, assert(img:drop_waste("opt/old")))
		assert.same(before, view(img))
		assert.equal(digest, img.layers[2].diff_id)
		assert.is_nil(img.layers[1]:entry("opt/old"))
	end)

	specify("leaves both views of random layers as they are #stacks", function()
		for seed = FIRST, FIRST + RUNS - 1 do
			local img = bench:open(stacks.layers(seed))
			local runtime, spec, waste = view(img, "runtime"), view(img, "spec"), assert(img:waste()).total
			local bytes, removed = img:drop_waste()
			assert.is_number(bytes, ("seed %d: %s"):format(seed, tostring(removed)))
			assert.same(runtime, view(img, "runtime"), "seed " .. seed)
			assert.same(spec, view(img, "spec"), "seed " .. seed)
			assert.is_true(assert(img:waste()).total <= waste - bytes, "seed " .. seed)
			assert(img:save(bench.dir:file("lean.tar")))
			assert.is_true(assert(bench:load(bench.dir:file("lean.tar")):verify()))
		end
	end)
end)

--- Bytes that no container sees.

local archive = require "spec.support.archive"
local corpus = require "spec.support.corpus"
local strata = require "strata"

local specify = archive.specify(it, pending)

describe("waste", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	specify("is what upper layers replace, delete, hide or only re-mode, by layer", function()
		local img = bench:open({
			{
				entries = {
					{ name = "kept", data = ("k"):rep(1) },
					{ name = "replaced", data = ("r"):rep(10) },
					{ name = "deleted", data = ("d"):rep(100) },
					{ name = "dir/hidden", data = ("h"):rep(1000) },
					{ name = "moded", data = ("m"):rep(10000), mode = 420 },
				},
			},
			{
				entries = {
					{ name = "replaced", data = ("R"):rep(20) },
					{ name = ".wh.deleted", data = "" },
					{ name = "dir/.wh..wh..opq", data = "" },
					{ name = "moded", data = ("m"):rep(10000), mode = 493 },
					{ name = "twice", data = "first" },
					{ name = "twice", data = "second" },
				},
			},
		})
		local waste = assert(img:waste())
		assert.same({ 11110 + 5, { 11110, 5 } }, { waste.total, waste.layers })
		assert.same({
			{ path = "moded", layer = 1, bytes = 10000, why = "metadata", by = 2 },
			{ path = "dir/hidden", layer = 1, bytes = 1000, why = "hidden", by = 2 },
			{ path = "deleted", layer = 1, bytes = 100, why = "deleted", by = 2 },
			{ path = "replaced", layer = 1, bytes = 10, why = "changed", by = 2 },
			{ path = "twice", layer = 2, bytes = 5, why = "changed", by = 2 },
		}, waste.paths)
		assert.equal("'moded' of layer 1: 10.0 kB, metadata by layer 2", tostring(waste.paths[1]))
	end)

	specify("counts a file with several names once, and not while one of them is seen", function()
		local img = bench:open({
			{
				entries = {
					{ name = "a", data = ("a"):rep(7) },
					{ name = "b", type = "hardlink", linkname = "a" },
					{ name = "c", data = ("c"):rep(70) },
					{ name = "d", type = "hardlink", linkname = "c" },
				},
			},
			{
				entries = {
					{ name = ".wh.a", data = "" },
					{ name = ".wh.c", data = "" },
					{ name = ".wh.d", data = "" },
				},
			},
		})
		local waste = assert(img:waste())
		assert.same({ 70, { 70, 0 } }, { waste.total, waste.layers })
		assert.same({ { path = "c", layer = 1, bytes = 70, why = "deleted", by = 2 } }, waste.paths)
	end)

	specify("is blamed on the first layer that takes a file away, though later ones touch the path again", function()
		local img = bench:open({
			{ entries = { { name = "a", data = "12345" } } },
			{ entries = { { name = "a", data = "12345", mode = 493 } } },
			{ entries = { { name = "a", data = "12345", mode = 493 } } },
			{ entries = { { name = ".wh.a", data = "" } } },
			{ entries = { { name = "a", data = "other" } } },
		})
		assert.same({
			{ path = "a", layer = 1, bytes = 5, why = "metadata", by = 2 },
			{ path = "a", layer = 2, bytes = 5, why = "repeated", by = 3 },
			{ path = "a", layer = 3, bytes = 5, why = "deleted", by = 4 },
		}, img:waste().paths)
	end)

	specify("compares no contents when nobody asks why", function()
		local img = bench:open({
			{ entries = { { name = "a", data = "12345" } } },
			{ entries = { { name = "a", data = "12345", mode = 493 } } },
		})
		local seen = {}
		local waste = assert(img:waste({
			why = false,
			progress = function(_, _, what)
				seen[what] = true
			end,
		}))
		assert.same({ { path = "a", layer = 1, bytes = 5 } }, waste.paths)
		assert.is_nil(seen.comparing)
		assert.equal("'a' of layer 1: 5 B", tostring(waste.paths[1]))
	end)

	specify("follows edits that wait", function()
		local img = bench:open({
			{ entries = { { name = "a", data = "12345" } } },
			{ entries = { { name = "a", data = "123456" } } },
		})
		assert.equal(5, img:waste().total)
		assert(img.layers[2]:remove("a"))
		assert.equal(0, img:waste().total)
		img.layers[1]:entry("a"):replace("longer than it was")
		assert.same({ 0, 1 }, { img:waste().total, img:waste().efficiency })
	end)

	specify("is nothing without layers", function()
		local waste = assert(strata.new({ platform = "linux/amd64" }):waste())
		assert.same({ total = 0, layers = {}, paths = {}, efficiency = 1, repeated = {} }, waste)
	end)
end)

-- The cases are those of dive's own tests.
describe("the efficiency", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function file(name, size)
		return { name = name, data = ("x"):rep(size) }
	end

	specify("counts what several layers have at a path, and no deleted directory without an entry", function()
		local img = bench:open({
			{ entries = { file("etc/nginx/nginx.conf", 2000), file("etc/nginx/public", 3000) } },
			{ entries = { file("etc/nginx/nginx.conf", 5000), file("etc/athing", 10000) } },
			{ entries = { file("etc/.wh.nginx", 0) } },
		})
		local waste = assert(img:waste())
		assert.equal(0.75, waste.efficiency)
		assert.same({ { path = "etc/nginx/nginx.conf", count = 2, bytes = 7000 } }, waste.repeated)
		assert.equal("'etc/nginx/nginx.conf': 2 times, 7.0 kB", tostring(waste.repeated[1]))
	end)

	specify("counts the bytes that the whiteout of a directory with an entry removes", function()
		local img = bench:open({
			{ entries = { { name = "etc", type = "dir" }, file("etc/a", 100), file("etc/b", 200), file("etc/c/d", 300) } },
			{ entries = { file("etc/b", 1000), file("etc/.wh.a", 0) } },
			{ entries = { file(".wh.etc", 0) } },
		})
		local least, all = 0 + 200 + 300 + 1300, 100 + 1200 + 300 + 1300
		assert.equal(least / all, img:waste().efficiency)
	end)

	specify("is 1 for an image of empty files", function()
		assert.same({ 1, {} }, (function(waste)
			return { waste.efficiency, waste.repeated }
		end)(bench:open({ { entries = { file("nothing", 0) } } }):waste()))
	end)

	specify("passes over opaque markers and whiteouts of nothing, and goes on with the layer", function()
		local img = bench:open({
			{ entries = { file("a/b", 100), file("c", 100) } },
			{ entries = { file("a/.wh..wh..opq", 0), file(".wh.nothing", 0), file("c", 300) } },
		})
		assert.equal(200 / 500, img:waste().efficiency)
	end)

	it("of dive's test image is what dive documents", function()
		if not corpus.path then
			return pending("STRATA_CORPUS is not set")
		end
		local img = assert(strata.open(corpus.path .. "/images/wagoodman-test-docker-image.tar"))
		local waste = assert(img:waste())
		assert.equal(0.9844212134184309, waste.efficiency)
		assert.same({
			{ path = "root/example/somefile1.txt", count = 2, bytes = 12810 },
			{ path = "root/saved.txt", count = 2, bytes = 12810 },
			{ path = "root/example/somefile3.txt", count = 2, bytes = 6405 },
		}, waste.repeated)
		assert.equal(5 * 6405, waste.total)
		img:close()
	end)
end)

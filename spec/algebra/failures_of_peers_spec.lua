-- What other tools for images have got wrong when they flattened, exported or squashed one.

local archive = require "spec.support.archive"
local cases = require "spec.support.cases"
local pack = require "spec.support.pack"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local views = require "spec.support.views"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local file, dir, symlink, link, white = cases.file, cases.dir, cases.symlink, cases.link, cases.white

describe("where others fail:", function()
	local bench, images

	before_each(function()
		bench, images = tmp.dir(tmp.for_peers()), {}
	end)

	after_each(function()
		for _, img in ipairs(images) do
			img:close()
		end
		images = nil
		views.collect()
		bench:remove()
	end)

	local function open(layers, rows)
		local path = bench:file(("image%d.tar"):format(#images))
		pack.image(path, layers, rows)
		images[#images + 1] = assert(strata.open(path))
		return images[#images]
	end

	-- The names in a tar, in order.
	local function names(tar)
		local list = {}
		for name in shell.check({ "tar", "-tf", tar }):gmatch("[^\n]+") do
			list[#list + 1] = name
		end
		return list
	end

	-- What GNU tar makes of an export, and of the layer that flatten leaves: path -> content or kind.
	local function both_ways(layers, view)
		local seen = {}
		local exported = bench:file("export.tar")
		assert(open(layers):export(exported, { view = view }))
		local flat = open(layers)
		assert(flat:flatten({ view = view }))
		assert.equal(1, #flat.layers)
		assert(flat:save(bench:file("flat.tar")))
		shell.sh('cd "$1" && mkdir flat && tar -C flat -xf flat.tar', bench.path)
		local manifest = shell.read(bench:file("flat/manifest.json"))
		local layer = bench:file("flat/" .. require("cjson").decode(manifest)[1].Layers[1])
		for i, tar in ipairs({ exported, layer }) do
			local root = bench:file("root" .. i)
			shell.sh('mkdir "$1" && tar -C "$1" --no-same-owner -xf "$2"', root, tar)
			seen[i] = {}
			local found = shell.sh('cd "$1" && find . -mindepth 1 -printf "%P\\t%y\\t%l\\n"', root)
			for path, kind, target in found:gmatch("(.-)\t(.)\t(.-)\n") do
				seen[i][path] = kind == "f" and shell.read(root .. "/" .. path) or kind == "l" and "-> " .. target or "dir"
			end
		end
		assert.same(seen[1], seen[2])
		return seen[1]
	end

	it("a name that an upper layer replaces does not change the other names of the file", function()
		assert.same({ a = "NEW", b = "AAA" }, both_ways({ { file("a", "AAA"), link("b", "a") }, { file("a", "NEW") } }))
	end)

	it("a name that an upper layer removes does not take the file from its other names", function()
		assert.same({ b = "AAA" }, both_ways({ { file("a", "AAA"), link("b", "a") }, { white(".wh.a") } }))
	end)

	it("a link to a file of a lower layer stands behind that file", function()
		assert.same({ a = "AAA", b = "AAA" }, both_ways({ { file("a", "AAA") }, { link("b", "a") } }))
	end)

	it("whiteouts do not hide what their own layer brings", function()
		local layers = {
			{ dir("d"), file("d/old"), file("f", "old") },
			{ white(".wh.d"), dir("d"), file("d/new"), white(".wh.f"), file("f", "new") },
		}
		assert.same({ d = "dir", ["d/new"] = "d/new", f = "new" }, both_ways(layers, "spec"))
	end)

	it("a whiteout beside a directory of its name hides nothing in runtimes", function()
		local layers = {
			{ dir("d"), file("d/old"), file("f", "old") },
			{ white(".wh.d"), dir("d"), file("d/new"), white(".wh.f"), file("f", "new") },
		}
		assert.same({ d = "dir", ["d/old"] = "d/old", ["d/new"] = "d/new", f = "new" }, both_ways(layers))
	end)

	it("an opaque marker hides what lower layers have, and leaves what its own layer has", function()
		assert.same(
			{ a = "dir", ["a/b"] = "dir", ["a/b/bar"] = "bar" },
			both_ways({
				{ dir("a"), dir("a/b"), file("a/b/foo") },
				{ dir("a"), white("a/.wh..wh..opq"), dir("a/b"), file("a/b/bar", "bar") },
			})
		)
	end)

	it("a single layer leaves no whiteout behind", function()
		assert.same(
			{ d = "dir", ["d/f"] = "d/f" },
			both_ways({ { dir("d"), white("d/.wh..wh..opq"), white("d/.wh.x"), white(".wh.y"), file("d/f") } })
		)
	end)

	it("a removed file does not come back from two layers below", function()
		assert.same(
			{ keep = "keep" },
			both_ways({ { file("secret", "1"), file("keep") }, { file("secret", "2") }, { white(".wh.secret") } })
		)
	end)

	it("squashing the upper layers keeps the whiteouts that hide something below them", function()
		local img = open({ { file("secret"), file("keep") }, { file("x") }, { white(".wh.secret") }, { file("y") } })
		assert(img:squash(2, 4))
		assert.equal(2, #img.layers)
		assert.is_false(img:rootfs():exists("secret"))
		assert.is_true(img:rootfs():exists("keep"))
		local hidden = {}
		for entry in img.layers[2]:entries() do
			hidden[entry.path] = true
		end
		assert.same({ [".wh.secret"] = true, x = true, y = true }, hidden)
	end)

	it("squashing drops whiteouts that hide nothing any more", function()
		local img = open({ { file("keep") }, { file("x") }, { white(".wh.x") } })
		assert(img:squash(2, 3))
		local count = 0
		for _ in img.layers[2]:entries() do
			count = count + 1
		end
		assert.equal(0, count)
	end)

	it("all above a base can be squashed, which stays as it is", function()
		local img = open({ { file("base") }, { file("one") }, { file("two") } })
		local digest = img.layers[1].digest
		assert(img:squash({ above = 1 }))
		assert.equal(2, #img.layers)
		assert.equal(digest, img.layers[1].digest)
		assert.same({ "base", "one", "two" }, img:rootfs():list())
	end)

	it("an entry for the root is no unsafe path, and its attributes stay", function()
		local layers = { { { name = "./", type = "dir", mode = 448 }, file("./a", "a") } }
		assert.same({ a = "a" }, both_ways(layers))
		assert.equal(448, open(layers):rootfs():stat("/").mode)
	end)

	it("absolute symlinks, and those that lead up, are not dropped", function()
		assert.same(
			{ bin = "dir", ["bin/sh"] = "-> /usr/bin/sh", up = "-> ../../x", usr = "dir", ["usr/bin"] = "dir",
				["usr/bin/sh"] = "usr/bin/sh" },
			both_ways({ { dir("bin"), symlink("bin/sh", "/usr/bin/sh"), symlink("up", "../../x"), file("usr/bin/sh") } })
		)
	end)

	it("links to links, and links whose directory no entry tells of, come out as one file", function()
		local layers = { { file("f", "1"), link("a/l", "f"), link("b/l", "a/l"), link("c/l", "b/l") } }
		local seen = both_ways(layers)
		assert.same({ "1", "1", "1", "1" }, { seen.f, seen["a/l"], seen["b/l"], seen["c/l"] })
		assert.equal(4, open(layers):rootfs():stat("c/l").links)
	end)

	it("the exported tar has parents before children, files before their links, and no name twice", function()
		local path = bench:file("export.tar")
		local layers = { { file("z/f", "1"), link("a", "z/f") }, { file("z/f", "2"), dir("z"), link("b", "a") } }
		assert(open(layers):export(path))
		local list = names(path)
		assert.same({ "a", "b", "z/", "z/f" }, list)
	end)

	it("a file becomes a directory and the other way round", function()
		assert.same(
			{ a = "dir", ["a/x"] = "x", d = "file" },
			both_ways({ { file("a"), dir("d"), file("d/e/f") }, { dir("a"), file("a/x", "x"), file("d", "file") } })
		)
	end)

	for name, rows in pairs({ ["no history"] = 0, ["a history that is too short"] = 1 }) do
		it("no layer of an image with " .. name .. " is lost by squashing, removing or moving", function()
			local function image()
				local img = open({ { file("base") }, { file("app1") }, { file("app2") } }, rows)
				assert.equal(rows, #img:history())
				return img
			end
			local squashed = image()
			assert(squashed:squash(1, 2))
			assert.same({ "app1", "app2", "base" }, squashed:rootfs():list())
			local removed = image()
			assert(removed:remove_layer(2))
			assert.same({ "app2", "base" }, removed:rootfs():list())
			local moved = image()
			assert(moved:move_layer(3, 2))
			assert.same({ "app1", "app2", "base" }, moved:rootfs():list())
			local flat = image()
			assert(flat:flatten())
			assert.same({ "app1", "app2", "base" }, flat:rootfs():list())
			assert.equal(1, #flat.layers)
		end)
	end
end)

--- img:remove and layer:remove.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function dir(name)
	return { name = name, type = "dir" }
end

local function link(name, to)
	return { name = name, type = "symlink", linkname = to }
end

local function hardlink(name, to)
	return { name = name, type = "hardlink", linkname = to }
end

describe("removing paths", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries, gzip = i % 2 == 0 }
		end
		return bench:open(layers)
	end

	-- The paths of each layer.
	local function names(img)
		local list = {}
		for i, layer in img:layers() do
			local paths = {}
			for entry in layer:entries() do
				paths[#paths + 1] = entry.path
			end
			list[i] = table.concat(paths, " ")
		end
		return list
	end

	local function removed_paths(removed)
		local list = {}
		for i, one in ipairs(removed) do
			list[i] = one.layer .. ":" .. one.path
		end
		return list
	end

	local function unchanged(img, path)
		assert.is_false(img.edited)
		assert(img:save(bench.dir:file("same.tar")))
		assert.is_true(shell.same(path, bench.dir:file("same.tar")))
	end

	specify("takes them out of every layer, and tells each entry", function()
		local img = open({ dir("etc"), file("etc/a", "12"), file("b") }, { file("etc/a", "345"), file("c") })
		local self, removed = assert(img:remove("etc/a"))
		assert.equal(img, self)
		assert.same({
			{ layer = 1, path = "etc/a", type = "file", size = 2 },
			{ layer = 2, path = "etc/a", type = "file", size = 3 },
		}, removed)
		assert.same({ "etc b", "c" }, names(img))
		local look = bench:save(img)
		assert.same({ "etc", "b" }, archive.names(look.layers[1].entries))
	end)

	specify("takes a directory with all below it, by paths, globs and patterns at once", function()
		local img = open(
			{ dir("usr"), dir("usr/doc"), file("usr/doc/a"), file("usr/docs"), file("x.pyc") },
			{ file("usr/doc/sub/b"), file("lib/y.pyc"), file("var/log/z"), file("kept") }
		)
		local _, removed = assert(img:remove({ "/usr/doc/", "**/*.pyc", { pattern = "^var/log" } }))
		assert.same({ "usr usr/docs", "kept" }, names(img))
		assert.equal(6, #removed)
	end)

	specify("leaves layers alone that have none of them", function()
		local img = open({ file("a") }, { file("b") })
		local digest = img.layers[2].digest
		assert(img:remove("a"))
		local _, path = bench:save(img)
		assert.equal(digest, assert(require("strata").open(path)).layers[2].digest)
	end)

	specify("takes what symlinks lead to at a path of the merged file system", function()
		local base = { dir("usr"), dir("usr/lib"), file("usr/lib/foo", "OLD"), link("lib", "usr/lib") }
		local img = open(base, { file("lib/foo", "NEW") }, { file("usr/lib/bar") })
		assert.is_true(img:rootfs({ view = "spec" }):exists("usr/lib/foo"))
		local _, removed = assert(img:remove("usr/lib/foo"))
		assert.same({ "1:usr/lib/foo", "2:lib/foo" }, removed_paths(removed))
		for _, view in ipairs({ "runtime", "spec" }) do
			local root = img:rootfs({ view = view })
			assert.is_false(root:exists("usr/lib/foo"), view)
			assert.is_true(root:exists("usr/lib/bar"), view)
		end
		assert.is_true(img:rootfs({ view = "spec" }):exists("lib/bar"))
	end)

	specify("takes what comes to light when something above it goes", function()
		local base = { dir("usr"), dir("usr/lib"), link("lib", "usr/lib"), file("usr/lib/foo", "OLD") }
		local img = open(base, { file("lib/foo", "MIDDLE") }, { file("usr/lib/foo", "TOP") })
		assert(img:remove("usr/lib/foo"))
		for _, layer in img:layers() do
			for entry in layer:entries() do
				assert.is_nil(entry.path:find("foo", 1, true), entry.path)
			end
		end
	end)

	specify("takes whiteouts that then hide nothing, and leaves those that do", function()
		local img = open(
			{ file("a"), dir("d"), file("d/one"), file("d/two") },
			{ file(".wh.a", ""), file("d/.wh.one", ""), file("c") },
			{ file("d/.wh..wh..opq", ""), file("d/three") }
		)
		local _, removed = assert(img:remove({ "a", "d/one" }))
		assert.same({ "1:a", "1:d/one" }, removed_paths(removed))
		assert.same({ "d d/two", "c", "d/.wh..wh..opq d/three" }, names(img))
		assert(img:remove("d/two"))
		assert.same({ "d", "c", "d/.wh..wh..opq d/three" }, names(img))
	end)

	specify("keeps the content under the names of hardlinks that stay", function()
		local img = open({ file("a", "content"), hardlink("b", "a"), hardlink("c", "a") })
		local _, removed = assert(img:remove("a"))
		assert.same({ "1:a" }, removed_paths(removed))
		local look = bench:save(img)
		assert.same({ "file", "hardlink" }, { look.layers[1].entries[1].type, look.layers[1].entries[2].type })
		assert.equal("content", img.layers[1]:read("b"))
		assert.equal("content", img:rootfs():read("c"))
		assert.equal(2, img:rootfs():stat("c").links)
	end)

	specify("is refused, and changes nothing, when a hardlink of another layer needs the file", function()
		local img, _, path = open({ file("a", "content"), file("x") }, { hardlink("b", "a") })
		local ok, message, code = img:remove({ "x", "a" })
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.is_truthy(message:find("'a' of layer 1", 1, true), message)
		unchanged(img, path)
		assert(img:remove({ "a", "b" }))
		assert.same({ "x", "" }, names(img))
	end)

	specify("changes nothing when one of the names matches nothing", function()
		local img, _, path = open({ file("a"), file("b") }, { file("c") })
		local ok, message, code = img:remove({ "a", "none", "**/*.pyc", { pattern = "^z" } })
		assert.is_nil(ok)
		assert.equal("remove: nothing matches 'none', '**/*.pyc', {pattern = '^z'}", message)
		assert.equal("ENOENT", code)
		unchanged(img, path)
		assert(img:remove("a"))
		assert.same({ "b", "c" }, names(img))
	end)

	specify("keeps the edits from before a removal that fails", function()
		local img = open({ file("a"), file("b") })
		assert(img:remove("b"))
		img.layers[1]:entry("a").uid = 7
		assert.is_nil((img:remove({ "a", "none" })))
		assert.same({ "a" }, names(img))
		assert.equal(7, img.layers[1]:entry("a").uid)
		assert(img:revert())
		assert.same({ "a b" }, names(img))
	end)

	specify("takes it when names match nothing, and that is optional", function()
		local img, _, path = open({ file("a"), file("b") })
		local self, removed = assert(img:remove({ "none", "nothing" }, { optional = true }))
		assert.equal(img, self)
		assert.same({}, removed)
		unchanged(img, path)
		assert.same({ "1:a" }, removed_paths(select(2, img:remove({ "none", "a" }, { optional = true }))))
		assert.same({ "b" }, names(img))
	end)

	specify("asks a function about each entry but whiteouts, and takes its path out of all layers", function()
		local img = open({ dir("d"), file("d/a", "1"), file("b") }, { file("d/a", "secret"), file(".wh.b", "") })
		local seen = {}
		local _, removed = assert(img:remove(function(entry, layer)
			seen[#seen + 1] = layer.position .. ":" .. entry.path
			return entry.type == "file" and entry:read() == "secret"
		end))
		assert.same({ "1:d", "1:d/a", "1:b", "2:d/a" }, seen)
		assert.same({ "1:d/a", "2:d/a" }, removed_paths(removed))
	end)

	specify("changes nothing when a function chooses nothing, says nothing or throws", function()
		local img, _, path = open({ file("a"), file("b") })
		local ok, message, code = img:remove(function()
			return false
		end)
		assert.same({ nil, "remove: the function chose nothing", "ENOENT" }, { ok, message, code })
		assert.same({}, select(2, assert(img:remove(function()
			return false
		end, { optional = true }))))
		local count = 0
		local done, thrown = pcall(img.remove, img, function()
			count = count + 1
			return count == 1 or nil
		end)
		assert.is_false(done)
		assert.matches("remove: the function returned nil for 'b': true chooses it, and false does not", thrown, 1, true)
		assert.is_false(pcall(img.remove, img, function(entry)
			return entry.path == "a" or error("enough")
		end))
		unchanged(img, path)
	end)

	specify("throws what chooses nothing, and other options, at the caller's line", function()
		local img, _, path = open({ file("a") })
		for _, object in ipairs({ img, img.layers[1] }) do
			for _, which in ipairs({ "", "..", {}, { "a", 5 }, { pattern = "[" }, 5, { paths = "a" } }) do
				local ok, message = pcall(function()
					object:remove(which)
				end)
				assert.is_false(ok)
				assert.matches("^spec/edit/remove_spec.lua:%d+: remove: ", message)
			end
			assert.error_matches(function()
				object:remove("a", { optinal = true })
			end, "did you mean 'optional'")
			assert.error(function()
				object:remove()
			end)
		end
		unchanged(img, path)
	end)
end)

describe("removing paths of one layer", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		return bench:open(layers)
	end

	local function names(layer)
		local list = {}
		for entry in layer:entries() do
			list[#list + 1] = entry.path
		end
		return table.concat(list, " ")
	end

	specify("leaves the other layers, but for whiteouts that then hide nothing", function()
		local img = open({ file("a", "1"), file("b") }, { file("a", "22"), file("c") }, { file(".wh.c", ""), file("e") })
		local layer = img.layers[2]
		local self, removed = assert(layer:remove({ "a", "c" }))
		assert.equal(layer, self)
		assert.same({
			{ layer = 2, path = "a", type = "file", size = 2 },
			{ layer = 2, path = "c", type = "file", size = 1 },
		}, removed)
		assert.same({ "a b", "", "e" }, { names(img.layers[1]), names(layer), names(img.layers[3]) })
		assert.equal("1", img:rootfs():read("a"))
	end)

	specify("keeps the content under the other names of a hardlinked file", function()
		local img = open({ file("d/a", "content"), hardlink("b", "d/a") })
		assert(img.layers[1]:remove("d"))
		assert.same({ "b", "content" }, { names(img.layers[1]), img.layers[1]:read("b") })
	end)

	specify("changes nothing when a name matches nothing in it", function()
		local img = open({ file("a"), file("b") }, { file("c") })
		local ok, message, code = img.layers[1]:remove({ "a", "c" })
		assert.same({ nil, "remove: nothing matches 'c'", "ENOENT" }, { ok, message, code })
		assert.is_false(img.edited)
		local _, removed = assert(img.layers[1]:remove({ "a", "c" }, { optional = true }))
		assert.equal(1, #removed)
		assert.same({ "b", "c" }, { names(img.layers[1]), names(img.layers[2]) })
	end)

	specify("asks a function about its entries alone", function()
		local img = open({ file("a") }, { file("a", "2"), file("b") })
		local seen = {}
		assert(img.layers[2]:remove(function(entry, layer)
			seen[#seen + 1] = layer.position .. ":" .. entry.path
			return entry.path == "a"
		end))
		assert.same({ "2:a", "2:b" }, seen)
		assert.same({ "a", "b" }, { names(img.layers[1]), names(img.layers[2]) })
	end)

	specify("works on a layer without an image", function()
		local strata = require "strata"
		local layer = strata.layer({ files = { ["d/a"] = "1", ["d/b"] = "2", c = "3" } })
		local _, removed = assert(layer:remove("d"))
		assert.is_true(#removed >= 2)
		assert.equal("c", names(layer))
		assert.same({ nil, "remove: nothing matches 'd'", "ENOENT" }, { layer:remove("d") })
		assert.equal("c", names(layer))
	end)
end)

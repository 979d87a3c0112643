-- Takes seconds: not for make check.
-- A path that a hardlink leads to could be renamed, by a rewrite or by assigning to the entry, and the hardlink was
-- left without its file: in an upper layer, or in the same layer where a symlink is on the way. Dropping was refused in
-- some of these cases only. In the other direction a hardlink was thought to need a file that had other names.

local archive = require "spec.support.archive"
local push = require "spec.support.push"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target }
end

local function merged()
	return {
		{ name = "usr", type = "dir" },
		{ name = "usr/lib", type = "dir" },
		file("usr/lib/foo"),
		{ name = "lib", type = "symlink", linkname = "usr/lib" },
	}
end

local function with(entries, ...)
	for _, entry in ipairs({ ... }) do
		entries[#entries + 1] = entry
	end
	return entries
end

local function rename(from, to)
	return function(entry)
		if entry.path == from then
			entry.path = to
		end
	end
end

local STRANDING = {
	{ name = "of the layer below", layers = { { file("a") }, { link("b", "a") } }, from = "a", link = "b" },
	{ name = "of the layer below, through a symlink", layers = { merged(), { link("b", "lib/foo") } },
		from = "usr/lib/foo", link = "b" },
	{ name = "of the same layer, through a symlink", layers = { with(merged(), link("b", "lib/foo")) },
		from = "usr/lib/foo", link = "b" },
	{ name = "that is a link of the same layer to a lower file",
		layers = { { file("a") }, { link("b", "a"), link("c", "b") } }, from = "b", link = "c" },
	{ name = "whose symlink goes", layers = { merged(), { link("b", "lib/foo") } }, from = "lib", link = "b" },
}

describe("a hardlink to a path", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(layers)
		local requests = {}
		for i, entries in ipairs(layers) do
			requests[i] = { entries = entries }
		end
		return bench:open(requests)
	end

	local function refused(case, ok, message, code)
		assert.is_nil(ok)
		assert.equal("EINVAL", code, message)
		assert.is_truthy(message:find(("hardlink '%s'"):format(case.link), 1, true), message)
	end

	for _, case in ipairs(STRANDING) do
		specify(case.name .. ": a rewrite that renames it is refused", function()
			local img, _, path = open(case.layers)
			refused(case, img:rewrite(rename(case.from, "new")))
			assert.is_false(img.edited)
			local _, saved = bench:save(img)
			assert.is_true(shell.same(path, saved))
			for _, layer in open(case.layers):layers() do
				if layer:entry(case.from) then
					refused(case, layer:rewrite(rename(case.from, "new")))
				end
			end
		end)

		specify(case.name .. ": it is not renamed entry by entry", function()
			local img = open(case.layers)
			for _, layer in img:layers() do
				for entry in layer:entries() do
					rename(case.from, "new")(entry)
				end
			end
			refused(case, img:save(bench.dir:file("no.tar")))
		end)

		specify(case.name .. ": it is not dropped", function()
			local img = open(case.layers)
			refused(case, img:filter(function(entry)
				return entry.path ~= case.from
			end))
			img = open(case.layers)
			for _, layer in img:layers() do
				local entry = layer:entry(case.from)
				if entry then
					entry:remove()
				end
			end
			refused(case, img:save(bench.dir:file("no.tar")))
		end)

		specify(case.name .. ": a stream does not rename or drop it", function()
			local _, _, path = open(case.layers)
			refused(case, push.edited(shell.read(path), { rewrite = rename(case.from, "new") }))
			refused(case, push.edited(shell.read(path), { filter = function(entry)
				return entry.path ~= case.from
			end }))
		end)

		specify(case.name .. ": it may be renamed with the link, and dropped with it", function()
			local img = open(case.layers)
			assert(img:rewrite(function(entry)
				rename(case.from, "new")(entry)
				if entry.path == case.link then
					entry.linkpath = case.from == "lib" and "new/foo" or "new"
				end
			end))
			local _, saved = bench:save(img)
			local content = case.from:find("lib") and "usr/lib/foo" or "a"
			assert.equal(content, bench:load(saved):rootfs({ view = "spec" }):read(case.link))
			assert(open(case.layers):filter(function(entry)
				return entry.path ~= case.from and entry.path ~= case.link
			end))
		end)
	end

	specify("is kept true inside its layer", function()
		local img = open({ { file("a"), link("b", "a") }, { file("c") } })
		assert(img:rewrite(rename("a", "new")))
		local look = bench:save(img)
		assert.equal("new", archive.find(look.layers[1].entries, "b").linkname)
	end)

	specify("does not need the first name of its file", function()
		local layers = { { file("a"), link("b", "a") }, { link("c", "b") } }
		local img = open(layers)
		assert(img:filter(function(entry)
			return entry.path ~= "a"
		end))
		local _, saved = bench:save(img)
		assert.equal("a", bench:load(saved):rootfs({ view = "spec" }):read("c"))
	end)

	specify("that is hidden does not keep it", function()
		local img = open({ { file("a") }, { file(".wh.a", "") }, { link("b", "a") } })
		assert(img:rewrite(rename("a", "new")))
	end)
end)

--- Making one layer of several: img:squash, img:flatten.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function dir(name)
	return { name = name, type = "dir" }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target }
end

local function names(layer)
	return archive.names(layer.entries)
end

describe("squashing layers", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(layers, request)
		for i, entries in ipairs(layers) do
			layers[i] = { entries = entries }
		end
		return bench:open(layers, request)
	end

	specify("keeps whiteouts that hide something below, and no others", function()
		local img = open({
			{ dir("d"), file("d/a"), file("d/b"), file("low") },
			{ file("mid"), file("d/.wh.a"), file(".wh.never") },
			{ file(".wh.mid"), file(".wh.low"), file("d/c") },
			{ file("top") },
		})
		local before = img.layers[4].digest
		assert(img:squash(2, 3))
		local look = bench:save(img)
		assert.same({ ".wh.low", "d/.wh.a", "d/c" }, names(look.layers[2]))
		local paths = {}
		for path in pairs(look.merged) do
			paths[#paths + 1] = path
		end
		table.sort(paths)
		assert.same({ "d/b", "d/c", "top" }, paths)
		assert.equal(before, look.layers[3].digest)
	end)

	specify("hides what is gone of a directory that was made anew name by name", function()
		local img = open({
			{ dir("d"), file("d/a"), file("d/b"), file("d/c") },
			{ file(".wh.d") },
			{ dir("d"), file("d/new") },
		})
		assert(img:squash(2, 3))
		local look = bench:save(img)
		assert.same({ "d", "d/.wh.a", "d/.wh.b", "d/.wh.c", "d/new" }, names(look.layers[2]))
		assert.same({ ["d/new"] = look.merged["d/new"] }, look.merged)
	end)

	specify("keeps the raw bytes of entries, and the compression", function()
		local img, _, path = bench:open({
			{ entries = { file("base") } },
			{ gzip = true, format = "gnu", entries = { { name = "./a", data = "1", mode = 2541, mtime = 77, uname = "me" } } },
			{ gzip = true, entries = { { name = "b", data = "2", pax = { ["SCHILY.xattr.user.x"] = "y" } } } },
		})
		local one, two = bench:split(path, 2)[1], bench:split(path, 3)[1]
		assert(img:squash(2, 3))
		assert.equal("gzip", img.layers[2].compression)
		local _, saved = bench:save(img)
		local members = bench:split(saved, 2)
		assert.equal(2, #members)
		assert.equal(one.span .. one.data, members[1].span .. members[1].data)
		assert.equal(two.span .. two.data, members[2].span .. members[2].data)
	end)

	specify("writes a file before the links to it, and once", function()
		local img = open({
			{ file("z", "AAA"), link("y", "z"), link("b", "y") },
			{ file("z", "NEW"), link("a", "b") },
		})
		assert(img:flatten())
		local look = bench:save(img)
		local list = look.layers[1].entries
		assert.same({ "a", "b", "y", "z" }, names(look.layers[1]))
		assert.same({ "file", "hardlink", "hardlink", "file" }, { list[1].type, list[2].type, list[3].type, list[4].type })
		assert.same({ "AAA", "a", "a", "NEW" }, { list[1].data, list[2].linkname, list[3].linkname, list[4].data })
	end)

	specify("gives a file the attributes of all headers that are left of it, and no other records of them", function()
		local function noted(entry, letter)
			entry.pax = {
				["SCHILY.xattr.user." .. letter] = "v", comment = letter, ["LIBARCHIVE.creationtime"] = "5",
			}
			return entry
		end
		local img = open({
			{
				noted(file("a"), "a"), noted(link("b", "a"), "b"), noted(link("c", "a"), "c"), noted(link("d", "a"), "d"),
				file("other"), noted(link("e", "other"), "e"),
			},
			{ file("top") },
		})
		img:filter(function(entry) return entry.path ~= "c" end)
		assert(img:flatten())
		local saved = bench:load((select(2, bench:save(img))))
		local found = saved.layers[1]:entry("a")
		assert.same({ ["user.a"] = "v", ["user.b"] = "v", ["user.d"] = "v" }, found.xattrs)
		assert.same({ "a", "5" }, { found.pax.comment, found.pax["LIBARCHIVE.creationtime"] })
		assert.same({ ["user.e"] = "v" }, saved:rootfs():stat("other").xattrs)
	end)

	specify("leaves links to files below links, while those have a name", function()
		local img = open({ { file("f", "x"), file("g", "y") }, { link("a", "f"), link("b", "g") }, { file(".wh.g") } })
		assert(img:squash(2, 3))
		local look = bench:save(img)
		local list = look.layers[2].entries
		assert.same({ ".wh.g", "a", "b" }, names(look.layers[2]))
		assert.same({ "hardlink", "f" }, { list[2].type, list[2].linkname })
		assert.same({ "file", "y" }, { list[3].type, list[3].data })
	end)

	specify("takes edits of the layers along", function()
		local img = open({ { file("a", "1"), file("b") }, { file("c"), link("l", "c") } })
		img:filter(function(entry) return entry.path ~= "b" and entry.path ~= "c" end)
		img:rewrite(function(entry) entry.uid = 7 end)
		img.layers[1]:entry("a"):replace("new")
		assert(img:flatten())
		local look = bench:save(img)
		assert.same({ "a", "l" }, names(look.layers[1]))
		assert.same({ "new", "c" }, { look.layers[1].entries[1].data, look.layers[1].entries[2].data })
		assert.equal(7, look.layers[1].entries[2].uid)
	end)

	specify("can be edited further, squashed again, and filtered", function()
		local img = open({ { file("a") }, { file("b") }, { file("c") }, { file("d") } })
		assert(img:squash(1, 2))
		img:filter(function(entry) return entry.path ~= "a" end)
		assert(img:squash(2, 3))
		img:append({ files = { e = "e" } })
		local look = bench:save(img)
		assert.same({ { "b" }, { "c", "d" }, { "e" } }, {
			names(look.layers[1]), names(look.layers[2]), names(look.layers[3]),
		})
	end)

	specify("merges rows of the history and leaves the others where they are", function()
		local img = open({ { file("a") }, { file("b") }, { file("c") } }, {
			config = {
				history = {
					{ created_by = "one" }, { created_by = "env", empty_layer = true }, { created_by = "two" },
					{ created_by = "cmd", empty_layer = true }, { created_by = "three" }, { created_by = "user", empty_layer = true },
				},
			},
		})
		assert(img:squash(2, 3))
		local look = bench:save(img)
		local list = {}
		for i, row in ipairs(look.history) do
			list[i] = row.created_by .. (row.empty_layer and " -" or "")
		end
		assert.same({ "one", "env -", "two -", "cmd -", "three", "user -" }, list)
		assert.equal("three", img.layers[2].created_by)
	end)

	specify("works without a history, with a short one and with a long one", function()
		for _, count in ipairs({ 0, 1, 2, 5 }) do
			local rows = {}
			for i = 1, count do
				rows[i] = { created_by = "step " .. i }
			end
			local img = open({ { file("a") }, { file("b") }, { file("c") } }, { config = { history = rows } })
			assert(img:squash(2, 3))
			local look = bench:save(img)
			assert.equal(2, #look.diff_ids)
			assert.equal(count, #look.history)
			local filled = 0
			for _, row in ipairs(look.history) do
				filled = filled + (row.empty_layer and 0 or 1)
			end
			assert.equal(count >= 3 and count - 1 or count, filled)
		end
	end)

	specify("above a base leaves the base's layers byte for byte", function()
		local base = open({ { file("a") }, { file("b") } })
		local img = open({ { file("a") }, { file("b") }, { file("c") }, { file(".wh.a") } })
		assert(img:squash({ above = base }))
		local look = bench:save(img)
		assert.equal(3, #look.layers)
		assert.equal(base.layers[2].diff_id, look.layers[2].diff_id)
		assert.same({ ".wh.a", "c" }, names(look.layers[3]))
		local other = open({ { file("other") } })
		local ok, message, code = img:squash({ above = other })
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.is_truthy(message:find("layer 1 of the base", 1, true))
	end)

	specify("changes one layer only when it has whiteouts that are the lowest", function()
		local img = open({ { file("b"), file("a") } })
		assert(img:flatten())
		assert.is_false(img.edited)
		img = open({ { file("b"), file(".wh.a") } })
		assert(img:flatten())
		assert.same({ "b" }, names(bench:save(img).layers[1]))
	end)

	specify("throws what cannot be meant", function()
		local img = open({ { file("a") }, { file("b") } })
		assert.has_error(function() img:squash(2, 1) end)
		assert.has_error(function() img:squash(0, 1) end)
		assert.has_error(function() img:squash(1, 3) end)
		assert.has_error(function() img:squash({}) end)
		assert.equal(img, img:squash(2, 2))
		assert.is_false(img.edited)
	end)

	specify("is found out to have read bytes that are not the layer's", function()
		local _, made, path = open({ { file("a", "AAAA"), file("b", "BBBB") }, { file("c") } })
		local bytes = shell.read(path)
		local at = bytes:find("AAAA", 1, true)
		shell.write(path, bytes:sub(1, at - 1) .. "XXXX" .. bytes:sub(at + 4))
		local img = bench:load(path)
		local ok, message, code = img:flatten()
		assert.is_nil(ok)
		assert.equal("EDIGEST", code)
		assert.is_truthy(message:find(made.diff_ids[1], 1, true))
	end)

	specify("works on OCI layouts", function()
		local img = bench:open({
			{ gzip = true, entries = { file("a") } },
			{ gzip = true, entries = { file("b"), file(".wh.a") } },
		})
		local path = bench.dir:file("layout")
		assert(img:save(path, { format = "oci" }))
		local oci = bench:load(path)
		assert(oci:flatten())
		local out = bench.dir:file("flat")
		assert(oci:save(out, { format = "oci" }))
		local again = bench:load(out)
		assert(again:verify())
		assert.equal(1, #again.layers)
		assert.equal("application/vnd.oci.image.layer.v1.tar+gzip", again.layers[1].media_type)
		assert.same({ "b" }, again:rootfs():list())
		assert(oci:save(path))
		assert(bench:load(path):verify())
	end)

	specify("gives the same bytes with any number of threads", function()
		local ids = {}
		for threads = 1, 3 do
			local img = open({ { file("a", ("x"):rep(300000)), dir("d") }, { file("b"), file("d/c") } })
			assert(img:flatten({ threads = threads }))
			ids[threads] = img.id
		end
		assert.equal(ids[1], ids[2])
		assert.equal(ids[1], ids[3])
	end)
end)

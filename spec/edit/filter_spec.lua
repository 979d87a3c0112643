local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local tarball = require "spec.support.tarball"

local specify = archive.specify(it, pending)

local bench

before_each(function()
	bench = archive.bench()
end)

after_each(function()
	bench:close()
end)

local function dir(name)
	return { name = name, type = "dir" }
end

local function file(name, data)
	return { name = name, data = data or name }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target }
end

-- A filter that drops these paths wherever they are.
local function without(...)
	local drop = {}
	for _, path in ipairs({ ... }) do
		drop[path] = true
	end
	return function(entry)
		return not drop[entry.path]
	end
end

-- Filters an image of these layers; what is in the result, layer by layer: "name", "name -> target" for hardlinks.
local function filtered(layers, fn)
	local requests = {}
	for i, entries in ipairs(layers) do
		requests[i] = { entries = entries }
	end
	local img = bench:open(requests)
	assert.equal(img, img:filter(fn))
	local look, saved = bench:save(img)
	local lists = {}
	for i, layer in ipairs(look.layers) do
		lists[i] = {}
		for n, entry in ipairs(layer.entries) do
			lists[i][n] = entry.name .. (entry.type == "hardlink" and " -> " .. entry.linkname or "")
		end
	end
	return lists, look, img, saved
end

describe("img:filter", function()
	specify("drops the entries for which the function returns false, and keeps those for which it returns true", function()
		local lists = filtered({ { file("a"), file("b") }, { file("c") } }, function(entry)
			return entry.path ~= "a"
		end)
		assert.same({ { "b" }, { "c" } }, lists)
	end)

	specify("throws when the function returns anything else, and changes nothing", function()
		local img = bench:open({ { entries = { file("a"), file("b") } } })
		for _, answer in ipairs({ "nil", "0", "x" }) do
			local ok, message = pcall(function()
				img:filter(function(entry)
					if entry.path == "a" then
						return false
					end
					return ({ ["0"] = 0, x = "x" })[answer]
				end)
			end)
			assert.is_false(ok)
			assert.matches(("filter: the function returned %s for 'b': true keeps an entry"):format(answer), message, 1, true)
			assert.is_false(img.edited)
		end
	end)

	specify("keeps every byte of the other entries", function()
		local entries = {
			{ name = "./d/", type = "dir", mtime = 1.5, pax = { comment = "x" } },
			{ name = "./d/a", data = ("a"):rep(1000), uid = 3000000 },
			{ name = "./d/drop", data = ("b"):rep(513) },
			{ name = ("n"):rep(300), data = "c" },
			{ name = "./drop", type = "symlink", linkname = ("l"):rep(300) },
			{ name = "./z", data = ("z"):rep(512) },
		}
		for _, gzip in ipairs({ false, true }) do
			local img, _, path = bench:open({ { gzip = gzip, entries = entries } })
			img:filter(function(entry) return not entry.path:find("drop$") end)
			local _, saved = bench:save(img)
			local before, after = bench:split(path), bench:split(saved)
			local kept = {}
			for _, member in ipairs(before) do
				if not tarball.text(member.fields.name):find("drop") then
					kept[#kept + 1] = member.span .. member.data
				end
			end
			for i, member in ipairs(after) do
				assert.equal(kept[i], member.span .. member.data)
			end
			assert.equal(4, #after)
			assert.equal(before.tail, after.tail)
		end
	end)

	specify("changes nothing when nothing is dropped", function()
		local img, made, path = bench:open({ { entries = { file("a") } }, { gzip = true, entries = { file(".wh.a") } } })
		img:filter(function() return true end)
		assert.is_false(img.edited)
		assert.equal(made.id, img.id)
		local _, saved = bench:save(img)
		assert.is_true(shell.same(path, saved))
	end)

	specify("calls the function once for each entry, with its layer", function()
		local seen = {}
		filtered({ { file("a"), file("a") }, { file("b") } }, function(entry, layer)
			seen[#seen + 1] = layer.position .. entry.path
			return true
		end)
		assert.same({ "1a", "1a", "2b" }, seen)
	end)

	specify("leaves no trace when the function throws", function()
		local img, made, path = bench:open({ { entries = { file("a"), file("b") } }, { entries = { file("c") } } })
		local ok, message = pcall(img.filter, img, function(entry)
			if entry.path == "c" then
				error("enough", 0)
			end
			return false
		end)
		assert.same({ false, "enough" }, { ok, message })
		assert.is_false(img.edited)
		assert.equal(made.id, img.id)
		local _, saved = bench:save(img)
		assert.is_true(shell.same(path, saved))
	end)

	specify("can be left by a coroutine and taken up again", function()
		local img = bench:open({ { entries = { file("a"), file("b"), file("c") } } })
		local run = coroutine.wrap(function()
			img:filter(function(entry)
				coroutine.yield(entry.path)
				return entry.path ~= "b"
			end)
			return "done"
		end)
		assert.same({ "a", "b", "c", "done" }, { run(), run(), run(), run() })
		assert.same({ "a", "c" }, archive.names(bench:save(img).layers[1].entries))
	end)

	specify("refuses what is no function", function()
		local img = bench:open({ { entries = { file("a") } } })
		for _, value in ipairs({ "x", 1, {} }) do
			assert.error(function() img:filter(value) end)
			assert.error(function() img.layers[1]:filter(value) end)
		end
		assert.error(function() img:filter() end)
	end)

	specify("makes diff_ids, history and ID follow, and leaves other layers' bytes alone", function()
		local img, made = bench:open({
			{ gzip = true, entries = { file("a"), file("b") } },
			{ gzip = true, entries = { file("c") } },
		})
		local digest = img.layers[2].digest
		img:filter(without("a"))
		assert.same({ true, true, false }, { img.edited, img.layers[1].edited, img.layers[2].edited })
		local look = bench:save(img)
		assert.are_not.equal(made.id, look.id)
		assert.are_not.equal(made.diff_ids[1], look.diff_ids[1])
		assert.equal(made.diff_ids[2], look.diff_ids[2])
		assert.equal(digest, look.layers[2].digest)
		assert.equal(2, #look.history)
		assert.equal("step 1", img.layers[1].created_by)
	end)

	specify("shows the root file system as it is before it ends", function()
		local img = bench:open({ { entries = { file("a"), file("b") } } })
		local seen = {}
		assert(img:filter(function(entry)
			seen[#seen + 1] = tostring(img:rootfs():exists("a"))
			return entry.path ~= "a"
		end))
		assert.same({ "true", "true" }, seen)
		assert.is_false(img:rootfs():exists("a"))
	end)

	specify("can be followed by other filters and rewrites", function()
		local img = bench:open({ { entries = { file("a"), file("b"), file("c"), link("l", "a") } } })
		img:filter(without("a"))
		img:rewrite(function(entry) entry.uid = 7 end)
		img:filter(without("b"))
		local entries = bench:save(img).layers[1].entries
		assert.same({ "c", "l" }, archive.names(entries))
		assert.same({ 7, 7, "a" }, { entries[1].uid, entries[2].uid, entries[2].data })
		img:filter(without("c"))
		assert.same({ "l" }, archive.names(bench:save(img).layers[1].entries))
	end)

	specify("drops all that a layer has, which stays as an empty one", function()
		local img = bench:open({ { entries = { file("a") } }, { gzip = true, entries = { file("b") } } })
		img:filter(function() return false end)
		local look = bench:save(img)
		assert.equal(2, #look.layers)
		assert.same({ {}, {} }, { look.layers[1].entries, look.layers[2].entries })
		assert.is_true(img.layers[1].empty and img.layers[2].empty)
	end)
end)

describe("a file that others link to", function()
	specify("gives its data and its attributes to the first link that remains", function()
		local lists, look = filtered({
			{
				{ name = "file", data = ("data"):rep(500), mode = 2541, uid = 5, gid = 6, mtime = 7.5, uname = "u", gname = "g" },
				file("between"),
				link("one", "file"),
				link("two", "file"),
				link("three", "two"),
			},
		}, without("file"))
		assert.same({ { "between", "one", "two -> one", "three -> two" } }, lists)
		local one = look.layers[1].entries[2]
		assert.same({ "file", ("data"):rep(500) }, { one.type, one.data })
		assert.same({ 2541, 5, 6, 7.5, "u", "g" }, { one.mode, one.uid, one.gid, one.mtime, one.uname, one.gname })
	end)

	specify("gives them past links that are dropped, too", function()
		local entries = { file("file"), link("one", "file"), link("two", "one"), link("three", "two"), link("four", "one") }
		local lists, look = filtered({ entries }, without("file", "one"))
		assert.same({ { "two", "three -> two", "four -> two" } }, lists)
		assert.equal("file", look.layers[1].entries[1].data)
		assert.same({ { "three", "four -> three" } }, (filtered({ entries }, without("file", "one", "two"))))
		assert.same({ { "file", "two -> file", "three -> two", "four -> file" } }, (filtered({ entries }, without("one"))))
		assert.same({ {} }, (filtered({ entries }, without("file", "one", "two", "three", "four"))))
	end)

	specify("may come behind its links", function()
		local entries = { link("one", "file"), link("two", "file"), file("file"), link("three", "file") }
		local lists, look = filtered({ entries }, without("file"))
		assert.same({ { "one", "two -> one", "three -> one" } }, lists)
		assert.equal("file", look.layers[1].entries[1].data)
		lists = filtered({ entries }, without("one"))
		assert.same({ { "two -> file", "file", "three -> file" } }, lists)
	end)

	specify("may be there several times", function()
		local entries = { file("f", "old"), link("l", "f"), file("f", "newer"), link("m", "f") }
		local lists, look = filtered({ entries }, without("f"))
		assert.same({ { "l", "m" } }, lists)
		assert.same({ "old", "newer" }, { look.layers[1].entries[1].data, look.layers[1].entries[2].data })
	end)

	specify("is linked to by names spelt in other ways", function()
		local entries = { file("./f"), link("./l", "f"), link("./m", "/f"), link("./n", "./x/../f") }
		local lists, look = filtered({ entries }, without("f"))
		assert.same({ { "./l", "./m -> ./l", "./n -> ./l" } }, lists)
		assert.equal("./f", look.layers[1].entries[1].data)
	end)

	specify("keeps its long name's and its own records apart", function()
		for _, format in ipairs({ "gnu", "pax" }) do
			local long, longer = ("long/"):rep(60) .. "f", ("longer/"):rep(90) .. "l"
			local img = bench:open({
				{
					format = format,
					entries = {
						{ name = long, data = "content", uid = 3000000 },
						link("short", long),
						link(longer, long),
						link("last", longer),
					},
				},
			})
			img:filter(without(long))
			local entries = bench:save(img).layers[1].entries
			assert.same({ "short", longer, "last" }, archive.names(entries))
			assert.same({ "content", 3000000 }, { entries[1].data, entries[1].uid })
			assert.same({ "short", longer }, { entries[2].linkname, entries[3].linkname })
			img:filter(without("short"))
			entries = bench:save(img).layers[1].entries
			assert.same({ longer, "content", longer }, { entries[1].name, entries[1].data, entries[2].linkname })
		end
	end)

	specify("takes extended attributes and what was assigned along", function()
		local entries = {
			{ name = "f", data = "x", mtime = 5.5, pax = { ["SCHILY.xattr.user.a"] = "1", comment = "of f" } },
			{ name = "l", type = "hardlink", linkname = "f", mtime = 6.5, pax = { comment = "of l" } },
		}
		local img = bench:open({ { entries = entries } })
		img:rewrite(function(entry)
			entry.uid = 9
			local xattrs = {}
			for name, value in pairs(entry.xattrs) do
				xattrs[name] = value
			end
			xattrs["user.b"] = "2"
			entry.xattrs = xattrs
		end)
		img:filter(without("f"))
		local entry = bench:save(img).layers[1].entries[1]
		assert.same({ "l", "file", "x", 9 }, { entry.name, entry.type, entry.data, entry.uid })
		assert.same({ "1", "2", "of f" }, {
			entry.pax["SCHILY.xattr.user.a"],
			entry.pax["SCHILY.xattr.user.b"],
			entry.pax.comment,
		})
	end)

	specify("can be renamed, dropped, and replaced in any order", function()
		local img = bench:open({ { entries = { file("f", "old"), link("l", "f"), link("m", "l") } } })
		local layer = img.layers[1]
		layer:entry("m"):replace("new content")
		layer:entry("l").path = "moved/l"
		layer:remove("f")
		local entries = bench:save(img).layers[1].entries
		assert.same({ "moved/l", "m" }, archive.names(entries))
		assert.same({ "file", "new content", "moved/l" }, { entries[1].type, entries[1].data, entries[2].linkname })
	end)

	specify("from an upper layer is dropped together with those links only", function()
		local layers = { { file("f"), file("g") }, { link("l", "f"), link("m", "l") } }
		assert.same({ { "g" }, {} }, (filtered(layers, without("f", "l", "m"))))
		for dropped, left in pairs({ f = "l", l = "m" }) do
			local img, made = bench:open({ { entries = layers[1] }, { entries = layers[2] } })
			local result, message, code = img:filter(without(dropped))
			assert.same({ nil, "EINVAL" }, { result, code })
			assert.matches(("hardlink '%s'"):format(left), message, 1, true)
			assert.equal(made.diff_ids[1], img.layers[1].diff_id)
		end
	end)

	specify("is found by docker's readers: GNU tar and bsdtar unpack the result", function()
		shell.sh([[
			cd "$1"; mkdir d; echo content >d/file; ln d/file d/one; ln d/file d/two; echo x >d/x
			tar -cf layer.tar d/file d/one d/two d/x]],
			bench.dir.path)
		local img = bench:open({ { file = bench.dir:file("layer.tar"), gzip = true } })
		img:filter(without("d/file"))
		local _, saved = bench:save(img)
		for _, tar in ipairs({ "tar", "bsdtar" }) do
			local output = shell.sh(
				[[mkdir "$1"; cd "$1"; "$2" -xf "$3"; cat d/one d/two; stat -c %h d/one; ls d]],
				bench.dir:file("out-" .. tar),
				tar,
				bench:layer(saved)
			)
			assert.equal("content\ncontent\n2\none\ntwo\nx\n", output)
		end
	end)
end)

describe("whiteouts", function()
	specify("go with the path that they deleted", function()
		local lists = filtered({ { file("a"), file("b") }, { file(".wh.a"), file("c") } }, without("a"))
		assert.same({ { "b" }, { "c" } }, lists)
	end)

	specify("stay while a lower layer still has the path", function()
		local layers = { { file("a") }, { file("a") }, { file(".wh.a") } }
		local img = bench:open({ { entries = layers[1] }, { entries = layers[2] }, { entries = layers[3] } })
		img.layers[2]:filter(without("a"))
		assert.equal(".wh.a", bench:save(img).layers[3].entries[1].name)
		img.layers[1]:filter(without("a"))
		assert.same({}, bench:save(img).layers[3].entries)
	end)

	specify("of a directory go when all below it went, and stay otherwise", function()
		local layers = { { dir("d"), file("d/a"), file("d/b") }, { file(".wh.d") } }
		assert.same({ { "d", "d/b" }, { ".wh.d" } }, (filtered(layers, without("d/a"))))
		assert.same({ { "d/b" }, { ".wh.d" } }, (filtered(layers, without("d", "d/a"))))
		assert.same({ { "d" }, { ".wh.d" } }, (filtered(layers, without("d/a", "d/b"))))
		assert.same({ {}, {} }, (filtered(layers, without("d", "d/a", "d/b"))))
	end)

	specify("below a path go with it, too", function()
		local layers = { { dir("d"), file("d/a") }, { dir("d"), file("d/.wh.a") }, { file("d/a") }, { file("d/.wh.a") } }
		assert.same({ { "d" }, { "d" }, {}, {} }, (filtered(layers, without("d/a"))))
	end)

	specify("that hid nothing before stay as they were", function()
		local layers = { { file("a") }, { file(".wh.nothing"), file("x/.wh..wh..opq"), file(".wh.a") } }
		assert.same({ {}, { ".wh.nothing", "x/.wh..wh..opq" } }, (filtered(layers, without("a"))))
	end)

	specify("of other paths that begin alike stay", function()
		local layers = { { file("a"), file("ab"), file("a.b") }, { file(".wh.ab"), file(".wh.a"), file(".wh.a.b") } }
		assert.same({ { "ab", "a.b" }, { ".wh.ab", ".wh.a.b" } }, (filtered(layers, without("a"))))
	end)

	specify("in lower layers stay", function()
		local layers = { { file("a") }, { file(".wh.a") }, { file("a") } }
		local img = bench:open({ { entries = layers[1] }, { entries = layers[2] }, { entries = layers[3] } })
		img.layers[3]:filter(without("a"))
		local look = bench:save(img)
		assert.same({ "a" }, archive.names(look.layers[1].entries))
		assert.same({ ".wh.a" }, archive.names(look.layers[2].entries))
	end)

	specify("can be dropped themselves, and what they hid is there again", function()
		local _, look = filtered({ { file("a") }, { file(".wh.a") } }, function(entry) return not entry.whiteout end)
		assert.is_table(look.merged.a)
	end)

	specify("of any type go", function()
		local layers = { { dir("d"), file("d/a") }, { dir("d/.wh.a") } }
		assert.same({ { "d" }, {} }, (filtered(layers, without("d/a"))))
	end)

	specify("that are opaque markers stay while the directory has something below, and go with all of it", function()
		local layers = { { dir("d"), file("d/a"), file("d/b") }, { dir("d"), file("d/.wh..wh..opq"), file("d/new") } }
		assert.same({ { "d", "d/b" }, { "d", "d/.wh..wh..opq", "d/new" } }, (filtered(layers, without("d/a"))))
		local lists = filtered(layers, function(_, layer) return layer.position == 2 end)
		assert.same({ {}, { "d", "d/new" } }, lists)
	end)

	specify("of a directory stay when an upper layer put something else there", function()
		local layers = { { file("d/a") }, { file("d/.wh.a") }, { file("d/b") }, { file(".wh.d") } }
		assert.same({ {}, {}, { "d/b" }, { ".wh.d" } }, (filtered(layers, without("d/a"))))
		assert.same({ {}, {}, {}, {} }, (filtered(layers, without("d/a", "d/b"))))
	end)
end)

describe("img:prune", function()
	specify("removes layers without entries, and their rows stay as empty ones", function()
		local img = bench:open(
			{ { entries = { file("a") } }, { gzip = true, entries = {} }, { entries = { file("b") } }, { entries = {} } },
			{
				config = {
					history = {
						{ created_by = "one" },
						{ created_by = "env", empty_layer = true },
						{ created_by = "two" },
						{ created_by = "three" },
						{ created_by = "four" },
					},
				},
			}
		)
		assert.equal(img, img:prune())
		assert.equal(2, #img.layers)
		assert.same({ "one", "three" }, { img.layers[1].created_by, img.layers[2].created_by })
		local look = bench:save(img)
		assert.same({ "a", "b" }, { look.layers[1].entries[1].name, look.layers[2].entries[1].name })
		assert.same({
			{ created_by = "one" },
			{ created_by = "env", empty_layer = true },
			{ created_by = "two", empty_layer = true },
			{ created_by = "three" },
			{ created_by = "four", empty_layer = true },
		}, look.history)
	end)

	specify("removes what a filter has emptied", function()
		local layers = { { entries = { file("a") } }, { entries = { file("b") } }, { entries = { file(".wh.b") } } }
		local img, made = bench:open(layers)
		img:filter(without("b")):prune()
		assert.equal(1, #img.layers)
		local look = bench:save(img)
		assert.same({ made.diff_ids[1] }, look.diff_ids)
		assert.equal(3, #look.history)
		assert.same({ false, true, true }, {
			look.history[1].empty_layer or false,
			look.history[2].empty_layer,
			look.history[3].empty_layer,
		})
	end)

	specify("changes nothing when no layer is empty", function()
		local img, made = bench:open({ { entries = { file("a") } } })
		img:prune()
		assert.is_false(img.edited)
		assert.equal(made.id, img.id)
	end)

	specify("works without a history, and down to no layer at all", function()
		local img = bench:open({ { entries = {} }, { entries = { file("a") } } }, { config = { history = {} } })
		img:prune()
		assert.equal(1, #bench:save(img).layers)
		img:filter(function() return false end):prune()
		assert.equal(0, #img.layers)
		assert.same({}, bench:save(img).diff_ids)
	end)

	specify("renumbers the layers that stay", function()
		local img = bench:open({ { entries = {} }, { entries = { file("a") } }, { entries = { file("b") } } })
		local top = img.layers[3]
		img:prune()
		assert.equal(2, top.position)
		assert.equal(2, top.history.layer.position)
		assert.equal("step 3", top.created_by)
		assert.equal(top.diff_id, img.config:get("/rootfs/diff_ids/1"))
	end)
end)

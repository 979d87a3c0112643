local archive = require "spec.support.archive"
local process = require("spec.support.process")
local shell = require "spec.support.shell"
local strata = require "strata"
local tarlist = require "spec.support.tarlist"

local specify = archive.specify(it, pending)

local bench

before_each(function()
	bench = archive.bench()
end)

after_each(function()
	bench:close()
end)

local function file(name, data)
	return { name = name, data = data or name }
end

local HISTORY = {
	{ created = "2020-01-01T00:00:00Z", created_by = "ADD base" },
	{ created = "2020-01-02T00:00:00Z", created_by = "ENV A=1", empty_layer = true },
	{ created = "2020-01-03T00:00:00Z", created_by = "RUN something", comment = "a comment", author = "someone" },
	{ created = "2020-01-04T00:00:00Z", created_by = 'CMD ["x"]', empty_layer = true },
	{ created = "2020-01-05T00:00:00Z", created_by = "COPY . /" },
}

local function open_three(request)
	request = request or {}
	request.config = request.config or { history = HISTORY }
	return bench:open({
		{ entries = { { name = "etc", type = "dir" }, file("etc/passwd", "root"), file("etc/gone", "x") } },
		{ gzip = true, entries = { file("etc/.wh.gone"), file("bin/sh", "#!") } },
		{ entries = { file("srv/app", ("x"):rep(5000)) } },
	}, request)
end

-- The paths of the leaves that a drawn tree shows.
local function leaves(text)
	local found, parents = {}, {}
	for line in text:gmatch("[^\n]+") do
		local plain = line:gsub("│", "|"):gsub("├", "|"):gsub("└", "|"):gsub("─", "-")
		local indent, rest = plain:match("^([| ]*)|%-%- (.*)$")
		if rest then
			local depth = #indent / 4 + 1
			local directory = rest:match("^(.*)/$")
			local name = directory or rest:match("^(.-)  %([%d.]+ k?M?B%)$") or rest:match("^(.-) [-=]>? ") or rest
			parents[depth] = name
			if not directory then
				found[#found + 1] = table.concat(parents, "/", 1, depth)
			end
		end
	end
	table.sort(found)
	return found
end

local function keys(map)
	local list = {}
	for key in pairs(map) do
		list[#list + 1] = key
	end
	table.sort(list)
	return list
end

describe("an image", function()
	specify("has the hash of its config as ID", function()
		local img, made = open_three()
		assert.equal(made.id, img.id)
		img.config:set_env("B", "2")
		local hash = shell.check({ "sha256sum", input = img.config:text() }):match("%x+")
		assert.equal("sha256:" .. hash, img.id)
		assert.equal(img.id, bench:save(img).id)
	end)

	specify("has tags, which can be set, added and taken away", function()
		local img = open_three({ tags = { "app:1", "example.org:5000/team/app:2" } })
		assert.same({ "app:1", "example.org:5000/team/app:2" }, img.tags)
		assert.equal(img, img:tag("other"))
		assert.equal(img, img:tag("app:1"))
		assert.same({ "app:1", "example.org:5000/team/app:2", "other:latest" }, img.tags)
		assert.equal(img, img:untag("app:1"))
		assert.equal("ENOENT", select(3, img:untag("not-there:1")))
		assert.same({ "example.org:5000/team/app:2", "other:latest" }, bench:save(img).tags)
		img.tags = { "new:1", "plain" }
		assert.same({ "new:1", "plain:latest" }, bench:save(img).tags)
		img.tags = {}
		assert.same({}, bench:save(img).tags)
	end)

	specify("gives its tags as a copy, which refuses to be changed", function()
		local img = open_three({ tags = { "app:1" } })
		for _, change in ipairs({
			function()
				img.tags[2] = "other:1"
			end,
			function()
				img.tags[1] = "other:1"
				return img:save(bench.dir:file("out.tar"))
			end,
			function()
				table.remove(img.tags)
				return img.tags
			end,
		}) do
			local ok, message = pcall(change)
			assert.is_false(ok)
			assert.matches("^spec/image/image_spec.lua:%d+: img.tags cannot be changed in place: .*img:tag", message)
		end
		assert.same({ "app:1" }, img.tags)
		assert.is_false(img.edited)
	end)

	specify("throws for what is no tag", function()
		local img = open_three({ tags = { "app:1" } })
		local list = { "", "a b", "app:", ":tag", "app:a/b:", "app@sha256:00", "app:-x", "a\nb", "a:b:c", "a//b", "a/" }
		list[#list + 1], list[#list + 2] = 5, {}
		for _, bad in ipairs(list) do
			assert.error(function() img:tag(bad) end)
			assert.error(function() img.tags = { bad } end)
		end
		assert.error(function() img.tags = "app:1" end)
		assert.error(function() img.tags = nil end)
		assert.same({ "app:1" }, img.tags)
		assert.is_false(img.edited)
	end)

	specify("has a platform", function()
		local img = open_three()
		assert.equal("linux/amd64", tostring(img.platform))
		assert.same({ "linux", "amd64" }, { img.platform.os, img.platform.architecture })
		assert.is_nil(img.platform.variant)
		img = open_three({ config = { architecture = "arm64", variant = "v8" } })
		assert.equal("linux/arm64/v8", tostring(img.platform))
		assert.equal("v8", img.platform.variant)
	end)

	specify("has layers, to count and to walk", function()
		local img = open_three()
		assert.equal(3, #img.layers)
		local walked = {}
		for i, layer in img:layers() do
			walked[i] = layer.diff_id
		end
		assert.same({ img.layers[1].diff_id, img.layers[2].diff_id, img.layers[3].diff_id }, walked)
		assert.is_nil(img.layers[4])
		assert.is_nil(img.layers[0])
	end)

	specify("shows its history beside the layers, empty rows marked", function()
		local img = open_three()
		local rows = img:history()
		assert.equal(#HISTORY, #rows)
		local places = {}
		for i, row in ipairs(rows) do
			assert.equal(i, row.position)
			for _, field in ipairs({ "created", "created_by", "comment", "author", "empty_layer" }) do
				assert.equal(HISTORY[i][field], row[field])
			end
			places[i] = row.layer and row.layer.position or 0
		end
		assert.same({ 1, 0, 2, 0, 3 }, places)
		assert.equal("RUN something", img.layers[2].created_by)
	end)

	specify("has a history that is empty or too long", function()
		assert.same({}, open_three({ config = { history = {} } }):history())
		local history = {}
		for i = 1, 5 do
			history[i] = { created_by = "step " .. i }
		end
		local rows = open_three({ config = { history = history } }):history()
		assert.same({ 5, 3 }, { #rows, rows[3].layer.position })
		assert.is_nil(rows[4].layer)
	end)

	specify("is inspected as a plain table with docker's names", function()
		local img, made = open_three({ tags = { "app:1" } })
		local info = img:inspect()
		assert.equal(made.id, info.Id)
		assert.same({ "app:1" }, info.RepoTags)
		assert.same({ Type = "layers", Layers = made.diff_ids }, info.RootFS)
		assert.same({ "amd64", "linux", "2020-02-02T02:02:02Z" }, { info.Architecture, info.Os, info.Created })
		assert.same({ Env = { "PATH=/bin" }, Cmd = { "/bin/sh" } }, info.Config)
		local size = 0
		for _, layer in img:layers() do
			size = size + layer.size
		end
		assert.equal(size, info.Size)
		info.Config.Env[1] = "changed"
		assert.equal("PATH=/bin", img.config.Env[1])
	end)

	specify("lists the members of its archive with hash and role", function()
		local img, made, path = open_three()
		local rows = img:files()
		local listed = tarlist.entries(path)
		assert.equal(#listed, #rows)
		local roles = {}
		for i, row in ipairs(rows) do
			assert.same({ listed[i].name, listed[i].type, listed[i].size }, { row.name, row.type, row.size })
			local content = tarlist.read(path, row.name)
			assert.equal("sha256:" .. shell.check({ "sha256sum", input = content }):match("%x+"), row.digest)
			roles[row.role] = row
		end
		assert.equal(made.id, roles.config.digest)
		assert.equal(made.id, "sha256:" .. roles.config.name:match("%x+"))
		assert.equal(made.diff_ids[1], roles["layer 1"].digest)
		assert.equal(img.layers[2].digest, roles["layer 2"].digest)
		assert.equal(made.diff_ids[3], roles["layer 3"].digest)
		assert.equal("manifest.json", roles.manifest.name)
	end)

	specify("verifies, and names the first layer that differs", function()
		local img, _, path = open_three()
		assert.is_true(img:verify())
		local bytes = shell.read(path)
		local at = bytes:find("#!", 1, true) or bytes:find(("x"):rep(5000), 1, true)
		shell.write(path, bytes:sub(1, at - 1) .. "?" .. bytes:sub(at + 1))
		local broken = bench:load(path)
		local ok, message, code = broken:verify()
		assert.same({ nil, "EDIGEST" }, { ok, code })
		assert.matches("layer 3/3", message, 1, true)
	end)

	specify("verifies a compressed layer by what it holds", function()
		local path = bench.dir:file("image.tar")
		local other = bench.dir:file("other.tar")
		archive.build(path, { layers = { { gzip = true, entries = { file("f", "one") } } } })
		archive.build(other, { layers = { { gzip = true, entries = { file("f", "two") } } } })
		-- The layer of the one under the name that the other has: whole, but not what the config says.
		shell.sh([[
			cd "$1"; mkdir one other
			tar -xf image.tar -C one; tar -xf other.tar -C other
			cp other/0-*/layer.tar one/0-*/layer.tar
			cd one; tar -cf ../image.tar *]],
			bench.dir.path)
		local img = bench:load(path)
		local ok, message, code = img:verify()
		assert.same({ nil, "EDIGEST" }, { ok, code })
		assert.matches("layer 1/1", message, 1, true)
	end)

	specify("verifies with edits, and after them", function()
		local img = open_three()
		img:rewrite(function(entry) entry.uid = 3 end)
		assert.is_true(img:verify())
		img:filter(function(entry) return entry.path ~= "bin/sh" end)
		img.config:set_label("a", "b")
		assert.is_true(img:verify())
	end)

	specify("prints as one line", function()
		local img, made = open_three({ tags = { "app:1.4" } })
		local short = made.id:sub(1, 19)
		assert.matches("^strata%.Image%(app:1%.4, linux/amd64, 3 layers, [%d.]+ kB, " .. short .. "%)$", tostring(img))
		img.tags = {}
		assert.matches("^strata%.Image%(<none>, ", tostring(img))
		assert.matches("1 layer,", tostring(bench:open({ { entries = {} } })), 1, true)
	end)

	specify("is done with when it is closed, and may be closed again", function()
		local img = open_three()
		local layer, entry, config = img.layers[1], img.layers[1]:entry("etc/passwd"), img.config
		img:close()
		img:close()
		assert.equal("strata.Image(closed)", tostring(img))
		for _, use in ipairs({
			function() return img.id end,
			function() return img.tags end,
			function() img.tags = {} end,
			function() return img:history() end,
			function() return img:verify() end,
			function() return img:filter(function() end) end,
			function() return img:save(bench.dir:file("never.tar")) end,
		}) do
			assert.error_matches(use, "closed")
		end
		-- What was taken from it must at least not crash.
		pcall(function() return layer:read("etc/passwd") end)
		pcall(function() return entry.uid, entry:read() end)
		pcall(function() return config.Env, tostring(layer), tostring(entry) end)
	end)

	specify("is closed by the collector", function()
		local _, _, path = open_three()
		local before = process.descriptors()
		for _ = 1, 50 do
			local img = assert(strata.open(path))
			assert(img.layers[2]:read("bin/sh"))
		end
		local after = process.descriptors()
		assert.is_true(after <= before)
	end)

	specify("throws when it is misused", function()
		local img = open_three()
		assert.error(function() img.id = "x" end)
		assert.error(function() img.layers = {} end)
		assert.error(function() img.colour = "red" end)
		assert.error(function() img.save = nil end)
		assert.error(function() img.verify() end)
		assert.error(function() img.verify({}) end)
		assert.error(function() img.verify(img.layers[1]) end)
		assert.error(function() img.layers[1].read(img, "etc/passwd") end)
		assert.error(function() img:save() end)
		assert.error(function() img:save({}) end)
		assert.error(function() img.layers[1]:entry() end)
		assert.error(function() img.layers[1]:read() end)
		assert.error(function() img.layers[1]:drop() end)
		assert.error(function() img.layers[1].diff_id = "x" end)
		local _, message = pcall(function() return img.layrs end)
		assert.matches("^spec/image/image_spec.lua:%d+: .*did you mean 'layers'%?$", message)
		assert.is_false(img.edited)
	end)
end)

describe("img:tree", function()
	specify("draws the merged file system: whiteouts applied, names in order", function()
		local img = bench:open({
			{ entries = { file("b/two", "22"), file("a"), file("b/gone"), file("c/old"), file("c/older") } },
			{
				entries = {
					file("b/.wh.gone"),
					file("c/.wh..wh..opq"),
					file("c/new"),
					{ name = "l", type = "symlink", linkname = "b/two" },
					{ name = "h", type = "hardlink", linkname = "c/new" },
				},
			},
		})
		assert.equal(table.concat({
			"/",
			"├── a  (1 B)",
			"├── b/",
			"│   └── two  (2 B)",
			"├── c/",
			"│   └── new  (5 B)",
			"├── h = c/new",
			"└── l -> b/two",
		}, "\n"), img:tree())
		assert.equal(table.concat({
			"/",
			"├── a  (1 B)",
			"├── b/",
			"│   └── … 1 more",
			"├── c/",
			"│   └── … 1 more",
			"├── h = c/new",
			"└── l -> b/two",
		}, "\n"), img:tree({ depth = 1 }))
		assert.equal("b/\n└── two  (2 B)", img:tree({ path = "b" }))
		assert.equal(img:tree(), img:tree({ view = "spec" }))
		assert.equal("c/\n└── new  (5 B)", img.layers[#img.layers]:tree({ path = "c" }))
	end)

	specify("shows types that change, and directories that come again", function()
		local img = bench:open({
			{ entries = { file("d/x"), file("f"), { name = "s", type = "symlink", linkname = "d" } } },
			{ entries = { file("d"), file("f/y"), file(".wh.s"), file("s/z") } },
			{ entries = { file(".wh.d"), file("d/new") } },
		})
		assert.same({ "d/new", "f/y", "s/z" }, leaves(img:tree()))
	end)

	specify("keeps odd names from doing anything to a terminal", function()
		local text = bench:open({ { entries = { file("a\27[31mb\nc"), file("caf\233") } } }):tree()
		assert.is_nil(text:find("\27", 1, true))
		assert.equal(3, select(2, (text .. "\n"):gsub("\n", "")))
	end)

	local corpus = os.getenv("STRATA_CORPUS")
	local images = { "snyk-alpine", "wagoodman-test-docker-image", "wagoodman-test-kaniko-image", "google-whiteout_dir" }
	for _, name in ipairs(images) do
		specify("shows the files that Python sees in a real image: " .. name, function()
			if not corpus then
				return pending("STRATA_CORPUS is not set")
			end
			local path = corpus .. "/images/" .. name .. ".tar"
			assert.same(keys(archive.look(path, 0).merged), leaves(bench:load(path):tree()))
		end)
	end
end)

describe("strata.new and img:append", function()
	specify("make an image from nothing", function()
		local img = strata.new({ platform = "linux/arm64/v8", created = "2021-01-01T00:00:00Z" })
		assert.equal("linux/arm64/v8", tostring(img.platform))
		assert.is_nil(img.path)
		assert.is_true(img.edited)
		assert.equal(0, #img.layers)
		assert.equal(img, img:append({
			files = {
				["/bin/sh"] = { content = "#!", mode = 493, uid = 1, gid = 2, mtime = 5.5, uname = "u", gname = "g" },
				["etc/motd"] = "hello",
				["/bin/bash"] = { type = "symlink", linkpath = "sh" },
				["/bin/again"] = { type = "hardlink", linkpath = "/bin/sh" },
				["/dev/null"] = { type = "char", major = 1, minor = 3, mode = 438 },
				["/tmp"] = { type = "dir", mode = 1023 },
				["/run/pipe"] = { type = "fifo" },
				[("/long"):rep(60)] = "long",
				["/caf\233"] = "latin",
			},
			created_by = "made by hand",
			comment = "a comment",
			author = "someone",
		}))
		img.config.Cmd = { "/bin/sh" }
		img:tag("made:1")
		local look = bench:save(img)
		assert.same({ "made:1" }, look.tags)
		assert.same({ "made by hand", "a comment", "someone" }, {
			look.history[1].created_by,
			look.history[1].comment,
			look.history[1].author,
		})
		local entries = look.layers[1].entries
		local function entry(name)
			return assert(archive.find(entries, name), name)
		end
		local sh = entry("bin/sh")
		assert.same({ "file", "#!", 493, 1, 2, 5.5, "u", "g" }, {
			sh.type, sh.data, sh.mode, sh.uid, sh.gid, sh.mtime, sh.uname, sh.gname,
		})
		assert.same({ "hello", 420, 0, 0 }, {
			entry("etc/motd").data, entry("etc/motd").mode, entry("etc/motd").uid, entry("etc/motd").mtime,
		})
		assert.same({ "symlink", "sh" }, { entry("bin/bash").type, entry("bin/bash").linkname })
		assert.same({ "hardlink", "bin/sh" }, { entry("bin/again").type, entry("bin/again").linkname })
		assert.same({ "char", 1, 3, 438 }, {
			entry("dev/null").type, entry("dev/null").major, entry("dev/null").minor, entry("dev/null").mode,
		})
		assert.same({ "dir", 1023, "fifo" }, { entry("tmp").type, entry("tmp").mode, entry("run/pipe").type })
		assert.equal("long", entry(("/long"):rep(60):sub(2)).data)
		assert.equal("latin", entry("caf\233").data)
		assert.same({ "dir", 493, 0 }, { entry("bin").type, entry("bin").mode, entry("bin").uid })
	end)

	specify("give the same bytes for the same files", function()
		local function make()
			local files = {}
			for i = 1, 40 do
				files["/f" .. i] = "content " .. i
			end
			local img = strata.new({ platform = "linux/amd64" }):append({ files = files })
			bench.images[#bench.images + 1] = img
			return img
		end
		local one, other = make(), make()
		assert.equal(one.id, other.id)
		assert.equal(one.layers[1].diff_id, other.layers[1].diff_id)
	end)

	specify("name only the parents that no layer has", function()
		local img = bench:open({ { entries = { { name = "etc", type = "dir", mode = 448 } } } })
		img:append({ files = { ["etc/a/b"] = "x" } })
		local look = bench:save(img)
		assert.same({ "etc/a", "etc/a/b" }, archive.names(look.layers[2].entries))
		assert.equal(2, #look.history)
		assert.equal(2, img.layers[2].history.position)
		assert.equal("added", assert(img:save(bench.dir:file("x.tar"))).layers[2].action)
	end)

	specify("make layers that can be edited like others", function()
		local img = strata.new({}):append({ files = { a = "1", b = "2" } }):append({ files = { c = "3" } })
		bench.images[#bench.images + 1] = img
		img:filter(function(entry) return entry.path ~= "a" end)
		img:rewrite(function(entry) entry.uid = 7 end)
		img.layers[2]:entry("c"):replace("three")
		local look = bench:save(img)
		assert.same({ "b" }, archive.names(look.layers[1].entries))
		assert.same({ 7, "three" }, { look.layers[2].entries[1].uid, look.layers[2].entries[1].data })
	end)

	specify("throw for what they cannot make", function()
		assert.error(function() strata.new({ platform = "nonsense" }) end)
		assert.error(function() strata.new({ platform = 5 }) end)
		local img = strata.new({ platform = "linux/amd64" })
		for _, bad in ipairs({
			{},
			{ files = "x" },
			{ files = { [1] = "x" } },
			{ files = { a = 5 } },
			{ files = { a = { colour = "red" } } },
			{ files = { a = { type = "socket" } } },
			{ files = { a = { content = 5 } } },
			{ files = { a = "1", ["/a"] = "2" } },
			{ files = { a = { type = "hardlink", linkpath = "missing" } } },
			{ files = { a = { type = "symlink" } } },
			{ files = { a = { type = "hardlink" } } },
			{ files = { a = { mode = -1 } } },
			{ files = { a = { mode = 65536 } } },
			{ files = { a = { uid = -1 } } },
			{ files = { a = { gid = 1.5 } } },
			{ files = { a = { uname = "a\0b" } } },
			{ files = { a = { linkpath = 5 } } },
			{ files = { a = { type = "symlink", linkpath = "" } } },
			{ files = { a = { mtime = "now" } } },
			{ files = { ["a\0b"] = "x" } },
			{ files = { [""] = "x" } },
			{ files = { ["/"] = "x" } },
		}) do
			assert.error(function() img:append(bad) end)
			assert.equal(0, #img.layers)
		end
		assert.error(function() img:append() end)
		assert.same({}, img:history())
	end)
end)

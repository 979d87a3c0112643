-- Takes seconds: not for make check.
--- img:normalize: images that are the same whenever they were built.

local archive = require "spec.support.archive"
local child = require "spec.support.child"
local cjson = require "cjson"
local conform = require "spec.support.conform"
local push = require "spec.support.push"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"
local strata = require "strata"

local specify = archive.specify(it, pending)

local EPOCH = 1000000000
local TEXT = "2001-09-09T01:46:40Z"
local LATER = "2026-01-02T03:04:05.5Z"

describe("normalizing an image", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(layers, config)
		config = config or { created = "2000-01-01T00:00:00Z", history = { { created_by = "one" } } }
		for i, entries in ipairs(layers) do
			layers[i] = { entries = entries, gzip = i % 2 == 0, format = "pax" }
		end
		return bench:open(layers, { config = config })
	end

	local function mtimes(entries)
		local list = {}
		for i, entry in ipairs(entries) do
			list[i] = entry.mtime
		end
		return list
	end

	specify("clamps times of entries, and raises none", function()
		local img, _, path = open({
			{
				{ name = "later", mtime = EPOCH + 1 }, { name = "fraction", mtime = EPOCH + 0.25 },
				{ name = "same", mtime = EPOCH }, { name = "earlier", mtime = EPOCH - 0.5 }, { name = "first", mtime = 0 },
				{ name = "other", mtime = 5, pax = { atime = "2000000000.5", ctime = "2000000001" } },
				{ name = "kept", mtime = 5, pax = { atime = "7.5", ctime = "8" } },
			},
			{ { name = "untouched", mtime = 77 } },
		})
		local before, digest = bench:split(path), img.layers[2].digest
		local report = assert(img:normalize({ epoch = EPOCH }))
		assert.same({ 3, 3, 1, 1 }, { report.entries, report.layers[1].times, report.layers[1].layer, #report.layers })
		assert.equal("normalized: 3 entries, 0 fields of the config\n  layer 1: 3 entries, 3 times", tostring(report))
		local look, saved = bench:save(img)
		local entries = look.layers[1].entries
		assert.same({ EPOCH, EPOCH, EPOCH, EPOCH - 0.5, 0, 5, 5 }, mtimes(entries))
		assert.same({ "1000000000", "1000000000" }, { entries[6].pax.atime, entries[6].pax.ctime })
		local after = bench:split(saved)
		for _, i in ipairs({ 3, 4, 5, 7 }) do
			assert.equal(before[i].span, after[i].span)
		end
		assert.equal(digest, look.layers[2].digest)
	end)

	specify("changes nothing the second time, nor in an image that is normal", function()
		local img = open({ { { name = "a", mtime = EPOCH + 5 } }, { { name = "b", mtime = 3 } } }, { created = LATER })
		assert.equal(1, assert(img:normalize({ epoch = EPOCH })).entries)
		local id = img.id
		for _ = 1, 2 do
			local report = assert(img:normalize({ epoch = EPOCH }))
			assert.same({ EPOCH, 0, {}, {}, {} }, {
				report.epoch, report.entries, report.layers, report.config, report.annotations,
			})
			assert.equal("normalized: 0 entries, 0 fields of the config", tostring(report))
			assert.equal(id, img.id)
			img = bench:load(select(2, bench:save(img)))
			assert.equal(id, img.id)
		end
		assert.equal(0, assert(img:normalize({ epoch = TEXT })).entries)
		assert.is_false(img.edited)
	end)

	specify("takes the time of a file from the last of its names", function()
		for _, one in ipairs({
			{ EPOCH + 9, 5, 5 }, { 5, EPOCH + 9, EPOCH }, { 7, 8, 8 }, { EPOCH + 1, EPOCH + 2, EPOCH },
		}) do
			local img = open({
				{
					{ name = "file", data = "x", mtime = one[1], uid = 1 },
					{ name = "link", type = "hardlink", linkname = "file", mtime = one[2], uid = 2 },
				},
			})
			local before = assert(img:rootfs()):stat("file").mtime
			assert.equal(one[2], before)
			assert(img:normalize({ epoch = EPOCH, owner = { uid = { [1] = 2, [2] = 1 } } }))
			assert.equal(one[3], assert(img:rootfs()):stat("file").mtime)
			assert.equal(1, assert(img:rootfs()):stat("file").uid)
		end
	end)

	specify("changes owners, and drops names and extended attributes, where it is asked to", function()
		local function image()
			return open({
				{
					{ name = "a", uid = 1000, gid = 1000, uname = "me", gname = "us",
						pax = { ["SCHILY.xattr.user.a"] = "1", ["SCHILY.xattr.security.capability"] = "2" } },
					{ name = "b", uid = 5, gname = "us" },
				},
			})
		end
		local img = image()
		assert.equal(0, assert(img:normalize({ epoch = EPOCH })).entries)
		local report = assert(img:normalize({
			epoch = EPOCH, owner = { uid = { [1000] = 0 }, gid = 0 }, numeric_owner = true, xattrs = { "security.*" },
		}))
		assert.same({ { layer = 1, entries = 2, times = 0, owners = 1, names = 2, xattrs = 1, sorted = false } },
			report.layers)
		assert.equal("layer 1: 2 entries, 1 owner, 2 owners' names, 1 set of xattrs", tostring(report.layers[1]))
		local entries = bench:save(img).layers[1].entries
		assert.same({ 0, 0, "", "" }, { entries[1].uid, entries[1].gid, entries[1].uname, entries[1].gname })
		assert.same({ 5, 0, "", "" }, { entries[2].uid, entries[2].gid, entries[2].uname, entries[2].gname })
		assert.same({ "2" }, { entries[1].pax["SCHILY.xattr.security.capability"], entries[1].pax["SCHILY.xattr.user.a"] })
		img = image()
		local seen = {}
		assert(img:normalize({
			epoch = EPOCH, xattrs = false,
			owner = function(path, stat)
				seen[#seen + 1] = path .. stat.uid
				return 7
			end,
		}))
		assert.same({ "a1000", "b5" }, seen)
		assert.same({ 7, 1000, {} }, { img.layers[1]:entry("a").uid, img.layers[1]:entry("a").gid,
			img.layers[1]:entry("a").xattrs })
	end)

	local CONFIG = {
		created = LATER, container = ("ab"):rep(32), docker_version = "20.10.24",
		config = {
			Hostname = "0123456789ab", Image = "sha256:" .. ("c"):rep(64), Cmd = { "/bin/sh" },
			Labels = { ["org.opencontainers.image.created"] = LATER, other = LATER },
		},
		container_config = { Hostname = "0123456789ab", Image = "sha256:" .. ("c"):rep(64), Cmd = { "x" } },
		history = {
			{ created = LATER, created_by = "one" },
			{ created = "1999-01-01T00:00:00Z", created_by = "early", empty_layer = true },
			{ created = LATER, created_by = "two" }, { created = LATER, created_by = "three", empty_layer = true },
			{ created_by = "no time", empty_layer = true },
		},
	}

	specify("clamps the times of the config and its history, and takes the builder's containers away", function()
		local img = open({ { { name = "a", mtime = 1 } }, { { name = "b", mtime = 1 } } }, CONFIG)
		local report = assert(img:normalize({ epoch = EPOCH }))
		assert.same({
			"/created", "/history/0/created", "/history/2/created", "/history/3/created",
			"/config/Labels/org.opencontainers.image.created", "/config/Hostname", "/container_config/Hostname",
			"/config/Image", "/container_config/Image", "/container",
		}, report.config)
		local config = cjson.decode((bench:save(img)).config)
		assert.same({ TEXT, nil, "20.10.24" }, { config.created, config.container, config.docker_version })
		assert.same({ Hostname = "", Image = "", Cmd = { "/bin/sh" },
			Labels = { ["org.opencontainers.image.created"] = TEXT, other = LATER } }, config.config)
		assert.same({ Hostname = "", Image = "", Cmd = { "x" } }, config.container_config)
		local created = {}
		for i, row in ipairs(config.history) do
			created[i] = row.created or "none"
		end
		assert.same({ TEXT, "1999-01-01T00:00:00Z", TEXT, TEXT, "none" }, created)
		assert.is_false(img.layers[1].edited)
	end)

	specify("leaves names that somebody has given", function()
		local settings = { Hostname = "build", Image = "debian:12" }
		local img = open({ { { name = "a", mtime = 1 } } }, {
			created = "2000-01-01T00:00:00+01:00", config = settings, container_config = settings,
			history = { { created_by = "one" } },
		})
		assert.same({}, assert(img:normalize({ epoch = EPOCH })).config)
		assert.is_false(img.edited)
	end)

	specify("leaves a base with its history alone", function()
		local function layers()
			return { { { name = "a", mtime = EPOCH + 1 } }, { { name = "b", mtime = EPOCH + 2 } } }
		end
		local base = open({ layers()[1] }, { created = LATER, history = { CONFIG.history[1], CONFIG.history[2] } })
		for _, above in ipairs({ base, 1 }) do
			local img = open(layers(), CONFIG)
			local digest = img.layers[1].digest
			local report = assert(img:normalize({ epoch = EPOCH, above = above }))
			assert.same({ 1, 2 }, { report.entries, report.layers[1].layer })
			assert.same({ digest, LATER, TEXT }, {
				img.layers[1].digest, img:history()[1].created, img:history()[3].created,
			})
			assert.equal(TEXT, img.config.created)
		end
		local img = open(layers(), CONFIG)
		assert.equal(0, assert(img:normalize({ epoch = EPOCH, above = 2 })).entries)
		local other = open({ { { name = "other" } } })
		local ok, message, code = img:normalize({ epoch = 0, above = other })
		assert.same({ nil, "EINVAL" }, { ok, code })
		assert.matches("^layer 1 of the base, sha256:%x+, is not that of the image$", message)
		assert.equal(LATER, img:history()[1].created)
	end)

	specify("edits the annotations of a manifest, and keeps others", function()
		local img = open({ { { name = "a", mtime = 1 } } })
		local path = bench.dir:file("layout")
		assert(img:save(path, { format = "oci" }))
		local index = cjson.decode(shell.read(path .. "/index.json"))
		local blob = path .. "/blobs/" .. index.manifests[1].digest:gsub(":", "/")
		local text = shell.read(blob):gsub("}%s*$", (',"annotations":{"a":"%s","org.opencontainers.image.created":"%s"}}')
			:format(LATER, LATER))
		local digest = "sha256:" .. shell.sha256(bench.dir:write("manifest", text)):match("%x+$")
		shell.write(path .. "/blobs/" .. digest:gsub(":", "/"), text)
		index.manifests[1].digest, index.manifests[1].size = digest, #text
		shell.write(path .. "/index.json", cjson.encode(index))
		img = bench:load(path)
		local report = assert(img:normalize({ epoch = EPOCH }))
		assert.same({ "org.opencontainers.image.created" }, report.annotations)
		assert.matches("\n  annotation 'org.opencontainers.image.created'$", tostring(report))
		assert(img:save(path))
		local manifest = shell.read(path .. "/blobs/" .. bench:load(path).digest:gsub(":", "/"))
		assert.same({ a = LATER, ["org.opencontainers.image.created"] = TEXT }, cjson.decode(manifest).annotations)
	end)

	specify("works in every dialect as in docker's", function()
		local img, _, path = open({ { { name = "a", mtime = EPOCH + 1 } }, { { name = "b", mtime = 1 } } }, CONFIG)
		assert(img:normalize({ epoch = EPOCH }))
		for _, format in ipairs({ "docker", "docker-legacy", "oci", "oci-archive" }) do
			local other = bench.dir:file(format)
			assert(bench:load(path):save(other, { format = format }))
			local again = bench:load(other)
			assert.equal(1, assert(again:normalize({ epoch = EPOCH })).entries)
			assert.equal(img.id, again.id)
			assert(again:save(other))
			assert.equal(img.id, bench:load(other).id)
			assert.is_nil(shell.run({ "grep", "-rqa", ("ab"):rep(32), other }).status == 0 or nil, format)
		end
	end)

	specify("goes by SOURCE_DATE_EPOCH, and throws without it", function()
		local _, _, path = open({ { { name = "a", mtime = EPOCH + 1 } } })
		local script = [[
			local img = assert(require("strata").open(arg[1]))
			local ok, report = pcall(function() return (img:normalize()) end)
			print(ok and report.epoch .. " " .. report.entries or report)
		]]
		local function run(value)
			return child.run({ script = script, arguments = { path }, env = { SOURCE_DATE_EPOCH = value } }).stdout
		end
		assert.equal("1000000000 1\n", run("1000000000"))
		assert.equal("2000000000 0\n", run("2000000000"))
		for _, value in ipairs({ "", " 1", "-1", "1.5", "0x10", "now", "99999999999999999999" }) do
			assert.matches(":2: normalize: SOURCE_DATE_EPOCH should be seconds since 1970, not '", run(value))
		end
		assert.matches(":2: normalize: epoch is missing", run(nil))
	end)

	specify("throws what makes no sense, and changes nothing", function()
		local img = open({ { { name = "a", mtime = EPOCH + 1 } } })
		for message, opts in pairs({
			["epoch should be .* not 'yesterday'"] = { epoch = "yesterday" }, ["epoch should be .* not %-1"] = { epoch = -1 },
			["epoch should be .* not 1.5"] = { epoch = 1.5 },
			["epoch should not be before 1970"] = { epoch = "1969-12-31T00:00:00Z" },
			["above should be a whole number from 0 to 1"] = { epoch = 1, above = 2 },
			["above should be .* not %-1"] = { epoch = 1, above = -1 },
			["no option 'epok'; did you mean 'epoch'"] = { epok = 1 },
			["xattrs: 'user%.%[a' is no glob"] = { epoch = 1, xattrs = { "user.[a" } },
			["xattrs: '' is no glob"] = { epoch = 1, xattrs = { "" } },
			["uid of 'a' should be a whole number"] = { epoch = 1, owner = { uid = -1 } },
			["xattrs should be an array of strings or false, not true"] = { epoch = 1, xattrs = true },
			["mine"] = { epoch = 1, owner = function() error("mine") end },
		}) do
			local ok, thrown = pcall(function() img:normalize(opts) end)
			assert.is_false(ok)
			assert.matches("^spec/edit/normalize_spec.lua:%d+: .*" .. message, thrown)
			assert.is_false(img.edited, message)
			assert.equal(EPOCH + 1, img.layers[1]:entry("a").mtime)
		end
	end)

	specify("of random images changes the times that are later, and nothing else; once", function()
		for seed = 1, 12 do
			local random = push.generator(seed + 700)
			local img, _, path = bench:open(stacks.layers(seed))
			local limit = 1000000000 + random(5)
			local before, members = archive.look(path, nil, true), {}
			for i in ipairs(before.layers) do
				members[i] = bench:split(path, i)
			end
			local report = assert(img:normalize({ epoch = limit }))
			local counted = 0
			local look, saved = bench:save(img)
			for i, layer in ipairs(look.layers) do
				local now = bench:split(saved, i)
				assert.equal(#members[i], #now)
				for k, entry in ipairs(layer.entries) do
					local was = before.layers[i].entries[k]
					if was.mtime <= limit and entry.mtime == was.mtime then
						assert.equal(members[i][k].span, now[k].span)
					elseif was.mtime > limit then
						counted = counted + 1
					end
					assert.is_true(entry.mtime <= limit)
					was.mtime, entry.mtime = nil, nil
					assert.same(was, entry)
				end
			end
			assert.equal(counted, report.entries)
			for name, was in pairs(before.merged) do
				local now = look.merged[name]
				was.mtime, now.mtime = was.mtime and math.min(was.mtime, limit), now.mtime
				assert.same(was, now, name)
			end
			local again = bench:load(saved)
			assert.equal(0, assert(again:normalize({ epoch = limit })).entries)
			assert.is_false(again.edited)
		end
	end)
end)

describe("normalizing with sort", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function file(name)
		return { name = name, data = name, mtime = 1 }
	end

	local function link(name, target)
		return { name = name, type = "hardlink", linkname = target, mtime = 1 }
	end

	local function sort(img)
		return img:normalize({ epoch = EPOCH, sort = true })
	end

	specify("puts entries in the order of their paths, and keeps their bytes", function()
		local img, _, path = bench:open({
			{
				entries = {
					file("b"), file("d/x"), { name = "d", type = "dir", mode = 448, mtime = 1 }, file("d.e"), file("a"),
				},
			},
			{ gzip = true, entries = { file("z"), file("d/y"), file("d/.wh.x"), file("!"), file(".wh.a") } },
			{ entries = { file("k"), file("l") } },
		})
		local digest, before = img.layers[3].digest, {}
		for i = 1, 2 do
			for _, member in ipairs(bench:split(path, i)) do
				before[member.span] = i
			end
		end
		local report = assert(sort(img))
		assert.same({ 0, true, true, nil }, {
			report.entries, report.layers[1].sorted, report.layers[2].sorted, report.layers[3],
		})
		assert.equal("layer 2: 0 entries, sorted", tostring(report.layers[2]))
		local look, saved = bench:save(img)
		assert.same({ "a", "b", "d", "d/x", "d.e" }, archive.names(look.layers[1].entries))
		assert.same({ ".wh.a", "!", "d/.wh.x", "d/y", "z" }, archive.names(look.layers[2].entries))
		assert.equal(digest, look.layers[3].digest)
		for i = 1, 2 do
			for _, member in ipairs(bench:split(saved, i)) do
				assert.equal(i, before[member.span])
			end
		end
		assert.equal(448, assert(img:rootfs()):stat("d").mode)
		assert.same({}, assert(sort(img)).layers)
		local again = bench:load(saved)
		assert.same({}, assert(sort(again)).layers)
		assert.is_false(again.edited)
	end)

	specify("makes one layer of two orders, hardlinks behind their files", function()
		local ids = {}
		for i, entries in ipairs({
			{ file("f"), link("b", "f"), link("a", "b"), file("c"), link("e", "f") },
			{ file("c"), file("f"), link("e", "f"), link("b", "f"), link("a", "b") },
		}) do
			local img = bench:open({ { entries = entries } })
			assert(sort(img))
			ids[i] = img.layers[1].diff_id
			assert.same({ "c", "f", "b", "e", "a" }, archive.names(bench:save(img).layers[1].entries))
		end
		assert.equal(ids[1], ids[2])
	end)

	specify("refuses where the order counts, and the image stays as it was", function()
		for message, entries in pairs({
			["'%.wh%.f' stands behind what it names"] = { file("f"), file("a"), file(".wh.f") },
			["'d/%.wh%.e' stands behind what it names"] = { file("d/e/f"), file("a"), file("d/.wh.e") },
			["layer 2/2 .*: a container would see another 'a' then"] = {
				{ name = "f", data = "x", mode = 420, mtime = 1 }, link("z", "f"),
				{ name = "a", type = "hardlink", linkname = "f", mode = 493, mtime = 1 },
			},
		}) do
			local img = bench:open({ { entries = { file("base") } }, { entries = entries } })
			local id = img.id
			local ok, why, code = sort(img)
			assert.same({ nil, "EINVAL" }, { ok, code })
			assert.matches(message, why)
			assert.equal(id, img.id)
			assert.is_false(img.edited)
		end
	end)

	specify("leaves entries of one path in their order, and what is in no directory of its own", function()
		local img = bench:open({
			{ entries = { file("z"), file("a"), { name = "a", data = "second", mtime = 1 }, file("x/y/z") } },
		})
		assert(sort(img))
		assert.same({ "a", "a", "x/y/z", "z" }, archive.names(bench:save(img).layers[1].entries))
		assert.equal("second", img:read("a"))
	end)

	specify("of random images changes nothing that a container sees", function()
		local sorted = 0
		for seed = 21, 36 do
			local img, _, path = bench:open(stacks.layers(seed))
			local before = archive.look(path).merged
			local report = sort(img)
			sorted = sorted + (report and #report.layers or 0)
			local look, saved = bench:save(img)
			for name, was in pairs(before) do
				was.mtime, look.merged[name].mtime = nil, nil
				assert.same(was, look.merged[name], name)
			end
			for i, layer in ipairs(look.layers) do
				assert.equal(img.layers[i].count, #layer.entries)
			end
			local again = bench:load(saved)
			assert.same(report and {}, (report and assert(sort(again)) or {}).layers)
		end
		assert.is_true(sorted > 10)
	end)
end)

describe("two images that were built alike", function()
	specify("at different times become one", function()
		local bench = archive.bench()
		local ids, files = {}, {}
		for i = 1, 2 do
			local img = bench:open({
				{
					entries = {
						{ name = "d", type = "dir", mtime = EPOCH + i }, { name = "d/f", data = "x", mtime = EPOCH + i / 4 },
					},
				},
			}, {
				config = {
					created = ("2026-01-0%dT00:00:00.%dZ"):format(i, i), container = (("%d"):format(i)):rep(64),
					history = { { created = ("2026-01-0%dT00:00:00Z"):format(i) } },
				},
			})
			assert(img:normalize({ epoch = EPOCH }))
			ids[i], files[i] = img.id, bench.dir:file("oci" .. i .. ".tar")
			assert(img:save(files[i], { format = "oci-archive", compression = "gzip" }))
		end
		assert.equal(ids[1], ids[2])
		assert.equal(shell.sha256(files[1]), shell.sha256(files[2]))
		bench:close()
	end)
	specify("become one with layers of GNU tar and bsdtar, which repeat times in extension headers", function()
		local bench = archive.bench()
		for _, command in ipairs({
			"tar --format=posix", "tar --format=gnu", "bsdtar --format=pax", "tar --format=posix --numeric-owner --mtime=@%d.25",
		}) do
			local ids = {}
			for i = 1, 2 do
				local tree, path = bench.dir:file("tree"), bench.dir:file("tree.tar")
				shell.sh([[
					rm -rf "$1"; mkdir -p "$1/$2"; echo x >"$1/$2/f"; echo y >"$1/$3"
					touch -d "@$4.5" "$1/$2/f" "$1/$3" "$1/$2"]], tree, ("d"):rep(120), "na\195\175ve", 1700000000 + i)
				shell.check({ "sh", "-c", (command:format(1700000000 + i)) .. ' -cf "$1" *', "sh", path, cwd = tree })
				local layer = assert(strata.layer({ tar = path }))
				local img = strata.new()
				assert(img:append({ layer = layer }))
				assert.equal(3, assert(img:normalize({ epoch = EPOCH })).entries)
				ids[i] = img.layers[1].diff_id
				assert(img.layers[1]:save(path))
				assert.matches("naïve", shell.check({ "tar", "-tf", path, "--quoting-style=literal", env = { LC_ALL = "C" } }))
				img:close()
				layer:close()
			end
			assert.equal(ids[1], ids[2], command)
		end
		-- Where the block has no time it gets none.
		local img, _, path = bench:open({ { entries = { { name = ("n"):rep(120), mtime = EPOCH + 5 } }, format = "pax" } })
		assert.equal("x", shell.read(bench:layer(path)):sub(157, 157))
		local before = shell.read(bench:layer(path)):sub(1, 512)
		assert(img:normalize({ epoch = EPOCH }))
		local _, saved = bench:save(img)
		assert.equal(before, shell.read(bench:layer(saved)):sub(1, 512))
		bench:close()
	end)

	specify("become one as the example tells", function()
		local code = 'local img = assert(strata.open "app.tar")\n' .. conform.functions["strata.Image"].normalize.example
		local bench, ids = archive.bench(), {}
		for i = 1, 2 do
			archive.build(bench.dir:file("app.tar"), {
				layers = { { entries = { { name = "f", mtime = 1750000000 + i, uname = "me" .. i } } } },
				config = { created = ("2026-01-0%dT00:00:00Z"):format(i), history = {} },
			})
			local script = 'local strata = require "strata"\n' .. code
			local finished = child.run({ script = script, cwd = bench.dir.path })
			assert.equal("normalized: 1 entry, 1 field of the config\n  layer 1: 1 entry, 1 time, 1 owner's name\n"
				.. "  config /created\n", finished.stdout, finished.stderr)
			ids[i] = shell.sha256(bench.dir:file("normal.tar"))
		end
		assert.equal(ids[1], ids[2])
		bench:close()
	end)

	it("is known to strata.help", function()
		assert.matches("epoch .*SOURCE_DATE_EPOCH", strata.help("normalize"))
	end)
end)

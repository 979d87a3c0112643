--- Jobs on images by paths and plain tables.

local archive = require "spec.support.archive"
local core = require "strata.core"
local docker_archive = require "spec.support.docker_archive"
local jobs = require "strata.jobs"
local strata = require "strata"
local job = require "strata.util.job"

local specify = archive.specify(it, pending)

-- Only what can be copied to another Lua state.
local function check_plain(value, path)
	local kind = type(value)
	if kind == "table" then
		assert.is_nil(getmetatable(value), path)
		for key, one in pairs(value) do
			check_plain(one, path .. "." .. tostring(key))
		end
	else
		assert.is_truthy(kind == "string" or kind == "number" or kind == "boolean", path .. ": " .. kind)
	end
end

describe("a job", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function build()
		local _, _, path = bench:open({
			{
				entries = {
					{ name = "etc/", type = "dir" },
					{ name = "etc/passwd", data = "root\n", uid = 1000 },
					{ name = "usr/share/doc/a", data = ("a"):rep(100) },
				},
			},
			{ entries = { { name = "etc/passwd", data = "root and more\n" }, { name = "bin/su", data = "x", mode = 2541 } } },
		}, {
			tags = { "app:1" },
			config = {
				config = { User = "app", Env = { "A=1", "B=2" } },
				history = { { created_by = "one" }, { created_by = "ENV", empty_layer = true }, { created_by = "two" } },
			},
		})
		return path
	end

	local function run(name, args, control)
		local result, message, code = jobs.run(name, args, control)
		if result then
			check_plain(result, name)
		end
		return result, message, code
	end

	specify("inspects: layers beside the history, sizes, waste", function()
		local path = build()
		local facts = assert(run("inspect", { path = path }))
		assert.equal(assert(strata.open(path)).id, facts.id)
		assert.same({ "app:1" }, facts.tags)
		assert.equal("linux/amd64", facts.platform)
		assert.equal(2, #facts.layers)
		assert.equal(3, facts.layers[1].entries)
		assert.equal(105, facts.layers[1].bytes)
		assert.equal(5, facts.layers[1].wasted)
		assert.equal(5, facts.wasted)
		assert.same({ 1, true, 2 }, { facts.history[1].layer, facts.history[2].empty_layer, facts.history[3].layer })
		assert.equal("app", facts.config.config.User)
	end)

	specify("tells the config and the history without reading a layer", function()
		local path = build()
		local file = assert(io.open(path, "r+b"))
		local bytes = file:read("*a")
		file:seek("set", assert(bytes:find("usr/share/doc/a", 1, true)) - 1)
		file:write("X")
		file:close()
		local _, _, code = run("inspect", { path = path })
		assert.equal("EFORMAT", code)
		local facts = assert(run("config", { path = path }))
		assert.same({ "app:1" }, facts.tags)
		assert.same({ "A=1", "B=2" }, facts.config.config.Env)
		assert.same({ "two", 2 }, { facts.history[3].created_by, facts.history[3].layer })
		assert.same({ 1, 2 }, { facts.layers[1].position, facts.layers[2].position })
		assert.same({ nil, nil }, { facts.layers[1].entries, facts.wasted })
		assert.equal(assert(strata.open(path)).layers[2].size, facts.layers[2].size)
	end)

	specify("pages through the entries of a layer and through directories", function()
		local path = build()
		local page = assert(run("entries", { path = path, layer = 1, offset = 1, limit = 1 }))
		assert.equal(3, page.total)
		assert.equal("etc/passwd", page.entries[1].path)
		assert.is_nil(page.entries[2])
		local list = assert(run("list", { path = path }))
		assert.same({ "bin", "etc", "usr" }, { list.entries[1].name, list.entries[2].name, list.entries[3].name })
		list = assert(run("list", { path = path, dir = "/etc/" }))
		assert.equal("passwd", list.entries[1].name)
		assert.equal(2, list.entries[1].layer)
		local _, _, code = run("list", { path = path, dir = "nowhere" })
		assert.equal("ENOENT", code)
		_, _, code = run("entries", { path = path, layer = 3 })
		assert.equal("ENOENT", code)
	end)

	specify("lists the tree of a layer, with what upper layers do to it", function()
		local _, _, path = bench:open({
			{
				entries = {
					{ name = "./", type = "dir", mode = 448 },
					{ name = "a/b/c", data = "1" },
					{ name = "a/d", data = "1" },
					{ name = "e", data = "1" },
					{ name = "e", data = "22" },
					{ name = "f/", type = "dir" },
					{ name = "f/g", data = "1" },
				},
			},
			{ entries = { { name = "a/.wh.b" }, { name = "a/d/", type = "dir" }, { name = "f/.wh..wh..opq" } } },
			{ entries = { { name = "a/b/c", data = "3" }, { name = ".wh..wh..opq" } } },
		})
		local function list(layer, dir)
			local page = assert(run("list", { path = path, layer = layer, dir = dir }))
			local lines = {}
			for i, one in ipairs(page.entries) do
				lines[i] = ("%s %s%s%s%s"):format(one.name, one.type, one.implied and " implied" or "",
					one.copies and " x" .. one.copies or "", one.opaque and " opaque" or "")
				if one.above then
					lines[i] = ("%s, %s in %d"):format(lines[i], one.above.action, one.above.layer)
				end
			end
			return lines, page.opaque
		end
		assert.same({ "a dir implied, removed in 3", "e file x2, removed in 3", "f dir, emptied in 2" }, (list(1, "/")))
		assert.same({ "b dir implied, removed in 2", "d file, replaced in 2" }, (list(1, "a")))
		assert.same({ "c file, removed in 2" }, (list(1, "a/b")))
		assert.same({ "g file, removed in 2" }, (list(1, "f")))
		assert.same({ ".wh.b file", "d dir, removed in 3" }, (list(2, "a")))
		assert.same({ {}, true }, { list(2, "f") })
		assert.same({ { "a dir implied" }, true }, { list(3) })
		for code, dir in pairs({ ENOENT = "a/b/none", ENOTDIR = "e" }) do
			assert.equal(code, select(3, run("list", { path = path, layer = 1, dir = dir })))
		end
		assert.equal("ENOENT", select(3, run("list", { path = path, layer = 4 })))
	end)

	-- Three layers; the second adds, changes, repeats, re-modes and removes.
	local function build_changes()
		local _, _, path = bench:open({
			{
				entries = {
					{ name = "a/", type = "dir" },
					{ name = "a/changed", data = "1" },
					{ name = "a/kept", data = "kept" },
					{ name = "a/moded", data = "moded" },
					{ name = "a/repeated", data = "repeated" },
					{ name = "a/same-size", data = "1234" },
					{ name = "gone/deep/file", data = ("g"):rep(50) },
					{ name = "other/file", data = "1" },
					{ name = "turned/below", data = "t" },
				},
			},
			{
				entries = {
					{ name = "a/", type = "dir", mtime = 7 },
					{ name = "a/added", data = "new" },
					{ name = "a/changed", data = "22" },
					{ name = "a/moded", data = "moded", mode = 384 },
					{ name = "a/repeated", data = "repeated" },
					{ name = "a/same-size", data = "4321" },
					{ name = ".wh.gone" },
					{ name = "turned", type = "symlink", linkname = "a" },
				},
			},
			{ entries = { { name = "last", data = ("l"):rep(30) } } },
		})
		return path
	end

	specify("lists the tree up to a layer, with what that does, and hides what is not wanted", function()
		local path = build_changes()
		local function list(dir, hide, more)
			local args = { path = path, dir = dir, upto = 2, hide = hide }
			for name, value in pairs(more or {}) do
				args[name] = value
			end
			local page = assert(run("list", args))
			local lines = {}
			for i, one in ipairs(page.entries) do
				lines[i] = ("%s %s%s"):format(one.name, one.change, one.below and " below" or "")
			end
			return lines, page
		end
		local everything = { "a repeated", "gone removed", "other below", "turned changed below" }
		assert.same(everything, (list("/")))
		assert.same({
			"added added", "changed changed", "kept below", "moded metadata", "repeated repeated", "same-size changed",
		}, (list("a")))
		assert.same({ "deep removed" }, (list("gone")))
		assert.same({ "file removed" }, (list("gone/deep")))
		assert.same({ "below removed" }, (list("turned")))
		assert.same({ "a repeated", "gone removed", "turned changed below" }, (list("/", { "below", "repeated" })))
		assert.same({ "added added" }, (list("a", { "below", "repeated", "changed", "removed" })))
		assert.same({ "a repeated" }, (list("/", { "below", "repeated", "changed", "removed" })))
		assert.same({ "a repeated", "other below", "turned changed" }, (list("/", { "removed" })))
		local root = select(2, list("/")).entries
		assert.equal(50, root[2].size)
		assert.same({ "added", "changed" }, root[1].inside)
		assert.same({}, { root[2].inside, root[3].inside })
		assert.same({ "removed" }, root[4].inside)
		assert.equal("symlink", select(2, list("/")).entries[4].type)
		for code, dir in pairs({ ENOENT = "turned/kept", ENOTDIR = "a/kept" }) do
			assert.equal(code, select(3, run("list", { path = path, dir = dir, upto = 2 })))
		end
		local first = assert(run("list", { path = path, upto = 1 }))
		assert.same({ "added", 4 }, { first.entries[1].change, first.total })
		assert.equal("ENOENT", select(3, run("list", { path = path, upto = 4 })))
		assert.equal("EINVAL", select(3, run("list", { path = path, upto = 2, hide = { "nonsense" } })))
	end)

	specify("tells what directories add up to, sorts by size, and finds a name", function()
		local path = build_changes()
		local page = assert(run("list", { path = path, sort = "size", find = "last" }))
		local names = {}
		for i, one in ipairs(page.entries) do
			names[i] = one.name .. " " .. one.size
		end
		assert.same({ "last 30", "a 26", "other 1", "turned 0" }, names)
		assert.equal(1, page.found)
		assert.is_nil(assert(run("list", { path = path, find = "none" })).found)
		local largest = assert(run("largest", { path = path, count = 2 })).entries
		assert.same({ "last", "a/repeated" }, { largest[1].path, largest[2].path })
		assert.equal("gone/deep/file", assert(run("largest", { path = path, count = 1, upto = 1 })).entries[1].path)
	end)

	specify("gives all paths in parts, also those that nobody sees", function()
		local _, _, path = bench:open({
			{ entries = { { name = "a\tb/\233", data = "12" }, { name = "gone", data = "123" } } },
			{ entries = { { name = ".wh.gone" }, { name = "link", type = "symlink", linkname = "a" } } },
		})
		local all = assert(run("paths", { path = path }))
		assert.equal("a%09b\tdir\t0\t1\t+\na%09b/%E9\tfile\t2\t1\t+\nlink\tsymlink\t0\t2\t+\n"
			.. "gone\tfile\t3\t1\t-\n", all.text)
		assert.same({ 3 }, { all.total, all.next })
		local text, from = "", nil
		repeat
			local part = assert(run("paths", { path = path, from = from, limit = 1 }))
			text, from = text .. part.text, part.next
		until not from
		assert.equal(all.text, text)
	end)

	specify("tells the waste by paths, and drops it", function()
		local path, to = build_changes(), bench.dir:file("lean.tar")
		local page = assert(run("waste", { path = path, limit = 2 }))
		assert.same({ "gone/deep/file", 1, 50, "hidden", 2 }, {
			page.paths[1].path, page.paths[1].layer, page.paths[1].bytes, page.paths[1].why, page.paths[1].by,
		})
		assert.same({ 6, 69, 2 }, { page.total, page.bytes, #page.paths })
		assert(run("edit", { path = path, to = to, edit = { drop_waste = { { layer = 1, path = "gone/deep/file" } } } }))
		assert.equal(19, assert(run("waste", { path = to })).bytes)
		assert(run("edit", { path = to, to = to .. "2", edit = { drop_waste = true } }))
		assert.equal(0, assert(run("waste", { path = to .. "2" })).bytes)
		local some = { { layer = 1, path = "gone/deep/file" }, { layer = 3, path = "last" } }
		local _, message, code = run("edit", { path = path, to = to .. "3", edit = { drop_waste = some } })
		assert.same({ "drop_waste: layer 3 has no 'last' that no container sees", "ENOENT" }, { message, code })
	end)

	specify("reads a file with its history, and fetches it", function()
		local path = build()
		local facts = assert(run("read", { path = path, file = "etc/passwd", max = 4 }))
		assert.equal("root", facts.content)
		assert.equal(14, facts.size)
		assert.same({ "added", "changed" }, { facts.history[1].action, facts.history[2].action })
		assert.equal("root\n", assert(run("read", { path = path, file = "etc/passwd", upto = 1 })).content)
		assert.equal("ENOENT", select(3, run("read", { path = path, file = "etc/passwd", upto = 3 })))
		local to = bench.dir:file("fetched")
		assert.same({ size = 14 }, run("fetch", { path = path, file = "etc/passwd", to = to }))
		local file = assert(io.open(to, "rb"))
		assert.equal("root and more\n", file:read("*a"))
		file:close()
	end)

	specify("filters by a table, and saves", function()
		local path, to = build(), bench.dir:file("edited.tar")
		local result = assert(run("edit", {
			path = path,
			to = to,
			edit = {
				remove = { "usr/share/doc" },
				owner = { { 1000, 0 } },
				env = { A = false, C = "3" },
				labels = { note = "edited" },
				config = { User = "1000", Cmd = { "/bin/sh" } },
				tags = { "app:2" },
				flatten = true,
				normalize = { epoch = 7 },
			},
		}))
		local img = bench:load(to)
		assert.equal(result.id, img.id)
		assert.same({ "app:2" }, img.tags)
		assert.equal(1, #img.layers)
		assert.is_nil(img.layers[1]:entry("usr/share/doc/a"))
		assert.same({ "B=2", "C=3" }, img.config.Env)
		assert.equal("1000", img.config.User)
		assert.equal("1970-01-01T00:00:07Z", img.config.created)
		assert.equal("edited", img.config:get_label("note"))
		assert.equal(0, assert(img:rootfs()):stat("etc/passwd").uid)
		assert.is_true(assert(img:verify()))
	end)

	specify("edits ports, volumes and single values of the config, and leaves the others as they are", function()
		local path, to = bench.dir:file("app.tar"), bench.dir:file("edited.tar")
		local img = strata.new()
		assert(img.config:set("/config", { Healthcheck = { Interval = 5, Test = { "CMD", "a" }, Odd = 1.5 },
			ExposedPorts = { ["80"] = {}, ["53/udp"] = {} }, Volumes = { ["/a"] = {}, ["/b"] = {} } }))
		assert(img:save(path))
		assert(run("edit", { path = path, to = to, edit = {
			ports = { ["80/tcp"] = false, ["8080"] = true }, volumes = { ["/a"] = false, ["/c"] = true },
			config = { ["/config/Healthcheck/Interval"] = 3e10, ["/config/Healthcheck/Test"] = false },
		} }))
		assert.same({
			ExposedPorts = { ["53/udp"] = {}, ["8080/tcp"] = {} }, Healthcheck = { Interval = 3e10, Odd = 1.5 },
			Volumes = { ["/b"] = {}, ["/c"] = {} },
		}, bench:load(to).config:get("/config"))
		for _, edit in ipairs({
			{ ports = { ["http"] = true } },
			{ volumes = { data = true } },
			{ ports = { ["1"] = false } },
		}) do
			assert.is_nil((run("edit", { path = path, to = bench.dir:file("none.tar"), edit = edit })))
		end
	end)

	specify("repairs, and tells what it has mended", function()
		local path, to = bench.dir:file("double.tar"), bench.dir:file("mended.tar")
		local file = { name = "a", data = "1" }
		archive.build(path, { layers = { { entries = { file, file } } } })
		local result = assert(run("edit", { path = path, to = to, edit = { repair = { "duplicate-path" } } }))
		assert.equal("duplicate-path", result.repaired.mended[1].code)
		assert.equal(1, bench:load(to).layers[1].count)
	end)

	specify("compares two images", function()
		local path, to = build(), bench.dir:file("edited.tar")
		local edit = { remove = { "usr" }, env = { A = "2" }, owner = { { 1000, 0 } } }
		assert(run("edit", { path = path, to = to, edit = edit }))
		local facts = assert(run("diff", { path = path, other = { path = to } }))
		assert.is_false(facts.equal)
		assert.equal("app:1", facts.a.name)
		assert.same({ added = 0, removed = 4, changed = 0 }, facts.counts.files)
		assert.same({ "removed", "usr/share/doc/a", 100 },
			{ facts.files[4].change, facts.files[4].path, facts.files[4].a.size })
		assert.same({ "/config/Env/0", "A=1", "A=2" }, { facts.config[1].pointer, facts.config[1].a, facts.config[1].b })
		assert.equal(1, facts.counts.layers.changed)
		facts = assert(run("diff", { path = path, other = { path = to }, limit = 1, diff = { semantic = true } }))
		assert.same({ 1, 4, 0 }, { #facts.files, facts.counts.files.removed, #facts.layers })
		assert.is_true(assert(run("diff", { path = path, other = { path = path } })).equal)
		assert.equal("ENOENT", select(3, run("diff", { path = path, other = { path = "none.tar" } })))
		assert.equal("EINVAL", select(3, run("diff", { path = path })))
		package.preload["spec.count"] = function()
			return function(all, args)
				return { [args.name] = #all.files }
			end
		end
		local args = { path = path, other = { path = to }, module = "spec.count", args = { name = "n" } }
		assert.same({ n = 4 }, run("diff", args))
	end)

	specify("edits by a Lua module, whose failure is the job's", function()
		local path, to = build(), bench.dir:file("edited.tar")
		package.preload["spec.edit"] = function()
			return function(img, args)
				if args.fail then
					return nil, "no", "EPERM"
				end
				img.config.User = args.user
			end
		end
		assert(run("edit", { path = path, to = to, edit = { module = "spec.edit", args = { user = "7" } } }))
		assert.equal("7", bench:load(to).config.User)
		local result, message, code =
			run("edit", { path = path, to = to, edit = { module = "spec.edit", args = { fail = true } } })
		assert.same({ nil, "no", "EPERM" }, { result, message, code })
	end)

	specify("saves in another format, and says what is lost", function()
		local path = build()
		local to = bench.dir:file("oci.tar")
		local result = assert(run("save", { path = path, to = to, save = { format = "oci-archive" } }))
		assert.equal(result.id, bench:load(to).id)
	end)

	specify("removes a file", function()
		local path = build()
		assert.same({ removed = true }, run("remove", { path = path }))
		local _, _, code = run("remove", { path = path })
		assert.equal("ENOENT", code)
	end)

	specify("pages through entries around a global header, which is none", function()
		local path = bench.dir:file("global.tar")
		local tar = docker_archive.tar({
			{ name = "a", data = "1" },
			{ name = "pax_global_header", type = "g", data = "17 comment=hello\n" },
			{ name = "b", data = "2" },
			{ name = "c", data = "3" },
		})
		archive.build(path, { layers = { { raw = tar } } })
		local page = assert(run("entries", { path = path, layer = 1, offset = 1, limit = 1 }))
		assert.same({ "b", 3 }, { page.entries[1].path, page.total })
	end)

	specify("checks every digest and a policy", function()
		local path = build()
		local result = assert(run("check", { path = path, policy = {} }))
		assert.equal("setid", result.findings[1].rule)
		local file = assert(io.open(path, "r+b"))
		local bytes = file:read("*a")
		file:seek("set", assert(bytes:find("root and more", 1, true)) - 1)
		file:write("R")
		file:close()
		local _, message, code = run("check", { path = path, policy = {} })
		assert.equal("EDIGEST", code, message)
	end)

	specify("sees a file that has been replaced meanwhile", function()
		local path = build()
		assert.equal(2, #assert(run("inspect", { path = path })).layers)
		local img = bench:load(path)
		assert(img:flatten())
		assert(img:save(path))
		assert.equal(1, #assert(run("inspect", { path = path })).layers)
	end)

	-- Whether this process has a file open whose path has a text in it; those that are removed say so.
	local function is_open(text)
		local pipe = io.popen("ls -l /proc/" .. io.open("/proc/self/stat"):read("*n") .. "/fd")
		local list = pipe:read("*a")
		pipe:close()
		return list:find(text, 1, true) ~= nil
	end

	specify("keeps no image open that is for one job alone, and leaves those of other jobs", function()
		local path = build()
		bench.images[1]:close()
		assert.is_false(is_open(path))
		for _, name in ipairs({ "config", "list", "inspect", "check" }) do
			assert(run(name, { path = path, keep = false }))
			assert.is_false(is_open(path), name)
		end
		assert.equal("EISDIR", select(3, run("fetch", { path = path, keep = false, file = "etc", to = path .. ".etc" })))
		assert.is_false(is_open(path))
		assert(run("inspect", { path = path }))
		assert(run("config", { path = path, keep = false }))
		assert.is_true(is_open(path))
	end)

	specify("leaves an image open for the job that another one runs in", function()
		local path, inner = build(), nil
		package.preload["spec.looks"] = function()
			return function(img)
				assert(jobs.config({ path = path, keep = false }))
				inner = assert(jobs.run("list", { path = path, keep = false })).total
				return img
			end
		end
		assert(run("edit", { path = path, to = bench.dir:file("x.tar"), edit = { module = "spec.looks" } }))
		assert.equal(3, inner)
	end)

	specify("has no file open when it has edited an image, or failed to", function()
		local path, to = build(), bench.dir:file("edited.tar")
		bench.images[1]:close()
		for _, edit in ipairs({ { remove = "etc" }, { flatten = true }, { tags = { "APP" } }, { remove = "nothing" } }) do
			run("edit", { path = path, to = to, edit = edit, save = { compression = "gzip" } })
			os.remove(to)
			assert.is_false(is_open(path) or is_open(bench.dir.path))
		end
	end)

	specify("throws nothing: misuse is EINVAL", function()
		local path = build()
		for _, call in ipairs({
			{ "nothing", { path = path } },
			{ "run", { path = path } },
			{ "inspect", {} },
			{ "inspect", "path" },
			{ "edit", { path = path, to = bench.dir:file("x"), edit = { module = "spec.there_is_none" } } },
			{ "check", { path = path, policy = { nonsense = true } } },
		}) do
			local result, message, code = run(call[1], call[2])
			assert.is_nil(result)
			assert.equal("string", type(message))
			assert.equal("EINVAL", code)
		end
		local _, _, code = run("inspect", { path = path .. ".none" })
		assert.equal("ENOENT", code)
	end)

	specify("calls a function of one's own", function()
		package.preload["spec.own"] = function()
			return function(args)
				if args.fails then
					return nil, "it has failed", "EOWN"
				end
				return { twice = 2 * args.number }
			end
		end
		assert.same({ twice = 42 }, (run("call", { module = "spec.own", args = { number = 21 } })))
		local result, message, code = run("call", { module = "spec.own", args = { fails = true } })
		assert.same({ nil, "it has failed", "EOWN" }, { result, message, code })
		result, message, code = run("call", { module = "spec.own" })
		assert.is_nil(result)
		assert.matches("attempt to index", message)
		assert.equal("EINVAL", code)
		for _, args in ipairs({ {}, { module = "spec.none" }, { module = "spec.own", path = "app.tar" } }) do
			assert.equal("EINVAL", (select(3, run("call", args))))
		end
	end)

	specify("gives up at its deadline and leaves nothing behind", function()
		local path, to = build(), bench.dir:file("late.tar")
		local function gives_up(args, deadline)
			local result, message, code = run("edit", args, { deadline = deadline })
			assert.same({ nil, "the deadline has passed", "ETIMEDOUT" }, { result, message, code })
			assert.is_nil(io.open(to))
		end
		gives_up({ path = path, to = to }, core.monotonic() - 1)
		local deadline = core.monotonic() + 0.2
		package.preload["spec.slow"] = function()
			return function()
				while core.monotonic() < deadline do
				end
			end
		end
		gives_up({ path = path, to = to, edit = { module = "spec.slow" } }, deadline)
		assert.is_nil(job.on_wait(nil))
	end)

	specify("gives up at its deadline after another job has run inside it, and in that", function()
		local path, to, inner = build(), bench.dir:file("late.tar"), {}
		local deadline
		package.preload["spec.nested"] = function()
			return function(img)
				inner.first = { run("inspect", { path = path }) }
				local hook = job.on_wait()
				job.on_wait(assert(hook, "the deadline is forgotten"))
				while core.monotonic() < deadline do
				end
				inner.late = { run("inspect", { path = path }, { threads = 1 }) }
				return img:verify()
			end
		end
		deadline = core.monotonic() + 1
		local result, message, code = run("edit", { path = path, to = to, edit = { module = "spec.nested" } },
			{ deadline = deadline, threads = 2 })
		assert.same({ nil, "the deadline has passed", "ETIMEDOUT" }, { result, message, code })
		assert.is_table(inner.first[1])
		assert.same({ nil, "the deadline has passed", "ETIMEDOUT" }, { inner.late[1], inner.late[2], inner.late[3] })
		assert.is_nil(job.on_wait(nil))
		assert.is_nil(job.set_threads(nil))
	end)
end)

--- strata.diff: where two images differ.

local from_model = require("strata.image").from_model
local json = require "strata.util.json"
local pack = require "spec.support.pack"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a diff", function()
	local dir, count
	before_each(function()
		dir, count = tmp.dir(), 0
	end)
	after_each(function()
		dir:remove()
	end)

	-- The path of an image of these layers, which are arrays of entries.
	local function image(layers, change)
		count = count + 1
		local path = dir:file(count .. ".tar")
		pack.image(path, layers, nil, { change = change })
		return path
	end

	local function diff(a, b, opts)
		return assert(strata.diff(a, b, opts))
	end

	-- The only row of the files.
	local function only(one, other, opts)
		local rows = diff(image({ { one } }), image({ { other } }), opts).files
		assert.is_true(#rows <= 1)
		return rows[1]
	end

	it("has no rows for an image and itself, and says so", function()
		local path = image({ { { name = "a", data = "1" } } })
		local img = assert(strata.open(path))
		for _, one in ipairs({ diff(path, path), diff(img, img), diff(img, path, { semantic = true }) }) do
			assert.is_true(one.equal)
			assert.same({ {}, {}, {}, {} }, { one.files, one.config, one.history, one.layers })
			assert.equal(0, #one)
			assert.matches("\nno differences", tostring(one))
		end
		assert.is_string(img.id) -- it is open still
	end)

	it("tells which paths were added, removed and changed, in the order of the paths", function()
		local one = diff(
			image({ { { name = "etc", type = "dir" }, { name = "etc/old", data = "12" }, { name = "etc/same", data = "x" },
				{ name = "b", data = "b" } } }),
			image({ { { name = "etc", type = "dir" }, { name = "etc/new", type = "symlink", linkname = "../b", mode = 511 },
				{ name = "etc/same", data = "x" }, { name = "b", data = "B" } } })
		)
		assert.is_false(one.equal)
		local lines = {}
		for i, row in ipairs(one.files) do
			lines[i] = tostring(row)
		end
		assert.same({
			"~ b: content sha256:3e23e8160039 (1 B) -> sha256:df7e70e50215 (1 B) (layer 1)",
			"+ etc/new: symlink 0777 0:0 -> ../b (layer 1)",
			"- etc/old: file 0644 0:0 2 B (layer 1)",
		}, lines)
		assert.same({ kind = "file", change = "removed", path = "etc/old",
			a = { type = "file", layer = 1, mode = 420, uid = 0, gid = 0, size = 2 } }, one.files[3])
	end)

	it("names each field that has changed, with both values", function()
		local function changed(name, one, other, x, y)
			one.name, other.name = "p", "p"
			local row = only(one, other)
			assert.same({ "changed", { name }, x, y }, { row.change, row.fields, row.a[name], row.b[name] }, name)
		end
		changed("mode", { mode = 420 }, { mode = 2541 }, 420, 2541)
		changed("uid", { uid = 0 }, { uid = 7 }, 0, 7)
		changed("gid", { gid = 0 }, { gid = 7 }, 0, 7)
		changed("mtime", { mtime = 5 }, { mtime = 6 }, 5, 6)
		changed("atime", {}, { pax = { "atime", "7" } }, nil, 7)
		changed("ctime", { pax = { "ctime", "7.5" } }, { pax = { "ctime", "8" } }, 7.5, 8)
		changed("uname", {}, { pax = { "uname", "joe" } }, "", "joe")
		changed("linkpath", { type = "symlink", linkname = "a" }, { type = "symlink", linkname = "b" }, "a", "b")
		changed("device", { type = "char", major = 1, minor = 3 }, { type = "char", major = 1, minor = 5 }, "1:3", "1:5")
		changed("type", { type = "fifo" }, { type = "dir" }, "fifo", "dir")
		changed("xattrs", { xattrs = { ["user.a"] = "1", ["user.same"] = "1" } },
			{ xattrs = { ["user.b"] = "2", ["user.same"] = "1" } }, { ["user.a"] = "1" }, { ["user.b"] = "2" })
		changed("content", { data = "one" }, { data = "three" },
			"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
			"sha256:8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f")
		assert.is_nil((only({ name = "p", data = "x" }, { name = "./p", data = "x" })))
	end)

	it("compares times to the nanosecond", function()
		local row = only({ name = "p", pax = { "mtime", "1500000000.000000001" } },
			{ name = "p", pax = { "mtime", "1500000000.000000002" } })
		assert.same({ "mtime" }, row.fields)
		assert.same({ 1, 2 }, { row.a.mtime_nsec, row.b.mtime_nsec })
		assert.matches("mtime 2017%-07%-14T02:40:00%.000000001Z %-> 2017%-07%-14T02:40:00%.000000002Z", tostring(row))
	end)

	it("sees which names are one file", function()
		local a, b = { name = "a", data = "x" }, { name = "b", type = "hardlink", linkname = "a" }
		local rows = diff(image({ { a, b } }), image({ { a, { name = "b", data = "x" } } })).files
		assert.equal(1, #rows)
		assert.same({ "b", { "hardlink" }, "a" }, { rows[1].path, rows[1].fields, rows[1].a.hardlink })
		assert.is_true(#diff(image({ { a, b } }), image({ { a, b }, {} })).files == 0)
	end)

	it("tells the layer of each side, which does not matter by itself", function()
		local etc, a, b = { name = "etc", type = "dir" }, { name = "etc/a", data = "1" }, { name = "etc/a", data = "2" }
		local other = { name = "etc/b", data = "b" }
		local one = diff(image({ { etc, other, a } }), image({ { etc }, { other }, { b } }))
		assert.equal(1, #one.files)
		assert.same({ 1, 3 }, { one.files[1].a.layer, one.files[1].b.layer })
		assert.matches("%(layer 1 %-> 3%)$", tostring(one.files[1]))
		assert.same({ "changed", "added", "added" }, { one.layers[1].change, one.layers[2].change, one.layers[3].change })
	end)

	it("follows whiteouts, as containers see them", function()
		local base = { { name = "d", type = "dir" }, { name = "d/x", data = "x" }, { name = "y", data = "y" } }
		local one = diff(image({ base }), image({ base, { { name = "d/.wh.x" } }, { { name = ".wh.y" } } }))
		assert.same({ "- d/x: file 0644 0:0 1 B (layer 1)", "- y: file 0644 0:0 1 B (layer 1)" },
			{ tostring(one.files[1]), tostring(one.files[2]) })
	end)

	it("tells of the config by JSON Pointer, and of variables by their names", function()
		local function config(env, more)
			return function(document)
				document.config = { Env = env, Cmd = { "/bin/sh" }, Labels = more }
				document["odd/~key"] = more and 1 or 2
			end
		end
		local layers = { { { name = "a" } } }
		local one = diff(image(layers, config({ "A=1", "B=2", "C=3" }, { x = "y" })),
			image(layers, config({ "B=2", "N=<&>", "C=4" })))
		local lines = {}
		for i, row in ipairs(one.config) do
			lines[i] = tostring(row)
		end
		assert.same({
			'- /config/Env/0: "A=1"',
			'~ /config/Env/2: "C=3" -> "C=4"',
			'+ /config/Env/1: "N=<&>"',
			'- /config/Labels: {"x":"y"}',
			"~ /odd~1~0key: 1 -> 2",
		}, lines)
		assert.same({ kind = "config", change = "changed", pointer = "/config/Env/2", a = "C=3", b = "C=4" }, one.config[2])
	end)

	it("tells of variables in another order, of elements, and of null", function()
		local function cmd(list, env)
			return function(document)
				document.config = { Cmd = list, Env = env }
			end
		end
		local layers = { { { name = "a" } } }
		local one = diff(image(layers, cmd({ "a", "b", "c" }, { "A=1", "B=2" })),
			image(layers, cmd({ "a", "x", "y", "c" }, { "B=2", "A=1" })))
		assert.same({ "/config/Cmd/1", "/config/Cmd/2", "/config/Env/0", "/config/Env/1" },
			{ one.config[1].pointer, one.config[2].pointer, one.config[3].pointer, one.config[4].pointer })
		assert.same({ "changed", "added" }, { one.config[1].change, one.config[2].change })
		one = diff(image(layers, cmd(json.null)), image(layers, cmd(nil)))
		assert.same({ "- /config/Cmd: null" }, { tostring(one.config[1]) })
		assert.equal(strata.null, one.config[1].a)
	end)

	it("tells of the history by JSON Pointer", function()
		local function steps(...)
			local list = { ... }
			return function(document)
				document.history = list
			end
		end
		local layers = { { { name = "a" } } }
		local one = diff(
			image(layers, steps({ created_by = "FROM" }, { created_by = "RUN a", created = "2020-01-01T00:00:00Z" })),
			image(layers, steps({ created_by = "FROM" }, { created_by = "ENV x", empty_layer = true },
				{ created_by = "RUN a", created = "2021-01-01T00:00:00Z" })))
		assert.same({ "/history/1/created", "/history/1/created_by", "/history/1/empty_layer", "/history/2" },
			{ one.history[1].pointer, one.history[2].pointer, one.history[3].pointer, one.history[4].pointer })
		assert.same({}, one.config)
	end)

	it("says that two configs have the same values and are other documents", function()
		local text = strata.new().config:text()
		local twin = assert(from_model({ config_text = text:gsub(":", ": ", 1), layers = {}, tags = {} }))
		local one = diff(strata.new(), twin)
		assert.same({ { kind = "config", change = "spelling", pointer = "", a = strata.new().id, b = twin.id } }, one.config)
		assert.matches("~ the document: the same values, written in another way: sha256:", tostring(one))
		assert.is_true(diff(strata.new(), twin, { semantic = true }).equal)
	end)

	it("with semantic passes over what a rebuild changes by itself", function()
		local function built(time)
			return function(document)
				document.created = ("20%d-01-01T00:00:00Z"):format(time)
				document.container = "c" .. time
				document.container_config = { Hostname = "h" .. time }
				document.config.Hostname = "h" .. time
				document.config.Image = "sha256:" .. time
				document.history[1].created = document.created
			end
		end
		local function file(name, time)
			return { name = name, data = name, mtime = time, pax = { "atime", tostring(time) } }
		end
		local a = image({ { file("a", 1), file("b", 2), { name = "l", type = "symlink", linkname = "a", mode = 511 } } },
			built(20))
		local b = image({ { file("b", 3), file("a", 4) }, { { name = "l", type = "symlink", linkname = "a", mode = 420 } } },
			function(document)
				built(21)(document)
				document.history[2] = nil
			end)
		local strict, semantic = diff(a, b), diff(a, b, { semantic = true })
		assert.is_false(strict.equal)
		assert.same({ "mtime", "atime" }, strict.files[1].fields)
		assert.is_true(#strict.config > 0 and #strict.history == 1 and #strict.layers == 2)
		assert.is_true(semantic.equal, tostring(semantic))
		assert.is_true(semantic.semantic)
	end)

	it("says of layers with the same paths in another order that they are", function()
		local a, b = { name = "a", data = "a" }, { name = "b", data = "b" }
		local one = diff(image({ { a, b } }), image({ { b, a } }))
		assert.same({}, one.files)
		assert.is_true(one.layers[1].reordered)
		assert.matches("the same paths in another order", tostring(one.layers[1]))
		assert.is_nil((diff(image({ { a, b } }), image({ { b } })).layers[1].reordered))
	end)

	it("leaves out what is excluded", function()
		local a, b = image({ { { name = "v/l/x", data = "1" }, { name = "y" } } }), image({ { { name = "y" } } })
		assert.equal(3, #diff(a, b).files)
		assert.same({ "v" }, { diff(a, b, { exclude = { "v/l" } }).files[1].path })
		assert.same({}, diff(a, b, { exclude = "/v" }).files)
	end)

	it("sees the edits of an image", function()
		local path = image({ { { name = "a", data = "1" }, { name = "b", data = "2" } } })
		local img = assert(strata.open(path))
		assert(img:remove("a"))
		assert(img:rewrite(function(entry)
			entry:replace("3")
		end))
		local one = diff(path, img)
		assert.same({ "removed", "changed" }, { one.files[1].change, one.files[2].change })
		assert.equal(img.layers[1].diff_id, one.layers[1].b.diff_id)
		assert.equal(img.id, one.b.id)
		assert.matches("^sha256:4e07408562be", one.files[2].b.content)
	end)

	-- Breaks bytes of an image.
	local function broken(path, what)
		local bytes = shell.read(path)
		local first, last = bytes:find(what, 1, true)
		assert(first and not bytes:find(what, last + 1, true))
		shell.write(path, bytes:sub(1, first - 1) .. ("#"):rep(#what) .. bytes:sub(last + 1))
	end

	it("never reads the content of a layer that both have", function()
		local base = { { name = "base", data = "content of the base" }, { name = "gone", data = "" } }
		local a = image({ base, { { name = "x", data = "1" } } })
		local b = image({ base, { { name = ".wh.gone" } }, { { name = "x", data = "2" } } })
		broken(a, "content of the base")
		broken(b, "content of the base")
		local one = diff(a, b)
		assert.same({ "gone", "x" }, { one.files[1].path, one.files[2].path })
		assert.is_nil((assert(strata.open(a)):verify()))
	end)

	it("does not even scan the base where the layers above it have the same paths", function()
		local base = { { name = "name-in-the-base", data = "b" }, { name = "d", type = "dir" } }
		local function above(data, mode)
			return { { name = "d/x", data = data }, { name = ".wh.name-in-the-base" }, { name = "d/y", mode = mode } }
		end
		local a, b = image({ base, above("1", 420) }), image({ base, above("2", 384) })
		broken(a, "name-in-the-base" .. ("\0"):rep(84) .. "0000644")
		broken(b, "name-in-the-base" .. ("\0"):rep(84) .. "0000644")
		local one = diff(a, b)
		assert.same({ "d/x", "d/y" }, { one.files[1].path, one.files[2].path })
		assert.same({ 2, 2 }, { one.files[1].a.layer, one.files[1].b.layer })
		local _, message, code = strata.diff(a, b, { view = "spec" })
		assert.equal("EFORMAT", code, message)
	end)

	it("reads a layer that both have once, and not that of the image that lacks its bytes", function()
		local base = { { name = "base", data = "b" } }
		local a, b = image({ base, { { name = "x" } } }), image({ base })
		local missing = assert(strata.open(b))
		require("strata.layer").state_of(missing.layers[1]).blob.missing = true
		assert.same({ "x" }, { diff(a, missing).files[1].path })
		assert.same({ "x" }, { diff(missing, a).files[1].path })
	end)

	it("fails with what is wrong with an image, and where", function()
		local good = image({ { { name = "x", data = "content that is right" } } })
		local bad = image({ { { name = "x", data = "content that is wrong" } } })
		broken(bad, "content that is wrong")
		local one, message, code = strata.diff(good, bad)
		assert.same({ "nil", "EDIGEST" }, { type(one), code }, message)
		one, message, code = strata.diff(good, dir:file("none.tar"))
		assert.same({ "nil", "ENOENT" }, { type(one), code }, message)
		one, message, code = strata.diff(dir:file("none.tar"), good)
		assert.same({ "nil", "ENOENT" }, { type(one), code }, message)
	end)

	it("opens paths as `open` says", function()
		local img = assert(strata.open(image({ { { name = "a" } } })))
		local other = assert(strata.open(image({ { { name = "b" } } })))
		img.tags, other.tags = { "app:1" }, { "app:2" }
		local both = dir:file("both.tar")
		assert(strata.save({ img, other }, both, { format = "docker" }))
		assert.equal("EAMBIGUOUS", (select(3, strata.diff(both, img))))
		assert.is_true(diff(both, img, { open = { ref = "app:1" } }).equal)
	end)

	it("tells how far it is", function()
		local data = ("x"):rep(1000)
		local calls = {}
		diff(image({ { { name = "a", data = data } } }), image({ { { name = "a", data = data, mtime = 1 } } }), {
			threads = 1,
			progress = function(done, total, what)
				calls[what] = { done, total }
			end,
		})
		assert.same({ 1000, 1000 }, calls.comparing)
		assert.has_error(function()
			strata.diff(image({ { { name = "a", data = data } } }), image({ { { name = "a", data = data, mtime = 1 } } }), {
				progress = function()
					error("stop", 0)
				end,
			})
		end, "stop")
	end)

	it("refuses misuse at the caller's line", function()
		local path = image({ { { name = "a" } } })
		local function misuse(message, ...)
			local arguments = { ... }
			local ok, told = pcall(function()
				strata.diff(arguments[1], arguments[2], arguments[3])
			end)
			assert.is_false(ok)
			assert.matches("diff_spec%.lua:%d+: " .. message, told)
		end
		misuse("diff: an image is wanted, not nil", path)
		misuse("diff: an image is wanted, not table", {}, path)
		misuse("diff: a path is wanted, not an empty string", path, "")
		misuse("diff has no option 'semantics'; did you mean 'semantic'%?", path, path, { semantics = true })
		misuse('diff: view should be "runtime" or "spec", not \'merged\'', path, path, { view = "merged" })
		misuse("diff: exclude: ", path, path, { exclude = {} })
		misuse("diff: exclude: ", path, path, { exclude = "../x" })
		misuse("diff: open has no option 'reff'; did you mean 'ref'%?", path, path, { open = { reff = "x" } })
		local one = diff(path, path)
		assert.has_error(function()
			strata.diff_report(one, { format = "markdown" })
		end)
		assert.has_error(function()
			strata.diff_report(one, { colour = true })
		end)
		assert.has_error(function()
			strata.diff_report({})
		end)
	end)
end)

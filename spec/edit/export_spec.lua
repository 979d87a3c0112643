-- Takes seconds: not for make check.
--- The merged file system, and what is chosen of it: img:export, root:export, root:extract.

local archive = require "spec.support.archive"
local corpus = require "spec.support.corpus"
local shell = require "spec.support.shell"
local strata = require "strata"
local tree = require "spec.support.tree"

local specify = archive.specify(it, pending)

local ROOT = require("spec.support.rights").root

local function file(name, data, more)
	local entry = { name = name, data = data or name, mtime = 1e9 + #name }
	for key, value in pairs(more or {}) do
		entry[key] = value
	end
	return entry
end

local function dir(name, mode)
	return { name = name, type = "dir", mode = mode, mtime = 2e9 + #name }
end

local function hardlink(name, to)
	return { name = name, type = "hardlink", linkname = to }
end

local function symlink(name, to)
	return { name = name, type = "symlink", linkname = to }
end

describe("exporting", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	specify("writes one sorted tar with plain names, parents and no whiteouts", function()
		local img = bench:open({
			{ entries = { { name = "./b/c", data = "1" }, hardlink("./z", "./b/c"), file(".wh.x") } },
			{ entries = { file("a"), dir("b/"), file("gone"), file("d/e/f") } },
			{ entries = { file(".wh.gone") } },
		})
		local path = bench.dir:file("export.tar")
		local result = assert(img:export(path))
		local list = archive.list(path)
		assert.same({ "a", "b", "b/c", "d", "d/e", "d/e/f", "z" }, archive.names(list))
		assert.equal("b/c", list[7].linkname)
		assert.equal(7, result.entries)
		assert.equal("sha256:" .. shell.sha256(path), result.digest)
		assert.is_false(img.edited)
	end)

	specify("leaves the image as it is, with edits that wait", function()
		local img = bench:open({ { entries = { file("a"), file("b") } } })
		img:filter(function(entry) return entry.path ~= "a" end)
		local path = bench.dir:file("export.tar.gz")
		assert(img:export(path, { compression = "gzip" }))
		assert.equal("b\n", shell.check({ "tar", "-tzf", path }))
		assert.equal("none", img.layers[1].compression)
		assert(bench:save(img))
	end)

	specify("compresses, and leaves nothing behind when it fails", function()
		local img = bench:open({ { entries = { file("a") } } })
		local path = bench.dir:file("export.tar.gz")
		local result = assert(img:export(path, { compression = "gzip" }))
		assert.equal("a\n", shell.check({ "tar", "-tzf", path }))
		assert.equal(result.size, #shell.read(path))
		local ok, _, code = img:export(bench.dir:file("no/where.tar"))
		assert.is_nil(ok)
		assert.equal("ENOENT", code)
	end)

	it("of an image without layers is an empty tar", function()
		local img = strata.new({ platform = "linux/amd64" })
		local path = os.tmpname()
		assert(img:export(path))
		assert.equal(("\0"):rep(1024), shell.read(path))
		os.remove(path)
		assert.equal(img, img:flatten())
	end)
end)

describe("a root file system", function()
	local bench, target
	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("target")
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

	local function root_of(...)
		return assert(open(...):rootfs())
	end

	-- The paths in the target.
	local function paths()
		local list = {}
		for path in shell.sh('cd "$1" && find . -mindepth 1 | LC_ALL=C sort', target):gmatch("%./([^\n]+)") do
			list[#list + 1] = path
		end
		return table.concat(list, " ")
	end

	local function extracted(root, which, opts)
		shell.check({ "rm", "-rf", target })
		assert(root:extract(which, target, opts))
		return paths()
	end

	local function odd()
		return root_of(
			{ dir("etc/", 448), file("etc/passwd", "root"), file("etc/group", "0"), file("opt/a/b/c"), file("gone") },
			{
				symlink("bin", "usr/bin"), file("usr/bin/sh"), file("usr/bin/ls"), file(".wh.gone", ""),
				file("etc/passwd", "me"),
			}
		)
	end

	specify("is extracted where paths, globs or a function choose it", function()
		local root = odd()
		assert.equal("etc etc/passwd", extracted(root, "etc/passwd"))
		assert.equal("me", shell.read(target .. "/etc/passwd"))
		assert.equal("etc etc/group etc/passwd", extracted(root, "/etc"))
		assert.equal("etc etc/passwd usr usr/bin usr/bin/ls usr/bin/sh", extracted(root, { "etc/p*", "usr/**" }))
		assert.equal("opt opt/a opt/a/b opt/a/b/c", extracted(root, { pattern = "b/c$" }))
		assert.equal("etc etc/passwd", extracted(root, function(entry)
			assert.equal("strata.RootEntry", getmetatable(entry).__name)
			return entry.type == "file" and entry.content_layer.position == 2 and entry.size == 2
		end))
		assert.equal("opt opt/a opt/a/b opt/a/b/c", extracted(root, function(entry)
			return entry.path == "opt"
		end))
		assert.equal("bin", extracted(root, "bin"))
		assert.equal("usr/bin\n", shell.check({ "readlink", target .. "/bin" }))
	end)

	specify("is extracted with the directories that a file is in, as they are", function()
		assert(odd():extract({ "etc/group", "opt/a/b/c" }, target, { unprivileged = true }))
		local found = tree.read(target)
		assert.same({ "0700", "2000000004.000000000" }, { found.etc.mode, found.etc.mtime })
		assert.same({ "0755", "0.000000000" }, { found.opt.mode, found.opt.mtime })
		assert.same({ "0755", "0.000000000" }, { found["."].mode, found["."].mtime })
	end)

	specify("leaves a directory that was there as it is, but for what goes into it", function()
		shell.check({ "mkdir", "-m", "700", target })
		shell.check({ "touch", target .. "/mine" })
		shell.check({ "touch", "-d", "@5", target })
		local root = odd()
		assert.same({ "ENOTEMPTY" }, { select(3, root:extract("etc", target)) })
		local result = assert(root:extract("etc/passwd", target, { merge = true }))
		assert.same({ 2, 2, 2 }, { result.entries, result.bytes, result.layers })
		assert.equal("etc etc/passwd mine", paths())
		local found = tree.read(target)["."]
		assert.same({ "0700", "5.000000000" }, { found.mode, found.mtime })
		assert.matches("^[^\n]*target: 2 layers, 2 entries, 2 B, " .. (ROOT and 0 or 2) .. " skipped", tostring(result))
	end)

	specify("stays inside of a directory whose links lead out", function()
		shell.check({ "mkdir", target, target .. ".outside" })
		shell.check({ "ln", "-s", target .. ".outside", target .. "/etc" })
		assert(odd():extract("etc", target, { merge = true }))
		assert.equal("", shell.sh('ls "$1"', target .. ".outside"))
	end)

	specify("gives hardlinks their file where it is not chosen, and one file for all that are", function()
		local root = root_of(
			{ file("a", "content", { mode = 420 }), hardlink("b", "a"), hardlink("d/c", "a") },
			{ hardlink("d/e", "a"), { name = "a", data = "other" } }
		)
		assert.equal("d d/c", extracted(root, "d/c"))
		assert.equal("content", shell.read(target .. "/d/c"))
		assert.equal("b d d/c", extracted(root, { "b", "d/c" }))
		local found = tree.read(target)
		assert.same({ 2, 2 }, { found.b.nlink, found["d/c"].nlink })
	end)

	specify("follows edits that wait, and leaves the image as it is", function()
		local img = open({ file("a"), file("b") })
		local root = assert(img:rootfs())
		img.layers[1]:entry("a"):replace("edited")
		img.layers[1]:entry("b").path = "c"
		assert.equal("a c", extracted(root, "**"))
		assert.equal("edited", shell.read(target .. "/a"))
		assert(root:export(bench.dir:file("some.tar"), { which = "c" }))
		assert.equal("c\n", shell.check({ "tar", "-tf", bench.dir:file("some.tar") }))
		assert.same({ "edited", "ENOENT" }, { root:read("a"), select(3, root:read("b")) })
		assert(bench:save(img))
	end)

	specify("goes by its view, and by the layers that it is made of", function()
		local img = open({ symlink("a", "b"), file("b/x") }, { file("a/y") })
		assert.equal("a a/y", extracted(img:rootfs(), "a/**"))
		assert.equal("b b/y", extracted(img:rootfs({ view = "spec" }), "b/y"))
		assert.same({ "ENOENT" }, { select(3, img:rootfs({ upto = 1 }):extract("a/y", target .. "2")) })
	end)

	specify("is an error where nothing is chosen, which makes nothing", function()
		local root = odd()
		local never = target .. "-never"
		for message, which in pairs({
			["extract: nothing matches 'etc/none', 'x*'"] = { "etc/none", "etc", "x*" },
			["extract: the function chose nothing"] = function()
				return false
			end,
			["extract: nothing matches 'bin/sh'; symlinks are not followed: 'bin/sh' is 'usr/bin/sh'"] = "bin/sh",
			["extract: nothing matches 'gone'"] = "gone",
		}) do
			assert.same({ nil, message, "ENOENT" }, { root:extract(which, never) })
		end
		assert.same(
			{ nil, "export: nothing matches 'none'", "ENOENT" },
			{ root:export(never, { which = "none" }) }
		)
		assert.is_nil(io.open(never))
		assert.equal("etc etc/passwd", extracted(root, { "none", "etc/passwd" }, { optional = true }))
	end)

	specify("throws for what cannot be meant, at the caller's line", function()
		local root = odd()
		local never = target .. "-never"
		local function thrown(pattern, fn)
			local ok, message = pcall(fn)
			assert.is_false(ok)
			assert.matches("^spec/edit/export_spec.lua:%d+: " .. pattern, message)
		end
		thrown("extract: an array of paths is wanted", function()
			local _ = root:extract({}, never)
		end)
		thrown("extract: a path, a glob or {pattern = ...} is wanted, not nil", function()
			local _ = root:extract(nil, never)
		end)
		thrown("extract: '../etc' names no path inside the image", function()
			local _ = root:extract("../etc", never)
		end)
		thrown("extract: the function returned nil for", function()
			local _ = root:extract(function() end, never)
		end)
		thrown("extract has no option 'merged'; did you mean 'merge'%?", function()
			local _ = root:extract("etc", never, { merged = true })
		end)
		thrown("extract has no option 'mode'", function()
			local _ = root:extract("etc", never, { mode = "overlay" })
		end)
		thrown("extract: ", function()
			local _ = root:extract("etc")
		end)
		thrown("export has no option 'view'", function()
			local _ = root:export(never, { view = "spec" })
		end)
		thrown("extract: the function has edited a layer", function()
			local _ = root:extract(function(entry)
				if entry.path == "etc/group" then
					root.layers[1]:entry("etc/group").mode = 384
				end
				return true
			end, never)
		end)
		assert.is_nil(io.open(never))
	end)

	specify("gives out no byte of a layer that is not its own, and leaves nothing", function()
		for _, gzip in ipairs({ false, true }) do
			local img = bench:open(
				{ { entries = { file("f"), file("g") }, gzip = gzip } },
				{ config = { rootfs = { type = "layers", diff_ids = { "sha256:" .. ("0"):rep(64) } } } }
			)
			local root, _, code = img:rootfs()
			if root then
				_, _, code = root:extract("f", target)
			end
			assert.equal("EDIGEST", code)
			assert.is_nil(io.open(target))
		end
	end)

	specify("can be given up before anything is in the directory", function()
		local root, stages = odd(), {}
		assert(root:extract("etc", target, {
			threads = 1,
			progress = function(_, _, what)
				stages[what] = true
			end,
		}))
		assert.same({ writing = true, extracting = true }, { writing = stages.writing, extracting = stages.extracting })
		shell.check({ "rm", "-rf", target })
		local ok, message = pcall(root.extract, root, "etc", target, {
			progress = function(_, _, what)
				if what == "writing" then
					error("enough", 0)
				end
			end,
		})
		assert.same({ false, "enough" }, { ok, message })
		assert.is_nil(io.open(target))
		assert.equal("etc etc/passwd", extracted(root, "etc/passwd"))
	end)

	specify("without a choice is exported as its image is, and a choice as a tar that has all that it needs", function()
		local img = open(
			{ file("a", "content"), hardlink("b", "a"), dir("d/", 448), file("d/e"), file("gone") },
			{ file(".wh.gone", ""), file("d/f") }
		)
		local root = img:rootfs()
		local whole, of_image = bench.dir:file("root.tar"), bench.dir:file("image.tar")
		assert.equal(assert(img:export(of_image)).digest, assert(root:export(whole)).digest)
		local part = bench.dir:file("part.tar.gz")
		local result = assert(root:export(part, { which = { "b", "d/e" }, compression = "gzip" }))
		assert.equal("b\nd/\nd/e\n", shell.check({ "tar", "-tzf", part }))
		assert.same({ 3, "sha256:" .. shell.sha256(part) }, { result.entries, result.digest })
		assert.matches("^drwx%-%-%-%-%-%- .* d/\n", shell.check({ "tar", "-tvzf", part, "d/" }))
	end)

	it("is extracted whole as its image is, of every image of the corpus", function()
		if not corpus.path then
			return pending("STRATA_CORPUS is not set")
		end
		if not ROOT then
			return pending("needs root")
		end
		local compared = 0
		for _, one in ipairs(corpus.files("images", "f")) do
			local img = one.name:find("%.tar$") and strata.open(one.path)
			local place = bench.dir:file("all")
			if img and img:extract(place) then
				shell.check({ "rm", "-rf", target })
				local expected = tree.read(place)
				expected["."] = nil
				if next(expected) then
					assert(img:rootfs():extract("**", target))
					local found = tree.read(target)
					found["."] = nil
					assert.same({}, tree.differences(expected, found), one.name)
					compared = compared + 1
				end
			end
			shell.check({ "rm", "-rf", place })
			if img then
				img:close()
			end
		end
		assert.is_true(compared > 5)
	end)
end)

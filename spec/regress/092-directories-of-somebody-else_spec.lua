-- An ordinary user could not extract into a directory of somebody else, whose time he cannot put back. The modes of his
-- own directories were set in the order of the lengths of their paths: one that a symlink led to was forgotten when the
-- directory around it had been closed before, and no note said so.

local archive = require "spec.support.archive"
local child = require "spec.support.child"
local entries_of = require "spec.support.entries"
local shell = require "spec.support.shell"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local ROOT = require("spec.support.rights").root
local NOBODY = 65534

local SCRIPT = [[
	local strata = require "strata"
	local img = assert(strata.open(arg[1]))
	local opts = { merge = arg[3]:find("merge") and true, mode = arg[3]:match("overlay"), view = arg[3]:match("spec") }
	local result = assert(img:extract(arg[2], opts))
	for _, one in ipairs(result.skipped) do print(one.layer, one.what, one.path, one.code) end]]

describe("extracting as an ordinary user", function()
	local bench, target

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("rootfs")
	end)

	after_each(function()
		bench:close()
	end)

	local function mine(entry, mode)
		entry.uid, entry.gid, entry.mode = NOBODY, NOBODY, mode and tonumber(mode, 8)
		return entry
	end

	local function dir(name, mode)
		return mine(entries_of.dir(name), mode)
	end

	local function file(name)
		return mine(entries_of.file(name))
	end

	-- Extracts layers and gives the notes.
	local function extract(how, ...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		local _, _, path = bench:open(layers)
		shell.check({ "chmod", "a+rwX", bench.dir.path, bench.dir.path .. "/..", path })
		local done = child.run({
			script = SCRIPT,
			arguments = { path, target, how },
			wrapper = { "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups" },
		})
		assert.equal(0, done.status, done.stderr)
		return done.stdout
	end

	local function modes(...)
		local found, list = tree.read(target), {}
		for i, path in ipairs({ ... }) do
			list[i] = found[path] and found[path].mode
		end
		return list
	end

	if not ROOT then
		it("needs root, to become somebody else", function()
			pending("needs root")
		end)
		return
	end

	it("goes on in a directory of somebody else, and tells that its time is another one", function()
		shell.check({ "mkdir", "-m", "777", target })
		assert.equal("1\ttime\t.\tEPERM\n", extract("flat", { file("a"), file("d/f"), file("b") }))
		assert.same({ "a", "b", "f" }, {
			shell.read(target .. "/a"),
			shell.read(target .. "/b"),
			(shell.read(target .. "/d/f"):gsub("d/", "")),
		})
	end)

	it("tells once for each directory, and each thing that cannot be set", function()
		shell.sh('mkdir -p "$1/etc" "$1/var" && chmod 777 "$1" "$1/etc" "$1/var"', target)
		local notes = extract("merge", {
			file("a"),
			file("etc/x"),
			file("var/x"),
			file("etc/y"),
			file("var/y"),
			dir("var", "700"),
			dir(".", "755"),
		})
		local found = {}
		for line in notes:gmatch("[^\n]+") do
			found[#found + 1] = line
		end
		table.sort(found)
		assert.same({
			"1\tmode\t.\tEPERM",
			"1\tmode\tvar\tEPERM",
			"1\towner\t.\tEPERM",
			"1\towner\tvar\tEPERM",
			"1\ttime\t.\tEPERM",
			"1\ttime\t.\tEPERM",
			"1\ttime\tetc\tEPERM",
			"1\ttime\tvar\tEPERM",
		}, found)
		assert.same({ "0777", "0777" }, modes("etc", "var"))
	end)

	it("does not tell what is as it should be already", function()
		shell.sh('mkdir -p "$1/etc" "$1/lib" && chmod 777 "$1" "$1/etc" "$1/lib"', target)
		local mode = tonumber("777", 8)
		local notes = extract("merge", {
			{ name = "lib/", type = "dir", mode = mode, gid = 5 },
			{ name = "etc/", type = "dir", mode = mode },
			file("etc/f"),
		})
		assert.equal("1\towner\tlib\tEPERM\n1\ttime\tlib\tEPERM\n1\ttime\tetc\tEPERM\n", notes)
	end)

	it("removes what a whiteout hides there, and tells the times", function()
		shell.sh('mkdir -p "$1/d/e" && touch "$1/d/e/f" "$1/g" && chmod 777 "$1" "$1/d" "$1/d/e"', target)
		local notes = extract("merge", { file("d/.wh..wh..opq"), file("d/n"), file(".wh.g") })
		assert.equal("d\nn\n", shell.sh('ls "$1"; ls "$1/d"', target))
		for line in notes:gmatch("[^\n]+") do
			assert.truthy(line:match("^1\t%l+\t[^\t]+\tEPERM$"), line)
		end
	end)

	for _, view in ipairs({ "runtime", "spec" }) do
		it("closes directories behind links before those around them: " .. view, function()
			local entries = {
				dir("aaaa"),
				dir("aaaa/bbbb", "0"),
				mine(entries_of.symlink("l", "aaaa/bbbb")),
				dir("l/x", "500"),
				dir("z"),
				dir("z/y"),
				dir("z/y/w", "0"),
				mine(entries_of.symlink("z/y/w/up", "/aaaa")),
				dir("z/y/w/up/c", "300"),
				dir("z/y/w/up/c/d", "400"),
				dir("aaaa", "111"),
			}
			assert.equal("", extract(view, entries))
			assert.same(
				{ "0111", "0000", "0500", "0000", "0300", "0400" },
				modes("aaaa", "aaaa/bbbb", "aaaa/bbbb/x", "z/y/w", "aaaa/c", "aaaa/c/d")
			)
		end)
	end

	it("takes the last of several modes of a directory", function()
		local lower = { dir("d", "0"), dir("d", "500"), dir("e", "500"), dir("e", "755") }
		assert.equal("", extract("flat", lower, { dir("d", "711") }))
		assert.same({ "0711", "0755" }, modes("d", "e"))
	end)

	it("links to files in closed directories of lower layers, side by side", function()
		local link = mine(entries_of.hardlink("h", "d/e/f"))
		local layers = { { dir("d", "0"), dir("d/e", "100"), file("d/e/f") }, { link, dir("d", "0"), file("d/g") } }
		assert.equal("", extract("overlay", layers[1], layers[2]))
		assert.same({ "0000", "0100", "0000" }, modes("1/d", "1/d/e", "2/d"))
		assert.equal("d/e/f", shell.read(target .. "/2/h"))
		assert.equal("d/g", shell.read(target .. "/2/d/g"))
	end)
end)

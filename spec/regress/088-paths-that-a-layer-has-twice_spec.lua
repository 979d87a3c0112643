-- A flat extract differed from the root file system where one layer has a path twice or goes below its own file, and
-- for hardlinks to what is not there yet: what such an entry replaced of lower layers was gone, though a later one
-- shows it again.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local function file(name, data, more)
	local entry = more or {}
	entry.name, entry.data = name, data or name
	return entry
end

local function dir(name, mode)
	return { name = name, type = "dir", mode = mode or 493, mtime = 5 }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target, mode = 384, mtime = 9 }
end

local BASE = { dir("d", 448), file("d/x", "low"), dir("d/e", 511), file("d/e/y", "deep"), file("f", "low f") }

local CASES = {
	["a file, then a directory"] = { file("d"), dir("d", 493) },
	["a file, then something below it"] = { file("d"), file("d/new") },
	["a symlink, then a directory"] = { { name = "d", type = "symlink", linkname = "f" }, dir("d", 493) },
	["a file deeper down, then a directory"] = { file("d/e"), file("d/e/new") },
	["a directory that was filled, then a file, then a directory"] = { file("d/x", "own"), file("d"), dir("d") },
	["a device 0:0, then something below it"] = { file("d/z"), { name = "d", type = "char", mode = 420 }, file("d/new") },
	["two files"] = { file("d/x", "one"), file("d/x", "two") },
	["a hardlink to a lower file, then a directory in its place"] = { link("n", "f"), file("n/new") },
	["a hardlink to a lower file, which is replaced then"] = { link("n", "d/x"), file("d") },
	["a hardlink that comes before its file"] = { link("n", "late"), link("m", "n"), file("late") },
}

describe("what is extracted of a layer that has", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function rows_of(img)
		local rows, root = {}, assert(img:rootfs())
		for entry in root:walk() do
			rows[entry.path] = ("%s %04o %d %s"):format(entry.type, entry.mode, entry.type == "dir" and 1 or entry.links,
				entry.type == "file" and entry:read() or "")
		end
		return rows
	end

	local function extracted(target)
		local rows = {}
		local KINDS = { f = "file", d = "dir", l = "symlink", c = "char", b = "block" }
		for line in shell.check({ "find", target, "-mindepth", "1", "-printf", "%P\t%y\t%m\t%n\n" }):gmatch("[^\n]+") do
			local path, kind, mode, links = line:match("^(.-)\t(.)\t(%d+)\t(%d+)$")
			rows[path] = ("%s %04o %d %s"):format(KINDS[kind], tonumber(mode, 8), kind == "d" and 1 or tonumber(links),
				kind == "f" and shell.read(target .. "/" .. path) or "")
		end
		return rows
	end

	for name, upper in pairs(CASES) do
		for _, gzip in ipairs({ false, true }) do
			specify(("%s is the root file system%s"):format(name, gzip and ", compressed" or ""), function()
				local img = bench:open({ { entries = BASE, gzip = gzip }, { entries = upper, gzip = gzip } })
				local target, empty = bench.dir:file("root"), bench.dir:file("empty")
				local result = assert(img:extract(target, { threads = 2 }))
				assert.equal(#BASE + #upper, result.entries)
				assert.same(rows_of(img), extracted(target))
				shell.sh('mkdir "$1" && touch -d @77 "$1"', empty)
				assert(img:extract(empty))
				assert.same(rows_of(img), extracted(empty))
				assert.equal("77\n", shell.check({ "stat", "-c", "%Y", empty }))
			end)
		end
	end

	specify("names twice has what they had last, onto a directory with something in it", function()
		local upper = { link("n", "f"), file("n", "own n"), file("d"), file("d/new") }
		local img = bench:open({ { entries = BASE }, { entries = upper } })
		local target = bench.dir:file("root")
		shell.sh('mkdir "$1" && printf before >"$1/kept"', target)
		assert(img:extract(target, { merge = true }))
		for path, content in pairs({ n = "own n", f = "low f", ["d/new"] = "d/new", kept = "before" }) do
			assert.equal(content, shell.read(target .. "/" .. path), path)
		end
	end)

	specify("a hardlink to itself is refused, and nothing is left", function()
		local img = bench:open({ { entries = BASE }, { entries = { link("f", "f") } } })
		local target = bench.dir:file("root")
		local ok, message, code = img:extract(target)
		assert.is_nil(ok)
		assert.equal("ENOENT", code)
		assert.is_truthy(message:find("layer 2/2", 1, true) and message:find("entry 1 'f'", 1, true), message)
		assert.equal("", (shell.sh([[ls -d "$1" 2>&1 | grep -v "No such file" || true]], target)))
	end)

	specify("a path twice is told of by progress as if it were read once", function()
		local img = bench:open({ { entries = BASE }, { entries = CASES["two files"] } })
		local last = 0
		assert(img:extract(bench.dir:file("root"), { progress = function(done, total)
			assert.is_true(done <= total)
			last = done / total
		end }))
		assert.is_true(last <= 1)
	end)
end)

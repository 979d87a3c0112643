local core = require "strata.core"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

-- Everything below a directory, with what it holds, in one string.
local function picture(path)
	return shell.sh([[
		cd "$1"
		find . -mindepth 1 -printf '%p %y %l\n' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
	]], path)
end

local function mode(path)
	return shell.check({ "stat", "-c", "%a", path }):match("%d+")
end

local function content(file)
	return file:read(0, file:size())
end

describe("core.open_dir", function()
	local top, path, dir

	before_each(function()
		top = tmp.dir()
		path = top:file("layout")
		shell.sh([[
			cd "$1"
			mkdir -p layout/blobs/sha256 outside
			printf secret >outside/secret
			printf '{}' >layout/index.json
			printf blob >layout/blobs/sha256/abc
		]], top.path)
		dir = assert(core.open_dir(path))
	end)

	after_each(function()
		dir:close()
		top:remove()
	end)

	local function refuses(name, expected)
		for _, method in ipairs({ "open", "stat", "exists", "list" }) do
			local ok, message, code = dir[method](dir, name)
			assert.is_nil(ok)
			assert.is_string(message)
			assert.equal(expected, code, method)
		end
	end

	it("opens regular files for reading", function()
		local file = assert(dir:open("blobs/sha256/abc"))
		assert.equal("blob", content(file))
		assert.equal(path .. "/blobs/sha256/abc", file:name())
		file:close()
	end)

	it("tells type and size", function()
		shell.sh('mkfifo "$1/fifo"', path)
		assert.same({ type = "file", size = 2 }, dir:stat("index.json"))
		assert.equal("dir", dir:stat("blobs").type)
		assert.equal("dir", dir:stat(".").type)
		assert.equal("fifo", dir:stat("fifo").type)
		local stat, message, code = dir:stat("missing")
		assert.is_nil(stat)
		assert.equal("ENOENT", code)
		assert.equal(path .. "/missing: No such file or directory", message)
	end)

	it("tells whether something is there", function()
		assert.is_true(dir:exists("blobs/sha256/abc"))
		assert.is_true(dir:exists("blobs"))
		assert.is_false(dir:exists("blobs/sha256/def"))
		assert.is_false(dir:exists("sha256/blobs/def"))
	end)

	it("lists names by their bytes", function()
		local names = { "B", "a", "ab", "b", "\195\164", "\255", ".hidden", "with\nnewline" }
		for _, name in ipairs(names) do
			shell.write(path .. "/blobs/" .. name, "")
		end
		names[#names + 1] = "sha256"
		-- Lua's own < asks the locale.
		table.sort(names, function(one, other)
			for i = 1, math.min(#one, #other) do
				if one:byte(i) ~= other:byte(i) then
					return one:byte(i) < other:byte(i)
				end
			end
			return #one < #other
		end)
		assert.same(names, dir:list("blobs"))
		assert.same({ "blobs", "index.json" }, dir:list())
		assert.same({ "blobs", "index.json" }, dir:list("blobs/.."))
	end)

	it("lists a directory of many", function()
		shell.sh('cd "$1" && seq 5000 | xargs touch', path .. "/blobs/sha256")
		local names = assert(dir:list("blobs/sha256"))
		assert.equal(5001, #names)
		assert.equal("1", names[1])
		assert.equal("abc", names[5001])
	end)

	it("gives an empty list for an empty directory", function()
		shell.sh('mkdir "$1/empty"', path)
		assert.same({}, dir:list("empty"))
	end)

	it("stays the same directory when it is renamed", function()
		assert(os.rename(path, top:file("moved")))
		assert.equal("{}", content(assert(dir:open("index.json"))))
	end)

	it("does not depend on the working directory", function()
		local script = [[
			local core = require "strata.core"
			local dir = assert(core.open_dir("layout"))
			print(assert(dir:open("index.json")):read(0, 2))
		]]
		-- The modules are looked for where this process stands.
		local line = process.lua(script)
		local where = shell.check({ "pwd" }):match("^[^\n]+")
		local cpath = os.getenv("LUA_CPATH"):gsub("%./", where .. "/")
		local done = shell.check({ "sh", "-c", line, cwd = top.path, env = { LUA_CPATH = cpath } })
		assert.equal("{}\n", done)
	end)

	it("follows symbolic links that stay inside", function()
		shell.sh([[
			cd "$1"
			ln -s blobs b
			ln -s ../../index.json blobs/sha256/def
			ln -s sha256/../sha256 blobs/sha512
		]], path)
		assert.equal("blob", content(assert(dir:open("b/sha256/abc"))))
		assert.equal("{}", content(assert(dir:open("b/sha512/def"))))
		assert.same({ "abc", "def" }, dir:list("b/sha512"))
		assert.equal("blob", content(assert(dir:open("blobs/../b/sha256/./abc"))))
	end)

	it("refuses names that lead out", function()
		for _, name in ipairs({ "..", "../outside/secret", "blobs/../../outside/secret", "./..", "blobs/../.." }) do
			refuses(name, "EXDEV")
		end
		local _, message = dir:open("../outside/secret")
		assert.equal(path .. "/../outside/secret: leads out of the directory", message)
	end)

	it("refuses absolute names, even its own", function()
		refuses("/etc/passwd", "EXDEV")
		refuses("/", "EXDEV")
		refuses(path .. "/index.json", "EXDEV")
	end)

	it("refuses symbolic links that lead out", function()
		shell.sh([[
			cd "$1/layout"
			ln -s ../outside/secret relative
			ln -s "$1/outside/secret" absolute
			ln -s "$1/layout/index.json" own
			ln -s ../outside out
			ln -s relative chained
		]], top.path)
		for _, name in ipairs({ "relative", "absolute", "own", "out/secret", "out/../layout/index.json", "chained" }) do
			refuses(name, "EXDEV")
		end
	end)

	it("refuses loops of symbolic links", function()
		shell.sh([[
			cd "$1"
			ln -s two one
			ln -s one two
			ln -s self/deeper self
		]], path)
		for _, name in ipairs({ "one", "two/x", "self" }) do
			refuses(name, "ELOOP")
		end
	end)

	it("refuses magic links", function()
		local proc = assert(core.open_dir("/proc/self"))
		for _, name in ipairs({ "exe", "cwd", "root/etc/passwd", "fd/0" }) do
			local stat, _, code = proc:stat(name)
			assert.is_nil(stat)
			assert.equal("ELOOP", code)
		end
		proc:close()
	end)

	it("refuses a directory on the way that has become a link", function()
		assert.is_true(dir:exists("blobs/sha256/abc"))
		shell.sh([[
			cd "$1"
			mkdir -p outside/sha256
			printf other >outside/sha256/abc
			rm -r layout/blobs
			ln -s ../outside layout/blobs
		]], top.path)
		refuses("blobs/sha256/abc", "EXDEV")
	end)

	it("refuses names with NUL bytes", function()
		refuses("index.json\0", "EINVAL")
		refuses("index.json\0/../../outside/secret", "EINVAL")
		local _, message = dir:open("\0\27")
		assert.equal(path .. ": a NUL byte in the name '\\x00\\x1b'", message)
	end)

	it("refuses names that are too long", function()
		refuses(("x"):rep(300), "ENAMETOOLONG")
		refuses(("./"):rep(3000), "ENAMETOOLONG")
	end)

	it("keeps control characters of names out of messages", function()
		local _, message = dir:open("x\27[2J\n")
		assert.equal(path .. "/x?[2J?: No such file or directory", message)
	end)

	it("does not wait for a FIFO in the place of a blob", function()
		shell.sh('rm "$1" && mkfifo "$1"', path .. "/blobs/sha256/abc")
		local file, message, code = dir:open("blobs/sha256/abc")
		assert.is_nil(file)
		assert.equal("EUNSUPPORTED", code)
		assert.matches("abc: not a regular file$", message)
	end)

	it("does not open sockets and directories as files", function()
		local name = path .. "/blobs/socket"
		shell.check({ "python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", name })
		assert.equal("EUNSUPPORTED", (select(3, dir:open("blobs/socket"))))
		assert.equal("other", dir:stat("blobs/socket").type)
		assert.equal("EISDIR", (select(3, dir:open("blobs"))))
		assert.equal("ENOTDIR", (select(3, dir:open("index.json/x"))))
		assert.equal("ENOTDIR", (select(3, dir:list("index.json"))))
		assert.equal("ENOTDIR", (select(3, dir:open("index.json/"))))
	end)

	it("fails when it is no directory", function()
		assert.equal("ENOTDIR", (select(3, core.open_dir(path .. "/index.json"))))
		local none, message, code = core.open_dir(path .. "/missing")
		assert.is_nil(none)
		assert.equal("ENOENT", code)
		assert.equal(path .. "/missing: No such file or directory", message)
	end)

	it("creates nothing", function()
		local file, _, code = dir:create("new")
		assert.is_nil(file)
		assert.equal("EINVAL", code)
		assert.same({ "blobs", "index.json" }, dir:list())
	end)

	it("says what it is, and that it is closed", function()
		assert.equal(("strata.Dir(%s)"):format(path), tostring(dir))
		assert.equal(path, dir:name())
		dir:close()
		dir:close()
		assert.equal("strata.Dir(closed)", tostring(dir))
		assert.has_error(function()
			dir:open("index.json")
		end, "attempt to use a closed strata.Dir")
	end)

	it("throws when it is misused", function()
		assert.has_error(function()
			core.open_dir("a\0b")
		end)
		assert.has_error(function()
			dir:open()
		end)
		assert.has_error(function()
			dir.open(io.stdout, "x")
		end)
	end)

	it("leaves no descriptor behind", function()
		shell.sh('ln -s loop "$1/loop"; ln -s /etc "$1/abs"; mkfifo "$1/fifo"', path)
		local before = process.descriptors()
		for _, name in ipairs({ "index.json", "blobs", "loop", "abs/passwd", "fifo", "missing", "..", "blobs/.." }) do
			local file = dir:open(name)
			if file then
				file:close()
			end
			dir:stat(name)
			dir:exists(name)
			dir:list(name)
		end
		core.open_dir(path .. "/missing")
		assert.equal(before, process.descriptors())
	end)
end)

describe("core.create_dir", function()
	local top, path

	before_each(function()
		top = tmp.dir()
		path = top:file("new")
	end)

	after_each(function()
		top:remove()
	end)

	local function put(dir, name, bytes)
		local file = assert(dir:create(name))
		assert(file:write(0, bytes))
		assert(file:publish())
		file:close()
	end

	it("makes the directory, with a mode as usual", function()
		local dir = assert(core.create_dir(path .. "//"))
		assert.same({}, dir:list())
		shell.sh('mkdir -m 0755 "$1/other"', top.path)
		assert.equal(mode(top:file("other")), mode(path))
		dir:close()
		assert.same({ "new", "other" }, top:names())
	end)

	it("takes a directory that is there", function()
		shell.sh('mkdir "$1"; echo x >"$1/kept"', path)
		for _, name in ipairs({ path, path .. "/.", top:file("new/../new") }) do
			local dir = assert(core.create_dir(name))
			assert.same({ "kept" }, dir:list())
			assert.is_true(dir:undo())
			dir:close()
		end
		assert.equal("x\n", shell.read(path .. "/kept"))
	end)

	it("does not make its parent, nor replace a file", function()
		local dir, message, code = core.create_dir(path .. "/deeper")
		assert.is_nil(dir)
		assert.equal("ENOENT", code)
		assert.equal(path .. "/deeper: No such file or directory", message)
		top:write("file", "x")
		assert.equal("ENOTDIR", (select(3, core.create_dir(top:file("file")))))
		assert.same({ "file" }, top:names())
	end)

	it("publishes files, making the directories on the way", function()
		local dir = assert(core.create_dir(path))
		put(dir, "blobs/sha256/abc", "blob")
		put(dir, "index.json", "{}")
		assert.is_true(dir:sync())
		assert.equal("blob", shell.read(path .. "/blobs/sha256/abc"))
		assert.same({ "blobs", "index.json" }, dir:list())
		assert.same({ "abc" }, dir:list("blobs/sha256"))
		assert.equal("blob", content(assert(dir:open("blobs/sha256/abc"))))
		dir:close()
	end)

	it("gives files the mode that new files have", function()
		local dir = assert(core.create_dir(path))
		put(dir, "one", "")
		dir:close()
		top:write("other", "")
		assert.equal(mode(top:file("other")), mode(path .. "/one"))
	end)

	it("shows nothing of a file before it is published", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("one"))
		assert(file:write(0, "x"))
		assert.is_false(dir:exists("one"))
		file:close()
		assert.same({}, dir:list())
		dir:close()
	end)

	it("publishes once", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("one"))
		assert.is_true(file:publish())
		local ok, _, code = file:publish()
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.same({ "one" }, dir:list())
		dir:close()
	end)

	it("can publish after it was closed", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("a/one"))
		dir:close()
		assert(file:write(0, "x"))
		assert.is_true(file:publish())
		file:close()
		assert.equal("x", shell.read(path .. "/a/one"))
	end)

	it("replaces a file as a whole, keeping its mode", function()
		local dir = assert(core.create_dir(path))
		put(dir, "one", "old")
		shell.check({ "chmod", "640", path .. "/one" })
		local before = assert(dir:open("one"))
		put(dir, "one", "new one")
		assert.equal("old", content(before))
		assert.equal("new one", shell.read(path .. "/one"))
		assert.equal("640", mode(path .. "/one"))
		dir:close()
		assert.same({ "one" }, assert(core.open_dir(path)):list())
	end)

	it("undoes everything, the directory itself included", function()
		local dir = assert(core.create_dir(path))
		put(dir, "blobs/sha256/abc", "blob")
		put(dir, "blobs/sha256/def", "blob")
		put(dir, "blobs/sha256/def", "again")
		put(dir, "oci-layout", "{}")
		assert.is_true(dir:undo())
		assert.same({}, top:names())
		assert.is_true(dir:undo())
		dir:close()
	end)

	it("undoes what it did and leaves what was there", function()
		shell.sh([[
			mkdir -p "$1/blobs/sha256"
			printf old >"$1/blobs/sha256/abc"
			printf '{"old":1}' >"$1/index.json"
			chmod 600 "$1/index.json"
		]], path)
		local before = picture(path)
		local dir = assert(core.create_dir(path))
		put(dir, "blobs/sha256/def", "new")
		put(dir, "blobs/sha512/abc", "new")
		put(dir, "index.json", "{}")
		put(dir, "index.json", "[]")
		assert.equal("[]", shell.read(path .. "/index.json"))
		assert.not_equal(before, picture(path))
		assert.is_true(dir:undo())
		assert.equal(before, picture(path))
		assert.equal("600", mode(path .. "/index.json"))
		dir:close()
		assert.equal(before, picture(path))
	end)

	it("undoes nothing once it is closed, and leaves no second names", function()
		shell.sh('mkdir "$1"; printf old >"$1/index.json"', path)
		for _, close in ipairs({
			function(dir)
				dir:close()
			end,
			function()
				collectgarbage()
				collectgarbage()
			end,
		}) do
			local dir = assert(core.create_dir(path))
			put(dir, "a/b", "new")
			put(dir, "index.json", "new")
			close(dir)
			dir = nil -- luacheck: ignore 311
			collectgarbage()
			collectgarbage()
			assert.equal("./a\n./a/b\n./index.json\n", shell.sh('cd "$1"; find . -mindepth 1 | sort', path))
			assert.equal("new", shell.read(path .. "/index.json"))
		end
	end)

	it("leaves what others put there when it undoes", function()
		local dir = assert(core.create_dir(path))
		put(dir, "a/one", "ours")
		put(dir, "b/two", "ours")
		shell.sh('printf theirs >"$1/a/other"; rm "$1/b/two"; printf theirs >"$1/b/two"', path)
		assert.is_true(dir:undo())
		assert.equal("./a\n./a/other\n./b\n./b/two\n", shell.sh('cd "$1"; find . -mindepth 1 | sort', path))
		dir:close()
	end)

	it("undoes the rest when something is gone already", function()
		local dir = assert(core.create_dir(path))
		put(dir, "a/one", "x")
		put(dir, "b/two", "x")
		shell.sh('rm -r "$1/b"', path)
		assert.is_true(dir:undo())
		assert.same({}, top:names())
		dir:close()
	end)

	it("does not follow a link that has taken the place of a directory when it undoes", function()
		local dir = assert(core.create_dir(path))
		put(dir, "a/one", "x")
		shell.sh([[
			cd "$1"
			mkdir outside
			ln new/a/one outside/one
			rm -r new/a
			ln -s ../outside new/a
		]], top.path)
		dir:undo()
		assert.equal("x", shell.read(top:file("outside/one")))
		dir:close()
	end)

	it("never writes outside", function()
		local dir = assert(core.create_dir(path))
		shell.sh([[
			cd "$1"
			mkdir outside new/real
			printf old >outside/file
			ln -s ../outside new/relative
			ln -s "$1/outside" new/absolute
			ln -s ../outside/new new/dangling
			ln -s loop new/loop
		]], top.path)
		local before = picture(top.path)
		for _, name in ipairs({
			"../x", "a/../../x", "a/../x", "..", "/x", top:file("x"), "relative/x", "relative/deep/x", "absolute/x",
			"absolute/file", "../outside/file", "relative/../x",
		}) do
			local file, message, code = dir:create(name)
			assert.is_nil(file)
			assert.equal("EXDEV", code)
			assert.matches("leads out of the directory$", message)
		end
		for name, expected in pairs({
			relative = "ELOOP", dangling = "ELOOP", loop = "ELOOP", ["loop/x"] = "ELOOP",
			["dangling/x"] = "EXDEV", ["a\0b"] = "EINVAL", [""] = "ENOENT", ["."] = "EISDIR", ["x/"] = "EISDIR",
			["x/."] = "EISDIR", real = "EISDIR", [("x"):rep(300)] = "ENAMETOOLONG", [("x/"):rep(3000) .. "x"] = "ENAMETOOLONG",
		}) do
			local file, _, code = dir:create(name)
			assert.is_nil(file)
			assert.equal(expected, code, name)
		end
		assert.equal(before, picture(top.path))
		dir:close()
	end)

	it("writes through links that stay inside", function()
		local dir = assert(core.create_dir(path))
		shell.sh('mkdir "$1/real"; ln -s real "$1/link"', path)
		put(dir, "link/deep/one", "x")
		assert.equal("x", shell.read(path .. "/real/deep/one"))
		assert.is_true(dir:undo())
		assert.equal("./link\n./real\n", shell.sh('cd "$1"; find . -mindepth 1 | sort', path))
		dir:close()
	end)

	it("publishes into the directory that it created the file in", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("a/one"))
		shell.sh('cd "$1"; mkdir outside; mv new/a new/moved; ln -s ../outside new/a', top.path)
		assert(file:write(0, "x"))
		assert.is_true(file:publish())
		file:close()
		assert.equal("x", shell.read(path .. "/moved/one"))
		assert.equal("", shell.check({ "ls", "-A", top:file("outside") }))
		dir:close()
	end)

	it("replaces a link that came between, not what it points to", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("one"))
		top:write("victim", "old")
		shell.sh('ln -s ../victim "$1/one"', path)
		assert(file:write(0, "new"))
		assert.is_true(file:publish())
		file:close()
		assert.equal("old", shell.read(top:file("victim")))
		assert.equal("new", shell.read(path .. "/one"))
		dir:close()
	end)

	it("fails when a file is where a directory should be", function()
		local dir = assert(core.create_dir(path))
		put(dir, "blobs", "x")
		local file, message, code = dir:create("blobs/sha256/abc")
		assert.is_nil(file)
		assert.equal("ENOTDIR", code)
		assert.matches("new/blobs/sha256/abc: Not a directory$", message)
		dir:close()
	end)

	it("leaves no descriptor behind", function()
		local before = process.descriptors()
		local dir = assert(core.create_dir(path))
		shell.sh('ln -s loop "$1/loop"', path)
		put(dir, "a/b/c", "x")
		put(dir, "a/b/c", "y")
		dir:create("a/b/d"):close()
		for _, name in ipairs({ "..", "a/b", "loop", "loop/x", "a/b/c/d", "", "x\0" }) do
			assert.is_nil((dir:create(name)))
		end
		dir:sync()
		dir:undo()
		dir:close()
		core.create_dir(path .. "/missing/x")
		assert.equal(before, process.descriptors())
	end)
end)

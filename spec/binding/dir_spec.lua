local child = require "spec.support.child"
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
		assert(dir:publish(file, name))
		file:close()
	end

	local function all_files()
		return shell.sh('cd "$1"; find . -mindepth 1 | LC_ALL=C sort', path)
	end

	it("makes the directory with its first file, with a mode as usual", function()
		local dir = assert(core.create_dir(path .. "//"))
		local file = assert(dir:create("one"))
		assert.is_false(dir:exists("."))
		assert.equal("ENOENT", (select(3, dir:list())))
		assert.same({}, top:names())
		assert(dir:publish(file, "one"))
		file:close()
		assert.same({ "one" }, dir:list())
		shell.sh('mkdir -m 0755 "$1/other"', top.path)
		assert.equal(mode(top:file("other")), mode(path))
		dir:close()
		assert.same({ "new", "other" }, top:names())
	end)

	it("makes nothing when nothing is published", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("a/b/one"))
		assert(file:write(0, "x"))
		file:close()
		dir:close()
		assert.same({}, top:names())
	end)

	it("takes a directory that is there, or that somebody makes meanwhile", function()
		local early = assert(core.create_dir(path))
		shell.sh('mkdir "$1"; echo x >"$1/kept"', path)
		for _, name in ipairs({ path, path .. "/.", top:file("new/../new") }) do
			local dir = assert(core.create_dir(name))
			assert.same({ "kept" }, dir:list())
			dir:close()
		end
		put(early, "one", "1")
		assert.same({ "kept", "one" }, early:list())
		early:close()
		assert.equal("x\n", shell.read(path .. "/kept"))
	end)

	it("is refused where no directory can be", function()
		top:write("file", "x")
		shell.sh('cd "$1"; ln -s nowhere link', top.path)
		for name, expected in pairs({
			["new/deeper"] = "ENOENT", file = "ENOTDIR", ["file/new"] = "ENOTDIR", link = "ENOENT", ["new/."] = "ENOENT",
			["new/.."] = "ENOENT", [("x"):rep(300)] = "ENAMETOOLONG",
		}) do
			local dir, message, code = core.create_dir(top:file(name))
			assert.is_nil(dir)
			assert.equal(expected, code, name)
			assert.equal(top:file(name), message:sub(1, #top:file(name)))
		end
		assert.equal("ENOENT", (select(3, core.create_dir(""))))
		assert.same({ "file", "link" }, top:names())
	end)

	it("is refused at once where the user may not make a directory", function()
		shell.check({ "chmod", "555", top.path })
		local caps = "-dac_override,-dac_read_search"
		local done = child.run({
			script = 'print(select(3, require("strata.core").create_dir(arg[1])))',
			arguments = { path },
			wrapper = shell.check({ "id", "-u" }) == "0\n"
				and { "setpriv", "--bounding-set", caps, "--inh-caps", caps } or nil,
		})
		shell.check({ "chmod", "755", top.path })
		assert.equal("EACCES\n", done.stdout, done.stderr)
	end)

	it("publishes files, making the directories on the way", function()
		local dir = assert(core.create_dir(path))
		put(dir, "blobs/sha256/abc", "blob")
		put(dir, "index.json", "{}")
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
		put(dir, "other", "x")
		local file = assert(dir:create("one"))
		assert(file:write(0, "x"))
		assert.is_false(dir:exists("one"))
		file:close()
		assert.same({ "other" }, dir:list())
		dir:close()
	end)

	it("publishes a file once, and no file that is no output of a directory", function()
		local dir = assert(core.create_dir(path))
		local file = assert(dir:create("one"))
		assert.equal("EINVAL", (select(3, file:publish())))
		assert.is_true(dir:publish(file, "one"))
		for _, other in ipairs({ file, core.temp_file(), core.create_file(top:file("x")), dir:open("one") }) do
			local ok, _, code = dir:publish(other, "two")
			assert.is_nil(ok)
			assert.equal("EINVAL", code)
			other:close()
		end
		assert.same({ "one" }, dir:list())
		dir:close()
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

	it("keeps what was published when it is closed, or collected", function()
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
			assert.equal("./a\n./a/b\n./index.json\n", all_files())
		end
	end)

	it("removes files, not what is in use as a directory", function()
		local dir = assert(core.create_dir(path))
		assert.is_true(dir:remove("none"))
		put(dir, "a/one", "x")
		assert.is_true(dir:remove("a/one"))
		assert.is_true(dir:remove("a/one"))
		assert.is_true(dir:remove("b/one"))
		assert.is_nil((dir:remove("a")))
		assert.equal("./a\n", all_files())
		dir:close()
	end)

	it("never writes outside", function()
		shell.sh([[
			cd "$1"
			mkdir -p outside new/real
			printf old >outside/file
			ln -s ../outside new/relative
			ln -s "$1/outside" new/absolute
			ln -s ../outside/new new/dangling
			ln -s loop new/loop
		]], top.path)
		local dir = assert(core.create_dir(path))
		local before = picture(top.path)
		local function refused(name, expected)
			local file, message, code = dir:create(name)
			assert.is_nil(file)
			assert.equal(expected, code, name)
			file = assert(dir:create("file"))
			local ok, why
			ok, why, code = dir:publish(file, name)
			file:close()
			return message, ok, why, code
		end
		for _, name in ipairs({
			"../x", "a/../../x", "a/../x", "..", "/x", top:file("x"), "relative/x", "relative/deep/x", "absolute/x",
			"absolute/file", "../outside/file", "relative/../x",
		}) do
			local message, ok, why, code = refused(name, "EXDEV")
			assert.matches("leads out of the directory$", message)
			assert.is_nil(ok)
			assert.equal("EXDEV", code)
			assert.equal(message, why)
		end
		for name, expected in pairs({
			["loop/x"] = "ELOOP", ["dangling/x"] = "EXDEV", ["a\0b"] = "EINVAL", [""] = "ENOENT", ["."] = "EISDIR",
			["x/"] = "EISDIR", ["x/."] = "EISDIR", real = "EISDIR", [("x"):rep(300)] = "ENAMETOOLONG",
			[("x/"):rep(3000) .. "x"] = "ENAMETOOLONG",
		}) do
			local _, ok, _, code = refused(name, expected)
			assert.is_nil(ok)
			assert.equal(expected, code, name)
		end
		for _, name in ipairs({ "relative", "dangling", "loop" }) do
			assert.equal("ELOOP", (select(3, dir:create(name))))
		end
		assert.equal(before, picture(top.path))
		dir:close()
	end)

	it("writes through links that stay inside", function()
		shell.sh('mkdir -p "$1/real"; ln -s real "$1/link"', path)
		local dir = assert(core.create_dir(path))
		put(dir, "link/deep/one", "x")
		assert.equal("x", shell.read(path .. "/real/deep/one"))
		dir:close()
	end)

	it("publishes where the directory is then, and never through a link that has taken the place of one", function()
		local dir = assert(core.create_dir(path))
		put(dir, "a/zero", "x")
		local file, lost = assert(dir:create("a/one")), assert(dir:create("a/two"))
		assert(file:write(0, "x"))
		shell.sh('cd "$1"; mv new moved; mkdir outside', top.path)
		assert.is_true(dir:publish(file, "a/one"))
		file:close()
		assert.equal("x", shell.read(top:file("moved/a/one")))
		shell.sh('cd "$1"; mv moved/a moved/b; ln -s ../outside moved/a', top.path)
		assert.equal("EXDEV", (select(3, dir:publish(lost, "a/two"))))
		lost:close()
		assert.equal("", shell.check({ "ls", "-A", top:file("outside") }))
		dir:close()
	end)

	it("replaces a link that came between, not what it points to", function()
		local dir = assert(core.create_dir(path))
		put(dir, "other", "x")
		local file = assert(dir:create("one"))
		top:write("victim", "old")
		shell.sh('ln -s ../victim "$1/one"', path)
		assert(file:write(0, "new"))
		assert.is_true(dir:publish(file, "one"))
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

	it("is locked until it is unlocked, or closed", function()
		local dir = assert(core.create_dir(path))
		assert.is_true(dir:lock()) -- nobody else can have it
		dir:unlock()
		put(dir, "one", "x")
		local function is_free()
			return shell.run({ "flock", "--nonblock", path, "true" }).status == 0
		end
		assert.is_true(is_free())
		assert.is_true(dir:lock())
		assert.is_false(is_free())
		put(dir, "one", "y")
		assert.is_false(is_free())
		dir:unlock()
		assert.is_true(is_free())
		assert.is_true(dir:lock())
		assert.is_true(dir:lock())
		dir:close()
		assert.is_true(is_free())
	end)

	it("leaves no descriptor behind", function()
		local before = process.descriptors()
		local dir = assert(core.create_dir(path))
		put(dir, "a/b/c", "x")
		shell.sh('ln -s loop "$1/loop"', path)
		put(dir, "a/b/c", "y")
		dir:create("a/b/d"):close()
		for _, name in ipairs({ "..", "a/b", "loop", "loop/x", "a/b/c/d", "", "x\0" }) do
			assert.is_nil((dir:create(name)))
			local file = assert(dir:create("file"))
			dir:publish(file, name)
			file:close()
		end
		dir:close()
		core.create_dir(path .. "/missing/x")
		assert.equal(before, process.descriptors())
	end)
end)

local child = require "spec.support.child"
local core = require "strata.core"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local function mode(path)
	return shell.check({ "stat", "-c", "%a", path }):match("%d+")
end

describe("core.create_file", function()
	local top

	before_each(function()
		top = tmp.dir()
	end)

	after_each(function()
		top:remove()
	end)

	it("publishes where it was created, wherever the directory is then", function()
		shell.check({ "mkdir", top:file("a") })
		local file = assert(core.create_file(top:file("a/one")))
		assert(os.rename(top:file("a"), top:file("b")))
		assert(file:write(0, "x"))
		assert.is_true(file:publish())
		file:close()
		assert.equal("x", shell.read(top:file("b/one")))
		assert.same({ "b" }, top:names())
	end)

	it("follows a link and keeps the mode of what it points to", function()
		top:write("real", "old")
		shell.sh('cd "$1"; chmod 604 real; ln -s real link', top.path)
		local file = assert(core.create_file(top:file("link")))
		assert(file:write(0, "new"))
		assert.is_true(file:publish())
		file:close()
		assert.equal("new", shell.read(top:file("real")))
		assert.equal("604", mode(top:file("real")))
		assert.same({ "link", "real" }, top:names())
	end)

	-- Replaces files of another user and group, as one who may not give files away.
	local function replaced(names, groups)
		if not rights.root then
			return pending("making files of another user needs root")
		end
		local script = 'cd "$1"; shift; for m; do touch $m; chown 1000:42 $m; chmod $m $m; done'
		shell.sh(script, top.path, (unpack or table.unpack)(names))
		local done = child.run({
			script = [[
				local core = require "strata.core"
				for i = 2, #arg do
					assert(assert(core.create_file(arg[1] .. "/" .. arg[i])):publish())
				end
			]],
			arguments = { top.path, (unpack or table.unpack)(names) },
			wrapper = { "setpriv", "--bounding-set", "-chown", "--inh-caps", "-chown", groups[1], groups[2] },
		})
		assert.equal(0, done.status, done.stderr)
		return shell.sh('cd "$1"; stat -c "%n %a %u:%g" *', top.path)
	end

	it("leaves out the bits that were meant for another owner and group", function()
		assert.equal("0664 604 0:0\n2775 705 0:0\n4755 705 0:0\n",
			replaced({ "0664", "2775", "4755" }, { "--clear-groups" }))
	end)

	it("keeps the group where the user is in it", function()
		assert.equal("2775 2775 0:42\n4664 664 0:42\n", replaced({ "2775", "4664" }, { "--groups", "42" }))
	end)

	it("leaves nothing when it is not published", function()
		local file = assert(core.create_file(top:file("one")))
		assert(file:write(0, "x"))
		file:close()
		assert.same({}, top:names())
	end)

	it("fails for what cannot be a file", function()
		for name, expected in pairs({
			["missing/x"] = "ENOENT", ["new/"] = "ENOENT", ["."] = "EISDIR", fifo = "EUNSUPPORTED",
		}) do
			shell.run({ "mkfifo", top:file("fifo") })
			local file, _, code = core.create_file(top:file(name))
			assert.is_nil(file)
			assert.equal(expected, code, name)
		end
		assert.equal("ENOENT", (select(3, core.create_file(""))))
		assert.equal("EISDIR", (select(3, core.create_file("/"))))
		assert.same({ "fifo" }, top:names())
	end)

	it("throws for a path with a NUL byte", function()
		for _, name in ipairs({ "open_file", "create_file", "temp_file", "open_dir", "create_dir" }) do
			assert.has_error(function()
				core[name](top.path .. "\0x")
			end)
		end
	end)
end)

describe("core.open_file", function()
	it("takes regular files only", function()
		local top = tmp.dir()
		shell.check({ "mkfifo", top:file("fifo") })
		shell.check({
			"python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", top:file("socket"),
		})
		for _, path in ipairs({ top:file("fifo"), top:file("socket"), "/dev/null", "/dev/tty" }) do
			local file, message, code = core.open_file(path)
			assert.is_nil(file)
			assert.equal("EUNSUPPORTED", code)
			assert.equal(path .. ": not a regular file", message)
		end
		assert.equal("EISDIR", (select(3, core.open_file(top.path))))
		top:remove()
	end)
end)

describe("file:grow", function()
	it("tells a temporary file what was written through its descriptor", function()
		local file = assert(core.temp_file())
		io.popen(("printf 0123456789 >/proc/$PPID/fd/%d"):format(file:fileno())):close() -- its parent is this process
		assert.equal(0, file:size())
		assert.is_true(file:grow(6))
		assert.equal(6, file:size())
		assert.equal("012345", file:read(0, 6))
		assert.is_true(file:grow(4))
		assert.equal(6, file:size())
		assert.same({ nil, "temporary file: has 10 bytes, fewer than 11", "EFORMAT" }, { file:grow(11) })
		assert.has_error(function()
			file:grow(-1)
		end)
		file:close()
	end)

	it("refuses files that have a name, or get one", function()
		local top = tmp.dir()
		top:write("one", "bytes")
		for _, file in ipairs({ core.open_file(top:file("one")), core.create_file(top:file("two")) }) do
			local ok, _, code = file:grow(0)
			assert.is_nil(ok)
			assert.equal("EINVAL", code)
			file:close()
		end
		top:remove()
	end)
end)

-- `make install` and `make uninstall`: what goes where, what is said, and what is left.

local nginx = require "spec.support.nginx"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

describe("make install", function()
	local dir, prefix

	before_each(function()
		dir = tmp.dir()
		prefix = dir:file("usr local")
	end)

	after_each(function()
		dir:remove()
	end)

	local function make(...)
		return shell.run({ "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "LUA_PATH", "-u", "LUA_CPATH", "make", ... })
	end

	local function done(...)
		local finished = make(...)
		assert.equal(0, finished.status, finished.stdout .. finished.stderr)
		return finished.stdout
	end

	local function files()
		return shell.check({ "find", dir.path, "-mindepth", "1", "!", "-type", "d", "-printf", "%P\n" })
	end

	local function has(path)
		return shell.run({ "test", "-f", path }).status == 0
	end

	it("puts the modules, the types, the explorer, the addon and the documents below PREFIX", function()
		done("install", "PREFIX=" .. prefix)
		for _, name in ipairs({
			"lib/lua/5.1/strata/core.so",
			"lib/lua/5.4/strata/core.so",
			"lib/lua/5.4/strata/archive.so",
			"share/lua/5.1/strata/init.lua",
			"share/lua/5.4/strata/meta/strata.lua",
			"share/strata/explorer/nginx.conf.in",
			"share/strata/explorer/page/index.html",
			"share/strata/addon/strata/config.json",
			"share/strata/addon/strata/library/strata.lua",
			"share/doc/strata/README.md",
			"share/doc/strata/doc/limits.md",
		}) do
			assert.is_true(has(prefix .. "/" .. name), name)
		end
		assert.equal(0, shell.run({ "test", "-x", prefix .. "/share/strata/explorer/run" }).status)
	end)

	it("says what to set where Lua does not look by itself, and that works", function()
		local output = done("install", "LUA_VERSIONS=5.4", "PREFIX=" .. prefix)
		local settings = output:match("\n  export (LUA_PATH='[^\n]+)\n")
		assert.is_truthy(settings, output)
		local script = settings .. " exec lua5.4 -e 'print(require(\"strata.archive\") and require(\"strata\")._VERSION)'"
		assert.is_truthy(shell.check({ "sh", "-c", script, cwd = "/" }):find("^strata %d"))
	end)

	it("names the variables of each Lua when there are several", function()
		local output = done("install", "LUA_VERSIONS=5.1 5.4", "PREFIX=" .. prefix)
		assert.is_truthy(output:find("export LUA_PATH='", 1, true))
		assert.is_truthy(output:find("export LUA_PATH_5_4='", 1, true))
	end)

	it("says nothing to packagers, whose place is not the last one", function()
		assert.is_nil(done("install", "DESTDIR=" .. dir.path, "PREFIX=/opt/x"):find("export", 1, true))
		assert.is_true(has(dir:file("opt/x/lib/lua/5.4/strata/core.so")))
	end)

	it("installs a command that finds its Lua and its module", function()
		if not has("bin/strata") then
			pending("there is no command yet")
		end
		done("install", "PREFIX=" .. prefix)
		local env = { LUA_PATH = ";;", LUA_CPATH = ";;" }
		local output = shell.check({ prefix .. "/bin/strata", "--version", cwd = "/", env = env })
		assert.is_truthy(output:find("^strata %d"))
	end)

	it("installs an explorer that finds the module beside it", function()
		local reason = nginx.missing()
		if reason then
			pending(reason)
		end
		done("install", "LUA_VERSIONS=5.1", "PREFIX=" .. prefix)
		shell.check({ "mkdir", dir:file("images") })
		local env = { LUA_PATH = ";;", LUA_CPATH = ";;" }
		local run = prefix .. "/share/strata/explorer/run"
		local server = nginx.start({ directory = dir:file("images"), run = run, env = env })
		local answer = server:curl({ server.url .. "/images" })
		server:stop()
		assert.equal(200, answer.status)
	end)

	it("takes LUA_LIBDIR and LUA_SHAREDIR, in which $(v) is the version of Lua", function()
		local settings = { "PREFIX=" .. prefix, "LUA_LIBDIR=" .. dir:file("lib64/$(v)"), "LUA_SHAREDIR=" .. dir:file("lua") }
		done("install", (table.unpack or unpack)(settings))
		for _, name in ipairs({ "lib64/5.1/strata/core.so", "lib64/5.4/strata/core.so", "lua/strata/init.lua" }) do
			assert.is_true(has(dir:file(name)), name)
		end
		done("uninstall", (table.unpack or unpack)(settings))
		assert.equal("", files())
	end)

	it("refuses one LUA_LIBDIR for C modules of several Luas", function()
		local finished = make("install", "LUA_VERSIONS=5.1 5.4", "PREFIX=" .. prefix, "LUA_LIBDIR=" .. dir:file("lib"))
		assert.is_true(finished.status ~= 0)
		assert.is_truthy(finished.stderr:find("LUA_LIBDIR is one place for several Luas", 1, true))
		assert.equal("", files())
	end)

	it("changes nothing when a part of it cannot be written", function()
		dir:write("file", "")
		local finished = make("install", "PREFIX=" .. dir:file("file/usr"), "LUA_SHAREDIR=" .. dir:file("share"))
		assert.is_true(finished.status ~= 0)
		assert.is_truthy(finished.stderr:find("install: %S+/file is not a directory"))
		assert.equal("file\n", files())
	end)

	it("is undone by `make uninstall`, which leaves the files of others", function()
		shell.check({ "mkdir", "-p", prefix .. "/share/lua/5.4/strata", prefix .. "/bin" })
		shell.write(prefix .. "/share/lua/5.4/strata/mine.lua", "")
		shell.write(prefix .. "/bin/other", "")
		done("install", "PREFIX=" .. prefix)
		done("uninstall", "PREFIX=" .. prefix)
		assert.same({ "usr local/bin/other", "usr local/share/lua/5.4/strata/mine.lua" }, (function()
			local list = {}
			for name in files():gmatch("[^\n]+") do
				list[#list + 1] = name
			end
			table.sort(list)
			return list
		end)())
		assert.is_true(shell.run({ "test", "-e", prefix .. "/share/strata" }).status ~= 0)
		assert.is_true(shell.run({ "test", "-e", prefix .. "/share/doc/strata" }).status ~= 0)
	end)
end)

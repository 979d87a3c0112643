-- What `make` finds to build for, by the names that Lua has in pkg-config on other distributions, or by its headers.

local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local NUMBERS = { ["5.1"] = 501, ["5.2"] = 502, ["5.3"] = 503, ["5.4"] = 504 }

describe("make", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	--- A package of pkg-config in the directory that alone is searched.
	local function package(name, version)
		dir:write(name .. ".pc", ("Name: %s\nDescription: -\nVersion: %s\nCflags: -I/fake/%s\n"):format(name, version, name))
	end

	--- A directory of headers as Lua of a version has them.
	local function headers(place, version)
		local path = dir:file(place)
		shell.check({ "mkdir", "-p", path })
		shell.write(path .. "/lua.h", ("#define LUA_VERSION_NUM\t%d\n"):format(NUMBERS[version]))
		return path
	end

	local function make(...)
		local env = { PKG_CONFIG_LIBDIR = dir.path, PKG_CONFIG_PATH = "", LC_ALL = "C" }
		return shell.run({ "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "LUAJIT_DIR=/nonexistent", env = env, ... })
	end

	--- The versions that are found, and the directory of headers of one of them.
	local function found(version, ...)
		local versions = make("help", ...).stdout:match("LUA_VERSIONS +[^\n]*%((.-)%)")
		local object = dir:file("build") .. "/lua" .. version .. "/obj/lua/digest.o"
		local command = make("-n", "V=1", "BUILD=" .. dir:file("build"), object, ...).stdout
		return versions, command:match("(%-I%S+) +%-c %-o [^\n]*lua/digest%.o")
	end

	for _, case in ipairs({
		{ "lua5.4", "5.4.6", "5.4" },
		{ "lua-5.4", "5.4.6", "5.4" },
		{ "lua54", "5.4.6", "5.4" },
		{ "lua", "5.4.7", "5.4" },
		{ "lua", "5.3.6", "5.3" },
		{ "lua53", "5.3.6", "5.3" },
		{ "lua-5.2", "5.2.4", "5.2" },
		{ "lua51", "5.1.5", "5.1" },
		{ "luajit", "2.1.1700008891", "5.1" },
	}) do
		local name, full, version = case[1], case[2], case[3]

		it(("builds for %s where pkg-config calls it %s, version %s"):format(version, name, full), function()
			package(name, full)
			local versions, include = found(version)
			assert.equal(version, versions)
			assert.equal("-I/fake/" .. name, include)
		end)
	end

	it("builds for all that there are, and prefers the name that has the version", function()
		package("lua", "5.4.6")
		package("lua54", "5.4.6")
		package("lua5.1", "5.1.5")
		package("luajit", "2.1.0")
		assert.equal("5.1 5.4", (found("5.4")))
		assert.equal("-I/fake/lua54", (select(2, found("5.4"))))
		assert.equal("-I/fake/lua5.1", (select(2, found("5.1"))))
	end)

	it("passes over a Lua that it does not know", function()
		package("lua", "5.5.0")
		assert.equal("none found", (found("5.4")))
	end)

	it("finds OpenResty's LuaJIT below LUAJIT_DIR", function()
		local path = headers("luajit/include/luajit-2.1", "5.1")
		local versions, include = found("5.1", "LUAJIT_DIR=" .. dir:file("luajit"))
		assert.equal("5.1", versions)
		assert.equal("-I" .. path, include)
	end)

	it("takes the version of LUA_INCDIR or LUA_CFLAGS from the header there", function()
		package("lua5.1", "5.1.5")
		for version in pairs(NUMBERS) do
			local path = headers("own-" .. version, version)
			for _, setting in ipairs({ "LUA_INCDIR=" .. path, "LUA_CFLAGS=-I" .. path }) do
				local versions, include = found(version, setting)
				assert.equal(version, versions)
				assert.equal("-I" .. path, include)
			end
		end
	end)

	it("takes LUA_VERSIONS as they are told", function()
		local path = headers("own", "5.4")
		local versions, include = found("5.3", "LUA_INCDIR=" .. path, "LUA_VERSIONS=5.3")
		assert.equal("5.3", versions)
		assert.equal("-I" .. path, include)
	end)

	it("fails when it finds none", function()
		local done = make("build", "BUILD=" .. dir:file("build"))
		assert.is_true(done.status ~= 0)
		assert.is_truthy(done.stderr:find("missing", 1, true))
	end)
end)

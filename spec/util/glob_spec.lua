--- Patterns of paths.

local core = require "strata.core"
local glob = require "strata.util.glob"

describe("a matcher of patterns", function()
	local function matches(pattern, path)
		return core.globs({ pattern }):match(path)
	end

	it("matches a path and what is below it, and nothing beside", function()
		for path, expected in pairs({
			["usr/share/doc"] = true,
			["usr/share/doc/a/b"] = true,
			["usr/share/docs"] = false,
			["usr/share"] = false,
			["x/usr/share/doc"] = false,
		}) do
			assert.equal(expected, matches("usr/share/doc", path), path)
			assert.equal(expected, matches("/usr/share/doc/", path), path)
		end
	end)

	it("matches within a name by stars, question marks and classes", function()
		assert.is_true(matches("etc/*.conf", "etc/a.conf"))
		assert.is_false(matches("etc/*.conf", "etc/sub/a.conf"))
		assert.is_true(matches("lib/lib?.so.[0-9]", "lib/libz.so.1"))
		assert.is_false(matches("lib/lib?.so.[!0-9]", "lib/libz.so.1"))
		assert.is_true(matches("a.b", "a.b"))
		assert.is_false(matches("a.b", "axb"))
	end)

	it("matches any directories by two stars, also none", function()
		for _, path in ipairs({ "a.pyc", "x/a.pyc", "x/y/z/a.pyc", "x/a.pyc/below" }) do
			assert.is_true(matches("**/*.pyc", path), path)
		end
		assert.is_false(matches("**/*.pyc", "x/a.py"))
		assert.is_true(matches("x/**/y", "x/y"))
		assert.is_true(matches("x/**/y", "x/1/2/y"))
		assert.is_false(matches("x/**/y", "y"))
	end)

	it("takes no time that grows like a power of the pattern's stars", function()
		local pattern = ("**/a/"):rep(20) .. "b"
		assert.is_false(matches(pattern, ("a/"):rep(60) .. "c"))
	end)

	it("has a problem when a class does not end in its name", function()
		for _, pattern in ipairs({ "a[", "a/[b", "[a/b]", "[]", "[!]", "x/[a]/[b", "[[", "[^", "a[]b", "[*", "*[" }) do
			assert.matches("'%[' has no '%]'", glob.problem(pattern), pattern)
		end
		for _, pattern in ipairs({ "", "/", "]", "a]", "[a]", "[[]", "[]]", "[!]]", "[[][]]", "[a][b]/[!c]", "**",
			"[%]", "[a-]", "[", "usr/bin/[" }) do
			assert.is_nil(glob.problem(pattern), pattern)
		end
		assert.is_true(matches("usr/bin/[[]", "usr/bin/["))
		assert.is_true(matches("usr/bin/[", "usr/bin/["))
		assert.is_true(matches("a[]]", "a]"))
		assert.is_false(matches("a[!]]", "a]"))
	end)

	it("matches when one of several does", function()
		local any = core.globs({ "a", "b/*" })
		assert.is_true(any:match("a"))
		assert.is_true(any:match("b/c"))
		assert.is_false(any:match("b"))
		assert.is_false(core.globs({}):match("a"))
	end)
end)

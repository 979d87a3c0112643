--- The one way to name paths.

local choice = require "strata.util.choice"

local function paths(which, candidates)
	local chosen, list = choice.new(which, "remove"), {}
	for _, path in ipairs(candidates) do
		if chosen:covers(path) then
			list[#list + 1] = path
		end
	end
	return list, chosen
end

describe("a choice of paths", function()
	local TREE = { "etc", "etc/a.conf", "etc/sub/b.conf", "etc.d/c", "usr/share/doc/x/y", "x.pyc", "lib/py/z.pyc" }

	it("takes a path, and all below it", function()
		assert.same({ "etc", "etc/a.conf", "etc/sub/b.conf" }, (paths("etc", TREE)))
		assert.same({ "etc/sub/b.conf" }, (paths("etc/sub", TREE)))
		assert.same({}, (paths("et", TREE)))
	end)

	it("takes it however it is spelled", function()
		for _, spelling in ipairs({ "/etc/sub", "./etc/sub", "etc//sub", "etc/./sub", "etc/sub/", "///etc/sub//" }) do
			assert.same({ "etc/sub/b.conf" }, (paths(spelling, TREE)), spelling)
		end
	end)

	it("takes globs", function()
		assert.same({ "etc/a.conf" }, (paths("etc/*.conf", TREE)))
		assert.same({ "etc/a.conf", "etc/sub/b.conf" }, (paths("etc/**/*.conf", TREE)))
		assert.same({ "x.pyc", "lib/py/z.pyc" }, (paths("**/*.pyc", TREE)))
		assert.same({ "x.pyc", "lib/py/z.pyc" }, (paths("/**/*.pyc", TREE)))
		assert.same({ "usr/share/doc/x/y" }, (paths("usr/*/doc", TREE)))
		assert.same(TREE, (paths("**", TREE)))
	end)

	it("takes Lua patterns, which mean all below what they match, too", function()
		assert.same({ "x.pyc", "lib/py/z.pyc" }, (paths({ pattern = "%.pyc$" }, TREE)))
		assert.same({ "etc", "etc/a.conf", "etc/sub/b.conf" }, (paths({ pattern = "^etc$" }, TREE)))
		assert.same({}, (paths({ pattern = "^/etc" }, TREE)))
	end)

	it("takes characters of Lua patterns in a path as they are", function()
		assert.same({ "a-b", "x+y(1)%d" }, (paths({ "a-b", "x+y(1)%d" }, { "a-b", "ab", "x+y(1)%d", "xxy1" })))
		assert.same({ "..." }, (paths("...", { "...", "abc", "a" })))
		assert.same({ "..a/b" }, (paths("..a", { "..a/b", "a/b" })))
		assert.same({ "a\255" }, (paths("a\255", { "a\255", "a\254" })))
	end)

	it("takes an array of all of them", function()
		local which = { "etc/sub", "usr/**", { pattern = "^x" } }
		assert.same({ "etc/sub/b.conf", "usr/share/doc/x/y", "x.pyc" }, (paths(which, TREE)))
	end)

	it("tells which of them have matched nothing", function()
		local _, chosen = paths({ "etc", "none", { pattern = "^no%.$" }, "**/*.pyc" }, TREE)
		assert.equal("nothing matches 'none', {pattern = '^no%.$'}", chosen:unused())
		_, chosen = paths({ "etc", "/etc/", "etc/a.conf", "etc/sub" }, { "etc/a.conf", "etc/sub/b.conf" })
		assert.is_nil(chosen:unused(), "what is below another one counts as well")
		_, chosen = paths("etc", {})
		assert.equal("nothing matches 'etc'", chosen:unused())
		_, chosen = paths("etc", { "etc/only/below" })
		assert.is_nil(chosen:unused())
	end)

	it("escapes what it shows in messages", function()
		local _, chosen = paths("a\nb", {})
		assert.is_nil(chosen:unused():find("\n", 1, true))
	end)
end)

describe("a choice by a function", function()
	it("chooses the paths of what the function says true for, and all below", function()
		local seen = {}
		local chosen = choice.new(function(value, more)
			seen[#seen + 1] = { value, more }
			return value == 1
		end, "remove")
		chosen:ask("a", 1, "x")
		chosen:ask("b", 2, "y")
		assert.same({ { 1, "x" }, { 2, "y" } }, seen)
		assert.is_true(chosen:covers("a"))
		assert.is_true(chosen:covers("a/b/c"))
		assert.is_false(chosen:covers("b"))
		assert.is_false(chosen:covers("ab"))
		assert.is_nil(chosen:unused())
	end)

	it("keeps a path that was chosen once", function()
		local answers = { true, false }
		local chosen = choice.new(function()
			return table.remove(answers, 1)
		end, "remove")
		chosen:ask("a")
		chosen:ask("a")
		assert.is_true(chosen:covers("a"))
	end)

	it("says so when it has chosen nothing", function()
		local chosen = choice.new(function()
			return false
		end, "remove")
		chosen:ask("a")
		assert.equal("the function chose nothing", chosen:unused())
	end)

	it("throws at the function's caller for an answer that is neither true nor false", function()
		for _, answer in ipairs({ 0, "", "true", {} }) do
			local chosen = choice.new(function()
				return answer
			end, "remove")
			assert.error_matches(function()
				chosen:ask("a")
			end, "remove: the function returned .* for 'a': true chooses it, and false does not$")
		end
		local silent = choice.new(function() end, "layer: exclude")
		local _, message = pcall(silent.ask, silent, "a")
		assert.matches("layer: exclude: the function returned nil for 'a'", message, 1, true)
	end)

	it("passes on what the function throws", function()
		local chosen = choice.new(function()
			error("enough", 0)
		end, "remove")
		local _, message = pcall(chosen.ask, chosen, "a")
		assert.equal("enough", message)
	end)
end)

describe("a choice that cannot be one", function()
	local function refused(which)
		local ok, message = pcall(function()
			choice.new(which, "remove")
		end)
		assert.is_false(ok)
		assert.matches("^spec/util/choice_spec.lua:%d+: remove: ", message)
		return (message:gsub("^[^ ]* ", ""))
	end

	it("throws for what names nothing inside the image", function()
		for _, given in ipairs({ "", "/", "//", ".", "./", "/./.", "..", "../etc", "/etc/..", "etc/../passwd" }) do
			assert.matches("names no path inside the image$", refused(given))
			assert.matches("names no path inside the image$", refused({ "etc", given }))
		end
	end)

	it("throws for what is no array of paths", function()
		local wanted = "remove: an array of paths is wanted, with one path at least"
		local hole = { "a", "b", "c" }
		hole[2] = nil
		for _, given in ipairs({ {}, hole, { [0] = "a" }, { "a", extra = "b" }, { path = "a" }, { patern = "a" } }) do
			assert.equal(wanted, refused(given))
		end
	end)

	it("throws for other types", function()
		local function shown(kind)
			return "remove: a path, a glob or {pattern = ...} is wanted, not " .. kind
		end
		assert.equal(shown("nil"), refused(nil))
		for kind, given in pairs({ number = 5, boolean = true, thread = coroutine.create(refused) }) do
			assert.equal(shown(kind), refused(given))
			assert.equal(shown(kind), refused({ "a", given }))
		end
		assert.equal(shown("function"), refused({ refused }))
		assert.equal(shown("table"), refused({ { "a" } }))
		assert.equal(shown("table"), refused({ {} }))
	end)

	it("throws for patterns that are none, and fields beside a pattern", function()
		assert.matches("^remove: pattern: '%[a' is no Lua pattern: ", refused({ pattern = "[a" }))
		assert.equal("remove: pattern should be a Lua pattern, not number", refused({ pattern = 5 }))
		assert.matches("^remove: pattern: '%%' is no Lua pattern: ", refused({ "a", { pattern = "%" } }))
		assert.equal("remove: {pattern = ...} has no field 'plain'", refused({ pattern = "a", plain = true }))
		assert.equal("remove: {pattern = ...} has no field '1'", refused({ "a", pattern = "b" }))
	end)

	it("throws for a glob that is none", function()
		local message = "remove: 'usr/[bin' is no glob: its '[' has no ']' in the same name; '[[]' is the character itself"
		assert.equal(message, refused("usr/[bin"))
		assert.equal(message, refused({ "a", "usr/[bin" }))
	end)
end)

describe("a matcher", function()
	it("chooses as a choice does, and keeps nothing", function()
		local matches = choice.matcher({ "/usr/share/doc", "**/*.pyc", { pattern = "^opt/a%-b$" } }, "matcher")
		for path, expected in pairs({
			["usr/share/doc"] = true, ["usr/share/doc/a"] = true, ["usr/share"] = false, ["a/b.pyc"] = true,
			["opt/a-b"] = true, ["opt/a-b/c"] = true, ["opt/a"] = false, ["."] = false,
		}) do
			assert.equal(expected, matches(path), path)
		end
	end)

	it("throws for what chooses nothing, and for a function", function()
		for _, bad in ipairs({ {}, "", "[a", 5, print }) do
			assert.error_matches(function() choice.matcher(bad, "matcher") end, "^matcher: ")
		end
	end)
end)

-- How the REPL prints what it is given.

local show = require "strata.command.repl.show"
local strata = require "strata"

local img

setup(function()
	img = strata.new({ platform = "linux/amd64" })
	assert(img:append({ files = { ["etc/a"] = "x", b = ("y"):rep(5000) } }))
	img.config:set_env("PATH", "/bin"):set_env("TZ", "UTC")
end)

teardown(function()
	img:close()
end)

local function shown(...)
	return table.concat((show.values(select("#", ...), ...)), "\n")
end

describe("a result", function()
	it("is the text that it has, for objects and the library's lists", function()
		assert.equal(tostring(img), shown(img))
		assert.equal(tostring(img:waste()), shown(img:waste()))
		assert.equal("1  " .. tostring(img.layers[1]), shown(img.layers))
		assert.equal("none", shown(img:check()))
		assert.equal('1  "PATH=/bin"\n2  "TZ=UTC"', shown(img.config.Env))
	end)

	it("is plain for numbers, strings and the like, several of them in one line", function()
		assert.equal("1\ttrue\tx\tnil\t1.5", shown(1, true, "x", nil, 1.5))
		assert.equal("nil", shown(nil))
		assert.equal("nil\tnil", shown(nil, nil))
		assert.equal('""', shown(""))
		assert.equal("1\tnil", shown(1, nil))
		assert.equal("null", shown(strata.null))
		assert.equal("a\nb", shown("a\nb\n"))
		assert.equal("", shown())
	end)

	it("is a row for each item of a table, one level deep and sorted, with sizes and modes", function()
		assert.equal(table.concat({
			'a    = "x"', "f    = a function", "list = {1, 2, \"x\"}", "mode = 0644", "rows = {1 item}",
			"size = 123456 (123 kB)", "t    = {2 fields}", "z    = null",
		}, "\n"), shown({
			a = "x", list = { 1, 2, "x" }, mode = 420, size = 123456, t = { a = 1, b = 2 }, f = print, z = strata.null,
			rows = { {} },
		}))
		assert.equal('1  "a"\n2  {}\nn = 2', shown({ "a", {}, n = 2 }))
		assert.equal("{}", shown({}))
		assert.equal('[1.5]  = 1\nb\\n    = 3\n[true] = 2', shown({ [1.5] = 1, [true] = 2, ["b\n"] = 3 }))
	end)

	it("ends with the number of those that are not shown", function()
		local list, text = {}, {}
		for i = 1, 100 do
			list[i], text[i] = i, "line " .. i
		end
		assert.matches("\n40  40\n… 60 more$", shown(list))
		assert.matches("\nline 40\n… 60 more lines; print%(_%) shows all$", shown(table.concat(text, "\n")))
		assert.matches("^x+… 3000 more bytes$", shown(("x"):rep(5000)))
	end)

	it("cannot command the terminal", function()
		local hostile = "a\27[2Jb\r\0\226\128\174c\255"
		for _, value in ipairs({ hostile, { hostile }, { [hostile] = 1 }, setmetatable({}, { __tostring = function()
			return hostile
		end }) }) do
			local text = shown(value)
			assert.is_nil(text:find("[%z\27\r\255]"), text)
			assert.is_nil(text:find("\226\128\174", 1, true), text)
			assert.matches("\\x1b[2J", text, 1, true)
		end
	end)

	it("is told even where its metatable throws", function()
		assert.equal("a table", shown(setmetatable({}, { __tostring = function() error("no") end })))
		assert.is_string(shown(setmetatable({}, { __len = error, __index = error, __newindex = error })))
		assert.equal("an error that cannot be printed", show.thrown(setmetatable({}, { __tostring = error }))[1])
	end)

	it("is the beginning of the help for functions and modules of the library", function()
		assert.matches("^strata.Image: squash%(.-\nstrata.help%(_%) tells more$", shown(img.squash))
		assert.matches("^strata: ", shown(strata))
		assert.matches("^function: ", shown(function() end))
	end)

	it("is a failure when nil and a message come first", function()
		local lines, failed = show.values(3, nil, "x.tar: No such file or directory", "ENOENT")
		assert.same({ { "x.tar: No such file or directory (ENOENT)" }, true }, { lines, failed })
		lines, failed = show.values(3, nil, "exit", 3)
		assert.same({ { "exit (3)" }, true }, { lines, failed })
		assert.is_nil(select(2, show.values(2, false, "x")))
	end)

	it("has its meaning behind it when it is the field of a name", function()
		assert.same({ "420 (0644)" }, show.field(420, "mode"))
		assert.same({ "7680 (7.7 kB)" }, show.field(7680, "size"))
		assert.same({ "1000" }, show.field(1000, "uid"))
	end)
end)

-- doc/errors.md has a row for every code that lua/strata/meta declares, which are those that the sources give.

local conform = require "spec.support.conform"
local shell = require "spec.support.shell"

local function codes()
	local list = {}
	for _, value in ipairs(conform.aliases["strata.errcode"].values) do
		list[value.type.name:match('"(.*)"')] = true
	end
	return list
end

describe("doc/errors.md", function()
	local text = shell.read("doc/errors.md")

	it("tells every code once, and no others", function()
		local told = {}
		local rows, rest = text:match("^(.-)\n## Of the system\n(.*)$")
		for code in rows:gmatch("\n| `(E[%u%d]+)` |") do
			assert.is_nil(told[code], code .. " is told twice")
			told[code] = true
		end
		for code in rest:gmatch("`(E[%u%d]+)`") do
			assert.is_nil(told[code], code .. " is told twice")
			told[code] = true
		end
		assert.same(codes(), told)
	end)

	it("says of each code in a table what it means, what it looks like, and what to do", function()
		for row in text:gmatch("\n(| `E[^\n]*)") do
			assert.matches("^| `E%u+` | [^|]+ | `[^|]+` | [^|]+ |$", row)
		end
	end)
end)

describe("the codes of the sources", function()
	it("are those that are declared", function()
		local declared, seen = codes(), {}
		local source = shell.sh("find src -name '*.c' | xargs cat")
		for code in source:gmatch("ERRNO_NAME%((E[%u%d]+)%)") do
			seen[code] = true
		end
		for code in source:gmatch('strata_fail%(err, "(E%u+)') do
			seen[code] = true
		end
		local lua = shell.sh("find lua/strata -name '*.lua' ! -path '*/meta/*' ! -name help_text.lua | xargs cat")
		for code in lua:gmatch('fail%("(E%u+)"') do
			seen[code] = true
		end
		for code in lua:gmatch(', "(E%u+)"\n') do
			seen[code] = true
		end
		for code in pairs(seen) do
			assert.is_true(declared[code], code .. " is not declared")
		end
		-- What only tables have.
		local all = lua .. source
		for code in pairs(declared) do
			assert.is_truthy(seen[code] or all:find('"' .. code .. '"', 1, true), code .. " is given nowhere")
		end
	end)
end)

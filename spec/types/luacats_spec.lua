-- doc/luacats.lua, which reads annotations for `make types` and for the spec of lua/strata/meta.

local luacats = require "doc.luacats"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local function parse(text)
	return luacats.parse(text .. "\n", "a.lua")
end

local function names_in(text)
	local type_of, after = luacats.parse_type(text, 1)
	local names = {}
	luacats.each_name(type_of, function(name)
		names[#names + 1] = name
	end)
	table.sort(names)
	return names, after
end

describe("luacats", function()
	it("finds the names in a type, and its end", function()
		local names, after = names_in("table<string, a.B|integer>?  a description")
		assert.same({ "a.B", "integer", "string" }, names)
		assert.equal(#"table<string, a.B|integer>?" + 1, after)
		assert.same({ "x", "y", "z" }, (names_in("(fun(a: x, b?: y[]): z?)?")))
		assert.same({ "k", "n", "v" }, (names_in('{[k]: v, name?: n}|"literal"')))
	end)

	it("reads a class, its fields and its functions", function()
		local file = parse([[
---@meta _

--- A thing.
---@class a.Thing: userdata
---@field size integer  bytes
---@field name? string
---@field private hidden boolean
local Thing = {}

--- Does it.
---
---```lua
---thing:work "x"
---  -- as code
---```
---@param how? string  in which way
---@return integer? count  of them
---@return string # why not
function Thing:work(how) end]])
		local class, work = file.items[1], file.items[2]
		assert.equal("_", file.meta)
		assert.same({ "userdata" }, class.parents)
		assert.equal("bytes", class.fields[1].description)
		assert.is_true(class.fields[2].optional)
		assert.is_true(class.fields[3].private)
		assert.same({ "a.Thing", "work", true }, { work.class, work.name, work.method })
		assert.same({ "Does it.", 'thing:work "x"\n  -- as code' }, { work.text, work.example })
		assert.same({ "how", true, "in which way" }, {
			work.params[1].name,
			work.params[1].optional,
			work.params[1].description,
		})
		assert.same({ "count", "of them" }, { work.returns[1].name, work.returns[1].description })
		assert.same({ nil, "why not" }, { work.returns[2].name, work.returns[2].description })
	end)

	for what, text in pairs({
		["a tag that it does not know"] = "---@frobnicate",
		["a type that does not end"] = "---@alias a table<string, b",
		["a description one space behind a type"] = "---@class a\n---@field b string and more",
		["a result that begins with its description"] = "---@return string  the text",
		["a description that goes on"] = "---@class a\n---@field b string  one\n---  two",
		["an example that does not end"] = "---```lua\n---x()",
		["a second example"] = "---```lua\n---x()\n---```\n---```lua\n---x()\n---```",
		["code that does something"] = "print(1)",
		["a function of what is no class"] = "function a.b() end",
	}) do
		it("throws at " .. what .. ", with the place", function()
			local ok, message = pcall(parse, text)
			assert.is_false(ok)
			assert.is_truthy(message:find("^a%.lua:%d+: "), message)
		end)
	end

	it("takes the functions of a class from several files, the later ones of which name it alone", function()
		local dir = tmp.dir()
		finally(function()
			dir:remove()
		end)
		shell.write(dir:file("a.lua"), "--- A thing.\n---@class a.Thing\nlocal Thing = {}\n\nfunction Thing:one() end\n")
		shell.write(dir:file("b.lua"), "---@class a.Thing\nlocal Thing = {}\n\nfunction Thing:two() end\n")
		local files, classes, _, functions = luacats.load(dir.path)
		assert.equal("A thing.", classes["a.Thing"].text)
		assert.equal("two", functions["a.Thing"].two.name)
		assert.same({ "function" }, { files[2].items[1].kind, files[2].items[2] and files[2].items[2].kind })
		shell.write(dir:file("b.lua"), "--- Another text.\n---@class a.Thing\nlocal Thing = {}\n")
		assert.has_error(function()
			luacats.load(dir.path)
		end, dir:file("b.lua") .. ": a.Thing is declared twice")
	end)
end)

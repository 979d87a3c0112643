-- strata.help tells what lua/strata/meta declares, which is held against what is exported.

local conform = require "spec.support.conform"
local exports = require "spec.support.exports"
local luacats = require "doc.luacats"
local names = require "spec.support.names"
local options = require "strata.util.options"
local specimens = require "spec.support.specimens"
local strata = require "strata"

local classes, functions = conform.classes, conform.functions
local sorted, keys_of = names.sorted, names.union

local specimen

setup(function()
	specimen = specimens.new()
end)

teardown(function()
	specimen:close()
end)

describe("strata.help", function()
	local help = exports.upvalue(require("strata.util.help").text, "TEXTS")
	local module_text = exports.upvalue(require("strata.util.help").text, "MODULE")

	-- What a text has at its top level: names with arguments and those without. Remarks stand four spaces behind it.
	local function names_of(text)
		local called, plain = {}, {}
		text = text:match("^[^\n]+\n(.*)$"):gsub("(%S)    [^\n]*", "%1"):gsub(" %.%.%. [^\n]*", "")
		local rest = text:gsub("([%w_%.]+)(%b())", function(name)
			called[name] = true
			return ""
		end)
		rest = rest:gsub("([%w_%.]+)(%b{})", function(name)
			called[name] = true
			return ""
		end)
		for name in rest:gmatch("[%w_]+") do
			plain[name] = true
		end
		return called, plain
	end

	it("tells the methods and fields of every object, and no others", function()
		for name in pairs(specimen.objects) do
			local text = help[name]
			if name == "strata.Platform" or name == "strata.RootFile" then
				assert.is_nil(text, name)
			else
				local called, plain = names_of(text)
				local public, fields = {}, {}
				for key, item in pairs(functions[name] or {}) do
					public[key] = not item.private or nil
				end
				for key, field in pairs(luacats.fields(classes, name)) do
					fields[key] = not field.private or nil
				end
				local words = keys_of(called, plain)
				for key in pairs(words) do
					assert.is_truthy(public[key] or fields[key], name .. ": " .. key)
				end
				for key in pairs(name == "strata.Config" and public or keys_of(public, fields)) do
					assert.is_truthy(words[key], name .. " lacks " .. key)
				end
			end
		end
	end)

	it("tells the functions of the module, and no others", function()
		local called, plain = names_of(module_text)
		local words = keys_of(called, plain)
		words["stream.image"], words["stream.tar"], words.stream = nil, nil, true
		local public = keys_of(functions.strata, luacats.fields(classes, "strata"))
		public._VERSION = nil
		assert.same(sorted(public), sorted(words))
	end)

	-- Calls fn(class, function, class of options) for all that a table of texts tells.
	local function each_options(fn)
		for class, text in pairs(help) do
			for _, brackets in ipairs({ "%b()", "%b{}" }) do
				for name, args in text:gmatch("([%w_%.]+)(" .. brackets .. ")") do
					local options_class = args:match("{(%u%a+)}")
					local module, short = name:match("^(stream)%.(.*)$")
					if options_class then
						fn(module and class .. "." .. module or class, short or name, "strata." .. options_class)
					end
				end
			end
		end
	end

	it("tells the options that there are, and no others", function()
		local told, declared = {}, {}
		each_options(function(class, name, options_class)
			told[("%s.%s: %s"):format(class, name, options_class)] = true
		end)
		for class in pairs(help) do
			for _, of in ipairs(class == "strata" and { "strata", "strata.stream" } or { class }) do
				for name, item in pairs(functions[of] or {}) do
					for _, param in ipairs(item.params) do
						luacats.each_name(param.type, function(one)
							local is_class = options.rows[one:gsub("^strata%.", "")]
							declared[("%s.%s: %s"):format(of, name, one)] = is_class and true or nil
						end)
					end
				end
			end
		end
		assert.same(sorted(declared), sorted(told))
	end)

	it("tells what each option of a call does", function()
		local text = strata.help("save")
		for name, row in options.each("SaveOptions") do
			assert.matches(("\n  %s +"):format(name), text)
			assert.matches(options.text(row), text, 1, true)
		end
	end)

	it("tells how what has a name is called, and of what it tells nothing", function()
		assert.equal("strata.Image: filter(fn)\nstrata.Layer: filter(fn)", strata.help("filter"))
		assert.matches("^strata.Image: remove_layer%(which, {threads=, progress=}%)\n", strata.help("remove_layer"))
		assert.equal(strata.help(), strata.help(strata))
		for value, shown in pairs({ ["no such"] = "'no such'", [42] = "a number", [strata.open] = "a function" }) do
			assert.equal(("There is no help for %s: give an object, or the name of a function.\n\n%s"):format(shown,
				strata.help()), strata.help(value))
		end
	end)
end)

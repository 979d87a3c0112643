-- strata.help tells what lua/strata/meta declares, which is held against what is exported.

local conform = require "spec.support.conform"
local exports = require "spec.support.exports"
local luacats = require "doc.luacats"
local names = require "spec.support.names"
local specimens = require "spec.support.specimens"

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

	-- The options that a parameter may have.
	local function options_of(param)
		local fields = {}
		luacats.each_name(param.type, function(name)
			for key in pairs(luacats.fields(classes, name)) do
				fields[key] = true
			end
		end)
		for _, one in ipairs(param.type.members or {}) do
			fields[one.name] = true
		end
		return fields
	end

	it("tells options that there are", function()
		local function check(class, name, args)
			local options = {}
			for _, param in ipairs(functions[class][name].params) do
				options = keys_of(options, options_of(param))
			end
			for option in args:gmatch("([%w_]+) *=") do
				assert.is_truthy(options[option], ("%s.%s: %s"):format(class, name, option))
			end
		end
		for class, text in pairs(help) do
			for name, args in text:gmatch("([%w_]+)(%b{})") do
				check(class, name, args)
			end
			for name, args in text:gmatch("([%w_]+)%([^%(%)]-(%b{})%)") do
				check(class, name, args)
			end
		end
		for name, args in module_text:gmatch("%f[%w_%.]([%w_]+)(%b{})") do
			check("strata", name, args)
		end
		for name, args in module_text:gmatch("%f[%w_%.]([%w_]+)%([^%(%)]-(%b{})%)") do
			check("strata", name, args)
		end
		for name, args in module_text:gmatch("stream%.([%w_]+)(%b{})") do
			check("strata.stream", name, args)
		end
	end)
end)

-- lua/strata/meta says of the API what editors show and doc/reference.md. Here it is held against what the modules
-- and the objects really are: what is exported and not declared fails, and so does what is declared and not there.

local conform = require "spec.support.conform"
local exports = require "spec.support.exports"
local luacats = require "doc.luacats"
local names = require "spec.support.names"
local shell = require "spec.support.shell"
local specimens = require "spec.support.specimens"

local files, classes, aliases, functions = conform.files, conform.classes, conform.aliases, conform.functions
local sorted, keys_of = names.sorted, names.union

local specimen

setup(function()
	specimen = specimens.new()
end)

teardown(function()
	specimen:close()
end)

local function each_function(fn)
	for class, list in pairs(functions) do
		for name, item in pairs(list) do
			fn(class, name, item)
		end
	end
end

local function real_function(class, name)
	if class == "strata.assert" then -- luassert stands between its functions and what they do
		return exports.upvalue(require("luassert.namespaces").assertion[name].callback, "check")
	elseif specimens.MODULES[class] then
		return specimens.MODULES[class][name]
	end
	return specimen:methods(class)[name]
end

describe("lua/strata/meta", function()
	it("names types that are there", function()
		local unknown = {}
		local function look(type_of, where)
			luacats.each_name(type_of, function(name)
				if not (classes[name] or aliases[name] or conform.BASIC[name]) then
					unknown[#unknown + 1] = where .. ": " .. name
				end
			end)
		end
		for _, class in pairs(classes) do
			for _, list in ipairs({ class.fields, class.operators }) do
				for _, one in ipairs(list) do
					look(one.type, class.name)
				end
			end
			for _, parent in ipairs(class.parents) do
				assert.is_truthy(classes[parent] or parent == "userdata", class.name .. ": " .. parent)
			end
		end
		for _, alias in pairs(aliases) do
			look(alias.type and alias.type.type or { kind = "name", name = "any" }, alias.name)
		end
		each_function(function(class, name, item)
			for _, list in ipairs({ item.params, item.returns }) do
				for _, one in ipairs(list) do
					look(one.type, class .. "." .. name)
				end
			end
		end)
		assert.same({}, unknown)
	end)

	it("tells of every parameter, in the order of the signature, and says what each function and type is", function()
		each_function(function(class, name, item)
			if item.private then
				return
			end
			local params = {}
			for i, param in ipairs(item.params) do
				params[i] = param.name
			end
			assert.same(item.args, params, class .. "." .. name)
			assert.is_truthy(item.text:find("^%u.*%.$"), class .. "." .. name .. ": " .. item.text)
		end)
		for _, list in ipairs({ classes, aliases }) do
			for name, item in pairs(list) do
				assert.is_truthy(item.text:find("^[%u`\"].*%.$"), name .. ": " .. item.text)
			end
		end
	end)

	it("gives failures as nil, message, code", function()
		each_function(function(class, name, item)
			local third = item.returns[3]
			if third then
				assert.equal("strata.errcode? code", third.text .. " " .. third.name, class .. "." .. name)
				assert.is_truthy(item.returns[1].text:find("%?$"), class .. "." .. name)
			end
		end)
	end)

	it("is the only place that tells the fields of these classes, and these aliases", function()
		local again = {}
		for path in shell.check({ "find", "lua", "-name", "*.lua", "-not", "-path", "*/meta/*" }):gmatch("[^\n]+") do
			local text = shell.read(path)
			for name in text:gmatch("%-%-%-@class ([%w_%.]+)[^\n]*\n%-%-%-@field") do
				again[#again + 1] = classes[name] and path .. ": " .. name or nil
			end
			for name in text:gmatch("%-%-%-@alias ([%w_%.]+)") do
				again[#again + 1] = aliases[name] and path .. ": " .. name or nil
			end
		end
		assert.same({}, again)
	end)

	it("has the codes of errors that the sources have", function()
		local real, declared = {}, {}
		for path in shell.check({ "find", "lua", "src", "-type", "f", "-not", "-path", "*/meta/*" }):gmatch("[^\n]+") do
			local text = shell.read(path)
			for code in text:gmatch('"(E%u%w+)"') do
				real[code] = true
			end
			for code in text:gmatch("ERRNO_NAME%((E%u%w+)%)") do
				real[code] = true
			end
			for code in text:gmatch("ERRNO_NAME%((E2BIG)%)") do
				real[code] = true
			end
		end
		for _, value in ipairs(aliases["strata.errcode"].values) do
			declared[value.type.name:match('^"(.*)"$')] = true
		end
		assert.same(sorted(real), sorted(declared))
	end)
end)

describe("what is exported and what lua/strata/meta declares", function()
	for name, module in pairs(specimens.MODULES) do
		it("are the same in " .. name, function()
			local real, declared = {}, keys_of(functions[name], luacats.fields(classes, name))
			for key in pairs(module) do
				real[key] = true
			end
			assert.same(sorted(real), sorted(declared))
			for key in pairs(functions[name]) do
				assert.is_function(module[key], key)
			end
		end)
	end

	it("are the same modules", function()
		local declared = {}
		for _, file in ipairs(files) do
			if file.meta ~= "_" then
				declared[file.meta] = true
			end
		end
		assert.same(sorted(specimens.MODULES), sorted(declared))
	end)

	it("are the same classes of objects", function()
		local real, declared = {}, {}
		for path in shell.check({ "find", "lua", "-name", "*.lua" }):gmatch("[^\n]+") do
			for name in shell.read(path):gmatch('object%.class%("([%w_%.]+)"') do
				real[name] = true
			end
		end
		real["strata.Entry"] = true -- of C
		for name, class in pairs(classes) do
			declared[name] = class.parents[1] == "userdata" or nil
		end
		assert.same(sorted(real), sorted(declared))
		assert.same(sorted(specimen.objects), sorted(declared))
	end)

	it("are the same methods", function()
		for name, list in pairs(functions) do
			if not specimens.MODULES[name] then
				assert.same(sorted(specimen:methods(name)), sorted(list), name)
			end
		end
		assert.same({}, sorted(exports.methods(specimen.objects["strata.Platform"])))
	end)

	it("are the same fields", function()
		for name, object in pairs(specimen.objects) do
			local real = keys_of(exports.fields(object))
			assert.same(sorted(real), sorted(luacats.fields(classes, name)), name)
		end
	end)

	it("are the same arguments, and as many results", function()
		each_function(function(class, name, item)
			local signature = exports.signature(real_function(class, name))
			if not signature or item.private then
				return
			end
			local params = {}
			for i, param in ipairs(item.params) do
				params[i] = param.name .. (param.optional and "?" or "")
			end
			local where = class .. "." .. name
			assert.same(signature.args, item.args, where)
			assert.same(signature.params, params, where)
			assert.equal(signature.returns, #item.returns, where)
			assert.equal(signature.count or #item.args, #item.args, where)
		end)
	end)

	it("are the same fields of an entry that can be assigned", function()
		local layer = specimen.objects["strata.Layer"]
		for name, field in pairs(luacats.fields(classes, "strata.Entry")) do
			local possible = false
			for entry in layer:entries() do
				possible = possible or pcall(function()
					entry[name] = entry[name]
				end)
			end
			assert.equal(field.description:find("assign", 1, true) ~= nil, possible, name)
		end
	end)
end)

--- What modules and objects export, found by looking into them, and how their functions are declared.

local later = require "strata.util.later"
local shell = require "spec.support.shell"

local exports = {}

--- What a function of Lua knows by a name.
---@param fn function
---@param wanted string
---@return any
function exports.upvalue(fn, wanted)
	for i = 1, 255 do
		local name, value = debug.getupvalue(fn, i)
		if name == nil then
			return nil
		elseif name == wanted then
			return value
		end
	end
end

local upvalue = exports.upvalue

local files = {}

local function lines_of(path)
	if not files[path] then
		local list = {}
		for line in shell.read(path):gmatch("([^\n]*)\n") do
			list[#list + 1] = line
		end
		files[path] = list
	end
	return files[path]
end

local function place_of(fn)
	local info = debug.getinfo(fn, "S")
	if info.what == "C" then
		return nil
	end
	return lines_of(info.source:match("^@(.*)$")), info.linedefined, info.lastlinedefined
end

--- The text of a function of Lua.
---@param fn function
---@return string
function exports.source(fn)
	local lines, first, last = place_of(fn)
	return table.concat(lines, "\n", first, last)
end

-- ---- objects --------------------------------------------------------------------------------------------------

-- The class that C has: Lua 5.1 does not let one look into its functions, so that the source tells.
local ENTRY = "src/lua/entry.c"

local function in_c(object)
	local name = getmetatable(object).__name
	return name == "strata.Entry" and shell.read(ENTRY) or nil
end

--- What lua/strata/util/object.lua knows of an object's class: its methods and hooks.
---@param object userdata
---@return { name: string, methods: table<string, function>, hooks: strata.ClassHooks }
function exports.class_of(object)
	local iterate = getmetatable(object).__pairs
	return {
		name = getmetatable(object).__name,
		methods = later.load(upvalue(iterate, "methods")),
		hooks = upvalue(iterate, "hooks"),
	}
end

--- The methods of an object, by name.
---@param object userdata
---@return table<string, function>
function exports.methods(object)
	local text = in_c(object)
	if not text then
		return exports.class_of(object).methods
	end
	local methods = {}
	for name in text:match("methods%[%] = (%b{})"):gmatch('{"([%w_]+)", entry_') do
		methods[name] = object[name]
	end
	return methods
end

local function add_keys(names, list)
	for name in pairs(list or {}) do
		names[name] = true
	end
end

--- The fields that an object answers to by its class alone.
---@param object userdata
---@return table<string, boolean>
function exports.fields(object)
	local names, text = {}, in_c(object)
	if text then
		for name in text:match("field_names%[%] = (%b{})"):gmatch('{"([%w_]+)", F_') do
			names[name] = true
		end
		return names
	end
	add_keys(names, later.load(exports.class_of(object).hooks.fields or {}))
	return names
end

-- ---- functions ------------------------------------------------------------------------------------------------

---@class spec.Signature
---@field args string[]
---@field params string[] as annotated: "opts?" for one that can be left out
---@field returns integer
---@field count? integer of the arguments, as the Lua that runs has it

--- How a function of Lua is declared; nil for one of C.
---@param fn function
---@return spec.Signature?
function exports.signature(fn)
	local lines, at = place_of(fn)
	if not lines then
		return nil
	end
	local signature = { args = {}, params = {}, returns = 0, count = debug.getinfo(fn, "u").nparams }
	local owner, args = lines[at]:match("function ([%w_%.:]+)%((.-)%)")
	for name in args:gmatch("[^, ]+") do
		table.insert(signature.args, name)
	end
	local explicit = signature.args[1] == "self" and table.remove(signature.args, 1) ~= nil
	if signature.count and (explicit or owner:find(":", 1, true)) then
		signature.count = signature.count - 1
	end
	local first = at
	while lines[first - 1]:find("^%s*%-%-") do
		first = first - 1
	end
	for i = first, at - 1 do
		table.insert(signature.params, lines[i]:match("^%s*%-%-%-@param ([%w_]+%??)"))
		if lines[i]:find("^%s*%-%-%-@return") then
			signature.returns = signature.returns + 1
		end
	end
	return signature
end

return exports

--- Whether a value is of a type that lua/strata/meta declares, all that is in it included.

local luacats = require "doc.luacats"

local conform = {}

local files, classes, aliases, functions = luacats.load("lua/strata/meta")

conform.files, conform.classes, conform.aliases, conform.functions = files, classes, aliases, functions

local BASIC = {
	any = function()
		return true
	end,
	integer = function(value)
		return type(value) == "number" and value % 1 == 0
	end,
	["false"] = function(value)
		return value == false
	end,
	["file*"] = io.type,
	lightuserdata = function(value)
		return type(value) == "userdata" and getmetatable(value) == nil
	end,
}
for _, name in ipairs({ "string", "number", "boolean", "table", "function", "userdata", "nil" }) do
	BASIC[name] = function(value)
		return type(value) == name
	end
end

conform.BASIC = BASIC

local is

local function all(list, type_of, path)
	for key, value in pairs(list) do
		local problem = is(value, type_of, ("%s[%s]"):format(path, tostring(key)))
		if problem then
			return problem
		end
	end
end

-- A table with the fields of a class, and nothing else; an object, each field of which is read.
local function is_class(value, name, path)
	local class, fields = classes[name], luacats.fields(classes, name)
	if class.parents[1] == "userdata" then
		local real = type(value) == "userdata" and getmetatable(value).__name
		return real ~= name and ("%s is a %s, no %s"):format(path, tostring(real), name) or nil
	elseif type(value) ~= "table" then
		return ("%s is a %s, no %s"):format(path, type(value), name)
	end
	for key, one in pairs(value) do
		if type(key) == "string" and not fields[key] then
			return ("%s.%s is not declared in %s"):format(path, key, name)
		end
		local field = type(key) == "string" and fields[key] or class.fields[1]
		local problem = is(one, field.type, ("%s.%s"):format(path, tostring(key)))
		if problem then
			return problem
		end
	end
	for key, field in pairs(fields) do
		local problem = not field.optional and is(value[key], field.type, path .. "." .. key)
		if problem then
			return problem
		end
	end
end

local function is_alias(value, name, path)
	local alias = aliases[name]
	if alias.type then
		return is(value, alias.type.type, path)
	end
	for _, one in ipairs(alias.values) do
		if one.type.name == ("%q"):format(tostring(value)) then
			return nil
		end
	end
	return ("%s is %s, none of %s"):format(path, tostring(value), name)
end

local kinds = {}

function kinds.name(value, type_of, path)
	local name = type_of.name
	if classes[name] then
		return is_class(value, name, path)
	elseif aliases[name] then
		return is_alias(value, name, path)
	end
	return not BASIC[name](value) and ("%s is a %s, no %s"):format(path, type(value), name) or nil
end

function kinds.literal(value, type_of, path)
	return type_of.name ~= ("%q"):format(tostring(value)) and ("%s is %s"):format(path, tostring(value)) or nil
end

function kinds.union(value, type_of, path)
	local problems = {}
	for _, part in ipairs(type_of.parts) do
		local problem = is(value, part, path)
		if not problem then
			return nil
		end
		table.insert(problems, problem)
	end
	return table.concat(problems, "; ")
end

function kinds.optional(value, type_of, path)
	return value ~= nil and is(value, type_of.of, path) or nil
end

function kinds.group(value, type_of, path)
	return is(value, type_of.of, path)
end

function kinds.array(value, type_of, path)
	if type(value) ~= "table" then
		return ("%s is a %s, no array"):format(path, type(value))
	end
	return all(value, type_of.of, path)
end

function kinds.table(value, type_of, path)
	if type(value) ~= "table" then
		return ("%s is a %s, no table"):format(path, type(value))
	elseif type_of.parts then
		return all(value, type_of.parts[2], path)
	end
	for _, member in ipairs(type_of.members) do
		local problem = is(value[member.name], member.type, path .. "." .. member.name)
		if problem and not (member.optional and value[member.name] == nil) then
			return problem
		end
	end
end

kinds["function"] = function(value, _, path)
	return type(value) ~= "function" and ("%s is a %s, no function"):format(path, type(value)) or nil
end

-- What is wrong, nil for nothing.
function is(value, type_of, path)
	return kinds[type_of.kind](value, type_of, path)
end

--- What keeps a value from being of a type, nil when it is.
---@param value any
---@param type_of doc.Type
---@param path string what messages call the value
---@return string? problem
function conform.problem(value, type_of, path)
	return is(value, type_of, path)
end

--- Calls a function or a method as it is declared, and checks what it gives.
---@param class string
---@param name string
---@param ... any arguments, an object's method's after the object
---@return any ... what it gave
function conform.call(class, name, fn, ...)
	local item = assert(functions[class][name], name)
	local values = { fn(...) }
	for i = 1, math.max(#item.returns, 3) do
		local declared, value = item.returns[i], values[i]
		local problem
		if declared then
			problem = is(value, declared.type, ("%s.%s: return %d"):format(class, name, i))
		elseif value ~= nil then
			problem = ("%s.%s gives more than is declared"):format(class, name)
		end
		if problem then
			error(problem, 2)
		end
	end
	return (unpack or table.unpack)(values, 1, 3)
end

return conform

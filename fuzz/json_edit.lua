--- What lua-cjson says about a text, and what an edit has to lead to.

local cjson = require "cjson"

local oracle = {}

cjson.decode_max_depth(10000)
cjson.decode_invalid_numbers(false)

local DEPTH = 64
local SPACE = { [" "] = true, ["\t"] = true, ["\n"] = true, ["\r"] = true }

-- ---- what is stricter than lua-cjson -----------------------------------------------------------------

-- UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, nothing beyond U+10FFFF.
local UTF8 = {
	"^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]",
	"^\237[\128-\159][\128-\191]", "^\240[\144-\191][\128-\191][\128-\191]",
	"^[\241-\243][\128-\191][\128-\191][\128-\191]", "^\244[\128-\143][\128-\191][\128-\191]",
}

-- The position behind a string that begins at `at`; nil when it is not strict.
local function pass_string(text, at)
	at = at + 1
	while true do
		local c = text:sub(at, at)
		if c == '"' then
			return at + 1
		elseif c == "" or c:byte() < 32 then
			return nil
		elseif c == "\\" then
			local high = text:match("^u([dD][89aAbB]%x%x)", at + 1)
			if high then
				if not text:find("^\\u[dD][c-fC-F]%x%x", at + 6) then return nil end
				at = at + 12
			elseif text:find("^u[dD][c-fC-F]%x%x", at + 1) then
				return nil
			elseif text:find("^u%x%x%x%x", at + 1) then
				at = at + 6
			elseif text:find('^["\\/bfnrt]', at + 1) then
				at = at + 2
			else
				return nil
			end
		elseif c:byte() < 128 then
			at = at + 1
		else
			local last
			for _, pattern in ipairs(UTF8) do
				last = last or select(2, text:find(pattern, at))
			end
			if not last then return nil end
			at = last + 1
		end
	end
end

-- The position behind a number.
local function pass_number(text, at)
	local _, last = text:find("^%-?0", at)
	if not last then _, last = text:find("^%-?[1-9]%d*", at) end
	if not last then return nil end
	local _, fraction = text:find("^%.%d+", last + 1)
	last = fraction or last
	local _, exponent = text:find("^[eE][+-]?%d+", last + 1)
	return (exponent or last) + 1
end

-- Of a text that lua-cjson takes: the number of names in it, and its depth; nil when its tokens are not
-- strict.
local function look(text)
	local at, names, depth, deepest = 1, 0, 0, 0
	while at <= #text do
		local c = text:sub(at, at)
		if c == '"' then
			at = pass_string(text, at)
			if at and text:find("^[ \t\n\r]*:", at) then names = names + 1 end
		elseif c == "[" or c == "{" then
			depth, at = depth + 1, at + 1
			deepest = math.max(deepest, depth)
		elseif c == "]" or c == "}" then
			depth, at = depth - 1, at + 1
		elseif c == "," or c == ":" or SPACE[c] then
			at = at + 1
		elseif c:find("[%-%d]") then
			at = pass_number(text, at)
		else
			local _, last = text:find("^true", at)
			if not last then _, last = text:find("^null", at) end
			if not last then _, last = text:find("^false", at) end
			at = last and last + 1
		end
		if not at then return nil end
	end
	return names, deepest
end

-- Names in a decoded value: two equal ones in an object have become one.
local function count_names(value)
	if type(value) ~= "table" then return 0 end
	local n = 0
	for key, item in pairs(value) do
		n = n + count_names(item) + (type(key) == "string" and 1 or 0)
	end
	return n
end

--- Whether the text was rightly taken or refused.
function oracle.taken(text, taken, code, message)
	local decodes, value = pcall(cjson.decode, text)
	local names, depth
	if decodes then names, depth = look(text) end
	local strict = names ~= nil and names == count_names(value)
	if taken then
		return strict and depth <= DEPTH, "taken, but " .. (decodes and "not strict" or tostring(value))
	elseif code == "ELIMIT" then
		return not strict or depth > DEPTH, "refused: " .. message
	end
	-- A limit may be exceeded before what is wrong comes.
	return not strict, "refused: " .. message
end

-- ---- edits -------------------------------------------------------------------------------------------

local function is_array(value)
	return type(value) == "table" and #value > 0
end

local function equal(a, b)
	if type(a) ~= "table" or type(b) ~= "table" then
		return a == b or (a ~= a and b ~= b)
	end
	for key, value in pairs(a) do
		if not equal(value, b[key]) then return false end
	end
	for key in pairs(b) do
		if a[key] == nil then return false end
	end
	return true
end

local function parts_of(pointer)
	local parts = {}
	for part in pointer:gmatch("/([^/]*)") do
		parts[#parts + 1] = part:gsub("~1", "/"):gsub("~0", "~")
	end
	return parts
end

-- The key that a pointer's part stands for. What is empty may be either; what comes of it tells.
local function key_in(container, part, array)
	if not (is_array(container) or array) then return part end
	if part == "-" then return #container + 1 end
	return part:find("^[1-9]?%d*$") and part ~= "" and tonumber(part) + 1 or part
end

local function apply(kind, root, parts, value)
	if #parts == 0 then
		return kind == "set" and value or root
	end
	local container = root
	for i = 1, #parts - 1 do
		container = container[key_in(container, parts[i])]
	end
	local last = parts[#parts]
	local key = key_in(container, last, kind == "insert")
	if kind == "set" then
		container[key] = value
	elseif kind == "insert" then
		table.insert(container, key, value)
	elseif kind == "remove" then
		if is_array(container) then table.remove(container, key) else container[key] = nil end
	else
		local kept = container[key]
		container[key] = nil
		container[value] = kept
	end
	return root
end

--- Whether the text after an edit says what the table of the text before says after the same edit.
function oracle.edited(kind, before, after, pointer, value, status)
	local now = cjson.decode(after)
	local model = cjson.decode(before)
	if status <= 0 then
		return equal(model, now), "a failed edit changed something"
	end
	if kind ~= "remove" and kind ~= "rename" then value = cjson.decode(value) end
	model = apply(kind, model, parts_of(pointer), value)
	local same = equal(model, now)
	-- lua-cjson does not tell an empty array from an empty object; "-" and numbers may have been either.
	if not same and kind == "set" then
		model = cjson.decode(before)
		local parts = parts_of(pointer)
		local container = model
		for i = 1, #parts - 1 do container = container[key_in(container, parts[i])] end
		if type(container) == "table" and next(container) == nil then
			container[key_in(container, parts[#parts], true)] = value
			same = equal(model, now)
		end
	end
	return same, ("%s %s:\n%s\n->\n%s"):format(kind, pointer, before, after)
end

return oracle

--- Makes a stack of layers that something goes wrong with as small as it gets, and tells it as Lua.

local shrink = {}

local function copy_without(list, index)
	local copy = {}
	for i, value in ipairs(list) do
		if i ~= index then
			copy[#copy + 1] = value
		end
	end
	return copy
end

local function replaced(list, index, value)
	local copy = {}
	for i, old in ipairs(list) do
		copy[i] = i == index and value or old
	end
	return copy
end

-- The entry in fewer words, in several ways.
local function simpler(entry)
	local list = {}
	local function try(change)
		local copy = {}
		for key, value in pairs(entry) do
			copy[key] = value
		end
		change(copy)
		list[#list + 1] = copy
	end
	for _, field in ipairs({ "xattrs", "uid", "gid", "mtime", "mode", "major", "minor", "data" }) do
		if entry[field] ~= nil and not (field == "mtime" and entry.mtime == 1) then
			try(function(copy)
				copy[field] = nil
			end)
		end
	end
	for _, field in ipairs({ "name", "linkname" }) do
		local short = entry[field] and entry[field]:gsub("^%.?/+", ""):gsub("/$", "")
		if short and short ~= "" and short ~= entry[field] then
			try(function(copy)
				copy[field] = short
			end)
		end
	end
	return list
end

-- Every stack that is a little smaller.
local function smaller(layers)
	local list = {}
	for i in ipairs(layers) do
		if #layers > 1 then
			list[#list + 1] = copy_without(layers, i)
		end
	end
	for i, entries in ipairs(layers) do
		for n in ipairs(entries) do
			list[#list + 1] = replaced(layers, i, copy_without(entries, n))
		end
	end
	for i, entries in ipairs(layers) do
		for n, entry in ipairs(entries) do
			for _, other in ipairs(simpler(entry)) do
				list[#list + 1] = replaced(layers, i, replaced(entries, n, other))
			end
		end
	end
	return list
end

--- The smallest stack found that still fails.
---@param layers table[][]
---@param fails fun(layers: table[][]): boolean
---@return table[][]
function shrink.smallest(layers, fails)
	local progress = true
	while progress do
		progress = false
		for _, candidate in ipairs(smaller(layers)) do
			if fails(candidate) then
				layers, progress = candidate, true
				break
			end
		end
	end
	return layers
end

local ORDER = { "name", "type", "linkname", "data", "mode", "uid", "gid", "mtime", "major", "minor", "xattrs" }

local function literal(value)
	if type(value) == "table" then
		local parts = {}
		for key, item in pairs(value) do
			parts[#parts + 1] = ("[%q] = %s"):format(key, literal(item))
		end
		return "{ " .. table.concat(parts, ", ") .. " }"
	elseif type(value) == "string" then
		return '"' .. value:gsub('[%c"\\\127-\255]', function(c)
			return ("\\%03d"):format(c:byte())
		end) .. '"'
	end
	return tostring(value)
end

--- Layers as they can stand in a spec.
---@param layers table[][]
---@return string
function shrink.source(layers)
	local lines = { "{" }
	for _, entries in ipairs(layers) do
		lines[#lines + 1] = "\t{"
		for _, entry in ipairs(entries) do
			local parts = {}
			for _, key in ipairs(ORDER) do
				if entry[key] ~= nil then
					parts[#parts + 1] = key .. " = " .. literal(entry[key])
				end
			end
			lines[#lines + 1] = "\t\t{ " .. table.concat(parts, ", ") .. " },"
		end
		lines[#lines + 1] = "\t},"
	end
	lines[#lines + 1] = "}"
	return table.concat(lines, "\n")
end

--- What is wrong with a stack, told of the smallest one that has the same trouble.
---@param dir spec.Dir
---@param layers table[][]
---@param check fun(dir: spec.Dir, layers: table[][]): string[]
---@return string
function shrink.report(dir, layers, check)
	local small = shrink.smallest(layers, function(candidate)
		return #check(dir, candidate) > 0
	end)
	local problems = check(dir, #check(dir, small) > 0 and small or layers)
	return table.concat(problems, "\n") .. "\n" .. shrink.source(small)
end

return shrink

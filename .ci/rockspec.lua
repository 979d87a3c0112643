-- Compares what a rockspec builds and installs with what is in the tree:
-- lua5.4 .ci/rockspec.lua ROCKSPEC
-- With --write behind it the rockspec's list of Lua modules, `facade`, is replaced by those that are in the tree.

local function files(directory, pattern)
	local found = {}
	local pipe = assert(io.popen(("find %s -name '%s' 2>/dev/null"):format(directory, pattern)))
	for name in pipe:lines() do
		found[name] = true
	end
	pipe:close()
	return found
end

-- The names in lines of at most 96 columns, in order.
local function lines_of(names)
	table.sort(names)
	local lines, line = {}, "\t"
	for _, name in ipairs(names) do
		if #line + #name > 92 then
			lines[#lines + 1] = line
			line = "\t"
		end
		line = line .. (line == "\t" and "" or " ") .. name
	end
	lines[#lines + 1] = line
	return table.concat(lines, "\n")
end

local function write(path)
	local names = {}
	for name in pairs(files("lua/strata", "*.lua")) do
		names[#names + 1] = name:gsub("^lua/strata/", ""):gsub("%.lua$", "")
	end
	local file = assert(io.open(path))
	local text, count = file:read("a"):gsub("(local facade = %[%[\n).-(%]%])", function(before, after)
		return before .. lines_of(names) .. "\n" .. after
	end)
	file:close()
	assert(count == 1, path .. " has no list of Lua modules")
	file = assert(io.open(path, "w"))
	assert(file:write(text))
	assert(file:close())
end

if arg[2] == "--write" then
	write(arg[1])
end

local rockspec = {}
assert(loadfile(arg[1], "t", rockspec))()

local named = {}
for module, what in pairs(rockspec.build.modules) do
	if type(what) == "table" then
		for _, source in ipairs(what.sources) do
			named[source] = true
		end
	else
		named[what] = true
		local name = what:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
		assert(name == module, module .. " is not the name of " .. what)
	end
end

local wrong = {}
for _, tree in ipairs({ files("src", "*.c"), files("lua", "*.lua") }) do
	for name in pairs(tree) do
		if not named[name] then
			wrong[#wrong + 1] = name .. " is not in the rockspec"
		end
		named[name] = nil
	end
end
for name in pairs(named) do
	wrong[#wrong + 1] = name .. " is in the rockspec and nowhere else"
end

table.sort(wrong)
print(table.concat(wrong, "\n"))
os.exit(#wrong == 0)

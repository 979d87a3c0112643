-- Compares what a rockspec builds and installs with what is in the tree:
-- lua5.4 .ci/rockspec.lua ROCKSPEC

local function files(directory, pattern)
	local found = {}
	local pipe = assert(io.popen(("find %s -name '%s' 2>/dev/null"):format(directory, pattern)))
	for name in pipe:lines() do
		found[name] = true
	end
	pipe:close()
	return found
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

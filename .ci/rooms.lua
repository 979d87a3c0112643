-- Holds the tree to its rooms: lua5.4 .ci/rooms.lua [DIRECTORY OF THE TREE]
--
-- Each list below has rooms in order. A file may use what is in its own room and in
-- rooms above it in the list, never below; rooms on one line do not use each other.
-- Prints "FILE:LINE: the line" for each require or include that breaks this, and what
-- is in no room, or requires itself by way of others.

local top = arg[1] or "."

-- Of lua/strata: "NAME/" is a folder, "NAME" a module. Modules that are C may be used everywhere.
local LUA = {
	{ util = "util/" },
	{ document = "document/ config history" },
	{ registry = "registry/" },
	{ store = "store/" },
	{ dialect = "dialect/" },
	{ layer = "layer/ layer" },
	{ tree = "tree/ rootfs waste" },
	{ save = "save/" },
	{ image = "image/ image index artifact" },
	{ edit = "edit/", check = "check/", diff = "diff/", policy = "policy" },
	{ repair = "repair/" },
	{ stream = "stream/ stream" },
	{ init = "init" },
	{ jobs = "jobs/ jobs" }, -- written with what init exports
	{ resty = "resty", assert = "assert" },
	{ command = "command/" },
}
local C_MODULES = { core = true, archive = true, http = true, terminal = true }

-- Of src: "NAME/" is a folder, "NAME" a source and its header.
local C = {
	{ base = "core/base/" },
	{ codec = "core/codec/" },
	{ tar = "core/tar/" },
	{ json = "core/json/" },
	{ fs = "core/fs/" },
	{ pool = "core/job/pool" },
	{ layer = "core/layer/" },
	{ tree = "core/tree/" },
	{ apply = "core/apply/" },
	{ job = "core/job/job core/job/task" },
	{ lua = "lua/" },
	{ archive = "archive/", http = "http/", terminal = "terminal/" },
}
local ONLY = { pool = { base = true } } -- rooms that use no others than these

-- What is to be mended, and then taken out here: who, what it uses, why.
local EXCEPTIONS = {
}

local wrong = {}
local excused = {}

local function note(file, line, text)
	wrong[#wrong + 1] = ("%s:%d: %s"):format(file, line, text)
end

local function is_excused(file, what)
	for i, one in ipairs(EXCEPTIONS) do
		if one[1] == file and one[2] == what then
			excused[i] = true
			return true
		end
	end
	return false
end

-- A function that gives the room of a path: its name and its place in the list.
local function finder(list)
	local folders, files = {}, {}
	for rank, line in ipairs(list) do
		for room, paths in pairs(line) do
			for path in paths:gmatch("%S+") do
				(path:find("/$") and folders or files)[path] = { name = room, rank = rank }
			end
		end
	end
	return function(path)
		local room, folder = files[path], path
		while not room and folder ~= "" do
			folder = folder:match("^(.*/)[^/]+/?$") or ""
			room = folders[folder]
		end
		return room
	end
end

local function may_use(from, to)
	return from.name == to.name or from.rank > to.rank and (not ONLY[from.name] or ONLY[from.name][to.name] or false)
end

local function paths(pattern)
	local list = {}
	local pipe = assert(io.popen(("cd '%s' && find %s | sort"):format(top, pattern)))
	for path in pipe:lines() do
		list[#list + 1] = path
	end
	assert(pipe:close())
	return list
end

-- Calls fn(number, line) for each line of a file.
local function each_line(path, fn)
	local number = 0
	for line in io.lines(top .. "/" .. path) do
		number = number + 1
		fn(number, line)
	end
end

-- ---- lua/strata

local modules = {} -- by name: { file = , room = , uses = { names of what it may use } }

local function read_modules()
	local room_of = finder(LUA)
	for _, file in ipairs(paths("lua/strata -name '*.lua' ! -path 'lua/strata/meta/*'")) do
		local path = file:match("^lua/strata/(.*)%.lua$")
		local room = room_of(path)
		if not room then
			note(file, 1, "is in no room of .ci/rooms.lua")
		end
		local name = file:match("^lua/(.*)%.lua$"):gsub("/init$", ""):gsub("/", ".")
		modules[name] = { file = file, room = room, uses = {} }
	end
end

local function read_requires(module)
	each_line(module.file, function(number, line)
		for name in line:gsub("%-%-.*", ""):gmatch("require%s*[(,]?%s*[\"'](strata[%w_.]*)[\"']") do
			local used = modules[name]
			if not used then
				if not C_MODULES[name:match("^strata%.([%w_]+)$")] then
					note(module.file, number, line .. " -- there is no such module")
				end
			elseif not is_excused(module.file, name) then
				if module.room and used.room and not may_use(module.room, used.room) then
					note(module.file, number, line)
				else
					module.uses[#module.uses + 1] = name
				end
			end
		end
	end)
end

-- Follows what a module requires, lazily or not, until one comes again.
local function find_cycles(name, trail, done)
	if trail[name] then
		local cycle = table.concat(trail, " -> ", trail[name]) .. " -> " .. name
		note(modules[trail[#trail]].file, 1, "modules require each other: " .. cycle)
	elseif not done[name] then
		trail[#trail + 1] = name
		trail[name] = #trail
		for _, used in ipairs(modules[name].uses) do
			find_cycles(used, trail, done)
		end
		trail[#trail], trail[name] = nil, nil
		done[name] = true
	end
end

local function check_lua()
	read_modules()
	local names = {}
	for name in pairs(modules) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		read_requires(modules[name])
	end
	local done = {}
	for _, name in ipairs(names) do
		find_cycles(name, {}, done)
	end
end

-- ---- src

-- Headers of the project are named from src on. What is called internal is for its own folder.
local function check_include(file, number, line, room, room_of)
	local name = line:match('^%s*#%s*include%s+"([^"]+)"')
	if not name or is_excused(file, name) then
		return
	end
	local used = room_of((name:gsub("%.h$", "")))
	local own = file:match("^src/(.*/)")
	if not used then
		note(file, number, line .. " -- is in no room of .ci/rooms.lua")
	elseif room and not may_use(room, used) then
		note(file, number, line)
	elseif name:find("internal%.h$") and name:match("^(.*/)") ~= own then
		note(file, number, line .. " -- is internal to its folder")
	end
end

local function check_c()
	local room_of = finder(C)
	for _, file in ipairs(paths("src -name '*.[ch]'")) do
		local room = room_of(file:match("^src/(.*)%.[ch]$"))
		if not room then
			note(file, 1, "is in no room of .ci/rooms.lua")
		end
		each_line(file, function(number, line)
			check_include(file, number, line, room, room_of)
		end)
	end
end

check_lua()
check_c()
for i, one in ipairs(EXCEPTIONS) do
	if not excused[i] then
		note(one[1], 1, "does not use " .. one[2] .. " any more: take the exception out of .ci/rooms.lua")
	end
end
if #wrong > 0 then
	print(table.concat(wrong, "\n"))
end
os.exit(#wrong == 0)

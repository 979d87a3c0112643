-- doc/architecture.md leads to files and functions that are there, and names every room.

local shell = require "spec.support.shell"

local PAGE = "doc/architecture.md"

local function exists(path)
	local file = io.open(path)
	if file then
		file:close()
	end
	return file ~= nil
end

-- Places are written from the room on; these are the folders that rooms are in.
local function find(name)
	for _, top in ipairs({ "", "src/core/", "src/", "lua/strata/", "lua/" }) do
		for _, ending in ipairs({ "", ".lua", ".c" }) do
			if exists(top .. name .. ending) then
				return top .. name .. ending
			end
		end
	end
end

local function code_of(text)
	local list = {}
	for code in text:gsub("```.-```", ""):gmatch("`([^`\n]+)`") do
		list[#list + 1] = code
	end
	return list
end

-- The whole source; a name that it does not have is no name of ours.
local function source()
	return shell.sh("find src lua -name '*.[ch]' -o -name '*.lua' | sort | xargs cat")
end

describe("doc/architecture.md", function()
	it("names files that are there", function()
		local count = 0
		for _, code in ipairs(code_of(shell.read(PAGE))) do
			if code:find("^[%w_./]+%.[ch]$") or code:find("^[%w_./]+%.lua$") or code:find("^[%w_./]+/$") then
				count = count + 1
				assert(find(code), code .. " is not there")
			end
		end
		assert(count > 30)
	end)

	it("names functions that are there", function()
		local text, count = source(), 0
		for _, code in ipairs(code_of(shell.read(PAGE))) do
			if code:find("^[%l_]+$") and code:find("_") or code:find("^%l+%.[%l_]+$") and not find(code) then
				count = count + 1
				local name = code:match("([%l_]+)$")
				assert(
					text:find("[%W]" .. name .. "%(") or text:find("[.:]" .. name .. " = "),
					code .. " is not there"
				)
			end
		end
		assert(count > 5)
	end)

	it("has a line for every room", function()
		local text = shell.read(PAGE)
		local rooms = shell.sh("cd src/core && ls -d */; cd ../../lua/strata && ls -d */")
		for room in rooms:gmatch("(%w+/)\n") do
			assert(text:find("`" .. room .. "[%w]*`"), room .. " has no line")
		end
	end)
end)

-- Every function of the API, called with arguments of each wrong kind: what is thrown names the line that made the
-- mistake, and no internal error escapes.

local conform = require "spec.support.conform"
local names = require "spec.support.names"
local specimens = require "spec.support.specimens"

local functions = conform.functions
local unpack = table.unpack or unpack -- luacheck: ignore 113

local specimen

setup(function()
	specimen = specimens.new()
end)

teardown(function()
	specimen:close()
end)

-- Those that wait, or end what others need.
local LEFT_OUT = { close = true, run = true }

-- One value of each kind that an argument can be.
local function wrong_values()
	local layer = specimen.objects["strata.Layer"]
	return { 3.5, -1, true, "", "\0", "no/such thing", {}, { 1 }, { wrong = 1 }, print, io.stdin, layer }
end

-- What escapes from inside, as Lua words it.
local INTERNAL = { "attempt to %a+ a", "malformed pattern", "table index is" }

local function problem_of(where, ok, message)
	if ok then
		return nil
	end
	message = tostring(message)
	if type(message) ~= "string" or not message:find("^spec/types/misuse_spec.lua:%d+: ") then
		return where .. ": " .. message:sub(1, 200)
	end
	for _, pattern in ipairs(INTERNAL) do
		if message:find(pattern) and not message:find("closed", 1, true) then
			return where .. ": " .. message:sub(1, 200)
		end
	end
end

local function call(fn, self, ...)
	if self then
		fn(self, ...)
	else
		fn(...)
	end
end

describe("a wrong argument", function()
	for class, list in pairs(functions) do
		if class == "strata.Resty" or class == "strata.resty" then
			list = {} -- it works in nginx alone
		end
		local sorted = names.sorted(list)
		it("is reported at the caller's line: " .. class, function()
			local problems = {}
			for _, name in ipairs(sorted) do
				local item = list[name]
				local self, fn = nil, nil
				if specimens.MODULES[class] then
					fn = specimens.MODULES[class][name]
				else
					self = specimen.objects[class]
					fn = specimen:methods(class)[name]
				end
				for at = 1, LEFT_OUT[name] and 0 or #item.args do
					for kind, value in ipairs(wrong_values()) do
						local before = {}
						for i = 1, at - 1 do
							before[i] = nil
						end
						before[at] = value
						local where = ("%s.%s, argument %d, value %d"):format(class, name, at, kind)
						local ok, message = pcall(function()
							call(fn, self, unpack(before, 1, at))
							return true
						end)
						problems[#problems + 1] = problem_of(where, ok, message)
					end
				end
			end
			assert.equal("", table.concat(problems, "\n"))
		end)
	end
end)

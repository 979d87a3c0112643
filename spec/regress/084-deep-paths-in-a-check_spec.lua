-- A check walked to each directory of a path from the root again, in each layer, and did so by recursion: some thousand
-- whiteouts two thousand directories deep took minutes.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

local DEPTH = 800
local LEVELS = 150 -- of calls, those of busted among them
local INSTRUCTIONS = 1000

local function below(depth, name)
	return ("a/"):rep(depth) .. name
end

local STACKS = {
	["files at every depth"] = function(list, i)
		list[i] = { name = below(i * 5, "f"), data = "" }
	end,
	["files in one directory, deep down"] = function(list, i)
		list[i] = { name = below(DEPTH, "f" .. i), data = "" }
	end,
	["whiteouts of nothing"] = function(list, i)
		list[i] = { name = below(i * 5, ".wh.f"), data = "" }
	end,
	["whiteouts deep down, beside one in the root"] = function(list, i)
		list[i] = { name = i == 1 and ".wh.b" or below(DEPTH, ".wh.f" .. i), data = "" }
	end,
	["directories of their own"] = function(list, i)
		list[i] = i <= 5 and { name = i .. "/" .. below(DEPTH, "f"), data = "" } or nil
	end,
	["a symlink at every depth"] = function(list, i)
		list[2 * i - 1] = { name = below(i, "l"), type = "symlink", linkname = "a" }
		list[2 * i] = { name = below(i, "l/b/f"), data = "" }
	end,
}

-- How many thousand instructions of Lua a function takes. Throws when calls are nested deeply.
local function instructions_of(fn)
	local hook, mask, count = debug.gethook()
	local taken, too_deep = 0, false
	if rawget(_G, "jit") then
		require("jit").off()
	end
	debug.sethook(function()
		taken = taken + 1
		too_deep = too_deep or debug.getinfo(LEVELS, "l") ~= nil
	end, "", INSTRUCTIONS)
	local ok, message = pcall(fn)
	debug.sethook(hook, mask, count)
	if rawget(_G, "jit") then
		require("jit").on()
	end
	assert.is_true(ok, message)
	assert.is_false(too_deep)
	return taken
end

describe("a check", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	for name, add in pairs(STACKS) do
		specify("does not walk from the root again and again, or by recursion: " .. name, function()
			local entries = {}
			for i = 1, DEPTH / 5 do
				add(entries, i)
			end
			local img = bench:open({ { entries = entries }, { entries = entries }, { entries = entries } })
			local taken = instructions_of(function()
				assert(img:check({ second_reader = false }))
			end)
			assert.is_true(taken < 4000, taken .. " thousand instructions")
		end)
	end

	specify("nor does append", function()
		local img = bench:open({ { entries = { { name = "x", data = "x" } } } })
		instructions_of(function()
			assert(img:append({ files = { [below(DEPTH, "f")] = "" } }))
		end)
	end)
end)

-- Every row of the list of known attacks has a spec: its name begins with the row's id.

local shell = require "spec.support.shell"

local ROWS = { P = 15, W = 7, T = 20, I = 17, X = 6 }

describe("the list of known attacks", function()
	local found = {}
	for path in shell.sh([[find spec -name 'attacks_*_spec.lua' ! -name 'attacks_rows_spec.lua']]):gmatch("[^\n]+") do
		local text = shell.read(path)
		for _, pattern in ipairs({ "it%([\"']([PWTIX]%d+)[: ]", "describe%([\"']([PWTIX]%d+)[\"']" }) do
			for id in text:gmatch(pattern) do
				found[id] = true
			end
		end
	end

	for letter, count in pairs(ROWS) do
		for number = 1, count do
			it(("has a spec for %s%d"):format(letter, number), function()
				assert.is_true(found[letter .. number] or false)
			end)
		end
	end
end)

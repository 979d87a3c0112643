--- Modes as numbers and as text.

local modes = require "strata.util.mode"

describe("a mode", function()
	it("is a number from 0 to 07777, or octal digits", function()
		for given, expected in pairs({
			["0"] = 0, ["7"] = 7, ["644"] = 420, ["0644"] = 420, ["0755"] = 493, ["4755"] = 2541, ["07777"] = 4095,
			[0] = 0, [420] = 420, [4095] = 4095,
		}) do
			assert.equal(expected, modes.parse(given), tostring(given))
		end
	end)

	it("is nothing else", function()
		for _, given in ipairs({ "", "8", "0o644", "0x1", "-1", " 644", "644 ", "u=rw", "17777", "000644", -1, 4096, 1.5,
			0 / 0, math.huge, true, {}, print }) do
			assert.is_nil(modes.parse(given), tostring(given))
		end
		assert.is_nil(modes.parse(nil))
	end)
end)

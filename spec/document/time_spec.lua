--- Times of documents.

local times = require "strata.document.time"

describe("times of documents", function()
	it("are written as Go does", function()
		local known = {
			["2020-01-02T03:04:05Z"] = { "2020-01-02T03:04:05Z", 1577934245 },
			["2020-01-02T03:04:05.000Z"] = { "2020-01-02T03:04:05Z", 1577934245 },
			["2020-01-02T03:04:05.1200Z"] = { "2020-01-02T03:04:05.12Z", 1577934245 },
			["2020-01-02T03:04:05.1234567899Z"] = { "2020-01-02T03:04:05.123456789Z", 1577934245 },
			["2020-01-02T03:04:05+00:00"] = { "2020-01-02T03:04:05Z", 1577934245 },
			["2020-01-02T03:04:05.5-07:30"] = { "2020-01-02T03:04:05.5-07:30", 1577961245 },
			["2020-02-29T00:00:00Z"] = { "2020-02-29T00:00:00Z", 1582934400 },
			["1969-12-31T23:59:59Z"] = { "1969-12-31T23:59:59Z", -1 },
			["0001-01-01T00:00:00Z"] = { "0001-01-01T00:00:00Z", -62135596800 },
		}
		for given, expected in pairs(known) do
			assert.same(expected, { times.read(given) })
		end
	end)

	it("are refused when Go refuses them", function()
		for _, text in ipairs({
			"", "2020-01-02", "2020-01-02 03:04:05Z", "2020-13-01T00:00:00Z", "2021-02-29T00:00:00Z",
			"2020-01-02T24:00:00Z", "2020-01-02T03:04:60Z", "2020-01-02T03:04:05", "2020-01-02T03:04:05.Z",
			"2020-01-02T03:04:05+0100", "2020-01-02T03:04:05Zz",
		}) do
			assert.is_nil(times.read(text), text)
		end
	end)

	it("are written for seconds as the C library has it, and read again", function()
		local seconds, step = 0, 1
		while seconds <= times.LAST do
			local text = times.write(seconds)
			assert.equal(os.date("!%Y-%m-%dT%H:%M:%SZ", seconds), text)
			assert.equal(seconds, select(2, times.read(text)))
			seconds, step = seconds + step, step * 3 % 10000019 + 86399
		end
		assert.equal("9999-12-31T23:59:59Z", times.write(times.LAST))
		assert.equal("2024-02-29T00:00:00Z", times.write(1709164800))
	end)

	it("are later than a number of seconds by a fraction, too", function()
		for text, expected in pairs({
			["2020-01-02T03:04:05Z"] = false, ["2020-01-02T03:04:05.000Z"] = false, ["2020-01-02T03:04:04.9Z"] = false,
			["2020-01-02T03:04:05.1Z"] = true, ["2020-01-02T03:04:06Z"] = true, ["2020-01-02T04:04:05+01:00"] = false,
			["2020-01-02T03:04:05-00:01"] = true, ["0001-01-01T00:00:00Z"] = false,
			["9999-99-99T00:00:00Z"] = false, [""] = false,
		}) do
			assert.equal(expected, times.is_after(text, 1577934245), text)
		end
		assert.is_false(times.is_after(nil, 0))
		assert.is_false(times.is_after(7, 0))
	end)
end)

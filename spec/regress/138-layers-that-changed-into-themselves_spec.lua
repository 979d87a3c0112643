-- strata.diff paired the layers of two images by their numbers. Of a layer that both have it told that it changed, from
-- its diff_id to the same one.

local strata = require "strata"

describe("layers that both images have", function()
	-- An image with a layer for each letter.
	local function image(letters)
		local img = strata.new()
		for letter in letters:gmatch(".") do
			assert(img:append({ files = { [letter] = letter } }))
		end
		return img
	end

	local function told(a, b)
		local diff, lines = assert(strata.diff(image(a), image(b))), {}
		for i, row in ipairs(diff.layers) do
			assert.not_equal(row.a and row.a.diff_id, row.b and row.b.diff_id)
			lines[i] = ("%s %s%s"):format(row.change, row.a and row.a.layer or "-", row.b and row.b.layer or "-")
		end
		return table.concat(lines, ", "), diff
	end

	for _, row in ipairs({
		{ "abc", "abc", "" },
		{ "axbyc", "axczc", "changed 33, changed 44" },
		{ "abcd", "xbyd", "changed 11, changed 33" },
		{ "abc", "bc", "removed 1-" },
		{ "bcd", "xbcy", "added -1, changed 34" },
		{ "ab", "ba", "removed 1-, added -2" },
		{ "abcabc", "bc", "removed 1-, removed 2-, removed 3-, removed 4-" },
		{ "aabb", "abab", "removed 2-, added -3" },
		{ "xaby", "zabw", "changed 11, changed 44" },
		{ "", "ab", "added -1, added -2" },
	}) do
		it(("are no difference: %q and %q"):format(row[1], row[2]), function()
			assert.equal(row[3], (told(row[1], row[2])))
		end)
	end

	it("have both numbers where these differ", function()
		local _, diff = told("bcd", "xbcy")
		assert.matches("^~ layer 3 %-> 4: ", tostring(diff.layers[2]))
		assert.matches("^%+ layer 1: ", tostring(diff.layers[1]))
	end)
end)

-- After img:rechunk the history said of all new layers that the last step before it had made them.

local strata = require "strata"

describe("the history of a divided image", function()
	local function image(history)
		local img = strata.new()
		for i, by in ipairs({ "FROM base", "RUN make", "COPY app.conf" }) do
			assert(img:append({ files = { ["usr/" .. i .. "/a"] = by, ["opt/" .. i .. "/b"] = by }, created_by = by,
				created = ("2024-01-0%dT00:00:00Z"):format(i) }))
		end
		assert(img.config:set("/history/-", { created_by = "CMD", empty_layer = true }))
		if not history then
			img:clear_history()
		end
		return img
	end

	local function rows(img)
		local list = {}
		for i, row in ipairs(img:history()) do
			list[i] = row.created_by .. (row.layer and " = layer " .. row.layer.position or "")
		end
		return list
	end

	it("keeps the steps, and names the chunks", function()
		local img = image(true)
		local _, chunks = assert(img:rechunk({ chunks = 4, above = 1 }))
		local expected = { "FROM base = layer 1", "RUN make", "COPY app.conf", "CMD" }
		for i, chunk in ipairs(chunks) do
			expected[#expected + 1] = ("strata rechunk: chunk %d of %d = layer %d"):format(i, #chunks, chunk.layer)
		end
		assert.is_true(#chunks > 1)
		assert.same(expected, rows(img))
		assert.equal("2024-01-03T00:00:00Z", img:history()[#expected].created)
		assert.same({}, img:check({ severity = "warning" }))
	end)

	it("stays empty where it was", function()
		local img = image(false)
		assert(img:rechunk({ chunks = 4 }))
		assert.same({}, rows(img))
	end)
end)

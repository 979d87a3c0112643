-- A layer that squash, split, repair or another operation had replaced could still be edited: it answered as if it had
-- done so, and the image stayed as it was.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

describe("a layer that is not in its image any more", function()
	local function stale(operate)
		local bench = archive.bench()
		local img = bench:open({
			{ entries = { { name = "a", data = "1" }, { name = "b", data = "2" } } },
			{ entries = { { name = "c", data = "3" }, { name = "d", data = "4" } } },
		})
		local layer = img.layers[2]
		assert(operate(img))
		return img, layer
	end

	local OPERATIONS = {
		squash = function(img) return img:squash(1, 2) end,
		flatten = function(img) return img:flatten() end,
		split = function(img) return img:split(2, "c") end,
		remove_layer = function(img) return img:remove_layer(2) end,
		normalize = function(img) return img:normalize({ epoch = 0, sort = true }) end,
	}
	local EDITS = {
		remove = function(layer) layer:remove("d") end,
		filter = function(layer) layer:filter(function() return true end) end,
		rewrite = function(layer) layer:rewrite(function(entry) entry.uid = 5 end) end,
		set_annotation = function(layer) layer:set_annotation("a", "b") end,
		remove_annotation = function(layer) layer:remove_annotation("a") end,
		["layer.annotations"] = function(layer) layer.annotations = { a = "b" } end,
	}

	for name, operate in pairs(OPERATIONS) do
		specify("refuses edits after " .. name, function()
			local img, layer = stale(operate)
			if layer ~= img.layers[2] then
				for what, edit in pairs(EDITS) do
					assert.error_matches(function() edit(layer) end,
						"^" .. what .. ": the layer is not in its image any more")
				end
				assert.equal("3", layer:read("c"))
			else
				assert(layer:remove("d"))
			end
		end)
	end

	specify("can be appended to another image", function()
		local _, layer = stale(OPERATIONS.remove_layer)
		local other = archive.bench():open({ { entries = { { name = "x", data = "x" } } } })
		assert(other:append({ layer = layer }))
		assert.equal("4", other:read("d"))
	end)

	specify("is itself again when the edits are taken back", function()
		local img, layer = stale(OPERATIONS.squash)
		assert(img:revert())
		assert(img.layers[2]:remove("d"))
		assert.is_nil(layer ~= img.layers[2] or nil)
	end)
end)

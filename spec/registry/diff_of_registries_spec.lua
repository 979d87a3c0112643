-- A diff of images in a registry fetches what it needs: of layers that both have, one; of a common base none, where the
-- layers above it have the same paths.

local registry = require "spec.support.registry"
local strata = require "strata"

describe("the diff of images in a registry", function()
	local fake

	setup(function()
		fake = registry.start()
	end)

	teardown(function()
		fake:stop()
	end)

	local function push(name, files)
		local img = strata.new()
		assert(img:append({ files = { ["etc/base"] = "base", ["etc/x"] = "0" } }))
		assert(img:append({ files = { ["etc/mid"] = "mid" } }))
		assert(img:append({ files = files }))
		local ref = ("docker://%s/%s"):format(fake.host, name)
		assert(img:save(ref))
		img:close()
		return ref
	end

	local function fetched(a, b)
		fake:forget()
		local diff = assert(strata.diff(a, b))
		local count = 0
		for _, line in ipairs(fake:lines()) do
			-- each config is a blob, too
			count = count + (line:find("^GET /v2/.*/blobs/") and 1 or 0)
		end
		local paths = {}
		for i, row in ipairs(diff.files) do
			paths[i] = row.change .. " " .. row.path
		end
		return count - 2, table.concat(paths, ", ")
	end

	it("fetches the layers that differ, and those below when these do not tell", function()
		local one = push("app:1", { ["etc/x"] = "1", ["etc/y"] = "y" })
		local two = push("app:2", { ["etc/x"] = "2", ["etc/y"] = "y" })
		local three = push("app:3", { ["etc/y"] = "y", ["etc/z"] = "z" })
		assert.same({ 2, "changed etc/x" }, { fetched(one, two) })
		assert.same({ 4, "changed etc/x, added etc/z" }, { fetched(one, three) })
		assert.same({ 0, "" }, { fetched(one, one) })
	end)
end)

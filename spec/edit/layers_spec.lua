--- Removing and moving layers.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

describe("the list of layers", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	-- An image of layers that hold one file each, named as given.
	local function open(names, history)
		local layers = {}
		for i, name in ipairs(names) do
			layers[i] = { entries = type(name) == "table" and name or { file(name) } }
		end
		return bench:open(layers, history and { config = { history = history } })
	end

	local function rows(...)
		local list = {}
		for i, text in ipairs({ ... }) do
			list[i] = { created_by = text:gsub(" %-$", ""), empty_layer = text:find(" -", 1, true) and true or nil }
		end
		return list
	end

	-- First names of the layers, and the rows.
	local function seen(look)
		local layers, history = {}, {}
		for i, layer in ipairs(look.layers) do
			layers[i] = layer.entries[1].name
		end
		for i, row in ipairs(look.history) do
			history[i] = (row.created_by or "?") .. (row.empty_layer and " -" or "")
		end
		return { table.concat(layers, " "), table.concat(history, ", ") }
	end

	specify("loses one with its row; the others keep their bytes", function()
		local img = open({ "a", "b", "c" }, rows("1", "env -", "2", "3"))
		local kept = { img.layers[1].digest, img.layers[3].digest }
		assert.equal(img, img:remove_layer(2))
		local look = bench:save(img)
		assert.same({ "a c", "1, env -, 3" }, seen(look))
		assert.same(kept, { look.layers[1].digest, look.layers[2].digest })
		assert.equal(2, img.layers[2].position)
		assert.equal("3", img.layers[2].created_by)
	end)

	specify("loses all that were created by a command with a text, or with what matches a pattern", function()
		for _, created_by in ipairs({ "pt", { pattern = "^apt" } }) do
			local img = open({ "a", "b", "c" }, rows("apt 1", "make", "apt 2"))
			assert(img:remove_layer({ created_by = created_by }))
			assert.same({ "b", "make" }, seen(bench:save(img)))
		end
	end)

	specify("says so when a text or a pattern matches nothing, and changes nothing", function()
		local img = open({ "a" }, rows("1"))
		for _, created_by in ipairs({ "nothing", "^1", { pattern = "nothing" } }) do
			assert.equal("ENOENT", select(3, img:remove_layer({ created_by = created_by })))
			assert.is_false(img.edited)
		end
	end)

	specify("works without a history, with a short one and with a long one", function()
		local img = open({ "a", "b", "c" }, {})
		assert(img:remove_layer(1))
		assert.same({ "b c", "" }, seen(bench:save(img)))
		img = open({ "a", "b", "c" }, rows("1", "2"))
		assert(img:remove_layer(1))
		assert.same({ "b c", "2" }, seen(bench:save(img)))
		img = open({ "a", "b", "c" }, rows("1", "2", "3", "4"))
		assert(img:remove_layer(3))
		assert.same({ "a b", "1, 2, 4" }, seen(bench:save(img)))
		img = open({ "a", "b", "c" }, rows("1"))
		assert(img:move_layer(1, 3))
		assert.same({ "b c a", "?, ?, 1" }, seen(bench:save(img)))
		img = open({ "a", "b", "c" }, rows("1", "2"))
		assert(img:move_layer(3, 1))
		assert.same({ "c a b", "?, 1, 2" }, seen(bench:save(img)))
		img = open({ "a", "b", "c" }, {})
		assert(img:move_layer(3, 1))
		assert.same({ "c a b", "" }, seen(bench:save(img)))
	end)

	specify("is put in another order, with the rows", function()
		local img = open({ "a", "b", "c" }, rows("1", "env -", "2", "3", "cmd -"))
		assert.equal(img, img:move_layer(1, 2))
		assert.same({ "b a c", "env -, 2, 1, 3, cmd -" }, seen(bench:save(img)))
		assert(img:move_layer(3, 1))
		assert.same({ "c b a", "env -, 3, 2, 1, cmd -" }, seen(bench:save(img)))
		assert(img:move_layer(1, 3))
		assert.equal("a", (bench:save(img).layers[2].entries[1].name))
	end)

	specify("is put in another order in an OCI layout", function()
		local img = open({ "a", "b", "c" }, rows("1", "2", "3"))
		local path = bench.dir:file("layout")
		assert(img:save(path, { format = "oci" }))
		local oci = bench:load(path)
		assert(oci:move_layer(3, 1))
		assert(oci:remove_layer(2))
		assert(oci:save(path))
		local again = bench:load(path)
		assert(again:verify())
		assert.same({ "c", "b" }, { again.layers[1]:entries()().path, again.layers[2]:entries()().path })
		assert.same({ "3", "2" }, { again.layers[1].created_by, again.layers[2].created_by })
	end)

	specify("keeps hardlinks with the layers that hold their files", function()
		local link = { { name = "l", type = "hardlink", linkname = "a" } }
		local img = open({ "a", link, "c" })
		for _, operate in ipairs({
			function() return img:remove_layer(1) end,
			function() return img:move_layer(1, 2) end,
		}) do
			local ok, message, code = operate()
			assert.is_nil(ok)
			assert.equal("EINVAL", code)
			assert.is_truthy(message:find("hardlink 'l' shares its file with layer 1/3", 1, true))
		end
		img = open({ "a", link, "c" })
		assert(img:move_layer(3, 1))
		assert(img:remove_layer(3))
		assert.same({ "c a", "step 3, step 1" }, seen(bench:save(img)))
	end)

	specify("is checked: numbers have to be those of layers", function()
		local img = open({ "a", "b" })
		assert.has_error(function() img:remove_layer(3) end)
		assert.has_error(function() img:remove_layer() end)
		assert.has_error(function() img:remove_layer("step") end)
		assert.has_error(function() img:move_layer(1, 0) end)
		assert.has_error(function() img:move_layer(1.5, 1) end)
	end)
end)

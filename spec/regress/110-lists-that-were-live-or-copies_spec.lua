-- table.remove(img.layers, 1) took a layer out of the object, but not out of the config: what was saved nobody could
-- open, and save told success. Changes to other lists were lost without a word.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

describe("what an image hands out", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open()
		local a = { name = "a", data = "1", pax = { ["SCHILY.xattr.user.a"] = "1" } }
		return bench:open({ { entries = { a } }, { entries = { { name = "b", data = "2" } } } },
			{ tags = { "app:1" }, config = { config = { Env = { "A=1" }, Labels = { x = "y" } } } })
	end

	-- Each changes something in place; some are noticed when the image is used next.
	local changes = {
		["table.remove(img.layers)"] = function(img)
			table.remove(img.layers)
		end,
		["table.insert(img.layers, layer)"] = function(img)
			table.insert(img.layers, img.layers[1])
		end,
		["layers that swap"] = function(img)
			local layers = img.layers
			layers[1], layers[2] = layers[2], layers[1]
		end,
		["img.layers[3] = value"] = function(img)
			img.layers[3] = "junk"
		end,
		["table.sort(img.tags)"] = function(img)
			img.tags[1] = "z:1"
		end,
		["table.remove(img:history(), 1)"] = function(img)
			local rows = img:history()
			rows[#rows + 1] = rows[1] or {}
		end,
		["entry.xattrs[name] = value"] = function(img)
			img.layers[1]:entry("a").xattrs["user.a"] = "2"
		end,
		["entry.xattrs[another name] = value"] = function(img)
			img.layers[1]:entry("a").xattrs["user.b"] = "2"
		end,
		["entry.xattrs[name] = value, where there was none"] = function(img)
			img.layers[2]:entry("b").xattrs["user.b"] = "2"
		end,
		["entry.pax[name] = value"] = function(img)
			img.layers[1]:entry("a").pax["SCHILY.xattr.user.a"] = "2"
		end,
		["entry.xattrs of the root file system"] = function(img)
			local entry = img:rootfs():stat("a")
			entry.xattrs["user.a"] = "2"
			assert(entry.path)
		end,
		["config.Env[1] = value"] = function(img)
			img.config.Env[1] = "A=2"
		end,
		["config.Env[2] = value"] = function(img)
			img.config.Env[2] = "B=2"
		end,
		["config.Labels.x = value"] = function(img)
			img.config.Labels.x = "z"
		end,
		["config.Labels.new = value"] = function(img)
			img.config.Labels.new = "z"
		end,
	}

	for name, change in pairs(changes) do
		specify("is not changed in silence: " .. name, function()
			local img = open()
			local path = bench.dir:file("out.tar")
			local ok, message = pcall(function()
				change(img)
				img.config.User = "1"
				return img:save(path)
			end)
			assert.is_false(ok)
			assert.matches("regress/110.-:%d+: .* cannot be changed in place: %a", message)
			assert.is_nil(io.open(path))
			-- It has been told, and the image is as it was.
			img.config.User = "1"
			assert(img:save(path))
			local saved = bench:load(path)
			assert.equal(2, #saved.layers)
			assert.same({ "app:1" }, saved.tags)
			assert.same({ "A=1" }, saved.config:get("/config/Env"))
		end)
	end

	specify("may be assigned after a change: xattrs", function()
		local img = open()
		local a, b = img.layers[1]:entry("a"), img.layers[2]:entry("b")
		local xattrs = a.xattrs
		xattrs["user.a"] = "2"
		a.xattrs = xattrs
		assert.same({ ["user.a"] = "2" }, a.xattrs)
		b.xattrs = a.xattrs
		local look = bench:save(img)
		assert.equal("2", look.layers[1].entries[1].pax["SCHILY.xattr.user.a"])
		assert.equal("2", look.layers[2].entries[1].pax["SCHILY.xattr.user.a"])
	end)

	specify("can be read, indexed, counted and iterated", function()
		local img = open()
		local seen = {}
		for i, one in ipairs(img.layers) do
			seen[i] = one
		end
		assert.equal(2, #img.layers)
		assert.equal(seen[2], img.layers[2])
		assert.is_nil(img.layers[3])
		for i, one in img.layers() do
			assert.equal(seen[i], one)
		end
		for i, one in img:layers() do
			assert.equal(seen[i], one)
		end
		assert(img:remove_layer(1))
		assert.equal(1, #img.layers)
		assert.equal(seen[2], img.layers[1])
	end)
end)

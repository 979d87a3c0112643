-- Takes seconds: not for make check.
-- An edit that failed half way was saved with what it had done so far, and one that failed before it had done anything
-- kept the image from ever being saved.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

describe("an edit that fails or throws", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open()
		return bench:open({
			{ entries = { { name = "a", data = "1" }, { name = "b", data = "2" } }, gzip = true },
			{ entries = { { name = "c", data = "3" }, { name = "d", data = "secret" } } },
			{ entries = { { name = "e", data = "5" } } },
		}, { tags = { "app:1" } })
	end

	local function bytes_of(img)
		local path = os.tmpname()
		assert(img:save(path))
		local file = assert(io.open(path, "rb"))
		local bytes = file:read("*a")
		file:close()
		os.remove(path)
		return bytes
	end

	-- Each fails, one way or the other.
	local failures = {
		["a rewrite that throws half way"] = function(img)
			local count = 0
			img:rewrite(function(entry)
				count = count + 1
				if count == 4 then
					error("enough")
				end
				entry.uid, entry.path = 7, entry.path .. "x"
				entry.xattrs = { ["user.k"] = "v" }
				if entry.type == "file" then
					entry:replace("other")
				end
			end)
		end,
		["a rewrite of a layer that throws half way"] = function(img)
			img.layers[2]:rewrite(function(entry)
				entry.uid = 7
				error("enough")
			end)
		end,
		["a filter that assigns, and throws"] = function(img)
			img:filter(function(entry)
				entry.mode = 0
				return entry.path ~= "d" or error("enough")
			end)
		end,
		["a filter that does not answer"] = function(img)
			img:filter(function(entry)
				return entry.path:match("^nothing")
			end)
		end,
		["a purge with a broken pattern of the history"] = function(img)
			img:purge(function(entry)
				return entry.path == "d"
			end, { history = "[" })
		end,
		["a purge that throws"] = function(img)
			img:purge(function(entry)
				return entry.path == "c" or error("enough")
			end)
		end,
		["a purge that cannot prove it"] = function(img)
			return img:purge(function(entry)
				return entry.path == "d"
			end, { prove = "5" })
		end,
		["an append of what is not there"] = function(img)
			return img:append({ dir = "/nonexistent" })
		end,
		["an append with a row that cannot be"] = function(img)
			return img:append({ files = { x = "y" }, created_by = "\255" })
		end,
		["a rebase onto a wrong base"] = function(img)
			local other = bench:open({ { entries = { { name = "z", data = "z" } } } })
			return img:rebase(other, other)
		end,
		["a squash above a wrong base"] = function(img)
			local other = bench:open({ { entries = { { name = "z", data = "z" } } } })
			return img:squash({ above = other })
		end,
		["remove_layer of what is not there"] = function(img)
			return img:remove_layer({ created_by = "no such command" })
		end,
		["a removal of something that is not there"] = function(img)
			return img:remove({ "a", "not there" })
		end,
		["a removal in a layer of something that is not there"] = function(img)
			return img.layers[2]:remove({ "c", "not there" })
		end,
	}

	for name, fail in pairs(failures) do
		specify("leaves the image as it was: " .. name, function()
			local img = open()
			local before = bytes_of(img)
			local called, ok, message = pcall(fail, img)
			assert.is_true(not called or (ok == nil and type(message) == "string"), tostring(ok))
			assert.is_false(img.edited)
			assert.is_true(before == bytes_of(img))
			-- And it can be edited.
			assert(img:rewrite(function(entry)
				entry.uid = 8
			end))
			local _, path = bench:save(img)
			for entry in bench:load(path):rootfs():walk() do
				assert.equal(8, entry.uid)
			end
		end)

		specify("leaves earlier edits: " .. name, function()
			local img = open()
			assert(img:rewrite(function(entry)
				entry.gid = 9
			end))
			img.config.User = "9"
			local before = bytes_of(img)
			pcall(fail, img)
			assert.is_true(before == bytes_of(img))
		end)
	end

	specify("lets another base be tried", function()
		local base = bench:open({ { entries = { { name = "old", data = "old" } } } })
		local wrong = bench:open({ { entries = { { name = "wrong", data = "wrong" } } } })
		local new = bench:open({ { entries = { { name = "new", data = "new" } } } })
		local img = bench:open({ { entries = { { name = "old", data = "old" } } }, { entries = { { name = "app" } } } })
		assert.is_nil(img:rebase(wrong, new))
		assert.equal(img, img:rebase(base, new))
		local _, path = bench:save(img)
		assert.is_true(bench:load(path):rootfs():exists("new"))
	end)

	specify("can yield in a coroutine", function()
		local img, seen = open(), {}
		local thread = coroutine.wrap(function()
			return assert(img:filter(function(entry)
				coroutine.yield(entry.path)
				return entry.path ~= "d"
			end)) == img
		end)
		local path = thread()
		while type(path) == "string" do
			seen[#seen + 1] = path
			path = thread()
		end
		assert.is_true(path)
		assert.same({ "a", "b", "c", "d", "e" }, seen)
		assert.is_false(img:rootfs():exists("d"))
	end)
end)

describe("img:revert", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	specify("goes back to what was opened", function()
		local layers = { { entries = { { name = "a", data = "1" } } }, { entries = { { name = "b", data = "2" } } } }
		local img, _, path = bench:open(layers, { tags = { "app:1" } })
		local entry = img.layers[1]:entry("a")
		assert(img:append({ files = { c = "3" } }):remove_layer(2))
		assert(img:rewrite(function(one)
			one.uid = 5
		end))
		img.tags = { "other:1" }
		img.config.User = "5"
		assert.matches("^sha256:", img.layers[1].diff_id)
		assert.is_true(img.edited)
		assert.equal(img, img:revert())
		assert.is_false(img.edited)
		assert.equal(2, #img.layers)
		assert.same({ "app:1" }, img.tags)
		assert.is_nil(img.config.User)
		assert.error_matches(function()
			return entry.uid
		end, "closed")
		local out = bench.dir:file("same.tar")
		assert(img:save(out))
		local shell = require("spec.support.shell")
		assert.equal(shell.read(path), shell.read(out))
	end)
end)

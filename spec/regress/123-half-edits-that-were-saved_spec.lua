-- An image could be saved in the middle of an edit: by the function that the edit calls, or by others while a coroutine
-- waits in it, for ever perhaps. An edit within another one that failed was taken back although it had told success.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

describe("an edit that goes on", function()
	local bench, img, path
	before_each(function()
		bench = archive.bench()
		local _
		img, _, path = bench:open({
			{ entries = { { name = "a", data = "1" }, { name = "b", data = "2" } } },
			{ entries = { { name = "c", data = "3" }, { name = "d", data = "4" } } },
		}, { tags = { "app:1" } })
	end)
	after_each(function()
		bench:close()
	end)

	local function refused(name, result, message, code)
		assert.is_nil(result)
		assert.equal(name .. " has not ended: img:revert() goes back to what was opened", message)
		assert.equal("EINVAL", code)
	end

	local function is_as_it_was()
		assert.is_false(img.edited)
		local out = bench.dir:file("out.tar")
		assert(img:save(out))
		assert.is_true(shell.read(path) == shell.read(out))
	end

	-- What an image is asked for in the middle of an edit.
	local function ask_for_all(name)
		local out = bench.dir:file("half")
		refused(name, img:save(out))
		refused(name, img:plan())
		refused(name, img:extract(out))
		refused(name, img:export(out))
		refused(name, img:remove("a"))
		refused(name, img.layers[1]:remove("a"))
		refused(name, img:filter(function() return false end))
		refused(name, img:append({ files = { x = "y" } }))
		refused(name, img:flatten())
		refused(name, img:remove_layer(1))
		assert.is_nil(io.open(out))
	end

	specify("is neither saved nor edited by the function that it calls", function()
		for name, edit in pairs({
			rewrite = function(fn) return img:rewrite(fn) end,
			filter = function(fn) return img:filter(function(entry) return fn(entry) or true end) end,
			remove = function(fn) return img:remove(function(entry) return fn(entry) or false end) end,
			purge = function(fn) return img:purge(function(entry) return fn(entry) or false end) end,
		}) do
			local called = 0
			local ok, message = pcall(edit, function(entry)
				called = called + 1
				entry.uid = 7
				if called == 3 then
					ask_for_all(name)
					error("enough")
				end
			end)
			assert.is_false(ok)
			assert.matches("enough$", message)
			is_as_it_was()
		end
	end)

	specify("is not taken back, and its image not closed, by that function without a word", function()
		local _, message = pcall(function()
			img:rewrite(function(entry)
				entry.uid = 7
				img:revert()
			end)
		end)
		assert.matches("regress/123.*: revert: rewrite goes on, which a function cannot take back that it calls$", message)
		is_as_it_was()
		for _, edit in ipairs({ "rewrite", "filter" }) do
			local other = bench:load(path)
			_, message = pcall(function()
				other[edit](other, function()
					other:close()
					return true
				end)
			end)
			assert.matches("regress/123.*: " .. edit .. ": the image was closed meanwhile$", message)
		end
	end)

	specify("keeps its image from being saved while a coroutine waits in it, until it is taken back", function()
		local resume = coroutine.wrap(function()
			img:rewrite(function(entry)
				entry.uid = 7
				coroutine.yield()
			end)
		end)
		resume()
		resume()
		ask_for_all("rewrite")
		assert(img:revert())
		is_as_it_was()
		assert(img:remove("a"))
		assert.is_true(img.edited)
	end)

	specify("ends, and then the next one is done", function()
		local resume = coroutine.wrap(function()
			return img:filter(function(entry)
				coroutine.yield()
				return entry.path ~= "d"
			end)
		end)
		for _ = 1, 4 do
			resume()
		end
		refused("filter", img:remove("a"))
		assert.equal(img, resume())
		assert(img:remove("a"))
		assert(img:save(bench.dir:file("out.tar")))
		assert.is_false(bench:load(bench.dir:file("out.tar")):rootfs():exists("d"))
	end)
end)

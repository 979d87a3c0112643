local archive = require("spec.support.docker_archive")
local core = require("strata.core")
local layer = require("spec.support.layer")
local rawtar = require("spec.support.rawtar")

-- Edits of an index that are taken back.
describe("core.checkpoint", function()
	local index

	before_each(function()
		index = layer.index({ { name = "a", data = "text" }, { name = "b", data = "other" } })
	end)

	it("goes back to names and contents", function()
		local checkpoint = assert(core.checkpoint(index))
		index:entry(1).path = "a/new/name"
		index:entry(2):replace("much newer")
		assert.is_true(checkpoint:restore())
		assert.equal("a", index:entry(1).path)
		assert.equal("other", assert(index:entry(2):read()))
	end)

	it("goes back once", function()
		local checkpoint = assert(core.checkpoint(index))
		assert.is_true(checkpoint:restore())
		index:entry(1).mode = 0
		assert.is_false(checkpoint:restore())
		assert.equal(0, index:entry(1).mode)
	end)

	it("does not go back to a time after the one that the index has gone back to", function()
		for _, edit in ipairs({
			function(entry)
				entry.path = "a/new/name"
			end,
			function(entry)
				entry:replace("much newer")
			end,
		}) do
			local first = assert(core.checkpoint(index))
			edit(index:entry(1))
			local second = assert(core.checkpoint(index))
			assert.is_true(first:restore())
			assert.is_false(second:restore())
			assert.equal("a", index:entry(1).path)
			assert.equal("text", assert(index:entry(1):read()))
		end
	end)

	it("goes back with a layer that has no entries", function()
		local none = layer.index({})
		assert.is_true(assert(core.checkpoint(none)):restore())
		assert.equal(0, (none:count()))
	end)
end)

describe("an index whose file has other bytes than when it was scanned", function()
	local function read(bytes, compression, expected)
		local file = layer.file(bytes)
		local index, job = core.entry_index(file, 0, #bytes, compression), core.job()
		job:scan({ label = "scanned", index = index, digest = expected })
		assert(layer.run(job))
		assert(file:write(#bytes / 2 - #bytes / 2 % 1, ("x"):rep(20)))
		return index:entry(1):read()
	end

	local TAR = layer.tar({ { name = "file", data = ("text"):rep(500) } })

	it("names the layer by its digest when no diff_id is known", function()
		local digest = "sha256:" .. archive.sha256(TAR)
		local content, message, code = read(TAR, "none", digest)
		assert.is_nil(content)
		assert.equal("EDIGEST", code)
		assert.equal(1, message:find("layer (" .. digest:sub(1, 19), 1, true), message)
	end)

	it("names no layer when neither is", function()
		local content, message, code = read(archive.gzip(TAR), "gzip")
		assert.is_nil(content)
		assert.is_string(code)
		assert.is_nil(message:find("layer", 1, true))
	end)
end)

describe("an index that was scanned without limits", function()
	it("hashes the holes of a sparse file as far as they may go by default", function()
		local records = { "GNU.sparse.size", "10", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "2,3" }
		local index = layer.index(rawtar.tar(rawtar.pax(records) .. rawtar.entry({ name = "holes" }, "abc")))
		assert.equal("sha256:" .. archive.sha256("\0\0abc\0\0\0\0\0"), index:entry(1):digest())
	end)
end)

describe("the plain tar of an index", function()
	local TAR = layer.tar({ { name = "file", data = "text" } })

	it("is where it lies in the file of a plain layer", function()
		local index = core.entry_index(layer.file(("x"):rep(100) .. TAR), 100, #TAR, "none")
		assert.has_error(function()
			index:tar()
		end, "the index has not been scanned")
		assert(index:scan())
		local file, offset = index:tar()
		assert.equal("text", assert(file:read(offset + index:entry(1).data_offset, 4)))
		file:close()
		assert.equal("text", assert(index:entry(1):read()))
	end)

	it("is in a file of its own once a compressed layer has been inflated", function()
		local bytes = archive.gzip(TAR)
		local index = core.entry_index(layer.file(bytes), 0, #bytes, "gzip")
		assert(index:scan())
		assert.is_nil((index:tar()))
		assert(index:entry(1):read())
		local file, offset = index:tar()
		assert.equal(0, offset)
		index:close()
		assert.equal(TAR, assert(file:read(0, #TAR)))
	end)
end)

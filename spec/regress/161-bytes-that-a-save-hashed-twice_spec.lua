-- What a save had written to a temporary file, and hashed on the way, it hashed once more while it copied that into the
-- archive: 15 to 20 percent of the time of a save with edits.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local shell = require "spec.support.shell"
local strata = require "strata"
local tasks = require "spec.support.tasks"
local tmp = require "spec.support.tmp"

local function layer(name)
	return archive.layer({ { name = name, data = name:rep(5000) }, { name = "other", data = "o" } })
end

describe("what a save has written", function()
	local dir, source

	before_each(function()
		dir = tmp.dir()
		local layout = blobs.new()
		local made = layout:image({ layers = { layer("a"), layer("b"), layer("c") }, compression = "none" })
		source = layout:set_root({ blobs.descriptor(made, blobs.named("app:1")) }):write_dir(dir:file("layout"))
	end)

	after_each(function()
		dir:remove()
	end)

	-- The labels of what is copied, of layers, and whether it is hashed then.
	local function copies(img, options)
		local list = tasks.of(function()
			assert(img:save(dir:file("out.tar"), options))
		end)
		local hashed = {}
		for _, copy in ipairs(tasks.only(list, "copy")) do
			hashed[tonumber(copy.label:match("^layer (%d+)/"))] = copy.digest ~= nil
		end
		assert(strata.open(dir:file("out.tar"))):verify()
		img:close()
		return hashed
	end

	it("is not hashed again; what came with the image is", function()
		local img = assert(strata.open(source))
		assert(img.layers[2]:filter(function(entry)
			return entry.path ~= "other"
		end))
		assert.same({ true, false, true }, copies(img, { format = "docker" }))
	end)

	it("is not hashed again when it was compressed, squashed or made of files", function()
		assert.same({ false, false, false }, copies(assert(strata.open(source)),
			{ format = "oci-archive", compression = "gzip" }))
		local img = assert(strata.open(source))
		assert(img:squash(2, 3))
		assert(img:append({ files = { x = "y" } }))
		assert.same({ true, false, false }, copies(img, { format = "docker" }))
	end)

	it("is hashed by the save that takes a blob which lies in a file of its own", function()
		-- Such a blob looks like one that was just written: it begins where its file does, and ends there.
		local img = assert(strata.open(source))
		local digest = img.layers[1].digest
		local path = source .. "/blobs/sha256/" .. digest:sub(8)
		local bytes = shell.read(path)
		assert.equal(#bytes, img.layers[1].size)
		shell.write(path, bytes:sub(1, 600) .. "X" .. bytes:sub(602))
		local ok, message, code = img:save(dir:file("out.tar"), { format = "docker" })
		assert.is_nil(ok)
		assert.equal("EDIGEST", code)
		assert.matches("layer 1/3", message)
		assert.same({ "layout" }, dir:names())
	end)
end)

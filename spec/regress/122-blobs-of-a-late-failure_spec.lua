-- A save into a layout that failed late left blobs there, and its message said nothing of them.

local archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local MANY = 70 -- more than are written at a time

describe("a save into a layout that fails late", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- An image whose last layer is not what its diff_id says.
	local function open(count)
		local layers = {}
		for i = 1, count do
			layers[i] = archive.layer({ { name = "layer" .. i, data = ("%d\n"):format(i) } })
		end
		local image = archive.image({ layers = layers })
		local made = docker_dialects.of.docker_1_10(image)
		for _, member in ipairs(made.members) do
			if member.data == layers[count].tar then
				member.data = member.data:gsub("\n", "!", 1)
			end
		end
		return assert(strata.open(made:write(dir:file("in.tar"))))
	end

	local function files()
		return shell.sh([[cd "$1" && find . -type f ! -path './blobs/sha256/*' | LC_ALL=C sort]], dir:file("out"))
	end

	it("says how many blobs it leaves, and leaves nothing else", function()
		local ok, message, code = open(MANY):save(dir:file("out"), { format = "oci" })
		assert.is_nil(ok)
		assert.equal("EDIGEST", code)
		assert.matches("; it leaves 64 blobs in .*/out, which nothing of this save names$", message)
		assert.equal("", files())
		assert.equal("64\n", shell.sh([[find "$1" -type f | wc -l]], dir:file("out")))
	end)

	it("leaves the images of the layout, which can be added to", function()
		local first = assert(strata.new())
		first.tags = { "first:1" }
		assert(first:append({ files = { a = "a" } }))
		assert(first:save(dir:file("out"), { format = "oci" }))
		local before, list = shell.read(dir:file("out/index.json")), files()
		local img = open(MANY)
		assert.matches("; it leaves 64 blobs in ", select(2, img:save(dir:file("out"), { format = "oci" })))
		assert.equal(before, shell.read(dir:file("out/index.json")))
		assert.equal(list, files())
		-- What is there already is no blob of the next failure.
		assert.is_nil(select(2, img:save(dir:file("out"), { format = "oci" })):find("it leaves", 1, true))
		assert(img:remove_layer(MANY))
		assert(img:save(dir:file("out"), { format = "oci" }))
		assert.is_true(assert(strata.open(dir:file("out"), { ref = "app:1" })):verify())
		assert.is_true(assert(strata.open(dir:file("out"), { ref = "first:1" })):verify())
	end)

	it("says nothing of blobs when it has written none", function()
		assert.is_nil(select(2, open(2):save(dir:file("out"), { format = "oci" })):find("it leaves", 1, true))
		assert.is_nil(io.open(dir:file("out/index.json")))
	end)
end)

-- An archive whose manifest.json names a layer that is not there, beside an index.json that is right: an image that was
-- opened by index.json and edited was saved with success, and nothing in the archive led to it.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an image beside a manifest.json that is wrong about it", function()
	local dir = tmp.dir()

	teardown(function()
		dir:remove()
	end)

	it("is not saved as if it were in the archive", function()
		local path = dir:file("a.tar")
		dialects.of.docker_25(archive.image({ layers = archive.layers(2), tags = { "app:1" } })):write(path)
		local bytes = shell.read(path)
		local from = bytes:find('"Layers":["blobs/sha256/', 1, true)
		assert.is_number(from)
		local at = from + #'"Layers":["blobs/sha256/' + 5
		local other = bytes:sub(at, at) == "0" and "1" or "0"
		dir:write("b.tar", bytes:sub(1, at - 1) .. other .. bytes:sub(at + 1))
		local img = assert(strata.open(dir:file("b.tar"), { prefer = "oci" }))
		img.config:set_env("A", "b")
		local saved, message, code = img:save(dir:file("c.tar"))
		assert.is_nil(saved)
		assert.equal("EFORMAT", code)
		assert.matches("nothing would lead to the edited image", message, 1, true)
		assert.is_nil(io.open(dir:file("c.tar")))
		-- Elsewhere it can be.
		assert(img:save(dir:file("layout"), { format = "oci" }))
		local env = assert(strata.open(dir:file("layout"))).config.Env
		assert.equal("A=b", env[#env])
	end)
end)

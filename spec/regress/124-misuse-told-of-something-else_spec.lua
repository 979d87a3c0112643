-- What is no image was called one with a method that is called wrongly, and a layer of a closed image a closed file, at
-- a line of these modules.

local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("misuse", function()
	local dir, img

	before_each(function()
		dir = tmp.dir()
		local made = docker_archive.image({ layers = docker_archive.layers(2) })
		img = assert(strata.open(docker_dialects.of.docker_1_10(made):write(dir:file("in.tar"))))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	local function told(fn, message)
		local ok, thrown = pcall(fn)
		assert.is_false(ok)
		assert.matches("regress/124[^:]*:%d+: " .. message .. "$", thrown)
	end

	it("names what is no image", function()
		told(function() img:rebase() end, "rebase: an image is wanted, not nil")
		told(function() img:rebase(img, "base") end, "rebase: an image is wanted, not string")
		told(function() img:rebase(img.layers[1], img) end, "rebase: an image is wanted, not strata.Layer")
		told(function() strata.save({ img, "app.tar" }, "out.tar") end, "save: an image is wanted, not string")
	end)

	it("names the closed image that a layer is of", function()
		local layer, root, other = img.layers[1], img:rootfs(), strata.new()
		local entries = layer:entries()
		img:close()
		local message = "attempt to use a layer of a closed strata.Image"
		told(function() layer:entries() end, message)
		told(function() layer:entry("etc") end, message)
		told(function() layer:remove("etc") end, message)
		told(function() layer:apply(dir:file("out")) end, message)
		told(function() root:read("etc/layer1") end, message)
		told(function() other:append({ layer = layer }) end, message)
		assert.is_false(pcall(entries))
		assert(other:append({ files = { a = "a" } }))
		assert.is_nil(io.open(dir:file("out")))
	end)
end)
